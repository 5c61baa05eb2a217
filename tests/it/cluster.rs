//! The same promises on a Redis Cluster of three masters.

use std::process::Command;

use ergate::prelude::*;

use crate::{
    story::{Does, Story, act},
    support::{Process, RedisCluster, until},
};

/// Modules whose tests need nothing of the server but its address.
const MODULES: [&str; 23] = [
    "cancel::",
    "dead_letters::",
    "delayed::",
    "enqueue::",
    "events::",
    "expiry::",
    "function_metrics::",
    "handlers::",
    "inspect::",
    "late_calls::",
    "limits::",
    "options::",
    "priority::",
    "progress::",
    "queues::",
    "retries::",
    "run_list::",
    "run_rerun::",
    "runs::",
    "schedules::declared::",
    "unique::",
    "waits::",
    "waking::",
];

/// Tests that look into their one server besides.
const ONE_SERVER: [&str; 32] = [
    "options::versions::an_event_that_started_a_run_of_one_version_starts_none_of_a_newer_one",
    "runs::invoking::a_start_whose_reply_was_lost_is_not_made_twice",
    "runs::invoking::a_result_whose_delivery_was_lost_is_delivered_once",
    "options::gates::a_router_that_dies_loses_and_doubles_no_event_of_a_batch",
    "options::pace::runs_start_at_the_rate_of_their_throttle_over_all_workers",
    "runs::faults::a_record_that_never_arrived_is_sent_again",
    "runs::faults::a_step_whose_record_was_written_and_its_reply_lost_is_written_once",
    "options::versions::children::",
    "runs::enqueuing::",
    "runs::let_go::",
    "runs::rolled_back::",
    "concurrent_enqueues_share_round_trips",
    "concurrent_sends_share_round_trips",
    "an_event_whose_reply_was_lost_is_kept_once_under_the_same_id",
    "what_a_router_left_behind_is_done_by_another_and_nothing_twice",
    "events::shards::",
    "what_was_cut_off_is_done_again_by_the_router_itself_and_nothing_twice",
    "ids_of_runs_stay_taken_when_a_router_does_its_own_again_as_its_first_calls_may_come_late",
    "what_a_router_was_handed_out_again_is_not_done_once_more_when_its_read_brings_it_too",
    "a_run_that_has_ended_and_been_forgotten_is_not_started_again",
    "an_event_costs_the_same_with_ten_waiting_runs_and_with_a_hundred_thousand",
    "a_redrive_at_a_rate_spaces_the_jobs_evenly",
    "a_queue_at_its_rate_is_worked_off_without_anybody_asking",
    "somebody_who_waits_for_a_replaced_job_hears_that_it_is_gone",
    "a_record_in_no_state_is_found_and_made_ready",
    "counts_that_disagree_with_the_leases_are_put_right",
    "ids_without_a_record_are_found_and_dropped",
    "leases_of_a_worker_that_is_not_there_are_found_and_taken_back",
    "what_is_in_order_is_not_repaired",
    "one_worker_a_minute_counts_keys_anew",
    "dead_letters_with_long_journals_are_purged_a_few_at_a_time",
    "many_jobs_go_in_with_one_call_up_to_the_documented_size_and_in_several_above",
];

/// Starts the cluster, and has this very program run the queue's tests against it.
#[tokio::test]
async fn the_queue_tests_hold_on_a_cluster_of_three_masters() {
    let cluster = RedisCluster::start().await;

    let mut tests = Process::start(
        Command::new(std::env::current_exe().unwrap())
            .args(MODULES)
            .args(ONE_SERVER.iter().flat_map(|name| ["--skip", name]))
            .args(["--skip", "cluster::", "--skip", "model::", "--test-threads", "4"])
            .env("ERGATE_TEST_URL", cluster_url(&cluster)),
    );
    let status = tests.exited_within(std::time::Duration::from_secs(300)).await;

    assert!(status.success(), "{}", tests.output());
    assert!(!tests.output().contains("running 0 tests"), "{}", tests.output());
}

#[tokio::test]
async fn queues_on_different_nodes_are_worked_on_by_one_worker() {
    let cluster = RedisCluster::start().await;
    let story = Story::at(&cluster_url(&cluster)).await;
    let names: Vec<String> = (0..12).map(|number| format!("queue-{number}")).collect();
    let worker = story.worker_with(&story.client.clone(), 4, |worker| {
        names.iter().fold(worker, |worker, name| worker.queue(name, 4))
    });

    for (number, name) in names.iter().enumerate() {
        story.client.enqueue(act(number as u64, Does::Succeed)).queue(name).await.unwrap();
    }
    story.until_finished(12).await;
    let late = story
        .client
        .enqueue(act(99, Does::Succeed))
        .queue("queue-7")
        .delay(Duration::from_millis(50))
        .await
        .unwrap();
    until("the delayed one is done", async || {
        late.job(&story.client).status().await.unwrap() == JobState::Completed
    })
    .await;

    assert_eq!(story.client.queues().await.unwrap().len(), 13);
    worker.stop().await;
}

fn cluster_url(cluster: &RedisCluster) -> String {
    let hosts: Vec<String> = cluster
        .urls()
        .iter()
        .map(|url| url.trim_start_matches("redis://").trim_end_matches('/').to_owned())
        .collect();
    format!("redis+cluster://{}", hosts.join(","))
}
