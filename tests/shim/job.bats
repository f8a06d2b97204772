#!/usr/bin/env bats
# A job's life under joblet-shim: its code, its output, its end.

load lib.bash

setup_file() { file_setup; }
teardown_file() { file_teardown; }
teardown() { job_teardown; }

@test "a job's output, exit code and record" {
    bundle sh -c 'echo out; echo err >&2; exit 3'
    run_job
    [[ $sync == running\ * ]]
    [ "$(job_log stdout)" = out ]
    [ "$(job_log stderr)" = err ]
    [ "$(record kind)" = code ]
    [ "$(record value)" = 3 ]
    [ "$(record log_bytes)" = 8 ]
    [ "$(record log_dropped_bytes)" = 0 ]
    [ "$(record stop_requested)" = 0 ]
    [ "$(record error_text)" = "" ]
    [ "$(record started_wall_ns)" -gt 1700000000000000000 ]
    [ "$(record ended_wall_ns)" -ge "$(record started_wall_ns)" ]
    [ "$(wc -c <"$dir/log/output.0.log")" = 8 ]
    [ "$(head -1 "$dir/state/exit")" = "joblet-exit 1" ]
    nothing_left
}
