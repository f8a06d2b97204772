#!/usr/bin/env bats
# podman with joblet-run: contrib/engines/containers.conf, Debian's podman and conmon.

load lib.bash

setup_file() {
    machine_up podman conmon
    inside podman import "$dir/image.tar" busybox >/dev/null
}
teardown_file() { machine_down; }
teardown() { inside podman rm --all --force --time 0 >/dev/null 2>&1 || :; }

pod() { inside podman --cgroup-manager cgroupfs "$@"; }
run_in() { pod run --rm --cgroup-parent "/$group" --network none "$@"; }
start_in() { pod run --detach --cgroup-parent "/$group" --network none --name "$@" >/dev/null; }
logs_have() { prints "$2" pod logs "$1"; }
pid_of() { pod inspect --format '{{.State.Pid}}' "$1"; }
state_of() { pod inspect --format '{{.State.Status}} {{.State.ExitCode}}' "$1"; }

@test "podman takes the runtime from its configuration" {
    run -0 pod info --format '{{.Host.OCIRuntime.Name}} {{.Host.OCIRuntime.Path}}'
    equals "$output" "joblet-run /usr/local/bin/joblet-run"
}

@test "podman run: output and exit code" {
    run -7 --separate-stderr run_in busybox sh -c 'echo out; echo err >&2; exit 7'
    equals "$output" out
    equals "$stderr" err
}

@test "podman run: standard input" {
    equals "$(echo input | run_in --interactive busybox cat)" input
}

@test "podman run: a command that is not found, or may not be executed" {
    run -127 run_in busybox no-such-command
    contains "$output" "executable file not found"
    run -127 run_in busybox /no/such/command
    run -126 run_in busybox /data/file
    contains "${output,,}" "permission denied"
}

@test "podman run: user, directory, environment, host name" {
    run -0 run_in --user 1000 --workdir /data --env A=b --hostname inside busybox sh -c 'id -u; pwd; echo $A; hostname'
    equals "$output" $'1000\n/data\nb\ninside'
}

@test "podman run: limits are the kernel's" {
    start_in c --memory 64m --cpus 0.5 --pids-limit 50 busybox sleep 100
    pid=$(pid_of c)
    equals "$(limit "$pid" memory memory.limit_in_bytes memory.max)" 67108864
    equals "$(limit "$pid" pids pids.max pids.max)" 50
    contains "$(limit "$pid" cpu cpu.cfs_quota_us cpu.max)" 50000
}

@test "podman run --cgroups disabled: it stays in its caller's groups" {
    run -0 pod run --rm --network none --cgroups disabled --cgroupns host busybox cat /proc/self/cgroup
    equals "$output" "$(inside cat /proc/self/cgroup)"
    pod run --detach --network none --cgroups disabled --name c busybox sleep 100 >/dev/null
    equals "$(inside cat "/proc/$(pid_of c)/cgroup")" "$(inside cat /proc/self/cgroup)"
    run -0 pod exec c echo well
    equals "$output" well
    pod stop --time 0 c >/dev/null
    contains "$(state_of c)" exited
}

@test "podman run: a read-only root, tmpfs, volumes that may and may not be written" {
    run -0 run_in --read-only --tmpfs /scratch:size=1m --volume "$dir/rootfs/data:/ro:ro" \
        --volume "$dir/rootfs/tmp:/rw:Z" busybox sh -c '
            for d in /data /ro /rw /scratch; do touch $d/x 2>/dev/null && echo $d; done
            df -k /scratch | awk "END { print \$2 }"; cat /ro/file; rm /rw/x'
    equals "$output" $'/rw\n/scratch\n1024\ndata'
}

@test "podman run: privileges" {
    run -0 run_in --cap-drop all --security-opt no-new-privileges busybox grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status
    equals "$output" $'CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2'
    run -0 run_in --cap-drop all --cap-add chown --security-opt seccomp=unconfined busybox grep -E '^(CapEff|Seccomp):' /proc/self/status
    equals "$output" $'CapEff:\t0000000000000001\nSeccomp:\t0'
    run -0 run_in --privileged busybox mount -t tmpfs none /data
}

@test "podman run: sysctl, device, init, ulimit" {
    run -0 run_in --sysctl net.ipv4.ip_unprivileged_port_start=81 --device /dev/null:/dev/naught --ulimit nofile=77 --ulimit nproc=99 busybox \
        sh -c 'cat /proc/sys/net/ipv4/ip_unprivileged_port_start; echo x >/dev/naught && ulimit -n'
    equals "$output" $'81\n77'
}

@test "podman run: mapped users, a root file system of one's own, overlay and named volumes" {
    run -0 run_in --uidmap 0:700000:65536 busybox sh -c 'cat /proc/self/uid_map; touch /x; ls -ln /x'
    equals "$(echo ${lines[0]})" "0 700000 65536"
    contains "${lines[1]}" " 0        0 "
    run -0 run_in --rootfs "$dir/rootfs" /bin/cat /data/file
    equals "$output" data
    run -0 run_in --volume "$dir/rootfs/data:/over:O" --volume named:/named busybox \
        sh -c 'touch /over/x /named/y; ls /over /named'
    equals "$output" $'/named:\ny\n\n/over:\nfile\nx'
    [ ! -e "$dir/rootfs/data/x" ]
}

