#!/usr/bin/env bats
# gc: what nobody deleted goes, what lives stays.

load lib.bash

setup_file() { file_setup; }
teardown_file() { file_teardown; }
setup() { job_setup; not_runc "has none"; }
teardown() { job_teardown; }

stopped() {
    bundle . true
    detach
    until_true is_status stopped
    until_true process_is_gone
}
process_is_gone() { [ ! -d "/proc/$(jq -rs 'map(.pid // empty) | last' < <(tail -n 2 "$root/$id/record"))" ]; }

# bats test_tags=smoke
@test "a stopped container goes, with its group; a running and a created one stay" {
    stopped
    [ -n "$(cgroup_dirs)" ]
    local first=$id
    bundle '.linux.cgroupsPath += "-2"' sleep 1000
    detached rt run --detach --bundle "$bundle" second
    bundle '.linux.cgroupsPath += "-3"' true
    detached rt create --bundle "$bundle" third
    run rt gc --older-than 0
    equals "$status" 0
    equals "$output" "$first: stopped, removed"
    rt state second | jq -e '.status == "running"'
    rt state third | jq -e '.status == "created"'
    nothing_left
    rt delete --force second
    rt delete --force third
}

@test "--dry-run tells and takes nothing; a young one stays" {
    stopped
    run rt gc --dry-run --older-than 0
    equals "$output" "$id: stopped, would be removed"
    is_status stopped
    run rt gc
    equals "$status" 0
    equals "$output" ""
    is_status stopped
    equals "$(rt gc --json --older-than 0ms)" "[{\"id\":\"$id\",\"what\":\"stopped\",\"result\":\"removed\"}]"
    nothing_left
    equals "$(rt gc --json)" "[]"
}

@test "a create whose maker was killed goes, and not while somebody holds its lock" {
    mkdir -p "$root/$id" && touch -d '1 minute ago' "$root/$id"
    printf '{"version":1,"id":"%s","bundle":"/b","cgroup":"%s","ownPidNamespace":true,"configBytes":0}\n' \
        "$id" "${cgroup#/}" >"$root/$id/record"
    mkdir -p "$(cgroup_dir pids)"
    run rt gc
    equals "$output" "" # its directory is younger than ten seconds
    sleep 10
    run flock "$root/$id" "$runtime" --root "$root" gc
    equals "$output" ""
    run rt gc
    equals "$output" "$id: half-made, removed"
    nothing_left
}

@test "one that can't be removed is told, and does not keep the others" {
    stopped
    mkdir -p "$root/broken"
    echo 'no json' >"$root/broken/record"
    run --separate-stderr rt gc --older-than 0
    equals "$status" 1
    contains "$output" "$id: stopped, removed"
    contains "$stderr" "broken"
    [ -d "$root/broken" ]
    rm -r "$root/broken"
}

@test "hooks poststop run" {
    bundle '.hooks.poststop = [{path: "/usr/bin/touch", args: ["touch", ($tmp + "/stopped")]}]' true
    detach
    until_true is_status stopped
    until_true process_is_gone
    rt gc --older-than 0
    [ -e "$BATS_TEST_TMPDIR/stopped" ]
}

@test "nothing to do is no failure; a time that is none is" {
    run rt gc
    equals "$status" 0
    run rt gc --older-than soon
    equals "$status" 1
    contains "$output" soon
}
