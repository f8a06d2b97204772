#!/usr/bin/env bats
# pause and resume: a container stands still and goes on, in every state that it may be in.

load lib.bash

setup_file() { file_setup; }
teardown_file() { file_teardown; }
setup() { job_setup; }
teardown() { job_teardown; }

# A container that counts in a file of its root, which is never half written.
counting() {
    bundle . sh -c 'i=0; while :; do i=$((i + 1)); echo $i >/work/new; mv /work/new /work/count; sleep 0.02; done'
    detach
    until_true test -s "$bundle/rootfs/work/count"
}
count() { cat "$bundle/rootfs/work/count"; }
goes_on() { [ "$(count)" -gt "$1" ]; }

# bats test_tags=smoke
@test "a paused container stands still and says so; resume lets it go on" {
    counting
    rt pause "$id"
    is_status paused
    local before
    before=$(count)
    sleep 0.3
    equals "$(count)" "$before"
    rt resume "$id"
    is_status running
    until_true goes_on "$before"
}

@test "pause and resume take the environment of podman" {
    counting
    env -i XDG_RUNTIME_DIR= "$runtime" --root "$root" pause "$id"
    is_status paused
    env -i XDG_RUNTIME_DIR= "$runtime" --root "$root" resume "$id"
    is_status running
}

@test "pausing twice is refused" {
    counting
    rt pause "$id"
    run rt pause "$id"
    [ "$status" -ne 0 ]
    contains "$output" "container not running"
    is_status paused
}

@test "resuming what is not paused is refused" {
    counting
    run rt resume "$id"
    [ "$status" -ne 0 ]
    contains "$output" "container not paused"
    is_status running
}

@test "an ended container can't be paused" {
    bundle . true
    detach
    until_true is_status stopped
    run rt pause "$id"
    [ "$status" -ne 0 ]
    contains "$output" "container not running"
}

@test "a created container can't be paused" {
    not_runc "pauses it"
    bundle . true
    create
    run rt pause "$id"
    [ "$status" -ne 0 ]
    contains "$output" "container not running"
    is_status created
}

@test "pause and resume of what is not there say so" {
    local verb
    for verb in pause resume; do
        run rt $verb nobody
        equals "$status" 1
        contains "$output" "does not exist"
    done
}

# bats test_tags=smoke
@test "a paused container is killed by kill and delete" {
    counting
    rt pause "$id"
    rt kill "$id" KILL
    until_true is_status stopped
    rt delete "$id"
    nothing_left
    bundle . sleep 1000
    detach
    rt pause "$id"
    rt delete --force "$id"
    nothing_left
}

@test "a created container that somebody froze makes start fail by name, and not hang" {
    not_runc "waits for ever"
    bundle . sleep 1000
    create
    if [ -e "/sys/fs/cgroup/unified$cgroup/cgroup.freeze" ]; then
        echo 1 >"/sys/fs/cgroup/unified$cgroup/cgroup.freeze"
    elif [ -e "/sys/fs/cgroup$cgroup/cgroup.freeze" ]; then
        echo 1 >"/sys/fs/cgroup$cgroup/cgroup.freeze"
    else
        echo FROZEN >"$(cgroup_dir freezer)/freezer.state"
    fi
    run rt start "$id"
    [ "$status" -ne 0 ]
    contains "$output" frozen
    contains "$output" resume
    rt resume "$id"
    until_true is_status running
}
