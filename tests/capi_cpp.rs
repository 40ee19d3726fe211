//! `switchmaster.hpp` on real servers. The behaviours are in `tests/capi_cpp`, one function each; here
//! each is a test, and what happens to the servers meanwhile.

#[path = "installed/mod.rs"]
mod installed;

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Read, Write},
    process::{Child, Stdio},
    sync::OnceLock,
};

use installed::{Installation, Program, declared, folder, source, succeeded};
use switchmaster_sandbox::Cluster;

/// All behaviours, in one program.
fn program() -> &'static Program<'static> {
    static PROGRAM: OnceLock<Program> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let sources = fs::read_dir(source("tests/capi_cpp")).unwrap();
        let mut sources: Vec<_> = sources.map(|entry| entry.unwrap().path()).collect();
        sources.retain(|path| path.extension().is_some_and(|extension| extension == "cpp"));
        sources.sort();
        let flags = ["-std=c++17", "-pthread"];
        let program = folder("program").join("capi_cpp");
        Installation::shared().compile("c++", &sources, &flags, &program)
    })
}

/// The servers of those behaviours that leave them as they are.
fn quiet_cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    let cluster = || Cluster::builder().replicas(1).sentinels(1).start().expect("a cluster starts");
    CLUSTER.get_or_init(cluster)
}

/// A program that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a behaviour, and does with the cluster what it asks for.
fn run(behaviour: &str, cluster: &Cluster) {
    let mut command = program().command();
    command.args([behaviour, &cluster.url()]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = Running(command.spawn().expect("the program starts"));
    let mut answers = running.0.stdin.take().unwrap();
    for asked in BufReader::new(running.0.stdout.take().unwrap()).lines() {
        match asked.unwrap().as_str() {
            "kill" => drop(cluster.kill_master().unwrap()),
            asked => panic!("{behaviour} asks for what nobody knows: {asked}"),
        }
        writeln!(answers, "done").unwrap();
    }
    let mut said = Vec::new();
    running.0.stderr.take().unwrap().read_to_end(&mut said).unwrap();
    let status = running.0.wait().unwrap();
    assert!(status.success(), "{status}: {}", String::from_utf8_lossy(&said));
}

#[test]
fn every_function_of_the_header_has_its_place_in_a_class() {
    let classes = fs::read_to_string(source("include/switchmaster.hpp")).unwrap();
    let words: BTreeSet<&str> =
        classes.split(|char: char| !char.is_ascii_alphanumeric() && char != '_').collect();
    let missing: Vec<String> =
        declared().into_iter().filter(|name| !words.contains(name.as_str())).collect();
    // For whoever loads the library at run time, and for switchmaster_hiredis.h.
    assert_eq!(missing, ["swm_abi_version", "swm_handle_hiredis_fd"]);
}

macro_rules! behaviours {
    ($($cluster:expr => $($name:ident)+;)+) => {
        $($(
            #[test]
            fn $name() {
                run(stringify!($name), &$cluster);
            }
        )+)+

        #[test]
        fn every_behaviour_is_a_test() {
            let done = program().command().arg("--list").output().unwrap();
            let printed = succeeded("--list", &done);
            let tests = BTreeSet::from([$($(stringify!($name)),+),+]);
            assert_eq!(printed.lines().collect::<BTreeSet<_>>(), tests);
        }
    };
}

behaviours! {
    quiet_cluster() =>
        a_command_may_have_many_words
        a_factory_can_be_closed_twice_and_its_handles_outlive_it
        a_factory_opens_by_url_and_by_options
        a_factory_tells_its_master_its_topology_and_its_stats
        a_factory_that_cannot_be_opened_says_why
        a_factory_that_was_moved_from_is_empty_and_safe
        a_handle_can_be_released_twice
        a_handle_goes_back_when_it_ends
        a_handle_that_is_assigned_to_is_given_back_first
        a_handle_that_was_moved_from_is_empty_and_safe
        a_pipeline_gives_its_replies_in_order
        a_pool_that_is_empty_is_an_error_in_time
        a_reply_outlives_its_handle_and_its_factory
        a_reply_that_was_moved_from_is_a_look_at_nothing
        a_subscription_that_was_moved_from_is_empty_and_safe
        a_switch_that_does_not_come_is_none
        an_error_reply_is_a_reply
        an_event_that_does_not_come_is_none
        an_option_that_is_not_allowed_is_named
        bytes_of_any_kind_go_there_and_back
        credentials_come_from_a_provider_that_may_throw
        closing_a_factory_wakes_who_waits_for_a_handle
        closing_a_subscription_wakes_who_waits
        each_kind_of_reply_is_read_by_its_accessor
        many_threads_share_a_factory
        messages_come_by_channel_and_by_pattern
        no_words_are_an_error
        nothing_to_subscribe_to_is_an_error
        options_are_set_one_by_one
        replicas_can_be_read_from
        replies_of_resp3_keep_their_kinds
        resp_is_exchanged_as_it_is
        resp_passes_through_in_pieces
        the_elements_of_a_reply_are_gone_through
        the_text_of_a_reply_that_nobody_holds_is_a_copy
        words_come_as_a_list_or_in_any_container;
    Cluster::builder().start().expect("a cluster starts") =>
        a_killed_master_is_followed_and_each_error_has_its_outcome;
}
