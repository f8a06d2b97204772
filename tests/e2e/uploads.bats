#!/usr/bin/env bats
# Uploads by pieces: StageUploads, and the RunJob that takes its session up.

load lib.bash

setup_file() { instance_new --set joblet.stopGrace=1s && instance_start; }
teardown_file() { instance_end; }

# For client: pieces of a file, and a session of some files.
lib='
def pieces(path, data, mode=0, step=1 << 20):
    for at in range(0, max(len(data), 1), step):
        yield pb.UploadChunk(path=path, mode=mode, data=data[at:at + step], eof=at + step >= len(data))
def stage(*lists, client=None):
    return (client or c).job.StageUploads(m for l in lists for m in l)
def run(session, *command, **more):
    return c.job.RunJob(pb.RunJobRequest(command=command[0], args=command[1:], upload_session=session, **more)).job_uuid
def refused(*lists):
    code, words = code_of(stage, *lists)
    print(code.name, words)
'

@test "files and directories by pieces, with their modes; more than fits into one message" {
    client "$lib"'
import hashlib
big = os.urandom(1000003) * 140
answer = stage(pieces("dir/big", big), pieces("script", b"#!/bin/sh\necho ran\n", 0o750), pieces("empty", b""),
               [pb.UploadChunk(path="ro", is_directory=True, mode=0o555), pb.UploadChunk(path="ro/x", data=b"x", eof=True)])
assert (answer.files, answer.bytes) == (4, len(big) + 20), answer
id = run(answer.upload_session, "sh", "-c", "sha256sum dir/big; ./script; stat -c \"%n %a %s %U\" empty ro ro/x")
assert c.wait(id).exit_code == 0
log = c.logs(id)
log = log.decode() if isinstance(log, bytes) else str(log)
assert hashlib.sha256(big).hexdigest() in log, log
for line in ("ran", "empty 644 0 nobody", "ro 555", "ro/x 644 1 nobody"):
    assert line in log, (line, log)
code, words = code_of(run, answer.upload_session, "true")
assert code == grpc.StatusCode.NOT_FOUND, (code, words)
'
}

@test "front holds one piece of it in memory" {
    before=$(awk '/VmHWM/ {print $2}' "/proc/$(front_pid)/status")
    client "$lib"'
piece = os.urandom(1 << 20)
def many():
    for i in range(300):
        yield pb.UploadChunk(path="f", data=piece, eof=i == 299)
assert stage(many()).bytes == 300 << 20'
    after=$(awk '/VmHWM/ {print $2}' "/proc/$(front_pid)/status")
    echo "$before kB before, $after kB after"
    [ $((after - before)) -lt 65536 ]
}

@test "status shows what was uploaded, by pieces or not" {
    mkdir -p "$BATS_TEST_TMPDIR/d/e" && cd "$BATS_TEST_TMPDIR"
    head -c 5000000 /dev/zero >d/e/large
    echo small >d/small
    id=$(job --upload-dir=d true)
    [ "$(rnx job status --json "$id" | jq -c '.uploads | sort')" = '["e/large","small"]' ]
    id=$(job --upload=d/small true)
    [ "$(rnx job status --json "$id" | jq -c .uploads)" = '["small"]' ]
    client "$lib"'
s = c.job.StageUploads(pb.UploadChunk(path=f"n/{i:05}", eof=True) for i in range(1200))
j = c.run("true", upload_session=s.upload_session)
assert c.wait(j).status == "COMPLETED"
names = list(c.status(j).uploads)
assert len(names) == 1000 and names == sorted(names) and names[0].startswith("n/0"), len(names)'
}

# peak_of COMMAND...: runs it; prints the most memory that it took, in kB
peak_of() {
    $py -c 'import os, sys
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, 2, 1)])
_, status, use = os.wait4(pid, 0)
print(use.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))' "$@"
}

