#!/usr/bin/env bats
# rnx against fake_server.py, which speaks the same API over mutual TLS and can be killed in the
# middle of a log.
bats_require_minimum_version 1.5.0

ID=11111111-2222-4333-8444-555555555555

setup_file() {
    /usr/bin/python3 -c 'import grpc, grpc_tools' || skip "python3-grpcio and python3-grpc-tools are needed"
    mkdir "$BATS_FILE_TMPDIR/pb"
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    /usr/bin/python3 -m grpc_tools.protoc -Isrc/api --python_out="$BATS_FILE_TMPDIR/pb" joblet.proto
}

setup() {
    load helper
    load_common
    make_instance
    port=$(free_port)
    export RNX_CONFIG=$PWD/rnx.yml RNX_TIMEOUT=20s
    sed "s/address: .*/address: \"127.0.0.1:$port\"/" "$conf" >"$RNX_CONFIG"
    chmod 600 "$RNX_CONFIG"
    server_pids=()
}

teardown() {
    local p
    for p in "${server_pids[@]}"; do kill -9 "$p" 2>/dev/null || true; done
}

# start [OPTION...]: a server on $port, in $!
start() {
    : >server.out
    /usr/bin/python3 "$BATS_TEST_DIRNAME/fake_server.py" --config "$inst/config/joblet-config.yml" \
        --proto "$BATS_FILE_TMPDIR/pb" --port "$port" --record "$PWD/record.json" "$@" >server.out 2>server.err 3>&- &
    server_pids+=($!)
    disown "$!"
    until_true grep -q '^port' server.out || { cat server.err >&2; return 1; }
}
has_ended() { ! kill -0 "$1"; }

# the log that the server has, N lines
the_log() {
    /usr/bin/python3 -c 'import sys
sys.stdout.buffer.write(b"".join(b"line %d\n" % i if i % 100 else b"bin \xff %d\n" % i for i in range(1, int(sys.argv[1]) + 1)))' "$1"
}

@test "run: what is asked for is what is sent" {
    start
    mkdir -p up/sub/empty
    echo data >up/sub/file
    chmod 750 up/sub/file
    echo x >one.txt
    run "$rnx" job run --max-cpu=50 --max-memory 64 --max-iobps=1000 --cpu-cores=0-1 --network=none \
        --env=A=1 -e B=2=3 -e=C= --secret-env=S=hush --upload=one.txt --upload-dir=up --name=my-job \
        --workdir=/work/sub --timeout=1m30s --volume=v1,v2 --gpu=1 --gpu-memory=8GB -- sh -c 'echo $A' --max-cpu=7
    expect 0 "Job started:" "ID: $ID" "Command: sh -c echo \$A --max-cpu=7" "Status: RUNNING" "StartTime: 2026" \
        "Uploading 2 files (0.00 MB)..." "Files: 2 uploaded successfully" "Environment: 3 variables set" \
        "Secret Environment: 1 variables set"
    hasnt hush
    q() { jq -c "$1" record.json; }
    [ "$(q .args)" = '["-c","echo $A","--max-cpu=7"]' ]
    [ "$(q .command)" = '"sh"' ]
    [ "$(q '[.max_cpu,.max_memory,.max_io_bps,.cpu_cores]')" = '[50,64,1000,"0-1"]' ]
    [ "$(q .environment)" = '{"A":"1","B":"2=3","C":""}' ] || [ "$(jq -cS .environment record.json)" = '{"A":"1","B":"2=3","C":""}' ]
    [ "$(q .secret)" = '{"S":"hush"}' ]
    [ "$(q '[.network,.name,.work_dir,.timeout]')" = '["none","my-job","/work/sub",90]' ]
    [ "$(q .volumes)" = '["v1","v2"]' ]
    [ "$(q .gpu)" = '[1,8192]' ]
    [ "$(q '[.uploads[] | .[0:4]]')" = '[["one.txt",420,false,2],["sub",493,true,0],["sub/empty",493,true,0],["sub/file",488,false,5]]' ]
}

@test "run: a single word with shell characters goes to the shell, others do not" {
    start
    "$rnx" run 'echo a && echo b'
    [ "$(jq -c '[.command,.args]' record.json)" = '["/bin/sh",["-c","echo a && echo b"]]' ]
    "$rnx" run echo 'a && b'
    [ "$(jq -c '[.command,.args]' record.json)" = '["echo",["a && b"]]' ]
    "$rnx" run --json=true true >out.json
    [ "$(jq -c '[.command,.args]' record.json)" = '["true",[]]' ]
    [ "$(jq -r .id out.json)" = "$ID" ]
    [ "$(jq -r .job_uuid out.json)" = "$ID" ]
    [ "$(jq -r 'has("args")' out.json)" = false ]
}

