#!/usr/bin/env bats
# Thousands of jobs that have ended ($RECORDS, 3000): the start, answers, and answers while they are
# removed. The issue's figure is 10,000:
#   RECORDS=10000 JOBLET_BUILD=... bats tests/e2e/records.bats

load lib.bash
: "${RECORDS:=3000}"

setup_file() {
    instance_new --set 'joblet.retention={max_jobs: 0, max_age: 0s}' && instance_start || return 1
    ended "$(job --max-memory=64 sh -c 'echo one of many')"
    keeper_stop
    $py "$here/records.py" fill "$I" $((RECORDS - 1))
}
teardown_file() { instance_end; }

records() {
    PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1 GRPC_VERBOSITY=NONE TMPDIR=$BATS_TEST_TMPDIR $py "$here/records.py" "$@"
}
logs() { ls "$I/logs" | grep -cE '^[0-9a-f]{8}-'; }
now_ms() { date +%s%3N; }
is_removed() { [ "$(logs)" = "$1" ] && [ -z "$(ls -A "$I/jobs/.trash")" ]; }

@test "joblet starts with them, and answers" {
    at=$(now_ms)
    instance_start
    echo "# $RECORDS jobs: start $(($(now_ms) - at)) ms" >&3
    records ask "$I" 1 >&3
    [ "$(rnx job list --json | jq length)" = "$RECORDS" ]
}

@test "a restart that finds more than are to be kept answers while it removes them" {
    keeper_stop
    sed -i 's/^\( *retention: \).*/\1{max_jobs: '$((RECORDS / 2))', max_age: 0s}/' "$I/config/joblet-config.yml"
    instance_start
    records ask "$I" 1 >&3
    until_true 60 is_removed $((RECORDS / 2))
    [ "$(rnx job list --json | jq length)" = $((RECORDS / 2)) ]
}

@test "delete-all answers when all are gone; others are answered meanwhile" {
    records delete "$I" >&3
    [ "$(rnx job list --json)" = "[]" ]
    until_true 60 is_removed 0
    [ "$(sqlite_jobs)" = 0 ]
}
sqlite_jobs() { $py -c 'import sqlite3, sys; print(sqlite3.connect("file:" + sys.argv[1] + "?mode=ro", uri=True).execute("select count(*) from jobs").fetchone()[0])' "$I/state/joblet.db"; }

@test "what there is of a job that nobody knows: its container goes, an old log not by a clock that may be wrong" {
    keeper_stop
    mkdir "$I/logs/0f0f0f0f-0000-4000-8000-00000000000"{1,2} "$I/metrics/0f0f0f0f-0000-4000-8000-000000000001" \
        "$I/run/oci/0f0f0f0f-0000-4000-8000-000000000003"
    touch -d '8 days ago' "$I"/{logs,metrics}/0f0f0f0f-0000-4000-8000-000000000001
    instance_start
    no_containers() { [ -z "$(ls "$I/run/oci")" ]; }
    until_true 20 no_containers
    [ "$(logs)" = 2 ] # test_core_sweep has the hour, and what goes then
    [ -d "$I/metrics/0f0f0f0f-0000-4000-8000-000000000001" ]
}

@test "200,000 files in one directory are gone in seconds" {
    mkdir "$I/jobs/.trash/many"
    $py -c '
import os, sys
os.chdir(sys.argv[1])
for i in range(200000): os.close(os.open("%0200d" % i, os.O_CREAT | os.O_WRONLY))' "$I/jobs/.trash/many"
    ended "$(job true)" # it is looked at again
    is_gone_too() { [ ! -e "$I/jobs/.trash/many" ]; }
    until_true 20 is_gone_too
}
