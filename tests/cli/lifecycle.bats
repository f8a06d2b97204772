#!/usr/bin/env bats
# create, start, state, kill, delete, list: a container's life, seen by those who steer it.

load lib.bash

setup_file() { file_setup; }
teardown_file() { file_teardown; }
setup() { job_setup; }
teardown() { job_teardown; }

# bats test_tags=smoke
@test "a container is created, runs, stops and is gone" {
    bundle . sh -c 'echo started; cat /work/fifo'
    mkfifo "$bundle/rootfs/work/fifo"
    create
    is_status created
    equals "$(out)" ""
    rt start "$id"
    until_true said started
    is_status running
    echo end >"$bundle/rootfs/work/fifo"
    until_true is_status stopped
    rt delete "$id"
    nothing_left
    equals "$(out)" $'started\nend'
}

@test "create runs nothing of the program" {
    bundle . sh -c 'echo ran >/work/ran'
    create
    sleep 0.2 # the time that a wrong one would have
    [ ! -e "$bundle/rootfs/work/ran" ]
    rt start "$id"
    until_true test -e "$bundle/rootfs/work/ran"
}

@test "the pid of create's pid file stays the program's after start" {
    bundle . sleep 1000
    create --pid-file "$BATS_TEST_TMPDIR/pid"
    equals "$(cat "$BATS_TEST_TMPDIR/pid")" "$(container_pid)"
    rt start "$id"
    until_true grep -q sleep "/proc/$(cat "$BATS_TEST_TMPDIR/pid")/cmdline"
}

@test "state tells version, id, status, pid, bundle and annotations" {
    bundle '.annotations = {"org.example.key": "some value"}' sleep 1000
    create
    run rt state "$id"
    equals "$status" 0
    jq -e --arg id "$id" --arg bundle "$bundle" '
        (.ociVersion | startswith("1.")) and .id == $id and .status == "created" and .pid > 1
        and .bundle == $bundle and .annotations == {"org.example.key": "some value"}' <<<"$output"
}

@test "the pid of a stopped container is 0 or left out" {
    bundle . true
    detach
    until_true is_status stopped
    equals "$(rt state "$id" | jq '.pid // 0')" 0
}

@test "start of a running container is refused" {
    bundle . sleep 1000
    detach
    run rt start "$id"
    equals "$status" 1
    contains "$output" "cannot start an already running container"
    is_status running
}

@test "start of a stopped container is refused" {
    bundle . true
    detach
    until_true is_status stopped
    run rt start "$id"
    equals "$status" 1
    contains "$output" "cannot start a container that has stopped"
}

@test "of two starts at once one succeeds" {
    bundle . sh -c 'echo x; sleep 1000'
    create
    rt start "$id" >/dev/null 2>&1 &
    local first=$! codes
    rt start "$id" >/dev/null 2>&1 && codes=0 || codes=1
    wait $first && codes+=0 || codes+=1
    [[ $codes == 01 || $codes == 10 ]]
    until_true said x
    equals "$(out)" x
}

@test "of two creates of one id at once one succeeds" {
    not_runc "lets both pass at times"
    bundle . sleep 1000
    detached rt create --bundle "$bundle" "$id" &
    local first=$! codes
    rt create --bundle "$bundle" "$id" </dev/null >/dev/null 2>&1 && codes=0 || codes=1
    wait $first && codes+=0 || codes+=1
    [[ $codes == 01 || $codes == 10 ]]
    is_status created
    rt delete --force "$id"
    nothing_left
}

@test "an unknown id does not exist, for every verb" {
    for verb in start state kill delete; do
        run rt $verb nobody
        equals "$status" 1
        contains "$output" "does not exist"
    done
}

@test "kill takes numbers and names, with SIG and in small letters" {
    bundle . sh -c 'trap "echo got" USR1; echo ready; while :; do sleep 0.02; done'
    detach
    until_true said ready
    local n=0
    for sig in 10 USR1 SIGUSR1 sigusr1; do
        rt kill "$id" $sig
        n=$((n + 1))
        until_true eval '[ "$(grep -c got "$BATS_TEST_TMPDIR/out")" = '$n' ]'
    done
}

@test "kill knows real-time signals by name" {
    not_runc "knows no such names"
    bundle . sh -c 'trap "echo got" 37; echo ready; while :; do sleep 0.02; done'
    detach
    until_true said ready
    rt kill "$id" RTMIN+3
    until_true said got
}

