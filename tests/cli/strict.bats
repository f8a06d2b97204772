#!/usr/bin/env bats
# --strict, --config, and where failures are written: what no other runtime has, or only one.

load lib.bash

setup_file() { file_setup; }
teardown_file() { file_teardown; }
setup() { job_setup; not_runc "has none of it"; }
teardown() { job_teardown; }

unknown='.future = {a: 1} | .linux.more = "x" | .process.capabilites = {} | .mounts[1].option = ["ro"]'

@test "--strict refuses keys that the specification has not, and names each" {
    local verb
    bundle "$unknown" true
    for verb in run create; do
        run --separate-stderr rt $verb --strict --bundle "$bundle" "$id"
        equals "$status" 1
        contains "$stderr" "4 keys are not known to the specification: "
        for key in future linux.more process.capabilites 'mounts[1].option'; do
            contains "$stderr" "$key"
        done
        nothing_left
    done
    run --separate-stderr rt plan --strict "$bundle"
    equals "$status" 1
    equals "$output" ""
    contains "$stderr" "process.capabilites: unknown key"
    try
    equals "$status" 0
}

@test "--strict leaves alone what the specification knows, annotations and other platforms" {
    bundle '.annotations = {"org.example.more": "x"} | .windows = {a: 1} | .vm = {} | .process.user.username = "x"' echo well
    run rt run --strict --bundle "$bundle" "$id"
    equals "$output" well
    rt plan --strict "$bundle" >/dev/null
}

@test "--strict says how many keys there are when there are too many to list" {
    bundle '. += ([range(90) | {key: "key\(.)", value: 1}] | from_entries)' true
    run --separate-stderr rt plan --strict "$bundle"
    equals "$status" 1
    contains "$stderr" "90 keys are not known"
    contains "$stderr" " more"
}

@test "a strict failure in a JSON log is one object" {
    bundle "$unknown" true
    run rt --log "$BATS_TEST_TMPDIR/log" --log-format json run --strict --bundle "$bundle" "$id"
    equals "$status" 1
    jq -se 'length == 1 and .[0].phase == "spec" and (.[0].msg | contains("linux.more"))' "$BATS_TEST_TMPDIR/log"
}

@test "--config takes another file than the bundle's, from the working directory" {
    bundle . echo well
    mv "$bundle/config.json" "$BATS_TEST_TMPDIR/other.json"
    cd "$BATS_TEST_TMPDIR"
    run rt run --bundle "$bundle" --config other.json "$id"
    equals "$output" well
    run rt run --bundle "$bundle" -f other.json "$id"
    equals "$output" well
    contains "$(rt plan -f other.json -b "$bundle")" exec
    run rt run --bundle "$bundle" --config none.json "$id"
    equals "$status" 1
    contains "$output" none.json
}

@test "--log fd:N writes to a descriptor, also in create" {
    bundle . no-such-program
    local verb
    for verb in run create; do
        run "$runtime" --root "$root" --log fd:9 --log-format json $verb --bundle "$bundle" "$id" 9>"$BATS_TEST_TMPDIR/log"
        equals "$status" 1
        jq -se 'length == 1 and (.[0].msg | contains("executable file not found in $PATH"))' "$BATS_TEST_TMPDIR/log"
    done
    run rt --log fd:77 state nobody
    equals "$status" 1
    contains "$output" "fd:77"
    run rt --log fd:x state nobody
    contains "$output" "does not exist"
}

@test "the log's descriptor is not the container's" {
    bundle . sh -c 'ls /proc/self/fd'
    run "$runtime" --root "$root" --log fd:9 run --bundle "$bundle" "$id" 9>"$BATS_TEST_TMPDIR/log"
    equals "$status" 0
    [[ $output != *9* ]]
}

@test "each verb's failure has a phase in its JSON" {
    local args
    for args in "state nobody" "start nobody" "kill nobody" "delete nobody" "exec nobody true" "pause nobody" \
        "resume nobody" "ps nobody" "update --pids-limit 3 nobody" "events --stats nobody" "wait nobody"; do
        rm -f "$BATS_TEST_TMPDIR/log"
        run rt --log "$BATS_TEST_TMPDIR/log" --log-format json $args
        [ "$status" -ne 0 ]
        jq -se 'length == 1 and (.[0].phase | length > 0) and .[0].errno == 2 and (.[0].msg | contains("does not exist"))' \
            "$BATS_TEST_TMPDIR/log" || { echo "$args: $(cat "$BATS_TEST_TMPDIR/log")" >&2; return 1; }
    done
}

@test "--rootless takes three words" {
    bundle . echo well
    local word
    for word in true false auto; do
        run rt --rootless $word run --bundle "$bundle" "$id"
        equals "$output" well
    done
    run rt --rootless=perhaps list
    equals "$status" 1
    contains "$output" perhaps
}
