#!/usr/bin/env bats
# A job's bundle is a plain OCI bundle: what the daemon wrote runs under joblet-run and under runc.

load lib.bash

setup_file() {
    # runc 1.1.5 knows no idmapped mounts, which isolation.userns needs.
    instance_new --set isolation.userns=false && instance_start --keep-bundles
}
teardown_file() { instance_end; }

# bundle_of ID: where its config.json is.
bundle_of() { find "$I/jobs/$1" -maxdepth 2 -name config.json -printf '%h\n' | head -n 1; }

run_bundle() { # RUNTIME: the bundle of a job that ended, once more
    local id bundle out=$BATS_TEST_TMPDIR/out status=0
    id=$(job --network=none --max-memory=64 --max-cpu=50 --env=WORD=hello sh -c 'echo $WORD from $(pwd); id -u; exit 3')
    [ "$(ended "$id")" = "FAILED 3" ]
    bundle=$(bundle_of "$id")
    [ -n "$bundle" ] || { find "$I/jobs" | head -50; return 1; }
    "$1" --root "$BATS_TEST_TMPDIR/state" run --bundle "$bundle" "e2e-$$-${1##*/}" >"$out" 2>"$out.err" </dev/null 3>&- || status=$?
    cat "$out" "$out.err"
    [ "$status" -eq 3 ]
    [ "$(cat "$out")" = "hello from /work
65534" ]
    [ -z "$(ls -A "$BATS_TEST_TMPDIR/state" 2>/dev/null)" ]
}

@test "joblet-run runs the bundle that the daemon wrote" {
    run_bundle "$build/joblet-run"
}

@test "runc runs the bundle that the daemon wrote" {
    command -v runc || skip "runc is not installed"
    run_bundle runc
}

@test "crun runs the bundle that the daemon wrote" {
    command -v crun || skip "crun is not installed"
    [ ! -d /sys/fs/cgroup/unified ] || skip "crun refuses cgroups of a hybrid host"
    run_bundle crun
}

@test "without user namespaces, too, a job makes nothing in the root that all jobs have" {
    id=$(job --workdir=/pwned/by/me true)
    [ "$(ended "$id")" = "FAILED 126" ]
    [ "$(output sh -c 'ls -d /pwned 2>/dev/null; echo looked')" = looked ]
}
