#!/usr/bin/env bats
# kill -9 of joblet and joblet-front under load, $KILLS times (20); the issue's figure is 500:
#   KILLS=500 JOBLET_BUILD=... bats tests/scale/kills.bats

load ../e2e/lib.bash

setup_file() {
    here=$(cd "$BATS_TEST_DIRNAME/../e2e" && pwd)
    instance_new --set 'joblet.retention={max_jobs: 0, max_age: 0s}' --set joblet.maxConcurrentJobs=20 && instance_start
}
teardown_file() { instance_end; }

nothing_left() {
    [ -z "$(ls "$I/jobs" | grep -v '^\.')" ] && [ -z "$(ls -A "$I/jobs/.trash")" ] && [ -z "$(ls "$I/run/jobs")" ] &&
        [ -z "$(ls "$I/run/oci")" ] && [ -z "$(ls -A "$I/jobs/.staging" 2>/dev/null)" ] &&
        ! cgroup_dirs | grep -q /job- && no_shims && ! grep -q " $I/" /proc/self/mountinfo
}

@test "every exit code and every log is exact, and nothing is left" {
    PYTHONPATH="$top/tests/e2e:$top/tests/scale" PYTHONDONTWRITEBYTECODE=1 GRPC_VERBOSITY=NONE TMPDIR=$BATS_TEST_TMPDIR \
        $py "$top/tests/scale/kills.py" "$I" "${KILLS:-20}"
    until_true 30 nothing_left || { find "$I/jobs" "$I/run" | head -n 30; cgroup_dirs; false; }
}
