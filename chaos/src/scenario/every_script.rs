//! The reply of every script is lost once, and its request: each while a round of errands uses it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use ergate_rig::{Proxy, RedisServer, proxy::Lost};
use ergate_shared::script::Script;
use tokio::task::JoinHandle;

use super::{Scale, Scenario};
use crate::{audit::audit, errands::Errands, report::Outcome};

/// Scripts that are called by time, from each 12 seconds to once a minute: their traps are set all the while.
const SELDOM: [&str; 2] = ["queue/sweep", "event/clean"];
/// The longest that one of them is waited for.
const MINUTE: Duration = Duration::from_secs(75);
/// In a quick run so many scripts share a round, and those that are called once a minute are left out.
const TOGETHER: usize = 7;

pub(super) fn all() -> Vec<Scenario> {
    vec![Scenario::new(
        "every-script-lost",
        "the reply of every script is lost in turn, and in a full run the request too",
        |scale, seed| async move {
            match play(scale, seed).await {
                Ok(outcome) => outcome,
                Err(error) => Outcome::broken(seed, format!("{error:#}")),
            }
        },
    )]
}

/// A trap and whether it has sprung.
struct Set {
    script: &'static str,
    kind: &'static str,
    sprung: JoinHandle<()>,
}

impl Set {
    fn reply(proxy: &Proxy, script: &'static Script) -> Self {
        Self::of(script.name, "reply", proxy.lose_reply_of(&script.sha))
    }

    fn request(proxy: &Proxy, script: &'static Script) -> Self {
        Self::of(script.name, "request", proxy.lose_request_of(&script.sha))
    }

    fn of(script: &'static str, kind: &'static str, lost: Lost) -> Self {
        Self { script, kind, sprung: tokio::spawn(lost) }
    }
}

async fn play(scale: Scale, seed: u64) -> anyhow::Result<Outcome> {
    let begun = Instant::now();
    let server = RedisServer::start().await;
    let proxy = Proxy::to(&server);
    let errands = Errands::begin(&server.url(), proxy.url()).await?;
    let mut scripts: Vec<_> = Script::all().filter(|script| !SELDOM.contains(&script.name)).collect();
    fastrand::Rng::with_seed(seed).shuffle(&mut scripts);

    let mut outcome = Outcome { seed, ..Outcome::default() };
    let quick = scale == Scale::Quick;
    let mut number = 0;
    for some in scripts.chunks(if quick { TOGETHER } else { 1 }) {
        let kinds: &[fn(&Proxy, &'static Script) -> Set] =
            if quick { &[Set::reply] } else { &[Set::reply, Set::request] };
        for kind in kinds {
            number += 1;
            let traps: Vec<_> = some.iter().map(|script| kind(&proxy, script)).collect();
            let what =
                traps.iter().map(|trap| format!("{} of {}", trap.kind, trap.script)).collect::<Vec<_>>();
            let played = errands.round(number).await;
            played.with_context(|| format!("round {number}, lost: {}", what.join(", ")))?;
            judge(traps, &mut outcome).await;
        }
    }
    if !quick {
        seldom(&proxy, &errands, &mut outcome).await?;
    }

    let client = errands.end().await?;
    let findings = audit(&client).await?;
    outcome.breaches.extend(findings.into_iter().map(|finding| finding.0));
    for queue in client.queues().await? {
        let stats = client.queue(queue.as_str())?.stats().await?;
        if !stats.adds_up() || stats.leased + stats.held > 0 {
            outcome.breaches.push(format!("queue {queue} does not add up: {stats:?}"));
        }
    }
    outcome.took_ms = begun.elapsed().as_millis() as u64;
    Ok(outcome)
}

/// A script that is never called when all is used would make a trap that proves nothing.
async fn judge(traps: Vec<Set>, outcome: &mut Outcome) {
    for trap in traps {
        match trap.sprung.await {
            Ok(()) => outcome.faults.push(format!("{} of {} lost", trap.kind, trap.script)),
            Err(_) => {
                outcome.breaches.push(format!("{} was never called: no {} was lost", trap.script, trap.kind))
            }
        }
    }
}

async fn seldom(proxy: &Proxy, errands: &Errands, outcome: &mut Outcome) -> anyhow::Result<()> {
    let mut called = Vec::new();
    for script in Script::all().filter(|script| SELDOM.contains(&script.name)) {
        let (is_called, flag) = (Arc::new(AtomicBool::new(false)), script.sha.as_bytes());
        let told = Arc::clone(&is_called);
        // Waiting for a trap gives up sooner than these are called: it is left set, and tells by itself.
        drop(proxy.lose_reply_when(move |words| {
            let is_it = words.contains(&flag);
            told.fetch_or(is_it, Ordering::Relaxed);
            is_it
        }));
        called.push((script.name, is_called));
    }
    let until = Instant::now() + MINUTE;
    while Instant::now() < until && called.iter().any(|(_, is_called)| !is_called.load(Ordering::Relaxed)) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for (name, is_called) in called {
        if is_called.load(Ordering::Relaxed) {
            outcome.faults.push(format!("reply of {name} lost"));
        } else {
            outcome.breaches.push(format!("{name} was never called: no reply was lost"));
        }
    }
    errands.round(u64::from(u32::MAX)).await.context("after scripts that are called seldom")
}