@test "kill sends TERM when no signal is named" {
    bundle . sh -c 'trap "echo term; exit" TERM; echo ready; while :; do sleep 0.02; done'
    detach
    until_true said ready
    rt kill "$id"
    until_true said term
    until_true is_status stopped
}

@test "kill refuses what is no signal" {
    bundle . sleep 1000
    detach
    for sig in NOSUCH 99 -1 1x; do
        run rt kill "$id" $sig
        [ "$status" -ne 0 ]
    done
    is_status running
}

@test "kill of a created container ends it" {
    bundle . sleep 1000
    create
    rt kill "$id" KILL
    until_true is_status stopped
    rt delete "$id"
    nothing_left
}

@test "kill of a stopped container says that it is not running" {
    bundle . true
    detach
    until_true is_status stopped
    run rt kill "$id" TERM
    equals "$status" 1
    contains "$output" "container not running"
}

@test "kill --all reaches every process of a container without a pid namespace" {
    bundle 'ns("pid")' sh -c 'sleep 1001 & sleep 1002 & echo ready; wait'
    detach
    until_true said ready
    equals "$(wc -l <"$(cgroup_dir pids)/cgroup.procs")" 3
    rt kill --all "$id" KILL
    until_true is_status stopped
    until_true eval '[ -z "$(cgroup_file pids cgroup.procs)" ]'
    rt delete "$id"
    nothing_left
}

@test "delete of a running container is refused without --force" {
    bundle . sleep 1000
    detach
    run rt delete "$id"
    equals "$status" 1
    contains "$output" "not stopped"
    is_status running
}

# bats test_tags=smoke
@test "delete --force ends a running container and leaves nothing" {
    bundle . sh -c 'sleep 1001 & sleep 1002'
    detach
    local pid
    pid=$(container_pid)
    rt delete --force "$id"
    has_ended "$pid"
    nothing_left
}

@test "delete --force ends what a dead init left behind" {
    bundle 'ns("pid")' sh -c 'sleep 1001 & echo ready'
    detach
    until_true said ready
    until_true is_status stopped
    rt delete --force "$id"
    nothing_left
}

@test "delete --force of nothing succeeds in silence" {
    run rt delete --force nobody
    equals "$status" 0
    equals "$output" ""
}

@test "delete of a created container removes it" {
    bundle . sleep 1000
    create
    rt delete --force "$id"
    nothing_left
}

@test "an id can be used again after delete" {
    bundle . true
    create
    rt delete --force "$id"
    create
    is_status created
}

@test "delete --force while run waits ends both" {
    bundle . sleep 1000
    run_behind
    until_true is_status running
    until_true pgrep -P "$run_pid" sleep
    rt delete --force "$id"
    ended "$run_pid"
    equals "$status" 137
    nothing_left
}

@test "a container whose run was killed can be seen and deleted" {
    bundle . sleep 1000
    run_behind
    until_true is_status running
    until_true pgrep -P "$run_pid" sleep
    kill -KILL "$run_pid"
    ended "$run_pid"
    [[ $(container_state status) == @(running|stopped) ]]
    rt delete --force "$id"
    nothing_left
}

@test "state, kill and delete need neither bundle nor environment" {
    bundle . sleep 1000
    detach
    mv "$bundle/config.json" "$BATS_TEST_TMPDIR/away"
    cd /
    run env -i "$runtime" --root "$root" state "$id"
    equals "$status" 0
    equals "$(jq -r .status <<<"$output")" running
    env -i "$runtime" --root "$root" kill "$id" KILL
    until_true is_status stopped
    env -i "$runtime" --root "$root" delete "$id"
    nothing_left
}

@test "an empty XDG_RUNTIME_DIR is taken as unset" {
    run env -i XDG_RUNTIME_DIR= "$runtime" state "no-such-$$"
    equals "$status" 1
    contains "$output" "does not exist"
}

@test "root of a user namespace keeps states in XDG_RUNTIME_DIR, root of the machine does not" {
    not_runc "has another directory"
    install -d -m 0777 "$BATS_TEST_TMPDIR/xdg/joblet" # which is refused, by name
    run env XDG_RUNTIME_DIR="$BATS_TEST_TMPDIR/xdg" unshare --map-root-user "$runtime" state "no-such-$$"
    contains "$output" "$BATS_TEST_TMPDIR/xdg/joblet"
    run env XDG_RUNTIME_DIR="$BATS_TEST_TMPDIR/xdg" "$runtime" state "no-such-$$"
    contains "$output" "does not exist"
}

