//! Several jobs that were started out of turn: each counts for overlap until it has ended.

use super::*;

#[tokio::test]
async fn a_job_started_by_hand_is_not_overlapped_after_a_later_one_has_ended() {
    let story = Story::begin().await;
    story.queue().pause().await.unwrap();
    often(&story, Does::Succeed, |schedule| schedule.overlap(Overlap::Skip)).await;
    tick(&story).pause().await.unwrap();

    let first = tick(&story).run_now().await.unwrap();
    let second = tick(&story).run_now().await.unwrap();
    story.job(&second.id).cancel("not needed").await.unwrap();
    let worker = ticking(&story, 1);
    tick(&story).resume().await.unwrap();
    until("times are passed over", async || tick(&story).show().await.unwrap().state.counts.skipped >= 3)
        .await;

    let view = tick(&story).show().await.unwrap();
    assert_eq!(view.state.counts.started, 0, "the first has not ended");
    assert_eq!(view.last().unwrap().job, second.id);
    story.job(&first.id).cancel("not needed").await.unwrap();
    until("times come again", async || tick(&story).show().await.unwrap().state.counts.started >= 1).await;
    worker.stop().await;
}

#[tokio::test]
async fn of_what_was_started_by_hand_the_ended_is_forgotten() {
    let story = Story::begin().await;
    let schedule = story.client.schedule("yearly").unwrap();
    schedule.cron("@yearly").job(act(1, Does::Succeed)).await.unwrap();

    let first = schedule.run_now().await.unwrap();
    let second = schedule.run_now().await.unwrap();
    story.job(&second.id).cancel("not needed").await.unwrap();
    let third = schedule.run_now().await.unwrap();

    let state = schedule.show().await.unwrap().state;
    let known: Vec<_> = state.started().map(|started| &started.job).collect();
    assert_eq!(known, [&first.id, &third.id]);
}
