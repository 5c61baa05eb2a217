//! Schedules: what is started when, by whom, and what becomes of times that were missed or overlap.

use std::time::Instant;

use ergate::{Error, ScheduleHandle, Timestamp, prelude::*};

use crate::{
    story::{Does, QUEUE, RunningWorker, Story, act},
    support::{until, until_some},
};

mod backfill;
mod by_hand;
mod declared;
mod impossible;
mod repeated;
mod replicas;
mod versions;

/// Short, so that a test sees several times; long enough that a busy machine keeps up.
const OFTEN: Duration = Duration::from_millis(100);

/// A worker that looks at the schedules by itself more often than every five seconds.
fn ticking(story: &Story, slots: usize) -> RunningWorker {
    story.worker_with(&story.client, slots, |worker| worker.lease(SHORT_LEASE))
}

const SHORT_LEASE: Duration = Duration::from_secs(2);

fn tick(story: &Story) -> ScheduleHandle {
    story.client.schedule("tick").unwrap()
}

/// A schedule that starts this action often.
async fn often(story: &Story, does: Does, options: impl FnOnce(ergate::SetSchedule) -> ergate::SetSchedule) {
    options(tick(story).every(OFTEN).job(act(1, does))).await.unwrap();
}

/// The times of which jobs were started, oldest first, as their ids say.
async fn times_started(story: &Story) -> Vec<Timestamp> {
    let mut times = Vec::new();
    for state in JobState::ALL {
        let mut cursor = None;
        loop {
            let page = story.queue().list(state, cursor.as_deref(), 1000).await.unwrap();
            times.extend(page.items.iter().filter_map(|view| time_of(view.id.as_str())));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
    }
    times.sort();
    times
}

fn time_of(id: &str) -> Option<Timestamp> {
    let (_, time) = id.split_once('@')?;
    time.parse().ok()
}

async fn redis_now(story: &Story) -> u64 {
    let (seconds, micros): (u64, u64) = story.redis.ask(&["TIME"]).await;
    seconds * 1000 + micros / 1000
}

/// Lets Redis' clock go on: what passes meanwhile is missed if nobody ticks.
async fn until_passed(story: &Story, time: Duration) {
    let then = redis_now(story).await + time.as_millis() as u64;
    until("time has passed", async || redis_now(story).await >= then).await;
}

async fn until_started(story: &Story, count: usize) {
    until(&format!("{count} jobs have started"), async || story.trace.started().len() >= count).await;
}

#[tokio::test]
async fn a_schedule_starts_its_job_at_each_of_its_times() {
    let story = Story::begin().await;
    let worker = ticking(&story, 4);
    // On a machine that stands still two times may be due at once.
    often(&story, Does::Succeed, |schedule| schedule.catch_up(CatchUp::All(1000))).await;

    until_started(&story, 5).await;
    tick(&story).pause().await.unwrap();

    let times = times_started(&story).await;
    assert!(
        times.windows(2).all(|pair| pair[1].duration_since(pair[0]) == OFTEN.try_into().unwrap()),
        "{times:?}"
    );
    assert!(times.iter().all(|time| time.as_millisecond() % 100 == 0), "{times:?}");
    let view = tick(&story).show().await.unwrap();
    assert_eq!(view.state.counts.started as usize, times.len());
    assert_eq!(view.state.last.unwrap().nominal, times.last().unwrap().as_millisecond() as u64);
    let counted = worker.count("ergate_schedule_times_total{outcome=\"started\"");
    assert_eq!(counted as usize, times.len());
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_worker_hears_at_once_of_a_schedule_that_is_set() {
    let story = Story::begin().await;
    let worker = story.worker(1);
    let workers = format!("ergate:{{{QUEUE}}}:workers");
    let id = until_some("the worker has joined", async || {
        story.redis.ask::<Vec<String>>(&["ZRANGE", &workers, "0", "0"]).await.pop()
    })
    .await;
    // It says what it is with its next heartbeat, which is now.
    story.redis.ask::<()>(&["RPUSH", &format!("ergate:{{{QUEUE}}}:call:{id}"), "1"]).await;
    until("the worker is known", async || {
        story.client.workers().await.unwrap().iter().any(|worker| worker.queues[0].worker == id)
    })
    .await;

    let set = Instant::now();
    often(&story, Does::Succeed, |schedule| schedule).await;
    until_started(&story, 1).await;

    assert!(
        set.elapsed() < Duration::from_millis(4500),
        "{:?}: it looks by itself every five seconds",
        set.elapsed()
    );
    worker.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_schedule_is_said_before_anything_is_kept() {
    let story = Story::begin().await;

    let error = tick(&story).cron("0 25 * * *").job(act(1, Does::Succeed)).await.unwrap_err();

    assert!(error.to_string().contains("hours go from 0 to 23"), "{error}");
    assert!(matches!(tick(&story).show().await, Err(error) if error.is_not_found()));
    assert!(story.client.schedules().await.unwrap().is_empty());
}

#[tokio::test]
async fn of_times_that_were_missed_the_latest_is_started() {
    let story = Story::begin().await;
    often(&story, Does::Succeed, |schedule| schedule).await;
    until_passed(&story, OFTEN * 8).await;

    let before = redis_now(&story).await;
    let worker = ticking(&story, 4);
    until_started(&story, 1).await;
    tick(&story).pause().await.unwrap();

    let times = times_started(&story).await;
    assert!(times[0].as_millisecond() as u64 + 100 > before, "{} at {before}", times[0].as_millisecond());
    assert!(tick(&story).show().await.unwrap().state.counts.missed >= 6);
    worker.stop().await;
}

#[tokio::test]
async fn as_many_missed_times_are_made_up_as_was_asked_for_oldest_first() {
    let story = Story::begin().await;
    often(&story, Does::Succeed, |schedule| schedule.catch_up(CatchUp::All(3))).await;
    until_passed(&story, OFTEN * 8).await;

    let before = redis_now(&story).await;
    let worker = ticking(&story, 1);
    until_started(&story, 3).await;
    tick(&story).pause().await.unwrap();

    let times = times_started(&story).await;
    let missed: Vec<_> = times.iter().filter(|time| (time.as_millisecond() as u64) <= before).collect();
    assert!((2..=3).contains(&missed.len()), "{missed:?} before {before}");
    assert!(
        missed.windows(2).all(|pair| pair[1].as_millisecond() - pair[0].as_millisecond() == 100),
        "{times:?}"
    );
    worker.stop().await;
}

#[tokio::test]
async fn a_time_is_passed_over_while_the_last_job_has_not_ended() {
    let story = Story::begin().await;
    let worker = ticking(&story, 4);
    often(&story, Does::Wait, |schedule| schedule.overlap(Overlap::Skip)).await;

    until("times are passed over", async || tick(&story).show().await.unwrap().state.counts.skipped >= 3)
        .await;
    assert_eq!(story.trace.started().len(), 1);
    story.trace.open(1);
    until_started(&story, 3).await;

    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn one_time_waits_for_the_last_job_and_starts_when_that_ends() {
    let story = Story::begin().await;
    let worker = ticking(&story, 4);
    // Far apart, so that what starts at the end of the first job is the time that waited, not the next one.
    let schedule =
        tick(&story).every(Duration::from_secs(3)).job(act(1, Does::Wait)).overlap(Overlap::QueueOne);
    schedule.await.unwrap();

    until("a time waits", async || tick(&story).show().await.unwrap().state.held.is_some()).await;
    assert_eq!(story.trace.started().len(), 1);
    let opened = Instant::now();
    story.trace.open(1);
    until_started(&story, 2).await;

    assert!(opened.elapsed() < Duration::from_secs(2), "{:?}", opened.elapsed());
    let times = times_started(&story).await;
    assert_eq!(times[1].as_millisecond() - times[0].as_millisecond(), 3_000);
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn the_running_job_is_asked_to_end_when_the_next_starts() {
    let story = Story::begin().await;
    // What still listens when it stops is handed back at once.
    let worker = story
        .worker_with(&story.client, 8, |worker| worker.lease(SHORT_LEASE).shutdown_deadline(Duration::ZERO));
    let schedule = tick(&story).every(OFTEN * 5).job(act(1, Does::Listen)).overlap(Overlap::CancelRunning);
    schedule.await.unwrap();

    until("two were told to end", async || story.trace.told().len() >= 2).await;
    tick(&story).remove().await.unwrap();

    let running = story.queue().stats().await.unwrap().leased;
    assert!(running <= 2, "{running} run");
    let cancelled = story.queue().stats().await.unwrap().cancelled;
    assert!(cancelled >= 1, "{cancelled} were cancelled");
    worker.stop().await;
}

#[tokio::test]
async fn a_paused_schedule_starts_nothing_and_misses_nothing() {
    let story = Story::begin().await;
    let worker = ticking(&story, 4);
    often(&story, Does::Succeed, |schedule| schedule).await;
    until_started(&story, 1).await;

    tick(&story).pause().await.unwrap();
    let paused = tick(&story).show().await.unwrap();
    let before = times_started(&story).await.len();
    until_passed(&story, OFTEN * 10).await;
    let after = times_started(&story).await.len();

    assert_eq!((paused.condition(), paused.next()), ("paused", None));
    assert_eq!(before, after);

    tick(&story).resume().await.unwrap();
    until_started(&story, before + 2).await;
    let view = tick(&story).show().await.unwrap();
    assert_eq!(view.condition(), "active");
    // A machine that stands still for a moment may let it miss one or two, but not the ten of the pause.
    assert!(view.state.counts.missed < paused.state.counts.missed + 5, "{view:?}");
    worker.stop().await;
}

#[tokio::test]
async fn a_job_started_by_hand_runs_even_if_its_schedule_is_paused() {
    let story = Story::begin().await;
    let worker = ticking(&story, 4);
    let schedule = story.client.schedule("yearly").unwrap();
    schedule.cron("@yearly").job(act(7, Does::Succeed)).await.unwrap();
    schedule.pause().await.unwrap();

    let first = schedule.run_now().await.unwrap();
    let second = schedule.run_now().await.unwrap();
    until_started(&story, 2).await;

    assert_ne!(first.id, second.id);
    assert!(first.id.as_str().starts_with("yearly@20"), "{}", first.id);
    story.until_state(&second.id, JobState::Completed).await;
    let view = schedule.show().await.unwrap();
    assert_eq!(view.last().unwrap().job, second.id);
    assert_eq!(view.last_job, Some(JobState::Completed));
    assert_eq!(view.state.counts.started, 0, "its times are as they were");
    worker.stop().await;
}

#[tokio::test]
async fn the_next_times_are_told_by_the_clock_of_redis() {
    let story = Story::begin().await;
    let schedule = story.client.schedule("daily").unwrap();
    schedule.cron("30 2 * * *").zone("Europe/Berlin").job(act(1, Does::Succeed)).await.unwrap();
    schedule.pause().await.unwrap();

    let times = schedule.preview(10).await.unwrap();

    let now = redis_now(&story).await;
    assert_eq!(times.len(), 10);
    assert!(times[0].as_millisecond() as u64 > now);
    assert!(times[0].as_millisecond() as u64 - now <= 25 * 3_600_000);
}

#[tokio::test]
async fn a_schedule_that_was_removed_is_gone_and_what_it_started_stays() {
    let story = Story::begin().await;
    let worker = ticking(&story, 4);
    often(&story, Does::Succeed, |schedule| schedule).await;
    until_started(&story, 1).await;

    tick(&story).remove().await.unwrap();
    let left = times_started(&story).await;

    assert!(!left.is_empty());
    assert!(matches!(tick(&story).remove().await, Err(Error::NoSchedule { .. })));
    assert!(matches!(tick(&story).pause().await, Err(Error::NoSchedule { .. })));
    worker.stop().await;
}

#[tokio::test]
async fn a_schedule_that_is_set_again_with_the_same_times_goes_on_with_them() {
    let story = Story::begin().await;
    let schedule = story.client.schedule("yearly").unwrap();
    schedule.cron("@yearly").job(act(1, Does::Succeed)).await.unwrap();
    schedule.pause().await.unwrap();
    let before = schedule.show().await.unwrap();

    schedule.cron("@yearly").job(act(2, Does::Succeed)).await.unwrap();
    let same_times = schedule.show().await.unwrap();
    schedule.cron("@daily").job(act(2, Does::Succeed)).await.unwrap();
    let other_times = schedule.show().await.unwrap();

    assert_eq!(same_times.state.awaited, before.state.awaited);
    assert_eq!(same_times.state.revision, before.state.revision + 1);
    assert!(other_times.state.awaited < before.state.awaited);
    assert_eq!(other_times.condition(), "paused");
}

#[tokio::test]
async fn schedules_are_listed_by_name_with_their_next_times() {
    let story = Story::begin().await;
    for name in ["weekly", "daily", "hourly"] {
        let schedule = story.client.schedule(name).unwrap();
        schedule.cron(&format!("@{name}")).job(act(1, Does::Succeed)).await.unwrap();
    }

    let schedules = story.client.schedules().await.unwrap();

    let names: Vec<_> = schedules.iter().map(|view| view.name.as_str()).collect();
    assert_eq!(names, ["daily", "hourly", "weekly"]);
    assert!(schedules.iter().all(|view| view.next().is_some() && view.last().is_none()));
    assert_eq!(schedules[0].to_json()["description"], "at 00:00 (UTC)");
}

#[tokio::test]
async fn a_function_is_started_in_its_own_queue_with_a_timer_event() {
    let story = Story::begin().await;
    let worker = ticking(&story, 1);
    story.client.schedule("cleanup").unwrap().every(OFTEN).function("daily-cleanup").await.unwrap();
    let queue = story.client.queue("fn/daily-cleanup").unwrap();

    until("a run is enqueued", async || queue.stats().await.unwrap().ready > 0).await;
    story.client.schedule("cleanup").unwrap().pause().await.unwrap();

    let run = &queue.list(JobState::Ready, None, 1).await.unwrap().items[0];
    assert_eq!((run.name(), run.id.as_str().len()), ("daily-cleanup", 26));
    let input: serde_json::Value = run.payload().unwrap();
    let event = &input["events"][0];
    assert_eq!(event["name"], "ergate/scheduled.timer");
    assert_eq!(event["id"], format!("cleanup@{}", event["data"]["scheduledAt"].as_str().unwrap()));
    worker.stop().await;
}

#[tokio::test]
async fn a_schedule_nobody_can_read_does_not_hold_up_the_others() {
    let story = Story::begin().await;
    story
        .redis
        .ask::<()>(&["HSET", "ergate:{schedules}:definitions", "later", "{\"of\":\"a later release\"}"])
        .await;
    story.redis.ask::<()>(&["HSET", "ergate:{schedules}:states", "later", "{}"]).await;
    story
        .redis
        .ask::<()>(&["ZADD", "ergate:{schedules}:due", "0", "later", "0", "nothing-is-kept-of-it"])
        .await;
    let worker = ticking(&story, 4);

    often(&story, Does::Succeed, |schedule| schedule).await;
    until_started(&story, 2).await;

    let listed = story.client.schedules().await.unwrap();
    assert_eq!(listed.len(), 1);
    let kept: String = story.redis.ask(&["HGET", "ergate:{schedules}:definitions", "later"]).await;
    assert!(kept.contains("a later release"), "it is left as it is");
    worker.stop().await;
}
