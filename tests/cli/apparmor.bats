#!/usr/bin/env bats
# apparmorProfile and exec --apparmor, where the kernel has AppArmor switched on.

load lib.bash

setup_file() { file_setup; }
teardown_file() { file_teardown; }
setup() {
    job_setup
    grep -qs Y /sys/module/apparmor/parameters/enabled || skip "no AppArmor in this kernel"
    command -v apparmor_parser >/dev/null || skip "no apparmor_parser"
    policy=/sys/kernel/security/apparmor
    [ -e $policy/profiles ] || mount -t securityfs securityfs /sys/kernel/security
    printf 'profile joblet-test flags=(attach_disconnected) { file, capability, signal, deny /work/** w, }\n' |
        apparmor_parser --replace --skip-cache
}
teardown() {
    job_teardown
    [ -z "${policy-}" ] || printf joblet-test >$policy/.remove
}

# bats test_tags=smoke
@test "apparmorProfile: the process is under it, whatever its /proc says, and so is exec's" {
    bundle '.process.apparmorProfile = "joblet-test"' sh -c 'cat /proc/self/attr/current; echo x >/work/a; exec sleep 1000'
    detach
    until_true said "joblet-test (enforce)"
    until_true grep -q "Permission denied" "$BATS_TEST_TMPDIR/err"
    equals "$(cat "/proc/$(container_pid)/attr/current")" "joblet-test (enforce)"
    run --separate-stderr rt exec "$id" cat /proc/self/attr/current
    equals "$output" "joblet-test (enforce)"
}

# bats test_tags=smoke
@test "exec --apparmor: its process alone, in a user namespace too" {
    local filter
    for filter in . userns; do
        bundle "$filter" sleep 1000
        detach
        run --separate-stderr rt exec --apparmor joblet-test "$id" cat /proc/self/attr/current
        equals "$output" "joblet-test (enforce)"
        equals "$(cat "/proc/$(container_pid)/attr/current")" unconfined
        rt delete --force "$id"
    done
}

# bats test_tags=smoke
@test "a profile that is not loaded is refused with the way to load it" {
    bundle '.process.apparmorProfile = "joblet-nobody"' true
    try
    equals "$status" 1
    contains "$stderr" "process.apparmorProfile"
    contains "$stderr" "apparmor_parser"
    nothing_left
}
