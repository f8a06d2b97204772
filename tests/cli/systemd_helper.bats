#!/usr/bin/env bats
# joblet-systemd against a systemd that only answers (fake_systemd.py), on a bus of the test's own:
# what is asked of systemd, and what its refusals become. systemd.bats has the real one.

load lib.bash

helper=${JOBLET_BUILD:-$(dirname "$runtime")}/joblet-systemd

setup_file() {
    file_setup
    [ -x "$helper" ] || skip "no joblet-systemd: built without libsystemd"
    command -v dbus-daemon >/dev/null || skip "no dbus-daemon (package dbus-daemon)"
    "$py" -c 'import dbus, gi' 2>/dev/null || skip "no python3-dbus or python3-gi"
    export calls=$BATS_FILE_TMPDIR/calls DBUS_SESSION_BUS_ADDRESS=unix:path=$BATS_FILE_TMPDIR/bus
    printf '<busconfig><type>session</type><listen>%s</listen><policy context="default">
        <allow send_destination="*"/><allow own="*"/><allow receive_sender="*"/></policy></busconfig>' \
        "$DBUS_SESSION_BUS_ADDRESS" >"$BATS_FILE_TMPDIR/bus.conf"
    dbus-daemon --nofork --nopidfile --config-file "$BATS_FILE_TMPDIR/bus.conf" 3>&- 4>&- &
    echo $! >"$BATS_FILE_TMPDIR/pids"
    until_true [ -S "$BATS_FILE_TMPDIR/bus" ]
    "$py" "$here/fake_systemd.py" >"$calls" 2>"$BATS_FILE_TMPDIR/err" </dev/null 3>&- 4>&- &
    echo $! >>"$BATS_FILE_TMPDIR/pids"
    until_true grep -q ready "$calls"
}
teardown_file() {
    local pid
    while read -r pid; do kill "$pid"; done <"$BATS_FILE_TMPDIR/pids" 2>/dev/null
    file_teardown
}

# ask LINE...: requests; answers are the output. The input stays open until all are answered.
ask() {
    local line work=$BATS_TEST_TMPDIR/ask
    mkfifo "$work.in" "$work.out"
    "$helper" <"$work.in" >"$work.out" &
    exec {to}>"$work.in" {from}<"$work.out"
    for line in "$@"; do
        echo "$line" >&"$to"
        read -r -t 100 line <&"$from"
        echo "$line"
    done
    exec {to}>&- {from}<&-
    rm "$work.in" "$work.out"
    wait $!
}
last() { tail -n 1 "$calls" | jq -c "$1"; }

@test "start has the properties in their types and a process that holds the place" {
    run ask '{"verb":"start","unit":"a.scope","user":true,"properties":[["Slice","s","x.slice"],["Delegate","b","true"],["MemoryMax","t","18446744073709551615"],["AllowedCPUs","ay","13","2"],["After","as","a.service","b.service"],["DeviceAllow","a(ss)"],["DeviceAllow","a(ss)","/dev/char/1:3","rw","block-*","m"]]}'
    equals "$output" '{"cgroup":"/system.slice/a.scope"}'
    equals "$(last '.[0:3]')" '["start","a.scope","fail"]'
    equals "$(last '.[3] | [.Slice, .Delegate, .AllowedCPUs, .After]')" '["x.slice",1,[13,2],["a.service","b.service"]]'
    equals "$(last '.[3].DeviceAllow')" '[["/dev/char/1:3","rw"],["block-*","m"]]'
    contains "$(last '.[3].MemoryMax')" 1844674407370955
    equals "$(last '.[3].PIDs | length')" 1
    ! kill -0 "$(last '.[3].PIDs[0]')" 2>/dev/null # it went with the connection
}

@test "set, attach and stop reach systemd; a unit that is not there is stopped" {
    run ask '{"verb":"set","unit":"b.scope","user":true,"properties":[["TasksMax","t","7"]]}' \
        '{"verb":"attach","unit":"b.scope","user":true,"pid":4711}' \
        '{"verb":"stop","unit":"never.scope","user":true}'
    equals "$output" $'{}\n{}\n{}'
    equals "$(tail -n 2 "$calls")" $'["set", "b.scope", true, {"TasksMax": 7}]\n["attach", "b.scope", "", [4711]]'
    run ask '{"verb":"start","unit":"b.scope","user":true,"properties":[]}' '{"verb":"stop","unit":"b.scope","user":true}'
    equals "${lines[1]}" '{}'
    equals "$(last .)" '["stop","b.scope","replace"]'
}

@test "what systemd refuses is told with the call, the unit and a hint" {
    run ask '{"verb":"start","unit":"exists.scope","user":true,"properties":[]}'
    equals "$status" 1
    equals "$(jq -c '[.call, .object, (.errno > 0)]' <<<"$output")" '["StartTransientUnit","exists.scope",true]'
    contains "$output" "already exists"
    contains "$(jq -r .hint <<<"$output")" "another unit"
    run ask '{"verb":"start","unit":"fail.scope","user":true,"properties":[]}'
    contains "$output" "the job ended as 'failed'"
}

@test "requests that make no sense are refused" {
    local bad
    for bad in '' 'x' '{}' '{"verb":"dance","unit":"a.scope","user":true}' '{"verb":"attach","unit":"a.scope","user":true}' \
        '{"verb":"set","unit":"a.scope","user":true,"properties":[["A","t","word"]]}' \
        '{"verb":"set","unit":"a.scope","user":true,"properties":[["A","t"]]}' \
        '{"verb":"set","unit":"a.scope","user":true,"properties":[["A","(ss)","1"]]}' \
        '{"verb":"set","unit":"a.scope","user":true,"properties":[["A","a(ss)","1","2","3"]]}' \
        '{"verb":"set","unit":"a.scope","user":true,"properties":[["A","a(su)","1","2"]]}' \
        '{"verb":"set","unit":"a.scope","user":true,"properties":[[]]}' \
        '{"verb":"set","unit":"a.scope","user":true,"properties":["A"]}'; do
        run ask "$bad"
        equals "$status" 1
        jq -e '.errno > 0 and (.text | length > 0)' <<<"$output"
    done
}
