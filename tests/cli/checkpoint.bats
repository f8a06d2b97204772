#!/usr/bin/env bats
# checkpoint and restore, by CRIU. What it does on a kernel that it knows is shown in the guest;
# elsewhere, what joblet-run refuses, tells and leaves behind, with programs in CRIU's place.

load lib.bash

setup_file() {
    not_runc "other options"
    file_setup
}
teardown_file() { file_teardown; }
setup() {
    job_setup
    images=$BATS_TEST_TMPDIR/images
    mkdir -p "$BATS_TEST_TMPDIR/out.d"
}
teardown() { job_teardown; }

needs_criu() { [ -n "${JOBLET_VM-}" ] || skip "Debian's CRIU does not know this machine's kernel"; }

# counting FILTER: counts in memory, and tells in a directory of the host's that is bound.
counting() {
    bundle '.mounts += [mount("/work"; "bind"; $tmp + "/out.d"; ["rbind"])]
        | .linux.maskedPaths = ["/proc/version", "/sys/firmware"]
        | .linux.readonlyPaths = ["/proc/sys"] | '"$1" \
        sh -c 'i=0; while :; do i=$((i + 1)); echo $i >/work/count; sleep 0.05; done'
    detach
    until_true test -s "$BATS_TEST_TMPDIR/out.d/count"
}
# 0 where the file was emptied and not written again, which can last as long as the container is not there.
count() { local n; n=$(cat "$BATS_TEST_TMPDIR/out.d/count") && echo "${n:-0}"; }
goes_on() { [ "$(count)" -gt "$1" ]; }
counted() { before=$(count) && [ "$before" -gt 0 ]; }

