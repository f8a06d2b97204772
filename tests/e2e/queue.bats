#!/usr/bin/env bats
# Jobs that wait: for a time, a slot, room; their order; and what can be done to them meanwhile.

load lib.bash

setup_file() {
    instance_new --set joblet.maxConcurrentJobs=2 --set joblet.stopGrace=1s \
        --set joblet.cpuCapacity=200 --set joblet.memoryCapacity=1000 && instance_start
}
teardown_file() { instance_end; }
teardown() { rnx job list --json | jq -r '.[] | select(.status | IN("COMPLETED", "FAILED", "STOPPED", "CANCELED", "TIMEOUT") | not) | .id' | xargs -r -n 1 rnx job stop >/dev/null; }

started_ns() { date -d "$(field "$1" startTime)" +%s%N; }

@test "a job with a relative time starts within a second of it" {
    # a busy machine may be late itself, but not each time
    for _ in 1 2 3 4 5; do
        asked=$(date +%s%N)
        id=$(job --schedule=2s true)
        [ "$(ended "$id")" = "COMPLETED 0" ]
        late=$(($(started_ns "$id") - asked - 2000000000))
        echo "late by $late ns"
        [ $late -ge 0 ]
        [ $late -ge 1000000000 ] || break
    done
    [ $late -lt 1000000000 ]
}

@test "a job with an absolute time, too; its time is in the list until it starts" {
    id=$(job --schedule="$(date -d '+2 hours' +%Y-%m-%dT%H:%M:%S)" true)
    rnx job list --json | jq -e --arg id "$id" '.[] | select(.id == $id) | .status == "SCHEDULED" and (.scheduled_time | startswith("20"))'
    rnx job cancel "$id"
}

@test "uploads are kept for a scheduled job, over a kill -9 of joblet" {
    echo kept >"$BATS_TEST_TMPDIR/data.txt"
    id=$(cd "$BATS_TEST_TMPDIR" && job --schedule=3s --upload=data.txt cat data.txt)
    kill -KILL "$(joblet_pid)"
    until_true 20 answers
    [ "$(ended "$id")" = "COMPLETED 0" ]
    [ "$(rnx job log "$id")" = kept ]
}

@test "a time that passed while joblet was down: the job runs at the start" {
    local in
    for in in 2 20; do # a slow machine does not stop in two seconds
        id=$(job --schedule=${in}s true)
        due=$(($(date +%s) + in + 1))
        keeper_stop
        stopped=$(date +%s%N)
        until_true 60 eval '[ "$(date +%s)" -ge $due ]'
        instance_start
        [ "$(ended "$id")" = "COMPLETED 0" ]
        [ "$(started_ns "$id")" -lt "$stopped" ] || return 0
    done
    false
}

@test "the server reads relative times as well, and refuses what is none" {
    client '
r = c.status(c.run("true", schedule="1h 30min"))
assert r.status == "SCHEDULED" and r.scheduled_time, r
c.stop(r.uuid)
for bad in ("soon", "0s", "2001-01-01T00:00:00Z", "400d"):
    assert code_of(c.run, "true", schedule=bad)[0] == grpc.StatusCode.INVALID_ARGUMENT, bad
'
}

@test "more jobs than slots wait, and say why; higher priority goes first, then the older" {
    a=$(job sleep 600) b=$(job sleep 600)
    until_true 10 has_status "$b" RUNNING
    # each takes all there is, so they run one after the other
    low=$(job --max-cpu=200 --priority=-5 true) first=$(job --max-cpu=200 true) second=$(job --max-cpu=200 true) high=$(job --max-cpu=200 --priority=9 true)
    [ "$(status_of "$low")" = PENDING ]
    [[ "$(field "$low" reason)" == "waits for a slot: 2 of 2 jobs run" ]]
    [[ "$(rnx job status "$low")" == *"Reason: waits for a slot: 2 of 2 jobs run"*"Priority: -5"*"Created: 20"* ]]
    rnx job stop "$a" "$b" >/dev/null
    for id in "$low" "$first" "$second" "$high"; do [ "$(ended "$id")" = "COMPLETED 0" ]; done
    [ "$(started_ns "$high")" -le "$(started_ns "$first")" ]
    [ "$(started_ns "$first")" -le "$(started_ns "$second")" ]
    [ "$(started_ns "$second")" -le "$(started_ns "$low")" ]
}

