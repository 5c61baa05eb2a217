//! Work goes on within the promised time: after a killed worker within the lease and two seconds, after Redis is back within two
//! seconds; later by as much as the machine is.

use std::{collections::HashMap, time::Duration};

use super::Finds;
use crate::{
    diary::Did,
    evidence::{Attempt, Evidence},
    report::Back,
};

const AFTER_REDIS: Duration = Duration::from_secs(2);
/// A bad handler that takes longer blocks its thread.
const BLOCKED_NS: u64 = 1_000_000_000;
const AFTER_LEASE: Duration = Duration::from_secs(2);

pub(super) fn judge(evidence: &Evidence, finds: &mut Finds) {
    after_outages(evidence, finds);
    after_kills(evidence, finds);
}

fn after_outages(evidence: &Evidence, finds: &mut Finds) {
    let mut longest = None;
    for deed in evidence.diary.of(|did| *did == Did::Outage) {
        let next = evidence.attempts.iter().map(|attempt| attempt.from).find(|from| *from > deed.until_ns);
        let Some(next) = next else { continue };
        // The next outage came before work could go on.
        let mut others = evidence.diary.of(|did| *did == Did::Outage);
        if others.any(|other| other.until_ns > deed.until_ns && other.ns < next) {
            continue;
        }
        longest = longest.max(Some(Duration::from_nanos(next - deed.until_ns)));
    }
    note(evidence, finds, "redis was back", longest, AFTER_REDIS);
}

/// What a killed worker had begun begins again elsewhere. Only of plain jobs: others may have to wait for their turn.
fn after_kills(evidence: &Evidence, finds: &mut Finds) {
    let promised = evidence.plan.lease + AFTER_LEASE;
    let outages: Vec<_> = evidence.diary.of(|did| matches!(did, Did::Outage | Did::Lost)).collect();
    // Handlers that block their threads are in everybody's way.
    let blocked: Vec<_> = evidence
        .attempts
        .iter()
        .filter_map(|attempt| Some((attempt.from, attempt.to.filter(|_| attempt.kind == "bad")?)))
        .filter(|(from, to)| to - from > BLOCKED_NS)
        .collect();
    let mut begun: HashMap<&str, Vec<&Attempt>> = HashMap::new();
    for attempt in evidence.attempts.iter().filter(|attempt| attempt.kind == "plain") {
        begun.entry(&attempt.id).or_default().push(attempt);
    }
    let mut longest = None;
    for attempt in evidence.attempts.iter().filter(|attempt| attempt.kind == "plain" && !attempt.ended) {
        let Some(killed) = evidence.diary.killed(&attempt.member) else { continue };
        if attempt.to != Some(killed) {
            continue;
        }
        let again = begun[attempt.id.as_str()].iter().find(|again| again.from > killed);
        let Some(again) = again else { continue };
        // While Redis is away nobody can take over; and whoever had taken over may have been killed before it began.
        if outages.iter().any(|deed| deed.ns < again.from && deed.until_ns > killed)
            || blocked.iter().any(|(from, to)| *from < again.from && *to > killed)
            || again.tries.crashes > attempt.tries.crashes + 1
        {
            continue;
        }
        longest = longest.max(Some(Duration::from_nanos(again.from - killed)));
    }
    note(evidence, finds, "a worker was killed", longest, promised);
}

fn note(evidence: &Evidence, finds: &mut Finds, after: &str, longest: Option<Duration>, promised: Duration) {
    let Some(longest) = longest else { return };
    let millis = |duration: Duration| duration.as_millis() as u64;
    finds.back.push(Back {
        after: after.to_owned(),
        took_ms: millis(longest),
        promised_ms: millis(promised),
    });
    if longest > promised + evidence.allowance() {
        finds.breach(format!(
            "work went on {longest:.1?} after {after}, where {promised:.1?} are promised; the machine stood still for {:.1?} at most",
            evidence.stall
        ));
    }
}