checkpoint() { rt checkpoint --image-path "$images" "$@" "$id" || { tail -n 30 "$images"/*.log >&2; false; }; }
restore() { detached rt restore --detach --bundle "$bundle" --image-path "$images" "$@" "$id" || { cat "$BATS_TEST_TMPDIR/err" >&2; tail -n 30 "$images/restore.log" >&2; false; }; }

# Goes on from the number it had, which was in memory alone.
went_on_from() {
    local before
    until_true goes_on "$1"
    until_true counted
    [ "$before" -lt $(($1 + 1000)) ]
}

# in_place_of_criu TEXT: a program instead of it.
in_place_of_criu() {
    criu=$BATS_TEST_TMPDIR/criu
    printf '#!/bin/sh\n%s\n' "$1" >"$criu"
    chmod +x "$criu"
}

# bats test_tags=smoke
@test "a container is checkpointed, deleted and restored with its memory, mounts and limits" {
    needs_criu
    counting '.linux.resources.memory.limit = 134217728 | .linux.resources.pids.limit = 20'
    checkpoint
    is_status stopped
    local before
    before=$(count)
    rt delete "$id"
    nothing_left
    sleep 0.5
    equals "$(count)" "$before"
    restore --pid-file "$BATS_TEST_TMPDIR/pid"
    is_status running
    went_on_from "$before"
    equals "$(cat "$BATS_TEST_TMPDIR/pid")" "$(container_pid)"
    equals "$(cgroup_file memory memory.max)" 134217728
    equals "$(cgroup_file pids pids.max)" 20
    grep -q "^$(container_pid)$" "$(cgroup_dir memory)/cgroup.procs"
    equals "$(rt exec "$id" sh -c 'cat /proc/version | wc -c; hostname')" "$(printf '0\ninside')"
    run rt exec "$id" sh -c 'echo 1 >/proc/sys/kernel/hostname'
    [ "$status" -ne 0 ]
    rt kill "$id" KILL
    until_true is_status stopped
    rt delete "$id"
    nothing_left
}

# bats test_tags=smoke
@test "--leave-running and --pre-dump leave the container as it was; later images build on earlier" {
    needs_criu
    counting .
    local before
    before=$(count)
    rt checkpoint --image-path "$images/pre" --work-path "$BATS_TEST_TMPDIR" --pre-dump "$id"
    is_status running
    until_true goes_on "$before"
    before=$(count)
    rt checkpoint --image-path "$images/all" --parent-path ../pre --leave-running "$id"
    is_status running
    until_true goes_on "$before"
    rt delete --force "$id"
    restore --image-path "$images/all"
    went_on_from "$before"
    rt delete --force "$id"
    nothing_left
}

# bats test_tags=smoke
@test "restored in the foreground: output goes to the new standard output, the status comes back" {
    needs_criu
    bundle '.' sh -c 'while [ ! -e /tmp/go ]; do sleep 0.05; done; echo said $$; exit 7'
    detach
    sleep 1
    checkpoint
    rt delete "$id"
    "$runtime" --root "$root" restore --bundle "$bundle" --image-path "$images" "$id" </dev/null \
        >"$BATS_TEST_TMPDIR/later" 2>"$BATS_TEST_TMPDIR/err" 3>&- 4>&- &
    pids+=($!)
    until_true is_status running
    touch "$bundle/rootfs/tmp/go"
    ended "${pids[-1]}"
    cat "$BATS_TEST_TMPDIR/err"
    equals "$status" 7
    equals "$(cat "$BATS_TEST_TMPDIR/later")" "said 1"
    nothing_left
}

# (The shell's own "echo >file" moves its standard output away for a moment, in which it might be paused.)
# bats test_tags=smoke
@test "as podman has it: pipes, a joined network namespace, a cgroup namespace, paused" {
    needs_criu
    ip netns add "$cgroup_parent" || skip "no network namespaces"
    bundle 'ns("network") | .linux.namespaces += [{type: "network", path: "/run/netns/'"$cgroup_parent"'"},
            {type: "cgroup"}]
        | .mounts += [mount("/work"; "bind"; $tmp + "/out.d"; ["rbind", "rprivate"]),
            mount("/sys/fs/cgroup"; "cgroup"; "cgroup"; ["ro", "nosuid", "nodev", "noexec"])]' \
        sh -c 'i=0; while :; do i=$((i + 1)); (echo $i >/work/count); echo $i; sleep 0.05; done'
    (rt run --detach --bundle "$bundle" "$id" </dev/null 2>&1 | cat >/dev/null) 3>&- &
    pids+=($!)
    until_true test -s "$BATS_TEST_TMPDIR/out.d/count"
    rt pause "$id"
    local before
    before=$(count)
    checkpoint --tcp-established --file-locks
    until_true is_status stopped
    rt delete "$id"
    (rt restore --detach --bundle "$bundle" --image-path "$images" "$id" </dev/null 2>"$BATS_TEST_TMPDIR/err" |
        cat >"$BATS_TEST_TMPDIR/later") 3>&- &
    pids+=($!)
    until_true is_status running || { cat "$BATS_TEST_TMPDIR/err" >&2; tail -n 20 "$images/restore.log" >&2; false; }
    went_on_from "$before"
    until_true test -s "$BATS_TEST_TMPDIR/later"
    equals "$(rt exec "$id" cat /proc/1/cgroup | grep ^0:)" "0::/"
    equals "$(stat -Lc %i "/proc/$(container_pid)/ns/net")" "$(stat -Lc %i "/run/netns/$cgroup_parent")"
    rt delete --force "$id"
    ip netns del "$cgroup_parent"
    nothing_left
}

# bats test_tags=smoke
@test "restore runs prestart and createRuntime hooks in between, and poststart hooks at its end" {
    needs_criu
    local hooks='.hooks = (["prestart", "createRuntime", "poststart"]
        | map({key: ., value: [{path: "/bin/sh", args: ["sh", "-c", "cat >>\($tmp)/states"]}]}) | from_entries)'
    counting .
    checkpoint
    local before
    before=$(count)
    rt delete "$id"
    jq --arg tmp "$BATS_TEST_TMPDIR" "$hooks" "$bundle/config.json" >"$bundle/new"
    mv "$bundle/new" "$bundle/config.json"
    restore
    went_on_from "$before"
    equals "$(jq -rs 'map(.status) | join(" ")' "$BATS_TEST_TMPDIR/states")" "creating creating running"
    equals "$(jq -s 'map(.pid) | unique | .[]' "$BATS_TEST_TMPDIR/states")" "$(container_pid)"
    [ ! -e "$root/$id/criu-action" ]
    rt delete --force "$id"
    nothing_left
}

# script_in_criu: a CRIU that runs the action script as for the shell as first process, and fails.
script_in_criu() {
    in_place_of_criu 'while [ $# -gt 0 ] && [ "$1" != --action-script ]; do shift; done
        CRTOOLS_SCRIPT_ACTION=pre-restore "$2" || exit 3
        CRTOOLS_SCRIPT_ACTION=setup-namespaces CRTOOLS_INIT_PID=$$ "$2" || exit 4
        echo $$ >'"$BATS_TEST_TMPDIR"'/went-on; exit 5'
    mkdir -p "$images"
    touch "$images/inventory.img"
}

@test "a restore's hooks get the state with the pid that CRIU tells; CRIU waits for their end" {
    script_in_criu
    bundle '.hooks.createRuntime = [{path: "/bin/sh", args: ["sh", "-c", "sleep 0.1; cat >\($tmp)/state"]}]' true
    run rt --criu "$criu" restore --bundle "$bundle" --image-path "$images" "$id"
    equals "$status" 1
    contains "$output" "status 5"
    equals "$(jq '.pid' "$BATS_TEST_TMPDIR/state")" "$(cat "$BATS_TEST_TMPDIR/went-on")"
    equals "$(jq -r '.status' "$BATS_TEST_TMPDIR/state")" creating
    nothing_left
}

@test "a restore's hook that fails ends the restore, and is what is told" {
    script_in_criu
    bundle '.hooks.prestart = [{path: "/bin/sh", args: ["sh", "-c", "echo no good >&2; exit 3"]}]' true
    run rt --criu "$criu" restore --bundle "$bundle" --image-path "$images" "$id"
    equals "$status" 1
    contains "$output" prestart
    contains "$output" "no good"
    [ ! -e "$BATS_TEST_TMPDIR/went-on" ]
    nothing_left
}

@test "where CRIU fails, its first error is told, and where its log is; the container goes on" {
    in_place_of_criu 'while [ "$1" != --work-dir ]; do shift; done
        printf "(0.1) Error (criu/x.c:12): not on this \033kernel\n(0.2) Error (criu/y.c:7): so\n(0.3) Error (criu/cr-dump.c:2053): Dumping FAILED.\n" >"$2/dump.log"
        exit 1'
    counting .
    run rt --criu "$criu" --log "$BATS_TEST_TMPDIR/log" --log-format json checkpoint --image-path "$images" "$id"
    equals "$status" 1
    contains "$output" "criu dump failed: Error (criu/x.c:12): not on this ?kernel"
    contains "$output" "$images/dump.log"
    contains "$(jq -r .msg "$BATS_TEST_TMPDIR/log")" "not on this"
    is_status running
}

@test "Debian's CRIU on a kernel that it does not know: a clear error, and nothing is lost" {
    [ -z "${JOBLET_VM-}" ] || skip "it knows the guest's"
    command -v criu >/dev/null || skip "criu is not installed"
    ! criu check >/dev/null 2>&1 || skip "this CRIU knows this kernel"
    counting .
    run rt checkpoint --image-path "$images" --work-path "$BATS_TEST_TMPDIR/work" "$id"
    equals "$status" 1
    contains "$output" "criu dump failed: Error ("
    contains "$output" "log file: $BATS_TEST_TMPDIR/work/dump.log"
    [ -s "$BATS_TEST_TMPDIR/work/dump.log" ]
    local before
    before=$(count)
    until_true goes_on "$before"
}

@test "CRIU gets a command line, a short environment, and no descriptor of ours" {
    in_place_of_criu 'echo "$@" >"'"$BATS_TEST_TMPDIR"'/args"; env >"'"$BATS_TEST_TMPDIR"'/env"
        ls /proc/$$/fd >"'"$BATS_TEST_TMPDIR"'/fds"; exit 1'
    counting .
    run rt --criu "$criu" checkpoint --image-path "$images" --leave-running --tcp-established \
        --ext-unix-sk --shell-job --file-locks --empty-ns network --auto-dedup --link-remap --tcp-skip-in-flight --parent-path ../p "$id"
    contains "$output" "no error in its log"
    local want
    for want in "dump --images-dir $images" "--tree $(container_pid)" "--root $bundle/rootfs" --leave-running \
        --tcp-established --ext-unix-sk --shell-job --file-locks "--empty-ns net" --auto-dedup --link-remap --skip-in-flight \
        "--prev-images-dir ../p" "mnt[/work]:/work" "mnt[/proc/version]:/proc/version"; do
        contains "$(cat "$BATS_TEST_TMPDIR/args")" "$want"
    done
    ! grep -v -e ^PATH= -e ^PWD= -e ^_= -e ^SHLVL= "$BATS_TEST_TMPDIR/env"
    ! grep -vx -e '[012]' -e 10 "$BATS_TEST_TMPDIR/fds"
    is_status running
}

@test "who kills a restore leaves what delete --force and gc remove" {
    bundle . true
    mkdir "$images"
    touch "$images/inventory.img"
    in_place_of_criu 'echo $$ >"'"$BATS_TEST_TMPDIR"'/criu-pid"; sleep 1000 & wait'
    local how
    for how in "delete --force $id" "gc --older-than 0s"; do
        rm -f "$BATS_TEST_TMPDIR/criu-pid"
        "$runtime" --root "$root" --criu "$criu" restore --detach --bundle "$bundle" --image-path "$images" "$id" \
            >/dev/null 2>&1 3>&- 4>&- &
        pids+=($!)
        until_true test -s "$BATS_TEST_TMPDIR/criu-pid"
        is_status creating
        kill -KILL $!
        wait $! || true
        [[ $how != gc* ]] || sleep 10.2 # younger ones may be in the making
        rt $how
        nothing_left
        until_true has_ended "$(cat "$BATS_TEST_TMPDIR/criu-pid")"
    done
}

@test "a restore that fails leaves nothing" {
    bundle . true
    mkdir "$images"
    touch "$images/inventory.img"
    in_place_of_criu 'exit 3'
    run rt --criu "$criu" restore --bundle "$bundle" --image-path "$images" "$id"
    equals "$status" 1
    contains "$output" "criu restore failed"
    nothing_left
    in_place_of_criu 'echo "$@" >"'"$BATS_TEST_TMPDIR"'/args"; exit 3'
    run rt --criu "$criu" restore --bundle "$bundle" --image-path "$images" --tcp-close --auto-dedup \
        --lsm-profile apparmor:other --lsm-mount-context c "$id"
    contains "$(cat "$BATS_TEST_TMPDIR/args")" "--tcp-close --auto-dedup --lsm-profile apparmor:other --lsm-mount-context c"
    nothing_left
}

@test "refused by name: what CRIU can't do, and what is not there" {
    counting .
    run rt checkpoint --manage-cgroups-mode full "$id"
    contains "$output" "allowed are soft and ignore"
    run rt checkpoint --empty-ns pid "$id"
    contains "$output" "--empty-ns: 'pid'"
    run rt checkpoint --lazy-pages "$id"
    contains "$output" "lazy-pages"
    run rt --criu /nowhere/criu checkpoint --image-path "$images" "$id"
    contains "$output" "/nowhere/criu"
    run rt checkpoint --image-path "$images" none
    contains "$output" "does not exist"
    run rt restore --bundle "$bundle" --image-path "$BATS_TEST_TMPDIR/nothing" other
    contains "$output" "nothing/inventory.img"
    [ ! -e "$root/other" ]
    mkdir -p "$images"
    touch "$images/inventory.img"
    run rt restore --bundle "$bundle" --image-path "$images" "$id"
    equals "$status" 1
    is_status running
    run rt --cgroup-manager disabled restore --bundle "$bundle" --image-path "$images" other
    contains "$output" "no control group"
    [ ! -e "$root/other" ]
    rt delete --force "$id"
    rm -rf "$bundle"
    bundle '.process.terminal = true' true
    run rt restore --bundle "$bundle" --image-path "$images" "$id"
    contains "$output" "process.terminal"
    bundle '.linux.namespaces |= map(if .type == "ipc" then .path = "/proc/1/ns/ipc" else . end)' true
    run rt restore --bundle "$bundle" --image-path "$images" "$id"
    contains "$output" "ipc by path"
    bundle '.hooks.createContainer = [{path: "/bin/true"}]' true
    run rt restore --bundle "$bundle" --image-path "$images" "$id"
    contains "$output" "hooks.createContainer"
    nothing_left
}

@test "only what runs is checkpointed; checkpoint --help says that it can" {
    rt checkpoint --help >/dev/null
    rt restore --help >/dev/null
    bundle . sleep 1000
    create
    run rt checkpoint --image-path "$images" "$id"
    contains "$output" "container not running: '$id' is created"
    rt kill "$id" KILL
    until_true is_status stopped
    run rt checkpoint --image-path "$images" "$id"
    contains "$output" "is stopped"
}
