# verdict.bash - for files whose cases a python program runs all at once: each case has its name and
# verdict here, from the program's TAP in $BATS_FILE_TMPDIR/result.

export GRPC_ENABLE_FORK_SUPPORT=0 # python's gRPC 1.51 deadlocks in a fork beside a call that ends

# run_cases PROGRAM: runs it once, from setup_file.
run_cases() {
    PYTHONFAULTHANDLER=1 /usr/bin/python3 "$BATS_TEST_DIRNAME/$1" >"$BATS_FILE_TMPDIR/result" \
        2>"$BATS_FILE_TMPDIR/errors" || echo "$1 ended with status $?" >>"$BATS_FILE_TMPDIR/errors"
}

# verdict CASE: what the program said about it.
verdict() {
    local line
    if line=$(grep -E "^ok [0-9]+ $1( |\$)" "$BATS_FILE_TMPDIR/result"); then
        [[ $line != *" # skip "* ]] || skip "${line#* # skip }"
        return 0
    fi
    sed -n "/^not ok [0-9]* $1\$/,/^[a-z]/p" "$BATS_FILE_TMPDIR/result"
    tail -n 40 "$BATS_FILE_TMPDIR/errors"
    return 1
}

# Every case that the program ran has a line in the file.
no_case_is_missing() {
    local missing
    missing=$(sed -n 's/^\(not \)\{0,1\}ok [0-9]* \([a-z0-9_]*\).*/\2/p' "$BATS_FILE_TMPDIR/result" |
        while read -r name; do grep -q "verdict $name\$" "$BATS_TEST_FILENAME" || echo "$name"; done)
    [ -s "$BATS_FILE_TMPDIR/result" ] && [ -z "$missing" ] || {
        echo "$missing"
        cat "$BATS_FILE_TMPDIR/errors"
        return 1
    }
}
