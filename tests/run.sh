#!/usr/bin/env bash
# tests/run.sh [--no-install] [SUITE...] - from a fresh Debian 12 machine to every test that it can
# run. Suites, in this order when none is named:
#
#   build   gcc with -Werror, and clang with -Werror
#   check   unit tests, fuzz corpora, lint          (make check)
#   cli     joblet-run and rnx on the command line  (bats)
#   conformance  each requirement of the OCI runtime specification, of which none may hold with
#           /bin/true in the runtime's place
#   shim    joblet-shim with real containers        (bats)
#   engines podman, docker, ctr and srun with joblet-run
#   inject  joblet-run killed, and failing, at each of its system calls
#   e2e     the whole daemon with rnx and a python gRPC client
#   escape  jobs that try to get out of the daemon's walls
#   asan    the unit tests and corpora once more with AddressSanitizer and UBSan
#   dist    make distcheck
#   vm      cgroup v2 and systemd in a qemu guest
#   leaks   nothing is left behind by all of the above
#
# Builds in build/ below the tree. Ends with "N passed, N failed, N skipped"; exit 1 when a test
# failed. Environment: JOBLET_TEST_VERBOSE=1 shows each suite's whole output.
set -u
cd "$(dirname "$0")/.." || exit 1
top=$PWD
build=$top/build/test
started=$(date +%s)
pass=0 fail=0 skip=0
failures=() skips=()

