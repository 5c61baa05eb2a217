//! After the last strike every worker takes jobs again: that others do all the work is no proof that none of them is wedged.

use std::{
    collections::HashMap,
    fs,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use crate::{
    diary::Did,
    fault::extra,
    ground::Ground,
    ledger::{self, Line, What, now_ns},
    stage::Stage,
    work::jobs::Plain,
};

/// For how long an answer is waited for.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// A wave of jobs keeps all slots at work for a while, so that none can be left out because others were faster.
const WAVE: Duration = Duration::from_secs(1);
const RUNS_MS: u64 = 300;
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Sends jobs until every worker that is to be there has begun something, these or what waits before them, and notes how long that
/// took each of them.
///
/// # Errors
/// Errors of the connection.
pub async fn roll_call<G: Ground>(stage: &mut Stage<G>) -> anyhow::Result<()> {
    let (since, mut read) = (now_ns(), fs::metadata(stage.ledger()).map_or(0, |ledger| ledger.len()));
    let until = Instant::now() + PATIENCE;
    let (mut next_wave, mut sent, mut began) = (Instant::now(), 0, HashMap::new());
    while Instant::now() < until {
        stage.bury()?;
        if Instant::now() >= next_wave {
            next_wave = Instant::now() + WAVE;
            let wave = sent..sent + 2 * stage.plan.slots * stage.workers.len();
            sent = wave.end;
            let ids = wave.map(|number| format!("roll-call-{number:04}")).collect();
            extra::enqueue(stage, ids, || Plain { runs_ms: RUNS_MS }).await?;
        }
        for Line { ns, member, what } in ledger::rest(&stage.ledger(), &mut read)? {
            if matches!(what, What::Begin { .. }) && ns > since {
                began.entry(member).or_insert(ns);
            }
        }
        if stage.workers.iter().all(|worker| began.contains_key(&worker.name)) {
            break;
        }
        sleep(LOOK_EVERY).await;
    }
    for worker in &stage.workers {
        match began.get(&worker.name) {
            Some(ns) => stage.diary.note_between(since, *ns, Did::Answered(worker.name.clone())),
            None => stage.diary.note_since(since, Did::Silent(worker.name.clone())),
        }
    }
    Ok(())
}