@test "podman run --systemd: what systemd in a container needs" {
    run -0 run_in --systemd always busybox sh -c '
        d=/sys/fs/cgroup/systemd; [ -d $d ] || d=/sys/fs/cgroup
        mkdir $d/x /run/x && rmdir $d/x'
}

@test "podman run: the host's namespaces" {
    run -0 run_in --uts host --pid host --ipc host busybox sh -c 'hostname; cat /proc/1/cmdline | grep -c engines/machine'
    equals "$output" $'engines\n1'
}

@test "podman run: another container's namespaces" {
    start_in c busybox sleep 1000
    run -0 pod run --rm --cgroup-parent "/$group" --network container:c --pid container:c --ipc container:c \
        busybox sh -c 'for p in self 1; do readlink /proc/$p/ns/net; done | uniq | wc -l; cat /proc/1/cmdline | tr "\0" " "'
    equals "$output" $'1\nsleep 1000 '
}

@test "podman run on a terminal" {
    contains "$(on_terminal podman --cgroup-manager cgroupfs run --rm -it --network none --cgroup-parent "/$group" busybox \
        sh -c 'tty; stty size')" "/dev/pts/0"
}

@test "podman logs, also while they are written" {
    start_in c busybox sh -c 'echo one; while [ ! -e /go ]; do sleep 0.05; done; echo two >&2'
    until_true logs_have c one
    inside podman logs --follow c >"$BATS_TEST_TMPDIR/log" 2>&1 &
    pod exec c touch /go
    until_true gone $!
    equals "$(cat "$BATS_TEST_TMPDIR/log")" $'one\ntwo'
}

@test "podman exec: output, exit code, input, user, directory, environment, terminal" {
    start_in c busybox sleep 1000
    run -9 pod exec c sh -c 'echo in; exit 9'
    equals "$output" in
    equals "$(echo piped | pod exec --interactive c cat)" piped
    run -0 pod exec --user 1000 --workdir /data --env A=b c sh -c 'id -u; pwd; echo $A'
    equals "$output" $'1000\n/data\nb'
    run -127 pod exec c no-such-command
    run -126 pod exec c /data/file
    contains "$(on_terminal podman exec -it c tty)" /dev/pts/
    run -0 pod exec --detach c touch /made
    until_true pod exec c test -e /made
}

@test "podman stop: TERM first, KILL when that does not help; kill" {
    start_in c busybox sh -c "$patient"
    until_true logs_have c up
    pod stop c
    equals "$(state_of c)" "exited 3"
    contains "$(pod logs c)" bye
    start_in d busybox sh -c 'trap "" TERM; echo up; while :; do sleep 0.05; done'
    until_true logs_have d up
    pod stop --time 1 d
    equals "$(state_of d)" "exited 137"
    pod start d
    pod kill --signal KILL d
    equals "$(pod wait d)" 137
}

@test "podman stop of a container with the host's pids" {
    start_in c --pid host busybox sh -c 'sleep 4321 & sleep 1234'
    pod stop --time 0 c
    run ! inside pgrep -f '^sleep 4321'
}

@test "podman restart, start --attach, ps, top, stats, cp" {
    start_in c busybox sh -c "$patient"
    pod restart --time 1 c
    contains "$(pod ps --format '{{.Names}} {{.Status}}')" "c Up"
    contains "$(pod top c pid comm)" "sh"
    contains "$(pod stats --no-stream --format '{{.Name}} {{.PIDS}}' c)" "c 2"
    pod cp c:/data/file "$BATS_TEST_TMPDIR/copy"
    equals "$(cat "$BATS_TEST_TMPDIR/copy")" data
    pod create --name d --cgroup-parent "/$group" --network none busybox sh -c 'echo again; exit 4'
    run -4 pod start --attach d
    equals "$output" again
}

@test "podman pause, unpause" {
    start_in c busybox sleep 1000
    pod pause c
    equals "$(state_of c)" "paused 0"
    pod unpause c
    run -0 pod exec c echo awake
    equals "$output" awake
}

@test "podman update" {
    start_in c --memory 64m busybox sleep 1000
    pod update --memory 50m c
    equals "$(limit "$(pid_of c)" memory memory.limit_in_bytes memory.max)" 52428800
}

@test "podman build runs its steps" {
    printf 'FROM localhost/busybox\nRUN echo built >/data/built\nCMD ["cat", "/data/built"]\n' >"$dir/Containerfile"
    run -0 pod build --network none --tag made "$dir"
    run -0 run_in made
    equals "$output" built
}

@test "podman run: an unprivileged user" {
    inside install -d -o worker -g worker -m 700 /run/worker
    inside install -d -o worker -g worker /var/lib/worker
    worker() { inside setpriv --reuid worker --regid worker --init-groups env HOME=/var/lib/worker XDG_RUNTIME_DIR=/run/worker "$@"; }
    worker podman import "$dir/image.tar" busybox >/dev/null
    run -5 --separate-stderr worker podman run --rm --network none busybox sh -c 'id -u; cat /proc/self/uid_map; exit 5'
    equals "${lines[0]}" 0
    contains "${lines[2]}" 700000
}
