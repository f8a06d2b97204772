#!/usr/bin/env bats
# $SLEEPERS jobs (30) that sleep at once: their memory, and that nothing wakes up. The issue's figure:
#   SLEEPERS=1000 JOBLET_BUILD=... bats tests/scale/sleepers.bats

load ../e2e/lib.bash

setup_file() {
    here=$(cd "$BATS_TEST_DIRNAME/../e2e" && pwd)
    instance_new --set joblet.stopGrace=1s && instance_start
}
teardown_file() { instance_end; }

@test "jobs that sleep cost little memory and no time" {
    PYTHONPATH="$top/tests/e2e" PYTHONDONTWRITEBYTECODE=1 GRPC_VERBOSITY=NONE TMPDIR=$BATS_TEST_TMPDIR \
        $py "$top/tests/scale/sleepers.py" "$I" "${SLEEPERS:-30}" >&3
    rnx job list --json | jq -r '.[] | select(.status == "RUNNING") | .id' | xargs -n 50 -P 4 rnx job stop >/dev/null
}
