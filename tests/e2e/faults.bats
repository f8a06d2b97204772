#!/usr/bin/env bats
# What is around joblet fails: its database is gone or damaged, the clock is wrong, a worker is killed,
# a disk was full. Nothing may be lost by it, and somebody is told.

load lib.bash

setup() { I=; }
teardown() {
    if [ -e "${I:-/nowhere}/run/keeper" ]; then
        for v in $(rnx volume list --json 2>/dev/null | jq -r '.volumes[].name'); do rnx volume remove "$v" >/dev/null 2>&1; done
    fi
    instance_end
}

# sql STATEMENT: changes the database of a joblet that does not run.
sql() { $py -c 'import sqlite3, sys; d = sqlite3.connect(sys.argv[1]); d.execute(sys.argv[2]); d.commit(); d.close()' "$I/state/joblet.db" "$1"; }
# edit PATTERN REPLACEMENT: in the configuration, python's regular expressions.
edit() { $py -c 'import re, sys; p = sys.argv[1]; s = open(p).read(); open(p, "w").write(re.sub(sys.argv[2], sys.argv[3], s))' "$I/config/joblet-config.yml" "$1" "$2"; }
said() { grep -q "$1" "$I/logs/joblet.log"; }
logged() { rnx job log --no-follow "$1" 2>/dev/null | grep -q "$2"; }
worker() { local p; for p in $(cat "/proc/$(joblet_pid)/task/$(joblet_pid)/children"); do [ "$(cat "/proc/$p/comm")" != "joblet-$1" ] || echo "$p"; done; }

# bats test_tags=smoke
@test "an empty or missing database is not taken for no jobs" {
    instance_new --set joblet.maxConcurrentJobs=1 && instance_start
    a=$(job sh -c 'trap "exit 7" TERM; while :; do sleep 0.1; done')
    echo data >"$I/up.txt"
    b=$(job --upload="$I/up.txt" cat up.txt)
    until_true 10 has_status "$a" RUNNING
    pid=$(job_pid "$a" sh)
    keeper_stop
    mv "$I/state/joblet.db" "$I/keep.db"
    for how in missing empty; do
        [ $how = missing ] || : >"$I/state/joblet.db"
        run "$build/joblet" --prefix-dir "$I" --config "$I/config/joblet-config.yml"
        [ "$status" -eq 1 ]
        [[ $output == *"joblet.db' is empty or not there, but jobs are"*"put the file back"* ]]
        kill -0 "$pid"
        [ -e "$I/jobs/$b/work/up.txt" ]
    done
    mv "$I/keep.db" "$I/state/joblet.db"
    instance_start
    kill -TERM "$pid"
    [ "$(ended "$a")" = "FAILED 7" ]
    [ "$(rnx job log "$b")" = data ]
}

@test "a job whose record is damaged goes on when it runs, and is FAILED when it waits" {
    instance_new --set joblet.maxConcurrentJobs=2 && instance_start
    a=$(job sleep 600)
    r=$(job sh -c 'sleep 600')
    until_true 10 has_status "$a" RUNNING
    until_true 10 has_status "$r" RUNNING
    b=$(job true)
    keeper_stop
    sql "UPDATE jobs SET request = x'ffffff' WHERE id IN ('$a', '$b')"
    sql "UPDATE jobs SET status = 'RUMMING' WHERE id = '$r'"
    instance_start
    said "record is damaged"
    has_status "$a" RUNNING
    has_status "$r" RUNNING
    until_true 10 has_status "$b" FAILED
    [ "$(field "$b" reason)" = "its record is damaged" ]
    rnx job stop "$a"
    rnx job stop "$r"
    [ "$(ended "$a")" = "STOPPED $(field "$r" exit_code)" ]
    keeper_stop
    instance_start
    has_status "$b" FAILED
    has_status "$r" STOPPED
}

@test "a clock that is days ahead at the start makes no job too old" {
    instance_new && instance_start
    a=$(job echo precious)
    ended "$a"
    keeper_stop
    sql "UPDATE jobs SET ended_ns = ended_ns - 30 * 86400 * 1000000000"
    other=$(cat /proc/sys/kernel/random/uuid)
    mkdir "$I/logs/$other" && touch -d '30 days ago' "$I/logs/$other"
    instance_start
    sleep 0.5
    [ "$(rnx job log "$a")" = precious ]
    [ -d "$I/logs/$other" ]
    ! said job.forget
}

