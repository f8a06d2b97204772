#!/usr/bin/env bats
# docker with joblet-run: contrib/engines/daemon.json, Debian's docker.io and containerd.

load lib.bash

setup_file() {
    machine_up /usr/bin/docker dockerd containerd
    daemon_up
    inside docker import "$dir/image.tar" busybox >/dev/null
}
teardown_file() { machine_down; }
teardown() { inside docker ps --all --quiet | inside xargs -r docker rm --force >/dev/null 2>&1 || :; }

# No rule of iptables is made or needed: the machine has no way out.
daemon_up() {
    inside_daemon dockerd dockerd --iptables=false --ip6tables=false --cgroup-parent "/$group" \
        --bip 198.51.100.1/24 --live-restore
    until_true inside docker version >/dev/null 2>&1 || { tail -n 20 "$dir/dockerd.log" >&2; return 1; }
}
docker() { inside docker "$@"; }
run_in() { docker run --rm --network none "$@"; }
start_in() { docker run --detach --network none --name "$@" >/dev/null; }
logs_have() { prints "$2" docker logs "$1"; }
pid_of() { docker inspect --format '{{.State.Pid}}' "$1"; }
state_of() { docker inspect --format '{{.State.Status}} {{.State.ExitCode}}' "$1"; }

@test "docker takes the runtime from its configuration" {
    equals "$(docker info --format '{{.DefaultRuntime}}')" joblet
}

@test "docker run: output, exit code, standard input" {
    run -7 --separate-stderr run_in busybox sh -c 'echo out; echo err >&2; exit 7'
    equals "$output" out
    equals "$stderr" err
    equals "$(echo input | run_in --interactive busybox cat)" input
}

@test "docker run: a command that is not found, or may not be executed" {
    run -127 run_in busybox no-such-command
    contains "$output" "executable file not found"
    run -127 run_in busybox /no/such/command
    run -126 run_in busybox /data/file
    contains "$output" "permission denied"
}

@test "docker run: user, directory, environment, host name, sysctl, ulimit" {
    run -0 run_in --user 1000 --workdir /data --env A=b --hostname inside --ulimit nofile=77 \
        --sysctl net.ipv4.ip_unprivileged_port_start=81 busybox \
        sh -c 'id -u; pwd; echo $A; hostname; ulimit -n; cat /proc/sys/net/ipv4/ip_unprivileged_port_start'
    equals "$output" $'1000\n/data\nb\ninside\n77\n81'
}

@test "docker run: limits are the kernel's, and docker update changes them" {
    start_in c1 --memory 64m --cpus 0.5 --pids-limit 50 busybox sleep 1000
    pid=$(pid_of c1)
    equals "$(limit "$pid" memory memory.limit_in_bytes memory.max)" 67108864
    equals "$(limit "$pid" pids pids.max pids.max)" 50
    contains "$(limit "$pid" cpu cpu.cfs_quota_us cpu.max)" 50000
    docker update --memory 50m --memory-swap 50m --pids-limit 40 c1
    equals "$(limit "$pid" memory memory.limit_in_bytes memory.max)" 52428800
    equals "$(limit "$pid" pids pids.max pids.max)" 40
}

@test "docker run: more than the memory limit" {
    run -137 docker run --name c1 --network none --memory 16m --memory-swap 16m busybox sh -c 'exec tail /dev/zero'
    until_true prints true docker inspect --format '{{.State.OOMKilled}}' c1
}

@test "docker run: a read-only root, tmpfs, volumes that may and may not be written" {
    run -0 run_in --read-only --tmpfs /scratch:size=1m --volume "$dir/rootfs/data:/ro:ro" \
        --volume "$dir/rootfs/tmp:/rw" busybox sh -c '
            for d in /data /ro /rw /scratch; do touch $d/x 2>/dev/null && echo $d; done
            df -k /scratch | awk "END { print \$2 }"; cat /ro/file; rm /rw/x'
    equals "$output" $'/rw\n/scratch\n1024\ndata'
}

@test "docker run: privileges" {
    run -0 run_in --cap-drop all --security-opt no-new-privileges busybox grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status
    equals "$output" $'CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2'
    run -0 run_in --security-opt seccomp=unconfined busybox grep '^Seccomp:' /proc/self/status
    equals "$output" $'Seccomp:\t0'
}

@test "docker run --privileged, where not every capability can be granted" {
    [ -z "${ENGINE_RUNTIME-}" ] || skip "runc refuses a capability that cannot be granted"
    run -0 run_in --privileged busybox mount -t tmpfs none /data
    equals "$output" "" # a warning is not the container's
}