@test "run: links inside the directory are followed, others skipped with a warning" {
    start
    mkdir -p d/real
    echo in >d/real/f
    ln -s real/f d/link
    ln -s real d/dirlink
    ln -s .. d/real/up
    ln -s /etc/passwd d/out
    ln -s nowhere d/dangling
    mkfifo d/fifo
    run "$rnx" run --upload-dir=d true
    expect 0 "Warning: d/out: skipped, a link that leaves the directory" "d/dangling: skipped" "d/fifo: skipped" \
        "d/real/up: skipped"
    [ "$(jq -c '[.uploads[][0]]' record.json)" = '["dirlink","dirlink/f","link","real","real/f"]' ]
}

@test "run: large uploads go by pieces before the request, with progress on a terminal alone" {
    start
    mkdir -p up/empty
    truncate -s 9000000 up/big
    echo x >up/small
    : >up/nothing
    run --separate-stderr "$rnx" run --upload-dir=up true
    expect 0 "Uploading 3 files (8.58 MB)..." "Files: 3 uploaded successfully"
    [ -z "$stderr" ]
    [ "$(jq -c '[.session,.uploads]' record.json)" = '["session-1",[]]' ]
    [ "$(jq -cS . record.json.staged)" = '{"big":[420,false,9000000,1],"empty":[493,true,0,1],"nothing":[420,false,0,1],"small":[420,false,2,1]}' ]
    script -qec "$rnx run --upload-dir=up true" /dev/null >terminal
    grep -q '100%  8.58 MB of 8.58 MB, ' terminal
    "$rnx" run --upload=up/small --upload=up/nothing true
    [ "$(jq -c '[.session,(.uploads | length)]' record.json)" = '["",2]' ]
}

@test "run: the server's refusal in the middle of uploads is told" {
    start
    truncate -s 9000000 refuse-me
    run "$rnx" run --upload=refuse-me true
    expect 1 "Error: the server's disk for jobs has less than 5 % left"
}

@test "run: Ctrl-C ends an upload that the server does not take" {
    start
    truncate -s 20M stall
    "$rnx" run --upload=stall true 2>err 3>&- &
    pid=$!
    until_true 10 test -e record.json.stalled
    kill -INT $pid
    wait $pid || status=$?
    [ "$status" -eq 1 ]
    grep -q 'interrupted: nothing was submitted' err
    until_true 10 test -e record.json.gone
    [ ! -e record.json ]
}

@test "run: a word that names a file which is not uploaded is warned of" {
    start
    echo 'print(1)' >script.py
    run "$rnx" run python3 script.py
    expect 0 "Warning: script.py exists here but is not uploaded; add --upload=script.py"
    run "$rnx" run --upload=script.py python3 ./script.py
    expect 0
    hasnt Warning
}

@test "run: --schedule is sent in seconds, or as a time with a zone" {
    start
    run "$rnx" run --schedule="1 hour 30min" true
    expect 0 "Job scheduled:" "Status: SCHEDULED" "Schedule Input: 1 hour 30min" "Scheduled Time: 2"
    [ "$(jq -r .schedule record.json)" = 5400s ]
    run "$rnx" run --schedule="$(date -d '+1 day' '+%F %T')" true
    expect 0 "Job scheduled:" "Scheduled Time: 2"
    jq -r .schedule record.json | grep -qE '^[0-9-]+T[0-9:.]+Z$'
}

@test "a server's refusal: its sentence and what to do, exit 1" {
    start
    run "$rnx" run --name=refuse-me true
    expect 1 "Error: role reader is not allowed to perform operation run_job" "certificate"
    run "$rnx" run --network=host true # no other certificate helps
    expect 1 "Error: network 'host' is not allowed on this server"
    hasnt certificate
    run "$rnx" status ffff
    expect 1 "ffff" "rnx job list"
    run "$rnx" log ffff
    expect 1 "ffff" "rnx job list"
    run "$rnx" stop ffff 1111
    expect 1 "Error: job ffff not found" "Job stopped successfully:"
}

