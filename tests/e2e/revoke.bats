#!/usr/bin/env bats
# A client certificate is revoked while the server runs: its new connections, its calls on old
# connections and its open streams end at once; nobody else notices. Client: python3-grpcio, and rnx.

load lib

setup_file() {
    instance_new
    gen="$top/contrib/certs_gen_embedded.sh"
    export gen
    for name in ada bob eve kim; do
        "$gen" --quiet --prefix-dir "$I" --add-client $name --role developer --fast >/dev/null
    done
    instance_start
}

teardown_file() { instance_end; }

revoke() { "$gen" --quiet --prefix-dir "$I" --revoke "$1"; }
logged() { grep -q -- "$1" "$I/logs/joblet.log"; }
refused_as() { as "$1" rnx job list 2>&1 | grep -q 'is revoked'; }
# For tests of what follows.
revoke_ada() {
    refused_as ada || revoke ada
    until_true 10 refused_as ada
}
serial_of() { sed -n '/ cert: /,/END/p' "$I/config/rnx-config-$1.yml" | sed 's/^ *//' | openssl x509 -noout -serial | cut -d= -f2; }

@test "revoke: calls on an open connection, an open stream and new connections end at once" {
    client '
import subprocess, threading
ada, bob = role("ada"), role("bob")
uuid = ada.run("sh", "-c", "while :; do echo tick; sleep 0.05; done")
def follow(who, out):
    try:
        for chunk in who.log_chunks(uuid):
            out["n"] = out.get("n", 0) + 1
    except grpc.RpcError as e:
        out["code"], out["words"] = e.code(), e.details()
a, b = {}, {}
ta, tb = (threading.Thread(target=follow, args=x, daemon=True) for x in ((ada, a), (bob, b)))
ta.start(); tb.start()
until = time.monotonic() + 100
while not (a.get("n", 0) > 2 and b.get("n", 0) > 2):
    assert time.monotonic() < until, (a, b)
    time.sleep(0.02)
assert code_of(ada.jobs)[0] == grpc.StatusCode.OK
subprocess.run([os.environ["gen"], "--quiet", "--prefix-dir", I, "--revoke", I + "/config/rnx-config-ada.yml"], check=True)
ta.join(60)
assert a["code"] == grpc.StatusCode.UNAUTHENTICATED and "is revoked" in a["words"], a
assert code_of(ada.jobs)[0] == grpc.StatusCode.UNAUTHENTICATED
assert code_of(ada.is_serving)[0] == grpc.StatusCode.UNAUTHENTICATED
with role("ada") as fresh:
    code, words = code_of(fresh.jobs)
    assert code == grpc.StatusCode.UNAUTHENTICATED and "is revoked" in words, (code, words)
n = b["n"]
until = time.monotonic() + 100
while b["n"] < n + 3:
    assert time.monotonic() < until and "code" not in b, b
    time.sleep(0.02)
bob.stop(uuid)
'
    [ "$(stat -c '%a %U' "$I/config/revoked")" = "600 root" ]
}

@test "revoke: a client that reads nothing does not keep its stream" {
    client '
import subprocess
eve = role("eve")
uuid = eve.run("sh", "-c", "head -c 60000000 /dev/zero | tr \"\\0\" x; sleep 600")
stream = eve.log_chunks(uuid)
next(stream)
time.sleep(0.5)          # what the windows hold has filled up by then
before = open(I + "/logs/joblet.log").read().count("front.revoked")
subprocess.run([os.environ["gen"], "--quiet", "--prefix-dir", I, "--revoke", "eve"], check=True)
got = 0
try:
    for chunk in stream:
        got += len(chunk.payload)
    raise SystemExit("the stream ended as if all were well")
except grpc.RpcError as e:
    assert e.code() == grpc.StatusCode.UNAUTHENTICATED, e.code()
assert got < 30000000, got
role("bob").stop(uuid)
'
}

# The process that brings uploads to the disk.
uploads_worker() {
    local pid
    for pid in $(cat "/proc/$(joblet_pid)/task/$(joblet_pid)/children"); do
        [[ $(cat "/proc/$pid/comm") != joblet-uploads ]] || echo "$pid"
    done
}