install=yes
[ "${1-}" = --no-install ] && { install=no; shift; }
suites=("$@")
[ $# -gt 0 ] || suites=(build check cli conformance shim inject engines e2e escape asan dist vm leaks)
wants() { [[ " ${suites[*]} " == *" $1 "* ]]; }

say() { printf '\n== %s (%d s)\n' "$*" $(($(date +%s) - started)); }

die() {
    printf 'tests/run.sh: %s\n' "$*" >&2
    printf '\n%d passed, %d failed, %d skipped\n' "$pass" $((fail + 1)) "$skip"
    exit 1
}

# tap NAME LOG STATUS: adds up a TAP log. A runner that failed without a failed test counts as one.
tap() {
    local ok not_ok skipped
    skipped=$(grep -ciE '^ok .*# *skip' "$2")
    ok=$(($(grep -c '^ok ' "$2") - skipped))
    not_ok=$(grep -c '^not ok ' "$2")
    pass=$((pass + ok)) fail=$((fail + not_ok)) skip=$((skip + skipped))
    while IFS= read -r line; do skips+=("$1: $line"); done < <(grep -iE '^ok .*# *skip' "$2" | sed 's/^ok [0-9]* *//')
    while IFS= read -r line; do failures+=("$1: $line"); done < <(grep '^not ok ' "$2" | sed 's/^not ok [0-9]* *//')
    if [ "$3" -ne 0 ] && [ "$not_ok" -eq 0 ]; then
        fail=$((fail + 1)) failures+=("$1: the runner ended with status $3")
        tail -n 40 "$2"
    elif [ "$not_ok" -gt 0 ]; then
        grep -vE '^ok ' "$2" | uniq | head -n 200 # a poll may say the same a thousand times
    elif [ $((ok + skipped)) -eq 0 ]; then
        fail=$((fail + 1)) failures+=("$1: ran no test")
    fi
    printf '%s: %d passed, %d failed, %d skipped\n' "$1" "$ok" "$not_ok" "$skipped"
    [ -z "${JOBLET_TEST_VERBOSE-}" ] || cat "$2"
}

# one NAME COMMAND...: a step that passes or fails as a whole.
one() {
    local name=$1 log=$build/logs/${1// /-}.log
    shift
    if "$@" >"$log" 2>&1 </dev/null; then
        pass=$((pass + 1))
        echo "$name: passed"
    else
        fail=$((fail + 1)) failures+=("$name: see $log")
        tail -n 60 "$log"
        return 1
    fi
}

# bats_suite NAME FILE...: two files at a time, the long ones first, because most cases wait more than
# they work; the cases of a file come one after the other. Some compare the mounts before and after,
# so each file has its own.
bats_suite() {
    local name=$1 log=$build/logs/$1.tap parts=$build/logs/$1 status
    shift
    [ $# -gt 0 ] || return 0
    mkdir "$parts"
    ls -S "$@" | xargs -P 2 -I {} "${under[@]}" bash -c \
        'bats --formatter tap --timing "${@:3}" "$1" >"$2/${1##*/}.tap" 2>&1 </dev/null' \
        bats {} "$parts" "${flags[@]}"
    status=$?
    cat "$parts"/*.tap >"$log"
    tap "$name" "$log" $status
}
apart=(unshare --mount --propagation private --)
under=("${apart[@]}") flags=()
# The daemon as it comes, with jobs on the network `bridge`, and the machine's network untouched.
networks() { under=(env JOBLET_TEST_NETWORK=bridge unshare --net -- sh -c 'ip link set lo up && exec "$@"' sh); }

configure() ( # DIR [ARGUMENT...]
    dir=$1
    shift
    mkdir -p "$dir" && cd "$dir" && "$top/configure" --silent --enable-werror "$@"
)

# Adds up cmocka's cases and the tests that are not cmocka's from a `make check` in DIR.
check_results() { # NAME DIR
    local log=$build/logs/$1.tap
    : >"$log"
    (cd "$2" && find tests -name '*.trs' | sort) | while read -r trs; do
        local base=${trs%.trs} result
        result=$(sed -n 's/^:test-result: //p' "$2/$trs")
        if grep -q '^\[==========\] Running' "$2/$base.log"; then
            # cmocka; the line before a skip is its reason
            awk -v base="$base" '
                /test\(s\) run\.$/ { exit }
                /^\[ RUN      \]/ { said = ""; next }
                /^\[       OK \]/ { print "ok 1 " base ": " $4; next }
                /^\[  SKIPPED \]/ { print "ok 1 " base ": " $4 " # skip " said; next }
                /^\[  FAILED  \]/ { print "not ok 1 " base ": " $4; next }
                { said = $0 }' "$2/$base.log" >>"$log"
            [ "$result" = PASS ] || grep -q "^not ok 1 $base" "$log" || echo "not ok 1 $base" >>"$log"
        else
            case $result in
            PASS) echo "ok 1 $base" >>"$log" ;;
            SKIP) echo "ok 1 $base # skip $(head -n 1 "$2/$base.log")" >>"$log" ;;
            *) echo "not ok 1 $base" >>"$log" ;;
            esac
        fi
        grep -q "^not ok 1 $base" "$log" && tail -n 40 "$2/$base.log"
    done
    tap "$1" "$log" 0
}

[ "$(id -u)" -eq 0 ] || die "run as root: the tests make containers (a rootless run is not offered yet)"
if [ $install = yes ]; then
    packages=(contrib/packages.build contrib/packages.test)
    wants engines && packages+=(contrib/packages.engines)
    wants vm && [ -f tests/vm/host-packages ] && packages+=(tests/vm/host-packages)
    say "packages"
    sh contrib/install-packages "${packages[@]}" || die "the packages above could not be installed"
fi
mkdir -p "$build/logs"
rm -rf "$build"/logs/*
tests/lib/leaks snapshot "$build/logs/before"
TMPDIR=$(mktemp -d /tmp/jlt.XXXXXX) # short: unix sockets have paths of at most 107 bytes
chmod 0711 "$TMPDIR" # joblet-front, which is not root, must get through
export TMPDIR
export GRPC_ENABLE_FORK_SUPPORT=0 # python's gRPC 1.51 deadlocks in a fork beside a call that ends
trap 'rm -rf "$TMPDIR"' EXIT

# Making the guest's image is mostly waiting for a mirror; run-suite waits for what is under way.
if wants vm; then
    tests/vm/vm-build >"$build/logs/vm-build.log" 2>&1 </dev/null &
fi

say "build"
one autogen ./autogen.sh || die "autogen.sh failed"
one configure configure "$build/gcc" CC=gcc || die "configure failed; see $build/gcc/config.log"
one build-gcc make -C "$build/gcc" -j"$(nproc)" all || die "the build failed"
if wants build; then
    one configure-clang configure "$build/clang" CC=clang &&
        one build-clang make -C "$build/clang" -j"$(nproc)" all
fi
export JOBLET_BUILD=$build/gcc
export JOBLET_RUN=$JOBLET_BUILD/joblet-run

if wants check; then
    say "check"
    make -C "$build/gcc" -k -j"$(nproc)" check >"$build/logs/make-check.log" 2>&1 </dev/null ||
        grep -E '^(FAIL|ERROR)|Error|error:' "$build/logs/make-check.log" | head -n 40
    check_results check "$build/gcc"
fi
shopt -s nullglob
if wants cli; then
    say "cli"
    bats_suite cli tests/cli/*.bats
    bats_suite cli-rnx tests/cli-rnx/*.bats
fi
if wants conformance; then
    say "conformance"
    flags=(--filter-tags '!deviation')
    bats_suite conformance tests/conformance/*.bats
    flags=()
    one conformance-none tests/conformance/report none
fi
if wants shim; then
    say "shim"
    bats_suite shim tests/shim/*.bats
fi
if wants engines; then
    say "engines"
    bats_suite engines tests/engines/*.bats
fi
if wants inject; then
    say "inject"
    one inject-programs make -C "$build/gcc" -j"$(nproc)" inject-programs &&
        bats_suite inject tests/inject/*.bats
fi
if wants e2e; then
    say "e2e"
    networks
    bats_suite e2e tests/e2e/*.bats
    under=("${apart[@]}")
fi
if wants escape; then
    say "escape"
    one escape-programs make -C "$build/gcc" -j"$(nproc)" escape-programs &&
        networks && bats_suite escape tests/escape/*.bats
    under=("${apart[@]}")
fi
if wants asan; then
    say "asan"
    if one configure-asan configure "$build/asan" --enable-sanitizers; then
        make -C "$build/asan" -k -j"$(nproc)" check >"$build/logs/make-check-asan.log" 2>&1 </dev/null ||
            grep -E '^(FAIL|ERROR)|error:' "$build/logs/make-check-asan.log" | head -n 40
        check_results asan "$build/asan"
    fi
fi
if wants dist; then
    say "dist"
    one distcheck make -C "$build/gcc" -j"$(nproc)" distcheck
fi
if wants vm; then
    say "vm"
    tests/vm/run-suite >"$build/logs/vm.tap" 2>&1 </dev/null
    tap vm "$build/logs/vm.tap" $?
fi
if wants leaks; then
    say "leaks"
    rm -rf "$TMPDIR"
    one leaks tests/lib/leaks compare "$build/logs/before"
fi

say "end"
[ ${#skips[@]} -eq 0 ] || { echo "skipped:"; printf '  %s\n' "${skips[@]}"; }
[ ${#failures[@]} -eq 0 ] || { echo "failed:"; printf '  %s\n' "${failures[@]}"; }
printf '\n%d passed, %d failed, %d skipped\n' "$pass" "$fail" "$skip"
[ "$fail" -eq 0 ]
