#!/usr/bin/env bats
# ps: the processes of a container, without a ps(1).

load lib.bash

setup_file() { file_setup; }
teardown_file() { file_teardown; }
setup() { job_setup; }
teardown() { job_teardown; }

two() {
    bundle . sh -c 'sleep 1001 & sleep 1002; :'
    detach
    until_true has_three
}
has_three() { [ "$(wc -l <"$(cgroup_dir pids)/cgroup.procs")" = 3 ]; }

# bats test_tags=smoke
@test "ps --format json is the list of pids, before and behind the id" {
    two
    local pids
    pids=$(sort -n "$(cgroup_dir pids)/cgroup.procs" | jq -sc .)
    equals "$(rt ps --format json "$id" | jq -c sort)" "$pids"
    equals "$(rt ps -f json "$id" | jq -c sort)" "$pids"
    [ -n "$("$runtime" --version | grep '^runc')" ] ||
        equals "$(rt ps "$id" --format json | jq -c sort)" "$pids"
}

# bats test_tags=smoke
@test "ps is a table like that of ps -ef" {
    two
    run rt ps "$id"
    equals "$status" 0
    equals "$(awk 'NR == 1 { print $1, $2, $3, $4, $5, $6, $7, $8 }' <<<"$output")" "UID PID PPID C STIME TTY TIME CMD"
    equals "${#lines[@]}" 4
    contains "$output" "sleep 1001"
    contains "$output" "sleep 1002"
    equals "$(awk '/sleep 1002$/ { print $1, $3, $6 }' <<<"$output")" "root $(container_pid) ?"
}

@test "words for ps choose columns" {
    two
    run rt ps "$id" -eo pid,args
    equals "$status" 0
    equals "$(awk 'NR == 1 { print $1, $2 }' <<<"$output")" "PID COMMAND"
    contains "$output" "sleep 1002"
    run rt ps "$id" aux
    equals "$status" 0
    contains "${lines[0]}" VSZ
}

@test "words that are not understood are refused" {
    not_runc "hands them to ps(1)"
    two
    run rt ps "$id" -o pid,moon
    equals "$status" 1
    contains "$output" moon
    run rt ps "$id" --forest
    equals "$status" 1
}

@test "ps needs no ps" {
    not_runc "calls ps(1)"
    two
    run env -i "$runtime" --root "$root" ps "$id"
    equals "$status" 0
    equals "${#lines[@]}" 4
}

@test "what a process calls itself can't command the terminal" {
    not_runc "prints it"
    bundle . sh -c 'sleep 1000; :' $'evil\e[2J\nline'
    detach
    until_true is_status running
    run rt ps "$id"
    equals "$status" 0
    [[ $output != *$'\e'* ]]
    equals "$(grep -c evil <<<"$output")" 1
}

@test "ps of a container that ended, or is not there, says so" {
    run rt ps nobody
    equals "$status" 1
    contains "$output" "does not exist"
    not_runc "prints an empty list"
    bundle . true
    detach
    until_true is_status stopped
    run rt ps "$id"
    equals "$status" 1
    contains "$output" "container not running"
}