@test "rnx sends a large file by pieces: nobody holds it in memory" {
    truncate -s "${UPLOAD_MB:-80}M" "$BATS_TEST_TMPDIR/big"
    echo end >>"$BATS_TEST_TMPDIR/big"
    front=$(awk '/VmHWM/ {print $2}' "/proc/$(front_pid)/status")
    core=$(awk '/VmHWM/ {print $2}' "/proc/$(joblet_pid)/status")
    rnx=$(peak_of rnx run --wait --upload="$BATS_TEST_TMPDIR/big" sh -c 'tail -c 4 big; stat -c %s big' 2>"$BATS_TEST_TMPDIR/err")
    front=$(($(awk '/VmHWM/ {print $2}' "/proc/$(front_pid)/status") - front))
    core=$(($(awk '/VmHWM/ {print $2}' "/proc/$(joblet_pid)/status") - core))
    cat "$BATS_TEST_TMPDIR/err"
    echo "rnx $rnx kB in all; joblet-front $front kB, joblet $core kB more than before"
    grep -qx end "$BATS_TEST_TMPDIR/err"
    grep -qx "$(stat -c %s "$BATS_TEST_TMPDIR/big")" "$BATS_TEST_TMPDIR/err"
    [ "$rnx" -lt 32768 ] && [ "$front" -lt 32768 ] && [ "$core" -lt 4096 ]
}

@test "Ctrl-C in rnx, and a file that changes: nothing was submitted, nothing stays" {
    n=$(ls "$I/jobs/.staging" | wc -l)
    jobs=$(rnx job list --json | jq length)
    truncate -s 4G "$BATS_TEST_TMPDIR/big"
    rnx run --upload="$BATS_TEST_TMPDIR/big" true 2>"$BATS_TEST_TMPDIR/err" 3>&- &
    pid=$!
    until_true 10 sh -c "[ \$(ls '$I/jobs/.staging' | wc -l) -gt $n ]"
    kill -INT $pid
    code=0
    wait $pid || code=$?
    [ $code -eq 1 ]
    grep -qx 'Error: interrupted: nothing was submitted, and nothing stays on the server' "$BATS_TEST_TMPDIR/err"
    until_true 10 sh -c "[ \$(ls '$I/jobs/.staging' | wc -l) = $n ]"
    rnx run --upload="$BATS_TEST_TMPDIR/big" true 2>"$BATS_TEST_TMPDIR/err" 3>&- &
    pid=$!
    until_true 10 sh -c "[ \$(ls '$I/jobs/.staging' | wc -l) -gt $n ]"
    truncate -s 1M "$BATS_TEST_TMPDIR/big"
    code=0
    wait $pid || code=$?
    [ $code -eq 1 ]
    grep -q "big': it shrank while it was read. Nothing was submitted" "$BATS_TEST_TMPDIR/err"
    until_true 10 sh -c "[ \$(ls '$I/jobs/.staging' | wc -l) = $n ]"
    [ "$(rnx job list --json | jq length)" = "$jobs" ]
}

@test "what is refused leaves nothing behind" {
    n=$(ls "$I/jobs/.staging" | wc -l) # sessions of other tests
    client "$lib"'
for path in ("../x", "/x", "a/../x", "", "etc/passwd", "a//b", "x" * 300):
    refused(pieces(path, b"x"))
refused([pb.UploadChunk(path="a", data=b"x")])
refused([pb.UploadChunk(path="a", data=b"x"), pb.UploadChunk(path="b", data=b"x", eof=True)])
refused(pieces("a", b"x"), pieces("a", b"y"))
refused(pieces("a", b"x"), pieces("a/b", b"y"))
refused([pb.UploadChunk(path="a", data=b"x" * ((1 << 20) + 1), eof=True)])
refused([pb.UploadChunk(path="a", data=b"x", is_directory=True)])
refused([])' >"$BATS_TEST_TMPDIR/out"
    cat "$BATS_TEST_TMPDIR/out"
    [ "$(wc -l <"$BATS_TEST_TMPDIR/out")" = 14 ]
    [ "$(grep -c '^INVALID_ARGUMENT ' "$BATS_TEST_TMPDIR/out")" = 14 ]
    rnx job list --json >/dev/null
    until_true 5 sh -c "[ \$(ls '$I/jobs/.staging' | wc -l) -le $n ]"
}

@test "a session is its client's; a client that vanishes takes its pieces along" {
    n=$(ls "$I/jobs/.staging" | wc -l)
    client "$lib"'
other = role("developer")
session = stage(pieces("a", b"x"), client=other).upload_session
code, words = code_of(run, session, "true")
assert code == grpc.StatusCode.NOT_FOUND, (code, words)
code, words = code_of(stage, pieces("a", b"x"), client=role("reader"))
assert code == grpc.StatusCode.PERMISSION_DENIED, (code, words)
def half():
    yield pb.UploadChunk(path="a", data=b"x")
    time.sleep(1)
    os._exit(0)
stage(half())'
    until_true 5 sh -c "[ \$(ls '$I/jobs/.staging' | wc -l) = $((n + 1)) ]"
}
