#!/usr/bin/env bats
# joblet-front alone, between a python gRPC client and a core that does what the test says. The
# cases are in front_test.py, which runs them all once; here each has its name and its verdict.

load verdict

setup_file() {
    [ "$(id -u)" -eq 0 ] || skip "needs root: joblet-front is started as another user"
    run_cases front_test.py
}

@test "front_test.py has no case without a line here" {
    no_case_is_missing
}

@test "front: a role decides what is called" {
    verdict a_role_decides_what_is_called
}

@test "front: who may not call is refused before his message" {
    verdict who_may_not_call_is_refused_before_his_message
}

@test "front: a certificate without a role may do nothing" {
    verdict a_certificate_without_a_role_may_do_nothing
}

@test "front: foreign expired and missing certificates are refused by tls" {
    verdict foreign_expired_and_missing_certificates_are_refused_by_tls
}

@test "front: tls 1 2 and plain text are refused" {
    verdict tls_1_2_and_plain_text_are_refused
}

@test "front: core is told of each refusal that it does not know" {
    verdict core_is_told_of_each_refusal_that_it_does_not_know
}

@test "front: an unknown method is named" {
    verdict an_unknown_method_is_named
}

@test "front: health needs no role" {
    verdict health_needs_no_role
}

@test "front: core learns who asks" {
    verdict core_learns_who_asks
}

@test "front: answers of every size come whole" {
    verdict answers_of_every_size_come_whole
}

@test "front: an error of core is the clients error" {
    verdict an_error_of_core_is_the_clients_error
}

@test "front: a silent core is not waited for forever" {
    verdict a_silent_core_is_not_waited_for_forever
}

@test "front: core gets what was understood not what came" {
    verdict core_gets_what_was_understood_not_what_came
}

@test "front: malformed requests are refused" {
    verdict malformed_requests_are_refused
}

@test "front: random bytes do no harm" {
    verdict random_bytes_do_no_harm
}

@test "front: a message over the limit is refused" {
    verdict a_message_over_the_limit_is_refused
}

@test "front: many requests are in flight at once" {
    verdict many_requests_are_in_flight_at_once
}

@test "front: uploads are written and core gets names alone" {
    verdict uploads_are_written_and_core_gets_names_alone
}

@test "front: bad upload paths are refused and leave nothing" {
    verdict bad_upload_paths_are_refused_and_leave_nothing
}

@test "front: a symlink in the staging directory is not followed" {
    verdict a_symlink_in_the_staging_directory_is_not_followed
}

@test "front: ten thousand small files are one request" {
    verdict ten_thousand_small_files_are_one_request
}

@test "front: a large upload costs its size once and holds up nobody" {
    verdict a_large_upload_costs_its_size_once_and_holds_up_nobody
}

@test "front: large requests together have a ceiling" {
    verdict large_requests_together_have_a_ceiling
}

@test "front: a message that is much too large is not taken in" {
    verdict a_message_that_is_much_too_large_is_not_taken_in
}

@test "front: a refused job gives its uploads back" {
    verdict a_refused_job_gives_its_uploads_back
}

@test "front: a client that vanishes leaves no staging" {
    verdict a_client_that_vanishes_leaves_no_staging
}

@test "front: a full disk is told with the file" {
    verdict a_full_disk_is_told_with_the_file
}

@test "front: the last inodes are not taken by uploads" {
    verdict the_last_inodes_are_not_taken_by_uploads
}

@test "front: history and then what comes live" {
    verdict history_and_then_what_comes_live
}

@test "front: without inotify live lines come all the same" {
    verdict without_inotify_live_lines_come_all_the_same
}

@test "front: a hundred thousand lines come once in order in few messages" {
    verdict a_hundred_thousand_lines_come_once_in_order_in_few_messages
}

@test "front: live lines come once and in order to every reader" {
    verdict live_lines_come_once_and_in_order_to_every_reader
}

@test "front: reading goes on after any sequence" {
    verdict reading_goes_on_after_any_sequence
}

@test "front: the last lines over segments" {
    verdict the_last_lines_over_segments
}

@test "front: what a ceiling took is told, and the rest comes" {
    verdict what_a_ceiling_took_is_told_and_the_rest_comes
}

@test "front: followers meet a ceiling where they are" {
    verdict followers_meet_a_ceiling_where_they_are
}

@test "front: no follow ends at what is stored" {
    verdict no_follow_ends_at_what_is_stored
}

@test "front: a job that has not begun is waited for" {
    verdict a_job_that_has_not_begun_is_waited_for
}

@test "front: the end comes although the shim died" {
    verdict the_end_comes_although_the_shim_died
}

@test "front: a log does not end before its job" {
    verdict a_log_does_not_end_before_its_job
}

@test "front: an unknown job has no log" {
    verdict an_unknown_job_has_no_log
}

@test "front: a damaged log says so" {
    verdict a_damaged_log_says_so
}

@test "front: two hundred streams and a slow reader" {
    verdict two_hundred_streams_and_a_slow_reader
}

@test "front: streams have a ceiling" {
    verdict streams_have_a_ceiling
}

@test "front: a core that dies ends every call" {
    verdict a_core_that_dies_ends_every_call
}

@test "front: sigterm ends it cleanly" {
    verdict sigterm_ends_it_cleanly
}

@test "front: a port in use is named" {
    verdict a_port_in_use_is_named
}

@test "front: it refuses root arguments and a missing core" {
    verdict it_refuses_root_arguments_and_a_missing_core
}

@test "front: it has given everything up" {
    verdict it_has_given_everything_up
}

@test "front: streams of metrics count among the streams" {
    verdict streams_of_metrics_count_among_the_streams
}

@test "front: calls without a message have a ceiling" {
    verdict calls_without_a_message_have_a_ceiling
}

@test "front: who begins a call goes on with it" {
    verdict who_begins_a_call_goes_on_with_it
}

@test "front: one certificate cannot have all uploads" {
    verdict one_certificate_cannot_have_all_uploads
}

@test "front: answers that are not fetched have a ceiling" {
    verdict answers_that_are_not_fetched_have_a_ceiling
}

@test "front: an answer that is not fetched is cut" {
    verdict an_answer_that_is_not_fetched_is_cut
}

@test "front: connections have a ceiling" {
    verdict connections_have_a_ceiling
}

@test "front: one certificate cannot have all connections" {
    verdict one_certificate_cannot_have_all_connections
}

@test "front: who speaks slowly does not stay" {
    verdict who_speaks_slowly_does_not_stay
}
