//! Whether everything in a namespace fits together: a reader of all keys, which knows what each must say about the others.
//!
//! It knows the contract of the scripts (their heads, and `lua/README.md`) and not their code: what is there is read with
//! plain commands and judged here, so that a fault of a script is not a fault of what checks it.
//!
//! What is no finding, because the contract allows it: an answer still to be told in `outbox`, an event that no router has
//! read yet, a wait of a run that has ended (it goes when its time is over), a cancellation that came too late (the next
//! heartbeat drops it), a unique key whose window is over, a worker whose lease is over and that nobody has reaped yet.

use std::{collections::BTreeSet, fmt, time::Duration};

use ergate::Client;

mod events;
mod jobs;
mod kept;
mod lanes;
mod queue;
mod registry;
mod runs;
mod schedules;
mod waits;

use kept::Kept;

/// One thing that does not fit, in words for people; it names the key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding(pub String);

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How often the keys are read as long as there is something to say, and how long is waited in between.
const READINGS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(30);

/// Reads every key of the client's namespace, and says what does not fit.
///
/// Keys are read one after the other. So what is found is read again a few times, and told only if each reading says the very
/// same: what was under way in between drops out. A namespace that is busy all the time may still have findings about what is
/// spread over several keys, such as a job that was in no state three times by chance; they name another job the next time.
///
/// # Errors
/// Errors of the connection.
pub async fn audit(client: &Client) -> anyhow::Result<Vec<Finding>> {
    let mut findings = once(client).await?;
    for _ in 1..READINGS {
        if findings.is_empty() {
            break;
        }
        tokio::time::sleep(PAUSE).await;
        let again = once(client).await?;
        findings.retain(|finding| again.contains(finding));
    }
    Ok(findings.into_iter().collect())
}

async fn once(client: &Client) -> anyhow::Result<BTreeSet<Finding>> {
    let kept = Kept::read(client).await?;
    let mut findings = Findings::default();
    kept.judge(&mut findings);
    registry::judge(&kept, &mut findings);
    for queue in kept.queues() {
        queue::judge(&kept, &queue, &mut findings);
    }
    events::judge(&kept, &mut findings);
    waits::judge(&kept, &mut findings);
    schedules::judge(&kept, &mut findings);
    Ok(findings.found)
}

/// What was found so far.
#[derive(Debug, Default)]
struct Findings {
    found: BTreeSet<Finding>,
}

impl Findings {
    fn add(&mut self, key: &str, problem: impl fmt::Display) {
        self.found.insert(Finding(format!("{key}: {problem}")));
    }

    /// Adds it unless it is so.
    fn expect(&mut self, is_so: bool, key: &str, problem: impl FnOnce() -> String) {
        if !is_so {
            self.add(key, problem());
        }
    }
}
