#!/usr/bin/env bats
# joblet (core) with real jobs and a front that is the test. The cases are in core_test.py, which
# runs them all once; here each has its name and its verdict.

load verdict

setup_file() {
    [ "$(id -u)" -eq 0 ] || skip "needs root: it runs jobs"
    run_cases core_test.py
}

@test "core_test.py has no case without a line here" {
    no_case_is_missing
}

@test "core: a job runs and its record tells" {
    verdict a_job_runs_and_its_record_tells
}

@test "core: the job is isolated and limited" {
    verdict the_job_is_isolated_and_limited
}

@test "core: a memory limit ends the job and says so" {
    verdict a_memory_limit_ends_the_job_and_says_so
}

@test "core: a time limit ends the job" {
    verdict a_time_limit_ends_the_job
}

@test "core: core checks the role again" {
    verdict core_checks_the_role_again
}

@test "core: refusals that repeat are counted in the audit file" {
    verdict refusals_that_repeat_are_counted_in_the_audit_file
}

@test "core: what front refused is in the audit file and is not served" {
    verdict what_front_refused_is_in_the_audit_file_and_is_not_served
}

@test "core: a session is whole once, and only its own client says so" {
    verdict a_session_is_whole_once_and_only_its_own_client_says_so
}

@test "core: a request that makes no sense is refused" {
    verdict a_request_that_makes_no_sense_is_refused
}

@test "core: ids may be short but not ambiguous" {
    verdict ids_may_be_short_but_not_ambiguous
}

@test "core: stop answers when the job has ended" {
    verdict stop_answers_when_the_job_has_ended
}

@test "core: those who wait for an end have a ceiling" {
    verdict those_who_wait_for_an_end_have_a_ceiling
}

@test "core: waiting jobs go by priority and age" {
    verdict waiting_jobs_go_by_priority_and_age
}

@test "core: uploads become the jobs own" {
    verdict uploads_become_the_jobs_own
}

@test "core: a staged tree that is not plain is refused" {
    verdict a_staged_tree_that_is_not_plain_is_refused
}

@test "core: what front holds open adds nothing to a job" {
    verdict what_front_holds_open_adds_nothing_to_a_job
}

@test "core: others on the host find no job" {
    verdict others_on_the_host_find_no_job
}

@test "core: the shared root follows the host" {
    verdict the_shared_root_follows_the_host
}

@test "core: directories are made ahead" {
    verdict directories_are_made_ahead
}

@test "core: a refused job does not run later" {
    verdict a_refused_job_does_not_run_later
}

@test "core: waiting jobs have a ceiling" {
    verdict waiting_jobs_have_a_ceiling
}

@test "core: large requests are in the database and not in memory" {
    verdict large_requests_are_in_the_database_and_not_in_memory
}

@test "core: requests that are stored have a ceiling and a share" {
    verdict requests_that_are_stored_have_a_ceiling_and_a_share
}

@test "core: a session belongs to its client" {
    verdict a_session_belongs_to_its_client
}

@test "core: uploads do not begin with the last inodes" {
    verdict uploads_do_not_begin_with_the_last_inodes
}

@test "core: a front that talks nonsense is replaced" {
    verdict a_front_that_talks_nonsense_is_replaced
}

@test "core: kill 9 of core costs no line and no exit code" {
    verdict kill_9_of_core_costs_no_line_and_no_exit_code
}

@test "core: kill 9 again and again while jobs come" {
    verdict kill_9_again_and_again_while_jobs_come
}

@test "core: a job that ends while core is away is not lost" {
    verdict a_job_that_ends_while_core_is_away_is_not_lost
}

@test "core: a clean stop leaves jobs running" {
    verdict a_clean_stop_leaves_jobs_running
}

@test "core: a stop that was asked before the kill holds" {
    verdict a_stop_that_was_asked_before_the_kill_holds
}

@test "core: a job whose shim is killed is lost and nothing stays" {
    verdict a_job_whose_shim_is_killed_is_lost_and_nothing_stays
}

@test "core: every operation by every role straight at core" {
    verdict every_operation_by_every_role_straight_at_core
}

@test "core: ids of a job that is being cleaned away are not another's" {
    verdict ids_of_a_job_that_is_being_cleaned_away_are_not_anothers
}

@test "core: a start that a kill broke off is made again" {
    verdict a_start_that_a_kill_broke_off_is_made_again
}

@test "core: a shim that joblet did not live to see is waited for" {
    verdict a_shim_that_joblet_did_not_live_to_see_is_waited_for
}

@test "core: a start that a reboot broke off is lost" {
    verdict a_start_that_a_reboot_broke_off_is_lost
}

@test "core: followed logs take none of roots watches" {
    verdict followed_logs_take_none_of_roots_watches
}

@test "core: a log with a ceiling keeps its end" {
    verdict a_log_with_a_ceiling_keeps_its_end
}

@test "core: a shim that is killed at a new segment leaves a whole log" {
    verdict a_shim_that_is_killed_at_a_new_segment_leaves_a_whole_log
}

@test "core: a job of another boot is lost" {
    verdict a_job_of_another_boot_is_lost
}

@test "core: what belongs to no job is swept away" {
    verdict what_belongs_to_no_job_is_swept_away
}

@test "core: a group that does not die holds up nobody" {
    verdict a_group_that_does_not_die_holds_up_nobody
}

@test "core: a second core on one prefix is refused" {
    verdict a_second_core_on_one_prefix_is_refused
}

@test "core: a damaged database stops the start" {
    verdict a_damaged_database_stops_the_start
}

@test "core: the bundle runs under other runtimes" {
    verdict the_bundle_runs_under_other_runtimes
}

@test "core: retention forgets the oldest" {
    verdict retention_forgets_the_oldest
}

@test "core: an io limit names the disks or fails" {
    verdict an_io_limit_names_the_disks_or_fails
}

@test "core: core leaves the group of its jobs" {
    verdict core_leaves_the_group_of_its_jobs
}

@test "core: without the init the command is process 1" {
    verdict without_the_init_the_command_is_process_1
}

@test "core: a waiting job keeps its uploads and secrets" {
    verdict a_waiting_job_keeps_its_uploads_and_secrets
}
