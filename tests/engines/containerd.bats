#!/usr/bin/env bats
# containerd's ctr with joblet-run, by the shim for runc: contrib/engines/config.toml, Debian's containerd.

load lib.bash

setup_file() {
    machine_up containerd ctr
    containerd_up
    make_archive "$image" sh
    task images import "$dir/image.oci" >/dev/null
}
teardown_file() { machine_down; }
teardown() {
    local c
    for c in $(task containers list --quiet); do
        task tasks delete --force "$c" >/dev/null 2>&1 || :
        task containers delete "$c" >/dev/null 2>&1 || :
    done
}

image=localhost/busybox:latest
# The name space is the control groups' parent as well.
task() { inside ctr --namespace "$group" "$@"; }
run_in() { task run --rm --runc-binary /usr/local/bin/joblet-run "$@"; }
start_in() { task run --detach --runc-binary /usr/local/bin/joblet-run "$@"; }
status_of() { task tasks list | awk -v id="$1" '$1 == id { print $3 }'; }
pid_of() { task tasks list | awk -v id="$1" '$1 == id { print $2 }'; }
has_status() { [ "$(status_of "$1")" = "$2" ]; }

# make_archive NAME COMMAND...: an OCI image layout in a tar file: one layer, one configuration, one manifest.
make_archive() {
    local a=$dir/archive name=$1 layer config manifest
    shift
    rm -rf "$a"
    mkdir -p "$a/blobs/sha256"
    blob() { # TYPE FILE: moves it in, prints its descriptor
        local sum
        sum=$(sha256sum "$2" | cut -d' ' -f1)
        jq -nc --arg t "$1" --arg d "sha256:$sum" --argjson s "$(stat -c %s "$2")" '{mediaType: $t, digest: $d, size: $s}'
        mv "$2" "$a/blobs/sha256/$sum"
    }
    cp "$dir/image.tar" "$dir/layer"
    layer=$(blob application/vnd.oci.image.layer.v1.tar "$dir/layer")
    jq -n --argjson l "$layer" '{architecture: "amd64", os: "linux", 
        config: {Env: ["PATH=/bin"], Cmd: $ARGS.positional},
        rootfs: {type: "layers", diff_ids: [$l.digest]}}' --args -- "$@" >"$dir/config"
    config=$(blob application/vnd.oci.image.config.v1+json "$dir/config")
    jq -n --argjson c "$config" --argjson l "$layer" '{schemaVersion: 2,
        mediaType: "application/vnd.oci.image.manifest.v1+json", config: $c, layers: [$l]}' >"$dir/manifest"
    manifest=$(blob application/vnd.oci.image.manifest.v1+json "$dir/manifest")
    jq -n --argjson m "$manifest" --arg n "$name" '{schemaVersion: 2,
        manifests: [$m + {annotations: {"io.containerd.image.name": $n}}]}' >"$a/index.json"
    echo '{"imageLayoutVersion": "1.0.0"}' >"$a/oci-layout"
    tar -C "$a" -cf "$dir/image.oci" oci-layout index.json blobs
}

@test "containerd reads its configuration" {
    contains "$(inside containerd config dump)" 'BinaryName = "/usr/local/bin/joblet-run"'
    contains "$(task plugins list)" "cri"
}

@test "ctr run: output, exit code, standard input" {
    run -7 --separate-stderr run_in "$image" t sh -c 'echo out; echo err >&2; exit 7'
    equals "$output" out
    contains "$stderr" err
    # ctr 1.6 forgets to tell of an end of input that comes too soon, so nobody may wait for it.
    equals "$(echo input | run_in "$image" t head -n 1)" input
}

@test "ctr run: a command that is not found" {
    run -1 run_in "$image" t no-such-command
    contains "$output" "executable file not found"
}

@test "ctr run: directory, environment, a read-only root, a mount, a root file system of one's own" {
    run -0 run_in --cwd /data --env A=b --read-only --mount "type=bind,src=$dir/rootfs/tmp,dst=/mnt,options=rbind:rw" \
        "$image" t sh -c 'pwd; echo $A; touch /x 2>/dev/null || echo read-only; touch /mnt/x && rm /mnt/x && echo writable'
    equals "$output" $'/data\nb\nread-only\nwritable'
    run -0 run_in --rootfs "$dir/rootfs" t /bin/cat /data/file
    equals "$output" data
}

@test "ctr run: privileges, the host's network, seccomp" {
    run -0 run_in --net-host --seccomp --cap-drop CAP_CHOWN "$image" t sh -c 'hostname; grep -E "^(Seccomp|NoNewPrivs):" /proc/self/status'
    equals "$output" $'engines\nNoNewPrivs:\t1\nSeccomp:\t2'
}

@test "ctr run in a user namespace" {
    run -0 run_in --uidmap 0:700000:65536 --gidmap 0:700000:65536 --remap-labels --snapshotter overlayfs "$image" t cat /proc/self/uid_map
    equals "$(echo $output)" "0 700000 65536"
}

