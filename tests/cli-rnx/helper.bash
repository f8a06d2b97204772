# What every bats file of rnx needs: a private HOME, no RNX_* of the caller, the program itself.
load_common() {
    top=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    rnx=${JOBLET_BUILD:-$top/build/test/gcc}/rnx
    [ -x "$rnx" ] || skip "no rnx in ${JOBLET_BUILD:-$top/build/test/gcc}"
    unset RNX_CONFIG RNX_SERVER RNX_NODE RNX_OUTPUT_FORMAT RNX_NO_COLOR RNX_TIMEOUT NO_COLOR
    export HOME=$BATS_TEST_TMPDIR/home TZ=UTC LC_ALL=C.UTF-8
    mkdir -p "$HOME"
    cd "$BATS_TEST_TMPDIR" || return 1
    # shellcheck source=../lib/certs.bash
    source "$top/tests/lib/certs.bash"
    source "$top/tests/lib/until.bash"
}

# One instance's certificates for a whole file, in $inst; conf is the admin's file. The port is one
# where nothing listens.
make_instance() {
    inst=$BATS_FILE_TMPDIR/inst
    conf=$inst/config/rnx-config.yml
    [ -f "$conf" ] || certs_make "$inst" --port "$(free_port)"
}

free_port() {
    /usr/bin/python3 -c 'import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# has TEXT: $output holds it
has() {
    [[ $output == *"$1"* ]] || { printf 'no "%s" in:\n%s\n' "$1" "$output" >&2; return 1; }
}

hasnt() {
    [[ $output != *"$1"* ]] || { printf 'there is "%s" in:\n%s\n' "$1" "$output" >&2; return 1; }
}

# expect STATUS TEXT...: how `run` ended and what it printed. (`[ ] && has` in the middle of a test
# would not fail it: bash lets a failed && pass.)
expect() {
    local want=$1 text
    shift
    [ "$status" -eq "$want" ] || { printf 'status %s, not %s:\n%s\n' "$status" "$want" "$output" >&2; return 1; }
    for text in "$@"; do has "$text" || return 1; done
}
