#!/usr/bin/env bats
# Who may do what: the four roles over the whole path, and what the audit file says of it.

load lib

setup_file() { instance_new; instance_start; }
teardown_file() {
    umount "$I/small" 2>/dev/null || true
    instance_end
}

@test "roles: every method by every role" {
    TMPDIR=$BATS_TEST_TMPDIR PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1 GRPC_VERBOSITY=NONE \
        $py "$here/roles_table.py" "$I" "$top/src/ipc/ops.def"
}

@test "roles: rnx says which role is not allowed what" {
    run as reader rnx job run true
    [ "$status" -eq 1 ]
    [[ $output == *"role reader is not allowed to perform operation run_job"* ]]
    run as reader rnx job list
    [ "$status" -eq 0 ]
}

@test "audit: a line for each changing and each refused call, with who, what, when, how and on which job" {
    local id
    id=$(as developer rnx job run --json --env=COLOUR=grey-7261 --secret-env=TOKEN=hunter2-9354 true | jq -r .id)
    ended "$id" >/dev/null
    as developer rnx job delete "$id" >/dev/null
    run as reader rnx job delete "$id"
    run as developer rnx job stop 00000000-0000-4000-8000-000000000000
    as reader rnx job list >/dev/null
    jq -se --arg id "$id" '
        map(select(.client == "developer-client")) as $d |
        ($d[0] | .operation == "run_job" and .status == "OK" and .job == $id and .role == "developer"
            and (.time | test("^20..-..-..T..:..:..[.]...Z$")) and (.peer | test("^127.0.0.1:[0-9]+$"))
            and (.serial | test("^[0-9A-F]+$"))) and
        ($d[1] | .operation == "delete_job" and .status == "OK" and .job == $id) and
        ($d[2] | .operation == "stop_job" and .status == "NOT_FOUND")' "$I/logs/audit.log"
    until_true 5 audited '.client == "reader-client" and .operation == "delete_job" and .status == "PERMISSION_DENIED"'
    jq -se 'any(.client == "reader-client" and .operation == "list_jobs") | not' "$I/logs/audit.log"
    run ! grep -qE 'hunter2|9354|grey-7261|COLOUR|TOKEN' "$I/logs/audit.log"
    run ! grep -qE 'hunter2|9354' "$I/logs/joblet.log"
}