@test "ctr run on a terminal" {
    # ctr gives up when the program is gone before it has set the terminal's size.
    until_true prints /dev/pts/0 on_terminal ctr --namespace "$group" run --rm --tty \
        --runc-binary /usr/local/bin/joblet-run "$image" t tty
}

@test "ctr run: limits are the kernel's" {
    start_in --memory-limit 67108864 --cpus 0.5 "$image" t sleep 1000
    equals "$(limit "$(pid_of t)" memory memory.limit_in_bytes memory.max)" 67108864
    contains "$(limit "$(pid_of t)" cpu cpu.cfs_quota_us cpu.max)" 50000
}

@test "ctr task exec, also on a terminal" {
    start_in "$image" t sleep 1000
    run -9 task tasks exec --exec-id e t sh -c 'echo in; exit 9'
    contains "$output" in
    equals "$(echo piped | task tasks exec --exec-id e t head -n 1)" piped
    run -1 task tasks exec --exec-id e t no-such-command
    contains "$output" "executable file not found"
    run -0 task tasks exec --exec-id e --user 1000 --cwd /data t sh -c 'id -u; pwd'
    equals "$output" $'1000\n/data'
    until_true prints /dev/pts/ on_terminal ctr --namespace "$group" tasks exec --tty --exec-id e t tty
}

@test "ctr task kill, delete" {
    start_in --mount "type=bind,src=$BATS_TEST_TMPDIR,dst=/mnt,options=rbind:rw" "$image" t sh -c "${patient/echo up/touch /mnt/up}"
    until_true test -e "$BATS_TEST_TMPDIR/up"
    task tasks kill --signal TERM t
    until_true has_status t STOPPED
    run task tasks delete t
    contains "$output" "exit code 3"
    run task tasks kill t
    contains "$output" "not found"
}

@test "ctr task kill --all" {
    start_in "$image" t sh -c 'sleep 4323 & sleep 1234'
    task tasks kill --all --signal KILL t
    until_true has_status t STOPPED
    run task tasks delete t
    contains "$output" "exit code 137"
}

@test "ctr task ps, metrics" {
    start_in "$image" t sh -c 'sleep 1234; echo never'
    until_true eval '[ "$(task tasks ps t | grep -c "^[0-9]")" = 2 ]'
    contains "$(task tasks ps t)" "$(pid_of t)"
    contains "$(task tasks metrics t)" "memory"
}

@test "ctr task pause, resume" {
    start_in "$image" t sleep 1000
    task tasks pause t
    equals "$(status_of t)" PAUSED
    task tasks resume t
    equals "$(status_of t)" RUNNING
}

@test "a container outlives containerd, and is still its" {
    start_in "$image" t sleep 1000
    pid=$(pid_of t)
    inside pkill -KILL -x containerd
    until_true eval '! inside pgrep -x containerd >/dev/null'
    containerd_up
    equals "$(pid_of t)" "$pid"
    run -0 task tasks exec --exec-id e t echo there
    equals "$output" there
}

@test "CRI, as Kubernetes calls it: a pod and a container in it" {
    cri() { inside /usr/bin/python3 - "$@" <"$here/cri.py"; }
    has_ended() { prints "2 $1" cri status "$c"; }
    pause=$(inside containerd config dump | sed -n 's/^ *sandbox_image = "\(.*\)"/\1/p')
    make_archive "$pause" sleep 1000000
    inside ctr --namespace k8s.io images import "$dir/image.oci" >/dev/null
    make_archive "$image" sh
    inside ctr --namespace k8s.io images import "$dir/image.oci" >/dev/null
    mkdir "$dir/pods"

    until_true eval 'pod=$(cri run-pod pod "/$group" "$dir/pods")'
    c=$(cri create "$pod" "/$group" "$dir/pods" c "$image" 67108864 sh -c "$patient")
    cri start "$c"
    contains "$(cri status "$c")" "1 0"
    until_true grep -q 'stdout F up' "$dir/pods/c.log"
    pid=$(inside ctr --namespace k8s.io tasks list | awk -v c="$c" '$1 == c { print $2 }')
    equals "$(limit "$pid" memory memory.limit_in_bytes memory.max)" 67108864
    cri update "$c" 33554432
    equals "$(limit "$pid" memory memory.limit_in_bytes memory.max)" 33554432
    run -9 cri exec "$c" sh -c 'echo in; exit 9'
    equals "$output" in
    run cri exec "$c" no-such-command
    contains "$output" "executable file not found"
    cri stop "$c"
    until_true has_ended 3
    contains "$(cat "$dir/pods/c.log")" "stdout F bye"
    cri remove "$c"

    c=$(cri create "$pod" "/$group" "$dir/pods" d "$image" 16777216 tail /dev/zero)
    cri start "$c"
    until_true has_ended 137 # "OOMKilled" only if containerd hears of that before it hears of the end
    cri remove "$c"
    run -1 cri start "$(cri create "$pod" "/$group" "$dir/pods" e "$image" 16777216 no-such-command)"
    contains "$output" "executable file not found"
    cri stop-pod "$pod"
    cri remove-pod "$pod"
}