@test "jobs wait for their network while its worker hangs, and get it when that is killed" {
    [ "${JOBLET_TEST_NETWORK-}" = bridge ] || skip "needs a network namespace: JOBLET_TEST_NETWORK=bridge"
    instance_new && instance_start
    a=$(job true)
    ended "$a"
    w=$(worker network)
    kill -STOP "$w"
    ids=
    for i in 1 2 3 4 5 6 7 8 9 10 11 12; do ids="$ids $(job true)"; done
    until_true 10 has_reason "${ids##* }" "waits for its network"
    rnx job list --json | jq -e 'map(select(.reason == "waits for its network")) | length > 0'
    kill -KILL "$w"
    for a in $ids; do [ "$(ended "$a")" = "COMPLETED 0" ]; done
    ! has_reason "$a" "waits for its network"
}
has_reason() { [ "$(field "$1" reason)" = "$2" ]; }

@test "a volume that met an error is told, refused for writing, and mended when nobody uses it" {
    instance_new && instance_start
    rnx volume create v --size=16MB
    a=$(job --volume=v sh -c 'echo one >/volumes/v/one; sync; while [ ! -e /volumes/v/go ]; do sleep 0.1; done')
    b=$(job --volume=v sleep 600)
    until_true 10 test -e "$I/volumes/v/data/one"
    dev=$(findmnt -no SOURCE "$I/volumes/v/data")
    [ -w "/sys/fs/ext4/${dev##*/}/trigger_fs_error" ] || skip "this kernel makes no errors on demand"
    touch "$I/volumes/v/data/go"
    [ "$(ended "$a")" = "COMPLETED 0" ]
    rm "$I/volumes/v/data/go"
    echo test >"/sys/fs/ext4/${dev##*/}/trigger_fs_error"
    until_true 10 has_problem "is damaged"
    rnx volume list | grep -q '^v: is damaged'
    run rnx job run --volume=v true
    [ "$status" -ne 0 ]
    [[ $output == *"is damaged"*"--volume=v:ro"* ]]
    [ "$(output --volume=v:ro cat /volumes/v/one)" = one ]
    rnx job stop "$b"
    until_true 10 has_problem ""
    [ "$(output --volume=v sh -c 'echo two >>/volumes/v/one; cat /volumes/v/one' | tr '\n' ' ')" = "one two " ]
    said volume.mended
    keeper_stop
    echo test >"/sys/fs/ext4/${dev##*/}/trigger_fs_error"
    instance_start
    has_problem ""
    output --volume=v touch /volumes/v/three
}
has_problem() { [[ $(rnx volume list --json | jq -r '.volumes[0].problem // ""') == "$1"* ]] && { [ -n "$1" ] || [ -z "$(rnx volume list --json | jq -r '.volumes[0].problem // ""')" ]; }; }

@test "the metrics of an ended job end, also where its file could not be packed" {
    instance_new && instance_start
    a=$(job sleep 1)
    ended "$a"
    n=$(timeout 30 rnx job metrics "$a" --json | wc -l)
    f=$(echo "$I/metrics/$a"/*.gz)
    gunzip "$f"
    [ "$(timeout 30 rnx job metrics "$a" --json | wc -l)" = "$n" ]
    : >"${f%.gz}"
    timeout 30 rnx job metrics "$a" || [ $? -ne 124 ]
}

@test "networks that are switched off leave nothing behind" {
    [ "${JOBLET_TEST_NETWORK-}" = bridge ] || skip "needs a network namespace: JOBLET_TEST_NETWORK=bridge"
    instance_new && instance_start
    a=$(job sleep 600)
    until_true 10 has_status "$a" RUNNING
    keeper_stop
    ip -o link show joblet0
    edit '(?m)^network:\n' 'network:\n  enabled: false\n'
    edit 'default_network: *"?bridge"?' 'default_network: none'
    instance_start
    ip -o link show joblet0 # a job still has it
    rnx job stop "$a"
    ended "$a"
    keeper_stop
    [ -z "$(ip -o link show type bridge)" ]
    [ -z "$(nft list tables)" ]
    [ ! -e "$I/run/netns" ]
}

@test "a network that the configuration has overlapped since is listed with its problem, and can be removed" {
    [ "${JOBLET_TEST_NETWORK-}" = bridge ] || skip "needs a network namespace: JOBLET_TEST_NETWORK=bridge"
    instance_new && instance_start
    rnx network create myapp --cidr=10.77.0.0/24
    keeper_stop
    edit '(?m)^network:\n' 'network:\n  isolated_pool: 10.77.0.0/16\n'
    instance_start
    rnx network list | grep -q '^myapp: .*overlaps'
    run rnx job run --network=myapp true
    [[ $output == *"can't be had"*overlaps* ]]
    run rnx network create myapp --cidr=10.78.0.0/24
    [[ $output == *"exists already"*"rnx network remove myapp"* ]]
    rnx network remove myapp
    [ -z "$(rnx network list | grep myapp)" ]
    rnx network create myapp --cidr=10.78.0.0/24
    keeper_stop
    instance_start
    rnx network list | grep -q 'myapp.*10.78.0.0/24'
    rnx network remove myapp
}
