#!/usr/bin/env bats
# A log with a ceiling (logs.max_size), through the whole path: what went is told, the rest is exact.

load lib.bash

setup_file() {
    instance_new && printf 'logs:\n  max_size: 1MB\n' >>"$I/config/joblet-config.yml" && instance_start
}
teardown_file() { instance_end; }

# `seq -f 'line %09.0f' N`: 15 bytes a line, so that a place in the output tells what is there.
lines() { seq -f 'line %09.0f' "$1" "$2"; }

marker='^\[joblet: the first ([0-9]+) bytes of output are no longer kept: logs.max_size\]$'

# what_came FILE N: each stretch is what stands at its place in the N lines, and the places only grow; a
# marker ends a line that it breaks. Prints how many markers there are.
what_came() {
    $py - "$1" "$2" <<'CHECK'
import re, sys
whole = b"".join(b"line %09d\n" % i for i in range(1, int(sys.argv[2]) + 1))
marker = rb"\[joblet: the first (\d+) bytes of output are no longer kept: logs.max_size\]\n"
parts = re.split(marker, open(sys.argv[1], "rb").read())
at = 0
for i in range(0, len(parts), 2):
    text = parts[i]
    if i > 0:
        assert int(parts[i - 1]) >= at, (parts[i - 1], at)
        at = int(parts[i - 1])
    if i + 1 < len(parts) and not whole.startswith(text, at):
        text = text[:-1]
    assert whole.startswith(text, at), (at, text[:80])
    at += len(text)
assert at == len(whole), at
print(len(parts) // 2)
CHECK
}

@test "a log over its ceiling begins with what is missing" {
    local log=$BATS_TEST_TMPDIR/log
    id=$(job seq -f 'line %09.0f' 300000)
    [ "$(ended "$id")" = "COMPLETED 0" ]
    rnx job log "$id" >"$log"
    [[ $(head -n 1 "$log") =~ $marker ]]
    gone=${BASH_REMATCH[1]}
    cmp <(tail -n +2 "$log") <(lines 1 300000 | tail -c +$((gone + 1)))
    [ "$(tail -n +2 "$log" | wc -c)" -gt 700000 ]
    rnx job log --json "$id" | jq -se --argjson n "$gone" '[.[].dropped_bytes // empty] == [$n] and .[0].dropped_bytes == $n'
    cmp <(rnx job log --tail 7 "$id") <(lines 299994 300000)
    rnx job log --tail 200000 "$id" | cmp - "$log" # more than there is
    rnx job log --timestamps "$id" | head -n 1 | grep -qE '^[0-9T:.-]+Z \[joblet: the first '
    [ "$(cat "$I/logs/$id"/output.* | wc -c)" -le 1048576 ]
}

begun() { [ -s "$1" ]; }

@test "followers of a log that is rotated under them: in order, nothing twice, and what is missing told" {
    local n pids=() dir=$BATS_TEST_TMPDIR
    id=$(job $py -c 'import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
print("line 000000001", flush=True)
signal.sigwait([signal.SIGUSR1])
os.execvp("seq", ["seq", "-f", "line %09.0f", "2", "1500000"])')
    for n in 1 2 slow; do
        rnx job log "$id" >"$dir/$n" 3>&- &
        pids+=($!)
    done
    for n in 1 2 slow; do until_true 20 begun "$dir/$n"; done
    kill -STOP "${pids[2]}"
    kill -USR1 "$(job_pid "$id" python3)"
    [ "$(ended "$id")" = "COMPLETED 0" ]
    kill -CONT "${pids[2]}"
    for n in "${pids[@]}"; do wait "$n"; done
    for n in 1 2 slow; do
        run what_came "$dir/$n" 1500000
        [ "$status" -eq 0 ] || { echo "follower $n: $output"; false; }
    done
    [ "$output" -ge 1 ] # 22 MB do not fit between the two
}