@test "revoke: a job whose uploads are still being taken over is refused, and they are removed" {
    ROLE=kim client 'c.run("true", uploads={"f": b"x"}, schedule="1hour")' # makes the worker
    client '
import signal, subprocess, threading
def dirs(): return {d for d in os.listdir(I + "/jobs") if not d.startswith(".")}
def ids(): return {j.uuid for j in c.jobs()}
kim, worker, got = role("kim"), int(args[0]), []
submit = lambda who: who.run("true", uploads={"f": b"x"}, schedule="1hour")
dirs_before, ids_before = dirs(), ids()
os.kill(worker, signal.SIGSTOP)
try:
    run = threading.Thread(target=lambda: got.append(code_of(submit, kim)))
    run.start()
    until = time.monotonic() + 100
    while dirs() == dirs_before:
        assert time.monotonic() < until and not got, got
        time.sleep(0.02)
    subprocess.run([os.environ["gen"], "--quiet", "--prefix-dir", I, "--revoke", "kim"], check=True)
    run.join(100)
finally:
    os.kill(worker, signal.SIGCONT)
assert got[0][0] == grpc.StatusCode.UNAUTHENTICATED and "is revoked" in got[0][1], got
last = submit(role("bob")) # behind it
assert ids() == ids_before | {last}
assert dirs() == dirs_before | {last}
for id in ids_before | {last}:
    code_of(c.job.CancelJob, pb.CancelJobRequest(uuid=id), timeout=100)
' "$(uploads_worker)"
}

@test "revoke: rnx says what happened, and the audit file holds the refusal" {
    revoke_ada
    run --separate-stderr as ada rnx job list
    [ "$status" -eq 1 ]
    [[ $stderr == *"serial number $(serial_of ada) is revoked"* ]]
    run as ada rnx job run true
    [ "$status" -eq 1 ]
    until_true 5 audited '.client == "ada" and .operation == "run_job" and .status == "UNAUTHENTICATED" and .serial == "'"$(serial_of ada)"'"'
    until_true 5 audited '.client == "ada" and .operation == "list_jobs" and .status == "UNAUTHENTICATED"'
    as bob rnx job run true
    [ "$(jq -r 'select(.client == "bob") | .status' "$I/logs/audit.log" | sort -u)" = OK ]
}

@test "revoke: a list with a mistake changes nothing and is an error" {
    revoke_ada
    "$gen" --quiet --prefix-dir "$I" --add-client carl --role reader --fast >/dev/null
    cp "$I/config/revoked" "$BATS_TEST_TMPDIR/good"
    printf '%s\nthis is no serial\n' "$(serial_of carl)" >"$I/config/revoked"
    until_true 10 logged 'revoked.refused.*not a serial number'
    refused_as ada
    as carl rnx job list
    run "$build/joblet" --prefix-dir "$I" --config "$I/config/joblet-config.yml" --validate
    [ "$status" -eq 1 ]
    [[ $output == *"revoked:2: not a serial number"* ]]

    printf '%s' "$(serial_of carl)" >"$I/config/revoked"
    until_true 10 logged 'revoked.refused.*the last line has no end'
    as carl rnx job list

    rm "$I/config/revoked"
    until_true 10 logged 'revoked.refused.*is gone'
    refused_as ada

    install -m 0666 "$BATS_TEST_TMPDIR/good" "$I/config/revoked"
    until_true 10 logged 'revoked.refused.*root alone can write'
    refused_as ada

    install -m 0600 /dev/null "$I/config/revoked"
    until_true 10 as ada rnx job list
    install -m 0600 "$BATS_TEST_TMPDIR/good" "$I/config/revoked"
    until_true 10 refused_as ada
}

@test "revoke: joblet and joblet-front that start anew know the list" {
    revoke_ada
    kill -KILL "$(front_pid)"
    until_true 20 as bob rnx job list
    refused_as ada
    kill -KILL "$(joblet_pid)"
    until_true 20 as bob rnx job list
    refused_as ada
    front=$(front_pid)
    kill -HUP "$(joblet_pid)"
    until_true 20 other_front "$front"
    until_true 20 as bob rnx job list
    refused_as ada
}

@test "revoke: thousands of serials, by number, twice" {
    revoke_ada
    { cat "$I/config/revoked"; seq 100000 116000 | sed 's/$/  # gone/'; } >"$I/config/revoked.new"
    chmod 0600 "$I/config/revoked.new"
    mv "$I/config/revoked.new" "$I/config/revoked"
    until_true 10 logged 'front.revoked.*serials=160'
    as bob rnx job list
    revoke "0x$(serial_of bob | sed 's/../&:/g; s/:$//')"
    until_true 10 refused_as bob
    run "$gen" --prefix-dir "$I" --revoke "$I/config/rnx-config-bob.yml"
    [[ $output == *"revoked already"* ]]
    kill -KILL "$(front_pid)"
    until_true 20 rnx job list
    refused_as bob
}

@test "revoke: what is neither a file nor a number is refused" {
    for what in nobody 12:xy "" "$BATS_TEST_TMPDIR"; do
        run revoke "$what"
        [ "$status" -ne 0 ]
    done
}

@test "revoke: joblet does not start with a list that is wrong" {
    revoke_ada
    keeper_stop
    echo nonsense >>"$I/config/revoked"
    run timeout 20 "$build/joblet" --prefix-dir "$I" --config "$I/config/joblet-config.yml"
    [ "$status" -eq 1 ]
    [[ $output == *"not a serial number"* ]]
    sed -i '$d' "$I/config/revoked"
    instance_start
}
