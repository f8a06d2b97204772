#!/usr/bin/env bats
# What a client may not do, what it may do wrong, and what then is left: nothing.

load lib.bash

setup_file() { instance_new && instance_start; }
teardown_file() { instance_end; }

staging_is_empty() { [ -z "$(ls -A "$I/jobs/.staging")" ]; }

@test "a viewer looks but does not touch" {
    id=$(job echo seen)
    ended "$id"
    as reader rnx job list | grep -q "$id"
    [ "$(as reader rnx job log "$id")" = seen ]
    run as reader rnx job run true
    [ "$status" -eq 1 ]
    [[ $output == *"role reader is not allowed to perform operation run_job"* ]]
    run as reader rnx job stop "$id"
    [[ $output == *"role reader is not allowed to perform operation stop_job"* ]]
    [ "$(ended "$(as developer rnx job run --json true | jq -r .id)")" = "COMPLETED 0" ]
}

@test "an I/O limit that would hold up others who read the same files" {
    run -1 rnx job run --max-iobps=1 true
    [[ $output == *"max_io_bps must be 0 or at least 1000000 "* ]]
}

@test "refused calls are in the audit file with who it was" {
    run as reader rnx job stop 12345678-1234-4234-8234-123456789abc
    [ "$status" -eq 1 ]
    until_true 5 audited '.operation == "stop_job" and .status == "PERMISSION_DENIED" and .client == "reader-client" and .role == "reader"'
}

@test "certificates that are foreign, expired or missing reach nothing" {
    client '
import grpc_client
conf = __import__("yaml").safe_load(open(f"{I}/config/rnx-config.yml"))["nodes"]["default"]
sys.path.insert(0, os.path.dirname(grpc_client.__file__))
import pki
foreign = pki.Authority(f"{I}/run/foreign", "Joblet-CA")
ours = pki.Authority.__new__(pki.Authority)
ours.dir, ours.key_file, ours.crt_file, ours.serial = f"{I}/run/foreign", f"{I}/config/ca/ca.key", f"{I}/config/ca/ca.crt", 5000
for what, pair in (("foreign", foreign.client("admin")), ("expired", ours.client("admin", days=-1)),
                   ("none", (None, None))):
    bad = Client(conf["address"], conf["ca"], pair[0], pair[1])
    code, words = code_of(bad.jobs)
    assert code == grpc.StatusCode.UNAVAILABLE, (what, code, words)
good = Client(conf["address"], conf["ca"], *ours.client("admin"))
good.jobs()
unknown = Client(conf["address"], conf["ca"], *ours.client("intern"))
code, words = code_of(unknown.jobs)
assert code == grpc.StatusCode.PERMISSION_DENIED and "failed to extract client role" in words, (code, words)
'
}

@test "rnx says what is wrong with a certificate" {
    sed 's/^\( *\)address: .*/\1address: "127.0.0.1:1"/' "$RNX_CONFIG" >"$BATS_TEST_TMPDIR/nobody.yml"
    chmod 600 "$BATS_TEST_TMPDIR/nobody.yml"
    run rnx --config="$BATS_TEST_TMPDIR/nobody.yml" job list
    [ "$status" -eq 1 ]
    [[ $output == *127.0.0.1:1* ]]
}

@test "an unknown job id is named" {
    client '
for call in (c.status, c.logs, c.stop):
    code, words = code_of(call, "12345678-1234-4234-8234-123456789abc")
    assert code == grpc.StatusCode.NOT_FOUND and "12345678" in words, (call, code, words)
for bad in ("", "x", "../../etc", "a" * 200000, "12345678-1234"):
    code, words = code_of(c.status, bad)
    assert code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND), (bad[:20], code, words)
'
}

@test "upload paths that lead out are refused and leave nothing" {
    client '
before = len(c.jobs())
for path in ("../x", "a/../../x", "/etc/cron.d/x", "..", ".", "", "etc/passwd", "usr/bin/ls", "a//b", "a/./b"):
    code, words = code_of(c.run, "true", uploads={"good": b"1", path: b"2"})
    assert code == grpc.StatusCode.INVALID_ARGUMENT, (path, code, words)
request = pb.RunJobRequest(command="true")
for _ in range(2): request.uploads.add(path="same", content=b"x")
code, words = code_of(c.job.RunJob, request)
assert code == grpc.StatusCode.INVALID_ARGUMENT and "same" in words, (code, words)
assert len(c.jobs()) == before
'
    until_true 10 staging_is_empty
}

@test "rnx uploads no symlink that leads out" {
    mkdir "$BATS_TEST_TMPDIR/up"
    ln -s /etc/shadow "$BATS_TEST_TMPDIR/up/link"
    echo ok >"$BATS_TEST_TMPDIR/up/file"
    run rnx job run --upload-dir="$BATS_TEST_TMPDIR/up" sh -c 'cat link'
    if [ "$status" -eq 0 ]; then # left out or followed by rnx: never the server's file
        [[ $output != *root:* ]]
    fi
}