@test "audit: calls that front refused as malformed, each once, and uploads that came whole" {
    local before
    before=$(wc -l <"$I/logs/audit.log")
    client '
def stage(path):
    return c.job.StageUploads(iter([pb.UploadChunk(path=path, data=b"x", eof=True)]))
def bad(fn, *args, **kw):
    code, words = code_of(fn, *args, **kw)
    assert code == grpc.StatusCode.INVALID_ARGUMENT, (args, kw, code, words)
bad(c.run, "")
bad(c.stop, "zz")
bad(stage, "../a")
bad(c.volume.CreateVolume, pb.CreateVolumeRequest(name="a/b", size="1MB", type="filesystem"))
bad(c.volume.RemoveVolume, pb.RemoveVolumeRequest(name="a/b"))
session = stage("a").upload_session
id = c.job.RunJob(pb.RunJobRequest(command="true", upload_session=session)).job_uuid
bad(c.run, "true", environment={"TOKEN=hunter2-9354": "x"})
c.wait(id)
c.run("true", uploads={"good": b"1"})
'
    tail -n "+$((before + 1))" "$I/logs/audit.log" | grep -v '"repeated"' >"$BATS_TEST_TMPDIR/new"
    # where it took long, the second refusal of a kind has a line as well
    [ "$(jq -r 'select(.status != "OK") | "\(.operation) \(.status) \(.object)"' "$BATS_TEST_TMPDIR/new" | sort -u)" = "create_volume INVALID_ARGUMENT a/b
remove_volume INVALID_ARGUMENT a/b
run_job INVALID_ARGUMENT null
stage_uploads INVALID_ARGUMENT null
stop_job INVALID_ARGUMENT null" ]
    [ "$(jq -r 'select(.status == "OK") | .operation' "$BATS_TEST_TMPDIR/new")" = "stage_uploads
run_job
run_job" ]
    jq -se 'all(.client == "admin-client" and (.role == "admin")) and any(.message | test("command is empty"))' "$BATS_TEST_TMPDIR/new"
    run ! grep -q 'hunter2' "$I/logs/audit.log"
}

@test "audit: which volume and which network" {
    rnx volume create audited --size=1MB --type=memory
    run -1 rnx volume create audited --size=1MB --type=memory
    rnx volume remove audited
    run -1 rnx volume remove audited
    run -1 rnx network create audited --cidr=not.a.cidr
    run -1 rnx network remove audited
    until_true 5 audited '.object == "audited" and .operation == "remove_network"' # in order, so all before are there
    [ "$(jq -r 'select(.object == "audited") | "\(.operation) \(.status)"' "$I/logs/audit.log")" = "create_volume OK
create_volume ALREADY_EXISTS
remove_volume OK
remove_volume NOT_FOUND
create_network INVALID_ARGUMENT
remove_network NOT_FOUND" ]
}

@test "audit: what the caller asked for does not get in through an error's words" {
    run rnx job run --secret-env=TOKEN=hunter2-9354 --env=JOB_X=grey-7261 true
    [ "$status" -eq 1 ]
    run rnx job run --secret-env=TOKEN=hunter2-9354 --runtime=nope true
    [ "$status" -eq 1 ]
    run rnx job run --secret-env=TOKEN=hunter2-9354 --network=nowhere true
    [ "$status" -eq 1 ]
    id=$(job true)
    until_true 5 audited ".job == \"$id\"" # in order, so all before are there
    run ! grep -qE 'hunter2|9354|grey-7261' "$I/logs/audit.log" "$I/logs/joblet.log"
}

@test "audit: rotation: SIGHUP opens the file anew, and nothing is lost" {
    mv "$I/logs/audit.log" "$I/logs/audit.log.1"
    told() { [ "$(grep -vc '"repeated"' "$I/logs/audit.log.1")" -eq "$1" ]; } # SIGHUP tells of those of the tests above
    before=$(grep -vc '"repeated"' "$I/logs/audit.log.1") || true # of none, too
    run as reader rnx volume create one --size=1MB
    until_true 5 told $((before + 1))
    front=$(front_pid)
    kill -HUP "$(joblet_pid)"
    until_true 20 test -e "$I/logs/audit.log"
    until_true 20 other_front "$front"
    until_true 20 rnx job list
    run as reader rnx volume create two --size=1MB
    until_true 5 test -s "$I/logs/audit.log"
    told $((before + 1))
    [ "$(jq -r .operation "$I/logs/audit.log")" = create_volume ]
    [ "$(stat -c %a "$I/logs/audit.log")" = 600 ]
}

@test "audit: a full disk loses lines, which are counted and told, and no call" {
    mkdir "$I/small"
    mount -t tmpfs -o size=64k,mode=0755 jl-audit "$I/small"
    sed -i "s|^# *audit:.*|audit:\n  file: $I/small/audit.log|" "$I/config/joblet-config.yml"
    keeper_stop
    instance_start
    job true
    grep -q '"run_job"' "$I/small/audit.log"
    dd if=/dev/zero of="$I/small/filler" bs=4k 2>/dev/null || true
    for i in $(seq 1 30); do job true; done # more than is left of the file's last block
    id=$(job true)
    [ "$(ended "$id")" = "COMPLETED 0" ]
    grep -q 'audit.lost.*No space left' "$I/logs/joblet.log"
    [ "$(grep -c 'audit.lost' "$I/logs/joblet.log")" -lt 5 ]
    rm "$I/small/filler"
    job true
    # every line is whole, and the gap is told in the file itself
    jq -se 'any(.operation == "audit" and .lost > 0)' "$I/small/audit.log"
    keeper_stop
    umount "$I/small"
    sed -i "/^audit:/,+1d" "$I/config/joblet-config.yml"
    instance_start
}
