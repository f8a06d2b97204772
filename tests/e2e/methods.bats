#!/usr/bin/env bats
# Every method of the API with input that no client should send, as methods_test.py makes it.

load lib.bash

setup_file() { instance_new && instance_start; }
teardown_file() { instance_end; }

@test "no input to any method gives an internal error or ends a process" {
    before="$(joblet_pid) $(front_pid)"
    PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1 GRPC_VERBOSITY=NONE TMPDIR=$BATS_TEST_TMPDIR \
        $py "$here/methods_test.py" "$RNX_CONFIG" >"$BATS_TEST_TMPDIR/out" || { head -n 30 "$BATS_TEST_TMPDIR/out"; false; }
    cat "$BATS_TEST_TMPDIR/out"
    [ "$(joblet_pid) $(front_pid)" = "$before" ]
    # what was there before is there: the methods that this server has
    for method in RunJob GetJobStatus StopJob CancelJob DeleteJob DeleteAllJobs GetJobLogs ListJobs; do
        grep -q " $method\b" "$BATS_TEST_TMPDIR/out"
    done
    id=$(job echo fine)
    [ "$(rnx job log "$id")" = fine ]
}