@test "bad requests are refused with the field" {
    client '
for fields, word in (({"max_memory": -1}, "max_memory"), ({"max_cpu": 10001}, "max_cpu"),
                     ({"cpu_cores": "0-"}, "cpu_cores"), ({"max_memory": 1}, "max_memory"),
                     ({"work_dir": "relative"}, "work_dir"), ({"network": "nope"}, "nope"),
                     ({"runtime": "nope"}, "runtime"), ({"volumes": ["../x"]}, "volume"),
                     ({"environment": {"JOBLET_MODE": "server"}}, "JOBLET_MODE"),
                     ({"environment": {"A B": "x"}}, "A B"),
                     ({"tmp_size_bytes": 1 << 62}, "tmp_size_bytes: at most half of the memory"),
                     ({"priority": 101}, "priority"), ({"timeout_seconds": -1}, "timeout_seconds")):
    code, words = code_of(c.run, "true", **fields)
    assert code != grpc.StatusCode.OK and word in words, (fields, code, words)
code, words = code_of(c.run, "")
assert code == grpc.StatusCode.INVALID_ARGUMENT and "command" in words, (code, words)
code, words = code_of(c.run, "x" * 200000)
assert code == grpc.StatusCode.INVALID_ARGUMENT, (code, words)
'
}

@test "a client that disconnects in the middle of an upload leaves nothing" {
    client '
import subprocess
code = """
import os, sys
sys.path.insert(0, sys.argv[1])
from grpc_client import Client
c = Client.from_config(sys.argv[2])
f = c.job.RunJob.future(__import__("grpc_client").pb.RunJobRequest(command="true",
    uploads=[__import__("grpc_client").pb.FileUpload(path=f"f{i}", content=bytes(2 << 20)) for i in range(30)]))
__import__("time").sleep(float(sys.argv[3]))
os._exit(0)
"""
for delay in (0.02, 0.05, 0.1, 0.15, 0.2, 0.3):
    subprocess.run([sys.executable, "-c", code, os.environ["PYTHONPATH"], f"{I}/config/rnx-config.yml", str(delay)], check=True)
'
    until_true 15 staging_is_empty
    [ "$(output echo alive)" = alive ]
}

@test "a client that goes away in the middle of a log leaves no descriptor" {
    id=$(job sh -c 'while :; do echo line; sleep 0.01; done')
    until_true 10 has_status "$id" RUNNING
    before=$(ls "/proc/$(front_pid)/fd" | wc -l)
    client '
import subprocess
streams = [c.log_chunks(args[0]) for _ in range(50)]
for s in streams: next(s)
os._exit(0)' "$id"
    until_true 15 fewer_fds "$((before + 4))"
    rnx job stop "$id"
}
fewer_fds() { [ "$(ls "/proc/$(front_pid)/fd" | wc -l)" -le "$1" ]; }

@test "a port in use is named, and joblet ends with 1" {
    other=$(mktemp -d "$I/run/other.XXXX")
    mkdir "$other/logs"
    "$top/contrib/certs_gen_embedded.sh" --prefix-dir "$other" --address 127.0.0.1 --port "$PORT" --fast \
        --default-network none --cgroup-base "/sys/fs/cgroup/$CGROUP-other" >/dev/null 2>&1
    run timeout 100 joblet --prefix-dir "$other" --config "$other/config/joblet-config.yml"
    echo "$output"
    [ "$status" -eq 1 ]
    [[ $output == *"127.0.0.1:$PORT"*"in use"* ]]
    [ "$(output echo alive)" = alive ]
    CGROUP=$CGROUP-other
    for dir in $(cgroup_dirs); do rmdir "$dir"; done
}

@test "a second joblet on the same directory is refused" {
    run timeout 100 joblet --prefix-dir "$I" --config "$I/config/joblet-config.yml"
    echo "$output"
    [ "$status" -eq 1 ]
    [ "$(output echo alive)" = alive ]
}

@test "health is told without a role" {
    client 'assert c.is_serving()'
}

@test "a hundred jobs at once all end, and leave nothing" {
    client '
ids = [c.run("sh", "-c", f"echo {i}; exit {i % 7}") for i in range(100)]
for i, uuid in enumerate(ids):
    s = c.wait(uuid)
    assert s.exit_code == i % 7, (i, s)
    assert c.logs(uuid) == b"%d\n" % i
'
    until_true 20 no_job_cgroups
}
no_job_cgroups() { ! cgroup_dirs | grep -qE '[0-9a-f]{8}-[0-9a-f]{4}'; }
