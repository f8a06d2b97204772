#!/usr/bin/env bats
# The README's first command, as a newcomer runs it.

setup_file() {
    export dir=/var/tmp/joblet-quickstart-test.$$
    export script=$BATS_TEST_DIRNAME/../../contrib/quickstart.sh
    "$script" --dir "$dir" >"$BATS_FILE_TMPDIR/first.log" 2>&1 || {
        cat "$BATS_FILE_TMPDIR/first.log" >&2
        return 1
    }
}

teardown_file() {
    "$script" --dir "$dir" --down >/dev/null 2>&1 || true
}

setup() {
    . "$dir/env"
    . "$BATS_TEST_DIRNAME/../lib/until.bash"
}

@test "it shows a report on this machine's packages and a job stopped by its memory limit" {
    log=$BATS_FILE_TMPDIR/first.log
    grep -q "^$(dpkg-query -W -f='${db:Status-Status}\n' | grep -cx installed) packages are installed" "$log"
    grep -q 'Job killed due to memory limit' "$log"
    grep -q 'Exit Code: 0' "$log"
    grep -q 'Exit Code: 137' "$log"
    grep -q 'Five commands to try next' "$log"
}

@test "the five commands work" {
    run rnx job run --wait sh -c 'touch /usr/x; ls -la /work'
    [ "$status" -eq 0 ]
    [[ $output == *"Read-only file system"* ]]
    run rnx job list
    [ "$status" -eq 0 ]
    id=$(rnx job run --json --max-cpu=50 sh -c 'while :; do date; sleep 1; done' | jq -r .id)
    timeout 100 rnx job log "$id" | head -n 1 | grep -q :
    run rnx job stop "$id"
    [ "$status" -eq 0 ]
    [ "$(rnx job status --json "$id" | jq -r .status)" = STOPPED ]
}

@test "run again, it is quick and keeps the jobs" {
    before=$(rnx job list --json | jq length)
    cp -a "$dir/config" "$BATS_TEST_TMPDIR/config"
    run "$script" --dir "$dir"
    [ "$status" -eq 0 ]
    diff -r "$dir/config" "$BATS_TEST_TMPDIR/config" # keys are what takes long
    [ "$(rnx job list --json | jq length)" -eq $((before + 2)) ]
}

@test "the daemon comes back when it is killed" {
    id=$(rnx job run --json sh -c 'sleep 3; exit 9' | jq -r .id)
    pid=$(pgrep -o -f "^$dir/bin/joblet --config") # the oldest: its workers came later
    kill -9 "$pid"
    until_true rnx job list
    run timeout 100 rnx job log "$id"
    [ "$(rnx job status --json "$id" | jq -r '"\(.status) \(.exit_code)"')" = "FAILED 9" ]
}

@test "a directory that is not its own is left alone" {
    mkdir "$BATS_TEST_TMPDIR/mine"
    touch "$BATS_TEST_TMPDIR/mine/file"
    run "$script" --dir "$BATS_TEST_TMPDIR/mine"
    [ "$status" -ne 0 ]
    run "$script" --dir "$BATS_TEST_TMPDIR/mine" --down
    [ "$status" -ne 0 ]
    [ -e "$BATS_TEST_TMPDIR/mine/file" ]
    run "$script" --dir /var/tmp --down
    [ "$status" -ne 0 ]
    touch "$BATS_TEST_TMPDIR/mine/.joblet-quickstart"
    chown 12345 "$BATS_TEST_TMPDIR/mine"
    run "$script" --dir "$BATS_TEST_TMPDIR/mine" --down
    [ "$status" -ne 0 ]
    [[ $output == *"belongs to another user"* ]]
    chown 0 "$BATS_TEST_TMPDIR/mine"
    chmod 0777 "$BATS_TEST_TMPDIR/mine"
    run "$script" --dir "$BATS_TEST_TMPDIR/mine" --down
    [ "$status" -ne 0 ]
    [ -e "$BATS_TEST_TMPDIR/mine/file" ]
}

@test "--down removes all of it, with a job still running" {
    rnx job run sleep 300
    run "$script" --dir "$dir" --down
    [ "$status" -eq 0 ]
    [ ! -e "$dir" ]
    [ -z "$(pgrep -a -f "^$dir/")" ]
    [ -z "$(find /sys/fs/cgroup -maxdepth 3 -name "quickstart-$(printf %s "$dir" | cksum | cut -d' ' -f1)")" ]
    run "$script" --dir "$dir" --down
    [ "$status" -eq 0 ]
}
