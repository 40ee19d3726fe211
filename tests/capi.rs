//! The C interface, used from C: the programs are in `tests/capi`, the servers here.

#[path = "capi/declarations.rs"]
mod declarations;
#[path = "capi/driver.rs"]
mod driver;
#[path = "capi/garbage.rs"]
mod garbage;
#[path = "capi/library.rs"]
mod library;

mod common;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use driver::Servers;

/// The program that has all functions, but for those about hiredis, which are one of their own.
fn program() -> &'static Path {
    const SOURCES: [&str; 14] = [
        "check",
        "commands",
        "events",
        "factories",
        "failovers",
        "forks",
        "lifetimes",
        "main",
        "options",
        "pipelines",
        "replies",
        "streams",
        "subscriptions",
        "threads",
    ];
    static PROGRAM: LazyLock<PathBuf> =
        LazyLock::new(|| library::program("capi", &SOURCES.map(source)));
    &PROGRAM
}

fn source(name: &str) -> PathBuf {
    library::root().join(format!("tests/capi/{name}.c"))
}

/// The one that has those about hiredis, built with what `tests/hiredis` finds.
fn program_on_hiredis() -> &'static Path {
    static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
        let found = library::finish(&mut Command::new(library::root().join("tests/hiredis")));
        let (compiling, linking) = found.split_once('\n').expect("two lines");
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let options = [words(compiling), words("-DON_HIREDIS")].concat();
        let sources = ["check", "hiredis", "main"].map(source);
        library::program_with("capi-hiredis", &options, &sources, &words(linking))
    });
    &PROGRAM
}

/// Names the functions of a program, and the servers that each of them gets.
macro_rules! functions {
    ($program:path: $($servers:expr => [$($name:ident)*])*) => {
        $($(
            #[test]
            fn $name() {
                driver::run($program(), stringify!($name), &$servers);
            }
        )*)*

        #[test]
        fn every_function_of_the_program_is_run() {
            let listed = library::finish(&mut Command::new($program()));
            let listed: BTreeSet<&str> = listed.lines().collect();
            assert_eq!(listed, BTreeSet::from([$($(stringify!($name),)*)*]));
        }
    };
}

mod on_hiredis {
    use super::*;

    functions! {
        program_on_hiredis:
        Servers::Shared => [
            commands_pipelines_and_transactions_work_on_a_context
            what_a_context_sets_on_the_socket_ends_with_its_handle
            a_context_cannot_reconnect_and_fails_cleanly_from_then_on
            options_that_a_context_sets_work_and_end_with_its_handle
            no_context_is_made_of_what_is_no_handle
        ]
        Servers::own() => [
            a_context_goes_on_at_the_next_master
            a_context_in_blpop_wakes_from_a_frozen_master
            a_subscribed_context_gets_messages_until_the_switch
            a_subscribed_context_gets_pushes_until_the_switch
        ]
    }
}

mod in_c {
    use super::*;

    functions! {
        program:
        Servers::Shared => [
            it_goes_as_in_the_example
            an_error_reply_is_a_reply
            words_may_hold_any_bytes
            words_that_are_missing_are_told
            commands_whose_replies_cannot_be_told_apart_are_refused
            resp_is_exchanged_as_it_is
            a_handle_that_was_released_is_told
            a_handle_outlives_its_factory_and_says_so

            a_thousand_commands_bring_a_thousand_replies_in_order
            an_error_in_the_middle_is_one_reply_of_many
            a_command_waits_until_the_pipeline_is_taken
            what_is_appended_meanwhile_comes_after_what_was_sent
            replies_that_nobody_took_are_dropped_at_the_release
            a_command_that_cannot_be_appended_leaves_the_pipeline_as_it_was

            a_real_server_answers_in_both_protocols
            replies_are_read_and_freed_by_other_threads_after_everything_ended

            a_stream_passes_in_pieces_of_any_size
            a_caller_waits_at_the_descriptor_and_not_in_the_call
            the_time_that_is_left_is_told_and_over_then
            nothing_is_received_where_nothing_is_to_come
            a_handle_with_state_is_not_clean

            options_are_set_by_name_and_value
            options_are_told_as_they_are_set
            a_factory_opens_without_any_url
            values_that_are_not_allowed_are_quoted_unless_they_are_secret
            urls_that_cannot_be_read_are_quoted_without_the_password
            what_keeps_a_factory_from_opening_is_told
            credentials_come_from_a_callback_that_is_forgotten_once
            a_callback_that_fails_is_reported_without_a_password
            the_versions_are_told

            generations_are_told_and_waited_for
            the_master_and_the_topology_are_told
            statistics_fit_into_what_the_caller_has
            without_replicas_there_is_the_master_or_an_error
            closing_wakes_whoever_waits

            an_event_is_waited_for
            a_descriptor_is_readable_while_there_are_events
            one_of_many_events_leaves_the_descriptor_readable
            closing_wakes_who_waits_for_events

            messages_come_by_channel_and_by_pattern
            names_and_payloads_may_hold_any_bytes
            names_that_are_missing_are_told
            another_thread_closes_it_and_is_told_that_it_is_busy_before
            a_subscription_ends_with_its_factory_and_wakes

            many_threads_share_a_factory
            many_threads_open_and_close_factories
            a_handle_that_another_thread_uses_is_busy
            threads_that_fight_for_a_handle_get_a_reply_or_nothing
            waiters_of_an_exhausted_pool_are_served_in_their_order
            a_handle_may_be_released_by_another_thread

            a_child_can_do_nothing_and_does_nothing_to_its_parent
            a_child_opens_its_own_where_its_parent_has_none

            what_fails_leaves_nothing_behind
        ]
        Servers::scripted() => [
            a_server_that_does_not_answer_costs_the_command_timeout
            a_pipeline_that_failed_is_over

            texts_of_every_type_have_their_bytes
            numbers_of_every_type_have_their_value
            nothing_is_nil_in_each_of_its_forms
            aggregates_have_their_elements
            aggregates_nest
            attributes_are_told_of_what_they_are_about
            what_comes_unasked_is_no_reply
            what_is_no_resp_is_told_and_the_handle_goes_on

            a_thousand_factories_leave_nothing_behind
        ]
        Servers::own() => [
            handles_lead_to_the_node_that_was_asked_for
            a_switch_is_told_with_both_masters
            a_failover_is_a_gap_and_what_comes_after_it_is_complete
            a_name_that_is_refused_after_its_call_returned_is_delivered_and_stops_no_other

            a_frozen_master_wakes_its_readers_at_the_switch
            the_first_write_after_a_kill_goes_through
            a_planned_failover_loses_nothing
            a_handle_with_state_is_refused_after_the_switch
            waiters_of_an_exhausted_pool_move_to_the_new_master
        ]
    }

    #[test]
    fn nothing_that_is_wrongly_passed_is_followed_or_taken_for_right() {
        let header = library::root().join("include/switchmaster.h");
        let header = std::fs::read_to_string(header).expect("the header can be read");
        let source = library::scratch("garbage.c");
        let code = garbage::program(&declarations::functions(&header));
        library::replace(&source, |new| std::fs::write(new, &code));
        let program = library::program("garbage", &[source, super::source("check")]);
        driver::run(&program, "garbage", &Servers::Shared);
    }

    #[test]
    #[should_panic(expected = "swm_new_thing")]
    fn a_function_with_arguments_of_a_new_type_has_to_be_covered() {
        garbage::program(&declarations::functions("void swm_thing_end(swm_new_thing *thing);"));
    }
}
