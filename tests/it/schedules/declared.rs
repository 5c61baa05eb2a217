//! Schedules in the code of workers: set at the start, retired when no worker declares them any more.

use super::*;

use ergate::Metrics;
use ergate_client::{Declared, TickOptions};
use ergate_shared::schedule::Origin;

fn yearly(number: u64) -> Schedule {
    Schedule::cron("yearly", "@yearly").job(act(number, Does::Succeed))
}

async fn declare(story: &Story, schedule: Schedule) -> Declared {
    let (name, spec) = schedule.build(Origin::Code).unwrap();
    story.client.set_schedule(&name, &spec).await.unwrap()
}

/// A look of some process that declares these, and thinks that no word for so long means that nobody does.
async fn tick_of(story: &Story, declares: &[&str], silence: Duration) -> usize {
    let declares: Vec<_> = declares.iter().map(|name| name.parse().unwrap()).collect();
    let options = TickOptions {
        claim: Duration::from_secs(2),
        most: 100,
        retire_after: Some(silence),
        forget_after: Duration::from_hours(1),
        declare: &declares,
    };
    story.client.tick_schedules(&options).await.unwrap().due.len()
}

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn what_a_worker_declares_is_set_when_it_starts() {
    let story = Story::begin().await;

    let worker = story.worker_with(&story.client, 4, |worker| {
        worker.schedule(Schedule::every("tick", OFTEN).job(act(3, Does::Succeed)))
    });
    until_started(&story, 2).await;

    let view = tick(&story).show().await.unwrap();
    assert_eq!(view.spec.origin, Origin::Code);
    assert!(story.trace.started().iter().all(|number| *number == 3));
    worker.stop().await;
}

#[tokio::test]
async fn a_worker_with_a_wrong_schedule_does_not_start() {
    let story = Story::begin().await;
    let worker = Worker::new(story.client.clone(), ())
        .queue(QUEUE, 1)
        .schedule(Schedule::cron("nightly", "0 3 * *").job(act(1, Does::Succeed)))
        .schedule(Schedule::cron("zoned", "@daily").zone("Berlin").job(act(1, Does::Succeed)))
        .schedule(yearly(1))
        .schedule(yearly(2));

    let error = worker.run_until(std::future::pending()).await.unwrap_err().to_string();

    for said in ["has 4 fields", "Europe/Berlin is", "schedule yearly is declared twice"] {
        assert!(error.contains(said), "{error}");
    }
}

#[tokio::test]
async fn a_declaration_that_is_like_the_last_changes_nothing() {
    let story = Story::begin().await;

    let first = declare(&story, yearly(1)).await;
    let same = declare(&story, yearly(1)).await;
    let other = declare(&story, yearly(2)).await;

    assert_eq!((first, same, other), (Declared::Set, Declared::AsItWas, Declared::Set));
}

#[tokio::test]
async fn a_schedule_set_by_hand_goes_before_what_code_declares() {
    let story = Story::begin().await;
    let schedule = story.client.schedule("yearly").unwrap();
    declare(&story, yearly(1)).await;

    schedule.cron("@daily").job(act(1, Does::Succeed)).await.unwrap();
    let declared = declare(&story, yearly(1)).await;

    assert_eq!(declared, Declared::SetByHand);
    assert_eq!(schedule.show().await.unwrap().spec.recurrence.text(), "@daily");
}

#[tokio::test]
async fn a_schedule_no_worker_declares_any_more_is_retired_and_comes_back_as_it_was() {
    let story = Story::begin().await;
    let schedule = story.client.schedule("yearly").unwrap();
    declare(&story, yearly(1)).await;
    schedule.pause().await.unwrap();
    let before = schedule.show().await.unwrap();

    // Somebody still declares it.
    tick_of(&story, &["yearly"], Duration::from_secs(60)).await;
    assert_eq!(schedule.show().await.unwrap().retired_at, None);

    // Nobody has for a millisecond.
    until("it is retired", async || {
        tick_of(&story, &[], Duration::from_millis(1)).await;
        schedule.show().await.unwrap().condition() == "retired"
    })
    .await;
    assert_eq!(schedule.show().await.unwrap().next(), None);

    tick_of(&story, &["yearly"], HOUR).await;
    let back = schedule.show().await.unwrap();
    assert_eq!((back.condition(), back.state), ("paused", before.state));
}

#[tokio::test]
async fn what_a_retired_schedule_missed_is_made_up_when_it_comes_back() {
    let story = Story::begin().await;
    declare(&story, Schedule::every("tick", OFTEN).job(act(1, Does::Succeed)).catch_up(CatchUp::All(50)))
        .await;
    until("it is retired", async || {
        tick_of(&story, &[], Duration::from_millis(1)).await;
        tick(&story).show().await.unwrap().retired_at.is_some()
    })
    .await;
    until_passed(&story, OFTEN * 3).await;
    assert_eq!(tick_of(&story, &[], HOUR).await, 0, "it is not handed out");

    let worker = story.worker_with(&story.client, 4, |worker| {
        worker.schedule(Schedule::every("tick", OFTEN).job(act(1, Does::Succeed)).catch_up(CatchUp::All(50)))
    });
    until_started(&story, 5).await;

    let view = tick(&story).show().await.unwrap();
    assert_eq!(view.state.counts.missed, 0);
    worker.stop().await;
}

#[tokio::test]
async fn a_retired_schedule_is_forgotten_in_the_end() {
    let story = Story::begin().await;
    declare(&story, yearly(1)).await;

    until("it is gone", async || {
        let options = TickOptions {
            claim: Duration::from_secs(2),
            most: 100,
            retire_after: Some(Duration::from_millis(1)),
            forget_after: Duration::from_millis(1),
            declare: &[],
        };
        story.client.tick_schedules(&options).await.unwrap();
        story.client.schedules().await.unwrap().is_empty()
    })
    .await;

    assert!(story.redis.ask::<Vec<String>>(&["KEYS", "ergate:{schedules}:*"]).await.is_empty());
}

#[tokio::test]
async fn a_schedule_set_by_hand_is_never_retired() {
    let story = Story::begin().await;
    declare(&story, yearly(1)).await;
    let schedule = story.client.schedule("yearly").unwrap();
    schedule.cron("@daily").job(act(1, Does::Succeed)).await.unwrap();

    // Workers whose code declares it go on to say so, and then they are gone.
    tick_of(&story, &["yearly"], HOUR).await;
    until_passed(&story, Duration::from_millis(5)).await;
    tick_of(&story, &[], Duration::from_millis(1)).await;

    assert_eq!(schedule.show().await.unwrap().condition(), "active");
}

#[tokio::test]
async fn the_figures_of_schedules_are_among_the_metrics() {
    let story = Story::begin().await;
    let metrics = Metrics::new();
    let shown = metrics.clone();
    let worker: RunningWorker = story.worker_with(&story.client, 4, |worker| {
        worker
            .metrics(metrics)
            .schedule(Schedule::every("tick", OFTEN).job(act(1, Does::Wait)).overlap(Overlap::Skip))
    });

    until("times were started and passed over", async || {
        let text = shown.render().unwrap();
        text.contains("ergate_schedule_times_total{outcome=\"started\",schedule=\"tick\"} 1")
            && text.contains("ergate_schedule_times_total{outcome=\"skipped\",schedule=\"tick\"}")
            && text.contains("ergate_schedule_lateness_seconds_count 1")
    })
    .await;

    story.trace.open(1);
    worker.stop().await;
}
