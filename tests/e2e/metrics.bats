#!/usr/bin/env bats
# What a job used, against what it really did.

load lib.bash

setup_file() {
    instance_new
    printf 'job_metrics:\n  default_sample_rate: 500ms\n' >>"$I/config/joblet-config.yml"
    instance_start
}
teardown_file() { instance_end; }

metrics() { rnx job metrics "$1" --json; }
last() { metrics "$1" | tail -n 1 | jq -r ".$2"; }

# bats test_tags=smoke
@test "a job that ends at once has a first and a last sample" {
    id=$(job true)
    ended "$id"
    metrics "$id" >"$BATS_TEST_TMPDIR/samples" # two; more where the machine is busy
    jq -se --arg id "$id" 'length >= 2 and all(.jobUuid == $id) and .[0].intervalNs == 0 and .[0].timestamp < .[-1].timestamp' "$BATS_TEST_TMPDIR/samples"
    ls "$I/metrics/$id" | grep -Eqx '[0-9]{8}T[0-9]{6}\.[0-9]{3}Z\.jsonl\.gz'
    [ "$(gzip -dc "$I/metrics/$id"/*.gz | wc -l)" -eq "$(wc -l <"$BATS_TEST_TMPDIR/samples")" ]
}

# bats test_tags=smoke
@test "the CPU time, memory and I/O of a busy job" {
    id=$(job --max-memory=256 python3 -c '
import os, time
b = bytearray(64 << 20)
for i in range(0, len(b), 4096): b[i] = 1
start = time.process_time()
while time.process_time() - start < 3: pass')
    ended "$id"
    metrics "$id" | jq -c '[.timestamp, .cpuPercent, .memoryBytes]'
    us=$(($(last "$id" cpuUserUsec) + $(last "$id" cpuSystemUsec)))
    echo "$us us"
    [ $us -gt 2900000 ]
    [ $us -lt 6000000 ]
    [ "$us" -eq "$(rnx job status --json "$id" | jq '.result.cpu_user_usec + .result.cpu_system_usec')" ]
    [ "$(last "$id" memoryPeak)" -eq "$(field "$id" result.memory_peak)" ]
    [ "$(last "$id" memoryPeak)" -gt $((64 << 20)) ]
    metrics "$id" | jq -se 'map(.memoryBytes) | max | . > 64 * 1024 * 1024 and . < 200 * 1024 * 1024'
    metrics "$id" | jq -se 'map(.memoryLimit) | max == 256 * 1024 * 1024'
    metrics "$id" | jq -se 'map(.cpuPercent) | max > 2' # of a processor that others may want, too
    metrics "$id" | jq -se '[.[].timestamp] | . == sort and length == (unique | length) and length > 4'
}

# What cgroup v1 calls usage_user and usage_sys is up to a sixth more where a job is throttled.
@test "the CPU time of a throttled job is the kernel's own number" {
    id=$(job --network=none --max-cpu=50 sh -c 'timeout 3 sh -c "while :; do :; done"; exec sleep 600')
    until_true 10 has_status "$id" RUNNING
    rests() { [ -n "$(job_pid "$id" sleep)" ]; }
    until_true 20 rests
    group=$(cgroup_dirs | grep "job-$id\$" | while read -r d; do [ ! -e "$d/cpuacct.usage" ] || echo "$d"; done)
    if [ -n "$group" ]; then
        us=$(($(cat "$group/cpuacct.usage") / 1000))
    else
        group=$(cgroup_dirs | grep -m 1 "job-$id\$")
        us=$(awk '$1 == "usage_usec" { print $2 }' "$group/cpu.stat")
    fi
    rnx job stop "$id"
    told=$(($(field "$id" result.cpu_user_usec) + $(field "$id" result.cpu_system_usec)))
    echo "the kernel: $us us, told: $told us"
    [ "$us" -lt 1800000 ]
    [ $((told - us)) -ge 0 ]
    [ $((told - us)) -lt 60000 ] # and what the stop took
    [ "$(last "$id" cpuUserUsec)" -le "$told" ]
    metrics "$id" | jq -se --argjson n "$(nproc)" 'map(.cpuPercent) | max <= 100 * $n'
}

# bats test_tags=smoke
@test "processes, their threads and open files" {
    id=$(job python3 -c '
import os, threading, time
files = [open("/dev/null") for i in range(40)]
for i in range(2):
    if os.fork() == 0: break
for i in range(3): threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
while True: time.sleep(0.01)') # it is looked at anew where it uses CPU time
    # three of python, with 40 files and 3 threads more each, and the job.init
    counted() { timeout 5 rnx job metrics "$id" --json | jq -se 'any(.processes >= 3 and .processes < 9 and .pidsCurrent >= 12 and .openFiles >= 120 and .openFiles < 200)'; }
    until_true 20 counted || { timeout 2 rnx job metrics "$id" --json | jq -c '[.processes, .pidsCurrent, .openFiles]'; false; }
    timeout 60 rnx job metrics "$id" | grep -Eq '^  Processes: [3-8], open files 1[0-9]{2}, threads [0-9]+ of 4096$'
    rnx job stop "$id"
    metrics "$id" | jq -se '.[0].intervalNs == 0 and (.[1:-1] | all(.intervalNs > 100000000))'
    metrics "$id" | jq -se '[.[1:][] | .intervalNs] | add' >"$BATS_TEST_TMPDIR/passed"
    metrics "$id" | jq -se '.[-1].timestamp - .[0].timestamp' >"$BATS_TEST_TMPDIR/clock"
    awk 'NR == FNR { a = $1; next } { exit !(a > 0.9 * $1 && a < 1.1 * $1) }' "$BATS_TEST_TMPDIR/passed" "$BATS_TEST_TMPDIR/clock"
}

# bats test_tags=smoke
@test "the result holds CPU, peak memory, I/O and pressure, as JSON and as text" {
    id=$(job --max-memory=64 python3 -c '
import time
b = bytearray(20 << 20)
for i in range(0, len(b), 4096): b[i] = 1
start = time.process_time()
while time.process_time() - start < 0.2: pass')
    [ "$(ended "$id")" = "COMPLETED 0" ]
    rnx job status --json "$id" | jq -e '.result |
        (.cpu_user_usec + .cpu_system_usec > 200000) and .memory_peak > 20 * 1024 * 1024 and .memory_peak < 64 * 1024 * 1024
        and .pids_peak >= 1
        and ([.io_read_bytes, .io_write_bytes, .psi_cpu_some_usec, .psi_memory_some_usec, .psi_io_some_usec]
            | all(type == "number" and . >= 0))'
    rnx job status "$id" >"$BATS_TEST_TMPDIR/text"
    grep -qE '^  CPU Time: [0-9.]+s user, [0-9.]+s system$' "$BATS_TEST_TMPDIR/text"
    grep -qE '^  Memory Peak: [0-9.]+ ?M' "$BATS_TEST_TMPDIR/text"
}

# bats test_tags=smoke
@test "a job that is killed at once for its memory: samples with its limits, and no operations that nobody counted" {
    id=$(job --max-memory=32 python3 -c 'b = bytearray(1 << 30)')
    [ "$(ended "$id")" = "FAILED 137" ]
    metrics "$id" >"$BATS_TEST_TMPDIR/samples"
    jq -se 'length >= 2 and all(.memoryLimit == 32 * 1024 * 1024 and .pidsMax == 4096)' "$BATS_TEST_TMPDIR/samples"
    jq -se 'all((.diskReadBytes == 0) == (.ioReadOps == 0))' "$BATS_TEST_TMPDIR/samples"
    rnx job metrics "$id" >"$BATS_TEST_TMPDIR/text"
    grep -q '^  Memory: .* of 32.0 MiB)' "$BATS_TEST_TMPDIR/text"
    run ! grep -E 'in all [1-9].* read \(0 ops\)' "$BATS_TEST_TMPDIR/text"
}

# pressure_goes ID: where the job slept, pressure came at the kernel's next average, each 2 s, and went
# from there, each value once; below 0.1 its two digits are the same for long.
pressure_goes() {
    timeout 2 rnx job metrics "$1" --json | jq -se 'map(select(.cpuPercent == 0) | .psiCpuSome10) | .[index(max):] as $p
        | index(max) < 7 and $p[0] > 0 and $p[-1] < $p[0] and ($p | unique | length) >= 3
        and all(range($p | length - 8); $p[.] < 0.1 or ($p[.:. + 9] | unique | length > 1))' >/dev/null
}
@test "pressure decays while the job sleeps" {
    [ -e /proc/pressure/cpu ] || skip "this kernel measures no pressure"
    ids=() # they fall asleep at different times between two averages
    for _ in 1 2 3 4; do
        ids+=("$(job --max-cpu=20 sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i + 1)); done; sleep 600')")
        sleep 0.5
    done
    sleep 6
    for id in "${ids[@]}"; do
        until_true 60 pressure_goes "$id" || { timeout 2 rnx job metrics "$id" --json | jq -c '[.cpuPercent, .psiCpuSome10]'; false; }
        rnx job stop "$id"
    done
}

@test "what comes in for a job that sleeps is counted" {
    [ "${JOBLET_TEST_NETWORK-}" = bridge ] || skip "no networks"
    id=$(job sleep 600)
    until_true 20 has_status "$id" RUNNING
    until_true 20 rests "$id"
    metrics "$id" >"$BATS_TEST_TMPDIR/samples" 3>&- &
    until_true 20 has_lines 1 "$BATS_TEST_TMPDIR/samples"
    before=$(head -n 1 "$BATS_TEST_TMPDIR/samples" | jq .netRecvBytes)
    output python3 -c '
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(20): s.sendto(bytes(1000), (sys.argv[1], 9))' "$(field "$id" address)"
    # three samples know of it, and none after the first forgets it
    counted() { grep '}$' "$BATS_TEST_TMPDIR/samples" | jq -se --argjson n "$before" '[.[].netRecvBytes >= $n + 20000] | (map(select(.)) | length) > 3 and . == sort' >/dev/null; }
    until_true 20 counted || { cat "$BATS_TEST_TMPDIR/samples"; false; }
    rnx job stop "$id"
    wait
}
rests() { timeout 2 rnx job metrics "$1" --json | jq -se 'length > 4 and (.[-2:] | all(.cpuPercent == 0))'; }

@test "history, then live, without gap or duplicate, for two readers" {
    local dir=$BATS_TEST_TMPDIR
    id=$(job sleep 600)
    metrics "$id" >"$dir/a" 3>&- &
    until_true 20 has_lines 2 "$dir/a"
    metrics "$id" >"$dir/b" 3>&- &
    until_true 20 has_lines 5 "$dir/b"
    rnx job stop "$id"
    wait
    metrics "$id" >"$dir/c"
    cmp "$dir/a" "$dir/b"
    cmp "$dir/a" "$dir/c"
}
has_lines() { [ "$(wc -l <"$2")" -ge "$1" ]; }

@test "kill -9 of joblet: the samples of before and after are there" {
    id=$(job sleep 600)
    metrics "$id" >"$BATS_TEST_TMPDIR/a" 3>&- &
    until_true 20 has_lines 2 "$BATS_TEST_TMPDIR/a"
    kill -KILL "$(joblet_pid)"
    until_true 20 answers
    n=$(wc -l <"$BATS_TEST_TMPDIR/a")
    until_true 20 has_lines $((n + 2)) "$BATS_TEST_TMPDIR/a"
    rnx job stop "$id"
    wait
    metrics "$id" | jq -se --argjson n "$n" '[.[].timestamp] | . == sort and length == (unique | length) and length >= $n + 2'
}

@test "rnx goes on when joblet-front was away: every sample once" {
    id=$(job sleep 600)
    metrics "$id" >"$BATS_TEST_TMPDIR/a" 2>"$BATS_TEST_TMPDIR/err" 3>&- &
    reader=$!
    until_true 20 test -s "$BATS_TEST_TMPDIR/a"
    kill -KILL "$(front_pid)"
    until_true 20 grep -q 'connection to the server lost, trying again' "$BATS_TEST_TMPDIR/err"
    cp "$BATS_TEST_TMPDIR/a" "$BATS_TEST_TMPDIR/before"
    until_true 20 eval '! cmp -s "$BATS_TEST_TMPDIR/a" "$BATS_TEST_TMPDIR/before"'
    rnx job stop "$id"
    wait $reader
    metrics "$id" >"$BATS_TEST_TMPDIR/b"
    cmp "$BATS_TEST_TMPDIR/a" "$BATS_TEST_TMPDIR/b"
}

@test "GetJobMetrics over the API: ranges, refusals, and that a reader may" {
    id=$(job sleep 2)
    ended "$id"
    ROLE=reader client '
get = lambda **k: list(c.job.GetJobMetrics(pb.GetJobMetricsRequest(job_uuid=args[0], **k), timeout=20))
a = get()
assert len(a) >= 3 and a[0].job_uuid == args[0], a
assert [m.timestamp for m in get(start_time=a[1].timestamp)] == [m.timestamp for m in a[1:]]
assert [m.timestamp for m in get(end_time=a[1].timestamp)] == [m.timestamp for m in a[:2]]
assert len(get(limit=1)) == 1
code, words = code_of(c.job.GetJobMetrics, pb.GetJobMetricsRequest(job_uuid=args[0], limit=-1), timeout=10)
assert code == grpc.StatusCode.INVALID_ARGUMENT, code
code, words = code_of(c.job.StreamJobMetrics, pb.StreamJobMetricsRequest(job_uuid="12345678"), timeout=10)
assert code == grpc.StatusCode.NOT_FOUND, code' "$id"
}

@test "as text; nothing to show is an error; delete takes the samples along" {
    id=$(job true)
    ended "$id"
    rnx metrics "$id" >"$BATS_TEST_TMPDIR/text"
    for word in 'CPU: ' 'Memory: ' 'I/O: ' 'Network: ' 'Processes: ' "job ${id:0:8}"; do
        grep -q "$word" "$BATS_TEST_TMPDIR/text"
    done
    rnx job delete "$id"
    [ ! -e "$I/metrics/$id" ]
    run -1 rnx job metrics "$id"
    id=$(job --schedule=1h true)
    rnx job cancel "$id"
    run -1 rnx job metrics "$id"
    [[ $output == *"no samples"* ]]
}