@test "list: newest first, fitted columns, first line of a command, filter, JSON" {
    start
    run "$rnx" list
    expect 0 "ID                                    NAME   NODE ID  STATUS     START TIME           COMMAND"
    [[ ${lines[2]} == aaaaaaaa* ]]
    [[ ${lines[2]} == *xxx... ]]
    [[ ${lines[3]} == *'2026-01-02 03:04:05  sh -c echo a...' ]]
    [ "${#lines[@]}" -eq 4 ]
    hasnt $'\033'
    [[ $output != *' '$'\n'* ]]
    [[ $output != *' ' ]]
    run "$rnx" list --status=running,failed --json
    [ "$(jq -c '[.[] | [.status,.max_cpu,has("exit_code")]]' <<<"$output")" = '[["RUNNING",50,false]]' ]
    run "$rnx" list --json --status=COMPLETED
    [ "$(jq -c '[.[] | [.id,.exit_code]]' <<<"$output")" = "[[\"$ID\",0]]" ]
    run "$rnx" list --status=STOPPED
    expect 0 "No jobs found"
    run "$rnx" list --status=STOPPED --json
    [ "$output" = "[]" ]
}

@test "status: sections, masked secrets, tamed text, JSON keys" {
    start
    run "$rnx" status 1111
    expect 0 "Job ID: $ID" "Status: FAILED" "Max Memory: 64 MB" "Exit Code: 137" \
        "Reason: Job killed due to memory limit" "S=*** (secret)" "Duration: 1.5m" "rnx job log $ID" "rnx job metrics $ID" "rnx job delete $ID"
    hasnt $'\033'
    hasnt "rnx job stop"
    hasnt "rnx job cancel"
    run "$rnx" --json status 1111
    [ "$(jq -c '[.uuid,.job_uuid,.status,.exitCode,.exit_code,.reason,.maxCPU,.secretEnvironment.S,.nodeId]' <<<"$output")" = \
        "[\"$ID\",\"$ID\",\"FAILED\",137,137,\"Job killed due to memory limit\",50,\"***\",\"n-1\"]" ]
}

@test "status: why a job waits, when it was submitted, when it began" {
    start
    run "$rnx" status bbbb
    expect 0 "Status: PENDING" "Reason: waits for a slot: 1 of 1 jobs run" "Priority: 5" "Created: 2026-01-02 03:04:01 UTC"
    hasnt "Started:"
    hasnt "Result:"
    run "$rnx" status cccc
    expect 0 "Status: CANCELED" "Timing:" "Created: 2026-01-02 03:04:01 UTC" "Ended: 2026-01-02 03:04:09 UTC" "Exit Code: -1"
    hasnt "Duration:"
    hasnt "Priority:"
    [ "$(grep -c Reason: <<<"$output")" -eq 1 ]
    run "$rnx" status 1111
    expect 0 "Created: 2026-01-02 03:04:01 UTC" "Started: 2026-01-02 03:04:05 UTC" "Ended: 2026-01-02 03:05:35 UTC"
    hasnt "Scheduling Information:"
    run "$rnx" status --json cccc
    [ "$(jq -c '[.createdTime,.startTime,.exitCode]' <<<"$output")" = '["2026-01-02T03:04:01Z",null,-1]' ]
}

@test "status: long values are shown in full" {
    start
    run "$rnx" status dddd
    expect 0 "aaaend-of-command" "vvv?end-of-volume" "eeeend-of-value"
    hasnt "..."
}

@test "network list: long names move the columns of all rows" {
    start
    run "$rnx" network list
    expect 0 "NAME                         CIDR                BRIDGE"
    has "a-name-of-more-than-fifteen  10.1.0.0/24         jl-1"
    has "none                         -                   - (built-in)"
}

@test "run: a server that goes away with the request may have taken it" {
    start
    run "$rnx" run --name=die true
    expect 1 "the connection to 127.0.0.1:$port was lost" "The job may have been taken all the same; see rnx job list."
}

@test "run: the start time is the server's, or not told" {
    start
    run "$rnx" run true
    has "StartTime: 2026-01-02T03:04:05.5Z"
    [ "$("$rnx" run --json true | jq -r .start_time)" = 2026-01-02T03:04:05.5Z ]
    run "$rnx" run --name=no-time true
    expect 0 "Status: INITIALIZING"
    hasnt StartTime
}

@test "log: raw bytes, tail, timestamps, JSON" {
    start --lines 1000
    "$rnx" log 1111 >got
    the_log 1000 | cmp - got
    "$rnx" log "$ID" --tail=2 >got
    [ "$(wc -l <got)" -eq 2 ]
    run "$rnx" log 1111 --tail 1 --timestamps --no-follow
    has "2026-01-02T03:04:05.000Z bin"
    "$rnx" log 1111 --json >got.json
    [ "$(wc -l <got.json)" -eq 1000 ]
    [ "$(sed -n 2p got.json | jq -c '[.stream,.sequence,.data]')" = '["stdout",2,"line 2\n"]' ] ||
        [ "$(sed -n 2p got.json | jq -c '[.stream,.sequence,.data]')" = '["stderr",2,"line 2\n"]' ]
    [ "$(sed -n 100p got.json | jq -r .data_base64 | base64 -d)" = "$(printf 'bin \xff 100')" ]
    jq -se 'map(.sequence) == [range(1; 1001)]' got.json
}