@test "a job that asks for more CPU or memory than is free waits, though a slot is" {
    a=$(job --max-cpu=150 sleep 600)
    until_true 10 has_status "$a" RUNNING
    b=$(job --max-cpu=100 true)
    [ "$(status_of "$b")" = PENDING ]
    [ "$(field "$b" reason)" = "waits for CPU: 150% of 200% are taken, it asks 100%" ]
    rnx job stop "$a" >/dev/null
    [ "$(ended "$b")" = "COMPLETED 0" ]
    a=$(job --max-memory=800 sleep 600)
    until_true 10 has_status "$a" RUNNING
    b=$(job --max-memory=300 true)
    [ "$(field "$b" reason)" = "waits for memory: 800 of 1000 MB are taken, it asks 300 MB" ]
    rnx job stop "$a" >/dev/null
    [ "$(ended "$b")" = "COMPLETED 0" ]
}

@test "one that asks for more than the host has runs alone" {
    id=$(job --max-cpu=10000 true)
    [ "$(ended "$id")" = "COMPLETED 0" ]
}

@test "cancel: what waits is CANCELED and kept, what runs is refused with the way to stop it" {
    id=$(job --schedule=1hour true)
    run rnx job cancel "${id:0:8}"
    [ "$status" -eq 0 ]
    [[ $output == *"canceled successfully"*"$id"*CANCELED* ]]
    [ "$(rnx job status --json "$id" | jq -c '[.status, .exit_code]')" = '["CANCELED",-1]' ]
    run rnx job cancel "$id"
    [ "$status" -eq 1 ]
    id=$(job sleep 600)
    until_true 10 has_status "$id" RUNNING
    [ "$(rnx job list --json | jq -r '.[0].id')" = "$id" ] # the newest, whatever time that other was for
    run rnx job cancel "$id"
    [ "$status" -eq 1 ]
    [[ $output == *"is RUNNING"*"rnx job stop"* ]]
    [ "$(rnx job stop --json "$(job --schedule=1hour true)" | jq -c '[.status, .exit_code]')" = '["CANCELED",-1]' ]
}

@test "delete: an ended job goes with its log; one that has not ended is refused" {
    id=$(job echo hello)
    ended "$id"
    [ -d "$I/logs/$id" ]
    [ "$(rnx job delete --json "$id" | jq -c .)" = '{"uuid":"'"$id"'","success":true,"message":"the job, its log and its metrics are deleted"}' ]
    run rnx job status "$id"
    [ "$status" -eq 1 ]
    [[ $output == *"not found"* ]]
    [ ! -e "$I/logs/$id" ]
    id=$(job --schedule=1hour true)
    run rnx job delete "$id"
    [ "$status" -eq 1 ]
    [[ $output == *"is SCHEDULED"* ]]
    run as reader rnx job delete "$id"
    [[ $output == *"role reader is not allowed to perform operation delete_job"* ]]
}

@test "delete-all: everything that has ended, and nothing else" {
    wait_id=$(job --schedule=1hour true)
    for _ in 1 2 3; do ended "$(job true)"; done
    run rnx job delete-all --json
    [ "$status" -eq 0 ]
    [ "$(jq .deleted_count <<<"$output")" -ge 3 ]
    [ "$(jq .skipped_count <<<"$output")" = 1 ]
    [ "$(rnx job list --json | jq -r '.[].id')" = "$wait_id" ]
    [ "$(rnx job delete-all --json | jq .deleted_count)" = 0 ]
}

@test "the audit file has a line for each of them" {
    id=$(job --schedule=1hour true)
    rnx job cancel "$id" >/dev/null
    rnx job delete "$id" >/dev/null
    rnx job delete-all >/dev/null
    for op in run_job cancel_job delete_job; do
        jq -se --arg op $op --arg id "$id" 'any(.[]; .operation == $op and .job == $id)' "$I/logs/audit.log"
    done
    jq -se 'any(.[]; .operation == "delete_all_jobs")' "$I/logs/audit.log"
}
