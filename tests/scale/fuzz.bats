#!/usr/bin/env bats
# The API and the front-core channel, fuzzed for $FUZZ_SECONDS each (3); the issue's figure is 600:
#   FUZZ_SECONDS=600 JOBLET_BUILD=... bats tests/scale/fuzz.bats

load ../e2e/lib.bash

setup() { here=$(cd "$BATS_TEST_DIRNAME/../e2e" && pwd); }
teardown() { instance_end; }

fuzz() {
    local program=$1
    shift
    PYTHONPATH="$top/tests/e2e:$top/tests/scale" PYTHONDONTWRITEBYTECODE=1 GRPC_VERBOSITY=NONE \
        JOBLET_BUILD=$build $py "$top/tests/scale/$program" "$@"
}

@test "a fuzzer of the front-core channel finds nothing" {
    fuzz fuzz_link.py "${FUZZ_SECONDS:-3}"
}

@test "a fuzzer of the API finds nothing" {
    instance_new --set joblet.stopGrace=1s && instance_start
    before="$(joblet_pid) $(front_pid)"
    fuzz fuzz_api.py "$RNX_CONFIG" "${FUZZ_SECONDS:-3}"
    [ "$(joblet_pid) $(front_pid)" = "$before" ]
    run ! grep -E 'AddressSanitizer|runtime error:' "$I/logs/joblet.log"
    for name in a b; do rnx volume remove "$name" 2>/dev/null || true; done
    id=$(job echo fine)
    [ "$(rnx job log "$id")" = fine ]
}