@test "docker run --init, and on a terminal" {
    contains "$(run_in --init busybox ps)" docker-init
    contains "$(on_terminal docker run --rm -it --network none busybox tty)" /dev/pts/0
}

@test "docker run: networks, bridge and host" {
    start_in c1 busybox sleep 1000
    docker run --detach --name s1 busybox sh -c 'echo hello >/tmp/index.html; exec httpd -f -h /tmp'
    address=$(docker inspect --format '{{.NetworkSettings.IPAddress}}' s1)
    until_true prints hello docker run --rm busybox wget -qO- "http://$address/index.html"
    run -0 docker run --rm --network host busybox hostname
    equals "$output" engines
    run -0 docker run --rm --network container:s1 --pid container:s1 busybox sh -c 'cat /proc/1/comm; ip -o -4 address'
    contains "$output" httpd
    contains "$output" "$address"
}

@test "docker logs, also while they are written" {
    start_in c1 busybox sh -c 'echo one; while [ ! -e /go ]; do sleep 0.05; done; echo two >&2'
    until_true logs_have c1 one
    docker logs --follow c1 >"$BATS_TEST_TMPDIR/log" 2>&1 &
    docker exec c1 touch /go
    until_true gone $!
    equals "$(cat "$BATS_TEST_TMPDIR/log")" $'one\ntwo'
}

@test "docker exec: output, exit code, input, user, directory, environment, terminal" {
    start_in c1 busybox sleep 1000
    run -9 docker exec c1 sh -c 'echo in; exit 9'
    equals "$output" in
    equals "$(echo piped | docker exec --interactive c1 cat)" piped
    run -0 docker exec --user 1000 --workdir /data --env A=b c1 sh -c 'id -u; pwd; echo $A'
    equals "$output" $'1000\n/data\nb'
    run -126 docker exec c1 no-such-command
    contains "$output" "executable file not found"
    run -126 docker exec c1 /data/file
    contains "$(on_terminal docker exec -it c1 tty)" /dev/pts/
    docker exec --detach c1 touch /made
    until_true docker exec c1 test -e /made
}

@test "docker stop: TERM first, KILL when that does not help; kill, wait, restart" {
    start_in c1 busybox sh -c "$patient"
    until_true logs_have c1 up
    docker stop c1
    equals "$(state_of c1)" "exited 3"
    contains "$(docker logs c1)" bye
    start_in d1 busybox sh -c 'trap "" TERM; echo up; while :; do sleep 0.05; done'
    until_true logs_have d1 up
    docker stop --time 1 d1
    equals "$(state_of d1)" "exited 137"
    docker restart d1
    docker kill --signal KILL d1
    equals "$(docker wait d1)" 137
}

@test "docker kill of a container with the host's pids ends all of it" {
    start_in c1 --pid host busybox sh -c 'sleep 4322 & sleep 1234'
    docker kill c1
    until_true eval '! inside pgrep -f "^sleep 4322" >/dev/null'
}

@test "docker top, stats, cp, attach" {
    start_in c1 busybox sh -c 'sleep 1234; echo never'
    contains "$(docker top c1)" "sleep 1234"
    contains "$(docker stats --no-stream --format '{{.Name}} {{.PIDs}}' c1)" "c1 2"
    docker cp c1:/data/file "$BATS_TEST_TMPDIR/copy"
    equals "$(cat "$BATS_TEST_TMPDIR/copy")" data
    docker create --name d1 --network none busybox sh -c 'echo again; exit 4'
    run -4 docker start --attach d1
    equals "$output" again
}

@test "docker pause, unpause" {
    start_in c1 busybox sleep 1000
    docker pause c1
    equals "$(state_of c1)" "paused 0"
    docker unpause c1
    run -0 docker exec c1 echo awake
    equals "$output" awake
}

@test "docker build runs its steps" {
    printf 'FROM busybox\nRUN echo built >/data/built\nCMD ["cat", "/data/built"]\n' >"$dir/Dockerfile"
    run -0 inside env DOCKER_BUILDKIT=0 docker build --network none --tag made -f "$dir/Dockerfile" "$dir/rootfs/data"
    run -0 run_in made
    equals "$output" built
}

@test "a container outlives dockerd and containerd, and is still theirs" {
    start_in c1 busybox sh -c "$patient"
    pid=$(pid_of c1)
    inside sh -c 'kill -KILL $(cat /run/docker.pid)'
    until_true eval '! inside pgrep -x "dockerd|containerd" >/dev/null'
    daemon_up
    equals "$(pid_of c1)" "$pid"
    run -0 docker exec c1 echo there
    equals "$output" there
    docker stop c1
    equals "$(state_of c1)" "exited 3"
}
