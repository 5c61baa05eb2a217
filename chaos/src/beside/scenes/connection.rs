//! All connections of a worker are cut, refused for a while, and possible again.

use std::time::Duration;

use beside::now_us;
use ergate_rig::Proxy;
use tokio::time::sleep;

use super::super::play::{Play, after, at_once, begins, calls, counts, states};

pub(super) const SHORT: &str = "One worker of 12 slots, connected by a proxy. It has 4 jobs of 1.5 s and 4 of 6 s when the \
    proxy closes all connections and refuses new ones, 0.3 to 0.8 s after they began; 2 to 3 s later it lets connections through \
    again. Meanwhile 8 more jobs of 0.5 s are added, past the proxy. Afterwards nothing is done to the worker.";

pub(super) const LONG: &str = "As before, but the connections are refused for 20 to 25 s, and the 4 longer jobs take 30 s. With a \
    lease of 5 s (and with Ergate's own of 15 s) the leases are over by then, and no other worker is there to take the jobs.";

/// As long as a server needs that fails over.
pub(super) async fn short(play: &mut Play) -> anyhow::Result<()> {
    acts(play, 60, 2000, 3000).await
}

/// As long as a network needs that somebody has to mend.
pub(super) async fn long(play: &mut Play) -> anyhow::Result<()> {
    acts(play, 300, 20_000, 25_000).await
}

async fn acts(play: &mut Play, ticks: u32, least_ms: u64, most_ms: u64) -> anyhow::Result<()> {
    let (proxy, patience) = (Proxy::to(&play.server), play.setting.patience());
    let mut worker = play.worker("first", proxy.url(), 12).await?;
    let (short, long) = (play.add("short", 4, 15).await?, play.add("long", 4, ticks).await?);
    let both: Vec<_> = short.iter().chain(&long).cloned().collect();
    play.insist("8 jobs begin", |lines| (begins(lines, &both, None).len() == 8).then_some(())).await?;

    let wait = play.between(300, 800);
    sleep(wait).await;
    let cut_us = now_us();
    proxy.cut().await;
    let fresh = play.add("fresh", 8, 5).await?;
    let lasts = play.between(least_ms, most_ms);
    sleep(lasts.saturating_sub(Duration::from_micros(now_us() - cut_us))).await;
    let healed_us = now_us();
    proxy.heal().await;
    play.did(format!("no connection for {:.1} s", Duration::from_micros(healed_us - cut_us).as_secs_f64()));

    let begun = play.until(patience, |lines| begins(lines, &fresh, None).first().copied()).await;
    play.saw(
        "the worker begins a new job, after connections are possible",
        after(healed_us, begun, patience),
    );
    for (what, ids) in [
        ("the 8 new jobs", &fresh),
        ("the 4 jobs whose work ended while there was no connection", &short),
        ("the 4 jobs whose work ended later", &long),
    ] {
        let (found, ended) = play.ended(ids, patience).await?;
        play.saw(what, format!("{}; {}", states(&found), after(healed_us, ended, patience)));
        play.saw(format!("{what}: calls of the handler"), calls(&play.lines(), ids));
        let at_once = at_once(&play.lines(), ids, now_us());
        play.saw(format!("{what}: two calls at work on one job at once"), at_once);
        play.saw(format!("{what}: what the system counted for the first"), counts(&found[0].counts));
    }
    play.saw(
        "the process of the worker",
        if worker.process.ended().is_none() { "lives" } else { "has ended" },
    );
    Ok(())
}
