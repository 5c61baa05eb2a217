//! Redis is killed and started again with all it had acknowledged.

use std::time::Duration;

use beside::now_us;
use tokio::time::sleep;

use super::super::play::{Play, after, begins, calls, states};

pub(super) const ABOUT: &str = "Redis writes its append-only file before each answer (`appendfsync always`). One worker of 4 \
    slots has begun 24 jobs of 0.3 s when Redis is killed (SIGKILL), 0.4 to 0.9 s after the first began; it is started again 1 to \
    3 s later. 8 more jobs are added then. Nothing is done to the worker.";

pub(super) async fn acts(play: &mut Play) -> anyhow::Result<()> {
    let (url, patience) = (play.server.url(), play.setting.patience());
    let mut worker = play.worker("first", &url, 4).await?;
    let old = play.add("old", 24, 3).await?;
    play.insist("a job begins", |lines| begins(lines, &old, None).pop()).await?;

    let wait = play.between(400, 900);
    sleep(wait).await;
    let killed_us = now_us();
    play.server.kill();
    let before = begins(&play.lines(), &old, None).len();
    let lasts = play.between(1000, 3000);
    sleep(lasts).await;
    play.server.restart().await;
    let back_us = now_us();
    play.did(format!(
        "Redis away for {:.1} s when {before} of 24 jobs had begun",
        Duration::from_micros(back_us - killed_us).as_secs_f64()
    ));

    let fresh = play.add("fresh", 8, 3).await?;
    let all: Vec<_> = old.iter().chain(&fresh).cloned().collect();
    let after_it = |lines: &[beside::Line]| begins(lines, &all, None).into_iter().find(|at| *at > back_us);
    let begun = play.until(patience, after_it).await;
    play.saw("the worker begins a job, after Redis answers again", after(back_us, begun, patience));
    let (found, ended) = play.ended(&all, patience).await?;
    play.saw("the 32 acknowledged jobs", states(&found));
    play.saw("all of them have ended, after Redis answers again", after(back_us, ended, patience));
    play.saw("calls of the handler", calls(&play.lines(), &all));
    play.saw(
        "the process of the worker",
        if worker.process.ended().is_none() { "lives" } else { "has ended" },
    );
    Ok(())
}
