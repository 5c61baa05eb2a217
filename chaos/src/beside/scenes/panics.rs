//! A handler panics.

use std::time::Duration;

use beside::now_us;

use super::super::play::{Play, after, begins, calls, counts, states};

pub(super) const ABOUT: &str = "One worker of 2 slots. The first call of one job's handler panics at once; the job may be tried \
    3 times, 1 s after a failure. Then 6 jobs of 0.5 s are added. If the job has not ended after the time of watching, the worker \
    is killed (SIGKILL) and another one is started.";

pub(super) async fn acts(play: &mut Play) -> anyhow::Result<()> {
    let (url, patience, watched) = (play.server.url(), play.setting.patience(), play.setting.watched());
    let mut first = play.worker("first", &url, 2).await?;
    let ids = vec!["panics0".to_owned()];
    play.system.add(&url, &ids, 5, true).await?;
    let panicked = play.insist("the job begins", |lines| begins(lines, &ids, None).pop()).await?;

    let others = play.add("other", 6, 5).await?;
    let added_us = now_us();
    let (found, ended) = play.ended(&others, patience).await?;
    play.did("handler panicked");
    play.saw("the 6 other jobs", states(&found));
    play.saw("the 6 other jobs have ended, after they were added", after(added_us, ended, patience));
    play.saw(
        "the process of the worker",
        if first.process.ended().is_none() { "lives" } else { "has ended" },
    );

    let again = |lines: &[beside::Line]| begins(lines, &ids, None).get(1).copied();
    let called = play.until(watched, again).await;
    play.saw("the handler of the job is called again, after the panic", after(panicked, called, watched));
    let limit = if called.is_some() { patience } else { Duration::ZERO };
    let (found, _) = play.ended(&ids, limit).await?;
    let state = format!(
        "{}{}",
        found[0].state,
        if called.is_some() {
            String::new()
        } else {
            format!(" ({} s after the panic)", Duration::from_micros(now_us() - panicked).as_secs())
        }
    );
    play.saw("state of the job", state);
    play.saw("what the system counted", counts(&found[0].counts));

    if found[0].ended {
        play.saw("after the worker was killed and another started", "not done: the job had ended");
    } else {
        let killed_us = now_us();
        first.process.sigkill();
        play.did("worker killed, another started");
        let _second = play.worker("second", &url, 2).await?;
        let called = play.until(patience, again).await;
        let limit = if called.is_some() { patience } else { Duration::ZERO };
        let (found, _) = play.ended(&ids, limit).await?;
        let called = after(killed_us, called, patience);
        play.saw(
            "after the worker was killed and another started",
            format!("handler called again {called}; {}", found[0].state),
        );
    }
    play.saw("calls of the handler of the job", calls(&play.lines(), &ids));
    Ok(())
}