@test "create needs no PATH and no HOME" {
    bundle . echo well
    run --separate-stderr env -i "$runtime" --root "$root" run --bundle "$bundle" "$id"
    equals "$output" well
}

@test "list shows each container with pid and status" {
    bundle . sleep 1000
    create
    run rt list
    equals "$status" 0
    [[ ${lines[0]} == ID*PID*STATUS*BUNDLE*CREATED* ]]
    [[ ${lines[1]} =~ ^$id\ +$(container_pid)\ +created\ +$bundle ]]
}

@test "list -f json is an array of states" {
    bundle . sleep 1000
    create
    rt list -f json | jq -e --arg id "$id" --argjson pid "$(container_pid)" \
        'length == 1 and .[0].id == $id and .[0].pid == $pid and .[0].status == "created"'
}

@test "list -q prints ids alone" {
    bundle . sleep 1000
    create
    detached rt create --bundle "$bundle" another || true # one group is enough for this
    run rt list -q
    equals "$status" 0
    equals "${lines[*]}" "$(cd "$root" && echo *)"
}

@test "list of a state root that is not there is empty" {
    run rt list -q
    equals "$status" 0
    equals "$output" ""
}

@test "list -f json of nothing is JSON" {
    run rt list --format json
    equals "$status" 0
    equals "$(jq -c . <<<"$output")" "$("$runtime" --version | grep -q '^runc' && echo null || echo '[]')"
}

# Where in create the KILL strikes depends on the delay; what must hold does not.
@test "delete --force cleans up after a create that was killed at any moment" {
    not_runc "leaves its directory and group behind"
    bundle . sleep 1000
    local delay mark=mark-$$-$BATS_TEST_NUMBER
    for delay in 0 0.001 0.002 0.003 0.004 0.005 0.007 0.009 0.012 0.02; do
        MARK=$mark "$runtime" --root "$root" create --bundle "$bundle" "$id" </dev/null \
            >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- 4>&- &
        local victim=$!
        sleep "$delay" # not a wait for anything: the moment that is tried
        kill -KILL "$victim" 2>/dev/null || true
        wait "$victim" 2>/dev/null || true
        rt delete --force "$id"
        nothing_left
        until_true nobody_with "MARK=$mark"
    done
    create
}
nobody_with() { ! grep -lsz -- "^$1$" /proc/[0-9]*/environ >/dev/null; }

@test "a create that was killed does not stand in the way of the next" {
    not_runc "leaves its directory and group behind"
    bundle . true
    mkdir -p "$root/$id" # what is left of one that died at once
    run rt state "$id"
    equals "$(jq -r .status <<<"$output")" stopped
    rt delete "$id"
    run_bundle
    nothing_left
}

@test "a state root that others could have made or can write is refused" {
    not_runc "takes any"
    bundle . true
    mkdir "$root"
    chmod 777 "$root"
    try
    [ "$status" -ne 0 ]
    contains "$stderr" "others may write there"
    local verb
    for verb in "state $id" "list" "delete --force $id" "kill $id" "start $id" "exec $id true"; do
        run --separate-stderr rt $verb
        [ "$status" -ne 0 ]
        contains "$stderr" "others may write there"
    done
    chmod 700 "$root"
    chown 1234 "$root"
    try
    [ "$status" -ne 0 ]
    contains "$stderr" "belongs to user 1234"
    chown 0 "$root"
    mv "$root" "$root.real"
    ln -s "$root.real" "$root"
    chown -h 1234 "$root"
    try
    [ "$status" -ne 0 ]
    contains "$stderr" ymbolic link
    chown -h 0 "$root"
    try
    equals "$status" 0
}

@test "delete --force removes a container whose record cannot be read" {
    not_runc "has other records"
    bundle . true
    mkdir -p "$root/$id"
    printf 'no json\n' >"$root/$id/record"
    run --separate-stderr rt delete "$id"
    [ "$status" -ne 0 ]
    [ -d "$root/$id" ]
    run --separate-stderr rt delete --force "$id"
    equals "$status" 0
    contains "$stderr" "record of container"
    [ ! -e "$root/$id" ]
}
