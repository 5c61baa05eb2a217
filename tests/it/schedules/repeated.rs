//! Every step of a start may be done again, by anybody: processes die at any instruction, and replies are lost.

use super::*;

use ergate_client::{KeptSchedule, TickOptions};
use ergate_shared::script;

use super::versions::second_version;
use crate::support::Proxy;

/// Takes what is due, as a worker's ticker does.
async fn take(story: &Story) -> (u64, KeptSchedule) {
    let options = TickOptions {
        claim: Duration::from_millis(1),
        most: 100,
        retire_after: None,
        forget_after: Duration::from_hours(1),
        declare: &[],
    };
    let mut taken = None;
    until("something is due", async || {
        let mut tick = story.client.tick_schedules(&options).await.unwrap();
        taken = tick.due.pop().map(|kept| (tick.now, kept.unwrap()));
        taken.is_some()
    })
    .await;
    taken.unwrap()
}

/// Takes what is due and writes down what is to be done.
async fn plan(story: &Story) -> (u64, KeptSchedule) {
    let (now, kept) = take(story).await;
    let plan = kept.state.plan(&kept.name, &kept.spec, now, false).expect("it is due");
    let state = kept.state.clone().planned(story.client.bind_plan(&kept, plan).await.unwrap());
    assert_eq!(story.client.step_schedules(&[(&kept, &state)], now).await.unwrap(), [true]);
    (now, kept.in_state(state))
}

#[tokio::test]
async fn of_two_that_look_at_the_same_moment_one_decides() {
    let story = Story::begin().await;
    often(&story, Does::Succeed, |schedule| schedule).await;
    let (now, one) = take(&story).await;
    let (later, other) = take(&story).await;
    let decided = |kept: &KeptSchedule, now| {
        kept.state.clone().planned(kept.state.plan(&kept.name, &kept.spec, now, false).unwrap())
    };

    let first = story.client.step_schedules(&[(&one, &decided(&one, now))], now).await.unwrap();
    let mut late = decided(&other, later);
    late.counts.missed += 1;
    let second = story.client.step_schedules(&[(&other, &late)], later).await.unwrap();

    assert_eq!((first, second), (vec![true], vec![false]));
}

#[tokio::test]
async fn what_was_decided_by_a_process_that_died_is_done_by_another() {
    let story = Story::begin().await;
    let schedule = tick(&story).every(Duration::from_secs(1)).job(act(1, Does::Succeed));
    schedule.await.unwrap();
    let (_, decided) = plan(&story).await;
    let nominal = decided.state.plan.unwrap().starts[0].nominal;

    let worker = ticking(&story, 1);
    until_started(&story, 1).await;

    assert_eq!(times_started(&story).await[0].as_millisecond() as u64, nominal);
    worker.stop().await;
}

#[tokio::test]
async fn what_was_started_by_a_process_that_died_is_not_started_again_even_if_nothing_is_kept_of_it() {
    let story = Story::begin().await;
    let retention = ergate::Retention { completed: Some(0), ..Default::default() };
    story.queue().set_retention(retention).await.unwrap();
    often(&story, Does::Succeed, |schedule| schedule).await;
    let (_, decided) = plan(&story).await;
    let carry_out = async || {
        story.client.carry_out(&decided, decided.state.plan.as_ref().unwrap()).await.unwrap();
    };
    carry_out().await;
    let performs = ticking(&story, 1);
    until_started(&story, 1).await;
    performs.stop().await;
    tick(&story).remove().await.unwrap();
    let started = story.trace.started().len();
    until("nothing is left", async || story.queue().stats().await.unwrap().records == 0).await;

    carry_out().await;

    assert_eq!(story.queue().stats().await.unwrap().records, 0);
    assert_eq!(story.trace.started().len(), started);
}

#[tokio::test]
async fn what_was_started_by_a_process_that_died_is_not_started_again_as_the_version_that_came_meanwhile() {
    let story = Story::begin().await;
    tick(&story).every(OFTEN).function("sync").await.unwrap();
    let (_, decided) = plan(&story).await;
    story.client.carry_out(&decided, decided.state.plan.as_ref().unwrap()).await.unwrap();
    let of_the_second = second_version(&story).await;

    // What was read of the registry is taken for granted for a second, so this is another client.
    let other = Client::connect(&story.redis.url()).await.unwrap();
    other.carry_out(&decided, decided.state.plan.as_ref().unwrap()).await.unwrap();

    let of_the_first = story.client.queue("fn/sync").unwrap();
    let records = async |queue: &ergate::Queue| queue.stats().await.unwrap().records;
    assert_eq!((records(&of_the_first).await, records(&of_the_second).await), (1, 0));
}

#[tokio::test]
async fn a_change_by_hand_finishes_what_was_decided_before() {
    let story = Story::begin().await;
    often(&story, Does::Succeed, |schedule| schedule).await;
    let (_, decided) = plan(&story).await;
    let nominal = decided.state.plan.unwrap().starts[0].nominal;

    tick(&story).every(Duration::from_hours(24)).job(act(2, Does::Succeed)).await.unwrap();

    let times = times_started(&story).await;
    assert_eq!(times.iter().map(|time| time.as_millisecond() as u64).collect::<Vec<_>>(), [nominal]);
    let view = tick(&story).show().await.unwrap();
    assert_eq!((view.state.plan, view.state.counts.started), (None, 1));
}

#[tokio::test]
async fn a_lost_reply_starts_nothing_twice_and_loses_no_time() {
    for sha in [&script::SCHEDULE_TICK.sha, &script::SCHEDULE_STEP.sha, &script::JOB_ENQUEUE.sha] {
        let story = Story::begin().await;
        let proxy = Proxy::to(&story.redis);
        let client = Client::connect(proxy.url()).await.unwrap();
        let worker = story.worker_with(&client, 4, |worker| worker.lease(SHORT_LEASE));
        let schedule = tick(&story).every(OFTEN).job(act(1, Does::Succeed)).catch_up(CatchUp::All(1000));
        schedule.await.unwrap();
        until_started(&story, 2).await;

        let lost = proxy.lose_reply_of(sha);
        lost.await;
        let before = story.trace.started().len();
        until_started(&story, before + 4).await;
        tick(&story).pause().await.unwrap();
        until("all have run", async || {
            let stats = story.queue().stats().await.unwrap();
            stats.ready + stats.leased == 0
        })
        .await;

        let times = times_started(&story).await;
        assert!(
            times.windows(2).all(|pair| pair[1].as_millisecond() - pair[0].as_millisecond() == 100),
            "{times:?}"
        );
        assert_eq!(story.trace.started().len(), times.len());
        worker.stop().await;
        story.all_adds_up().await;
    }
}
