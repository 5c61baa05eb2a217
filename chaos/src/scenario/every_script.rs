//! The reply of every script is lost once, and its request: each while a round of errands uses it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use ergate_rig::{Proxy, RedisServer};
use ergate_shared::script::Script;

use super::{Scale, Scenario};
use crate::{audit::audit, errands::Errands, report::Outcome};

/// Scripts that are called by time, from each 12 seconds to once a minute.
const SELDOM: [&str; 2] = ["queue/sweep", "event/clean"];
/// The longest that one of them is waited for.
const MINUTE: Duration = Duration::from_secs(75);
/// So many scripts share a round: one whose event has to be taken over from a router that heard of nothing takes ten seconds.
const TOGETHER: usize = 4;
/// What is lost may keep a script from being called at all, such as the one by which a worker leaves that never knew it had joined.
const ROUNDS: usize = 3;

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "every-script-lost",
            "the reply of every script is lost in turn, and in a full run the request too",
            |scale, seed| async move {
                match play(scale, seed).await {
                    Ok(outcome) => outcome,
                    Err(error) => Outcome::broken(seed, format!("{error:#}")),
                }
            },
        )
        .only_in_full(),
    ]
}

/// A trap, and whether what it waits for has come.
struct Trap {
    script: &'static str,
    kind: &'static str,
    sprung: Arc<AtomicBool>,
}

impl Trap {
    fn reply(proxy: &Proxy, script: &'static Script) -> Self {
        let (trap, is_it) = Self::of(script, "reply");
        // Waiting for it gives up sooner than some scripts are called: it is left set, and tells by itself.
        drop(proxy.lose_reply_when(is_it));
        trap
    }

    fn request(proxy: &Proxy, script: &'static Script) -> Self {
        let (trap, is_it) = Self::of(script, "request");
        drop(proxy.lose_request_when(is_it));
        trap
    }

    fn of(
        script: &'static Script,
        kind: &'static str,
    ) -> (Self, impl FnMut(&[&[u8]]) -> bool + Send + use<>) {
        let sprung = Arc::new(AtomicBool::new(false));
        let (told, sha) = (Arc::clone(&sprung), script.sha.as_bytes());
        let is_it = move |words: &[&[u8]]| {
            let is_it = words.contains(&sha);
            told.fetch_or(is_it, Ordering::Relaxed);
            is_it
        };
        (Self { script: script.name, kind, sprung }, is_it)
    }

    fn has_sprung(&self) -> bool {
        self.sprung.load(Ordering::Relaxed)
    }

    /// A script that is never lost when all is used would make a trap that proves nothing.
    fn judge(&self, outcome: &mut Outcome) {
        if self.has_sprung() {
            outcome.faults.push(format!("{} of {} lost", self.kind, self.script));
        } else {
            outcome.breaches.push(format!("{} was never called: no {} was lost", self.script, self.kind));
        }
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
    let full = scale == Scale::Full;
    let kinds: &[fn(&Proxy, &'static Script) -> Trap] =
        if full { &[Trap::reply, Trap::request] } else { &[Trap::reply] };
    let mut number = 0;
    // A script that Redis does not know yet is sent as text, which no trap knows.
    errands.round(number).await.context("nothing lost")?;
    for some in scripts.chunks(TOGETHER) {
        for kind in kinds {
            let traps: Vec<_> = some.iter().map(|script| kind(&proxy, script)).collect();
            let what =
                traps.iter().map(|trap| format!("{} of {}", trap.kind, trap.script)).collect::<Vec<_>>();
            for _ in 0..ROUNDS {
                number += 1;
                let played = errands.round(number).await;
                played.with_context(|| format!("round {number}, lost: {}", what.join(", ")))?;
                if traps.iter().all(Trap::has_sprung) {
                    break;
                }
            }
            traps.iter().for_each(|trap| trap.judge(&mut outcome));
        }
    }
    if full {
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

async fn seldom(proxy: &Proxy, errands: &Errands, outcome: &mut Outcome) -> anyhow::Result<()> {
    let scripts = Script::all().filter(|script| SELDOM.contains(&script.name));
    let traps: Vec<_> = scripts.map(|script| Trap::reply(proxy, script)).collect();
    let until = Instant::now() + MINUTE;
    while Instant::now() < until && !traps.iter().all(Trap::has_sprung) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    traps.iter().for_each(|trap| trap.judge(outcome));
    errands.round(u64::from(u32::MAX)).await.context("after scripts that are called seldom")
}