@test "log: a server that is killed again and again costs no line and doubles none" {
    start --lines 1000 --die-after 300
    "$rnx" log 1111 >got 2>err &
    log_pid=$!
    for _ in 1 2 3; do
        until_true has_ended "${server_pids[-1]}"
        start --lines 1000 --die-after 300
    done
    wait "$log_pid"
    the_log 1000 | cmp - got
    grep -q 'connection to the server lost' err
}

@test "log: a server that says UNAVAILABLE is waited for" {
    start --lines 10 --unavailable 3
    "$rnx" log 1111 >got 2>err
    the_log 10 | cmp - got
}

@test "log: Ctrl-C ends rnx with a note and status 0, not the job" {
    start --lines 100000
    # a shell makes SIGINT ignored in what it starts beside itself; python gives it back
    /usr/bin/python3 - "$rnx" >out 2>err <<'PY'
import signal, subprocess, sys
p = subprocess.Popen([sys.argv[1], "log", "1111"], stdout=subprocess.PIPE)
p.stdout.readline()
p.send_signal(signal.SIGINT)
p.stdout.read()
sys.exit(p.wait())
PY
    grep -q 'no longer following' err
}

@test "log: a reader that goes away ends it quietly" {
    start --lines 100000
    run bash -o pipefail -c "{ '$rnx' log 1111; echo status \$? >&2; } | head -n 1"
    has "line 1"
    has "status 0"
    hasnt Error
}

@test "run --wait: log on standard output, exit code passed on, reason told" {
    start --lines 20
    status=0
    "$rnx" run --wait sh -c 'exit 137' >out 2>err || status=$?
    [ "$status" -eq 137 ]
    the_log 20 | cmp - out
    grep -q "FAILED, exit code 137: Job killed due to memory limit" err
    grep -q "ID: $ID" err
    status=0
    "$rnx" --json run --wait true >out 2>err || status=$?
    [ "$status" -eq 137 ]
    [ "$(jq -sc '[length, .[0].id, .[1].data, .[21].exit_code]' out)" = "[22,\"$ID\",\"line 1\\n\",137]" ]
}

@test "stop: text, JSON, several ids" {
    start
    run "$rnx" job stop 1111
    expect 0 "Job stopped successfully:" "Status: STOPPED" "Exit Code: 143"
    run "$rnx" job stop --json 1111
    [ "$(jq -c '[.uuid,.status,.exit_code]' <<<"$output")" = "[\"$ID\",\"STOPPED\",143]" ]
    run "$rnx" job stop --json 1111 11111111
    [ "$(jq length <<<"$output")" -eq 2 ]
}

@test "version says that the server answers" {
    start
    run "$rnx" version
    expect 0 "rnx    0." "127.0.0.1:$port answers"
}

@test "certificates: expired, foreign, wrong name, each told apart" {
    start
    declare -A says=([expired]="has expired" [foreign]="did not sign it" [no_eku]="not a client's"
        [server expired]="has expired" [server foreign]="not signed by the CA"
        [server name]="not made for the name 'joblet'")
    for kind in expired foreign no_eku; do
        "certs_client_$kind" "$inst" admin bad.yml
        sed -i "s/address: .*/address: \"127.0.0.1:$port\"/" bad.yml
        run "$rnx" --config bad.yml list
        [ "$status" -eq 1 ]
        has "Error: "
        has "${says[$kind]}"
    done
    cp -a "$inst" other
    sed "s/address: .*/address: \"127.0.0.1:$port\"/" other/config/rnx-config.yml >ok.yml
    chmod 600 ok.yml
    kill -9 "${server_pids[-1]}"
    for kind in expired foreign "name wrong.example"; do
        rm -rf bad && cp -a "$inst" bad
        # shellcheck disable=SC2086
        "certs_server_${kind%% *}" "$PWD/bad" ${kind#* }
        port=$(free_port)
        sed "s/address: .*/address: \"127.0.0.1:$port\"/" other/config/rnx-config.yml >ok.yml
        inst=$PWD/bad start
        run "$rnx" --config ok.yml list
        [ "$status" -eq 1 ]
        has "${says[server ${kind%% *}]}"
        kill -9 "${server_pids[-1]}"
    done
}
