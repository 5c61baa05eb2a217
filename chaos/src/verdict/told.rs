//! A lost lease is told to its handler: who wakes up without its leases drops what it ran under them, and begins no step of it any
//! more.

use std::time::Duration;

use super::Finds;
use crate::{
    diary::{Deed, Did},
    evidence::{Attempt, Evidence},
};

/// How soon after it goes on a process has let go of what is not its own any more.
const PROMISED: Duration = Duration::from_secs(1);

pub(super) fn judge(evidence: &Evidence, finds: &mut Finds) {
    let lease = u64::try_from(evidence.plan.lease.as_nanos()).unwrap_or(u64::MAX);
    for attempt in evidence.attempts.iter().filter(|attempt| attempt.kind != "bad") {
        let frozen = |did: &Did| matches!(did, Did::Frozen(who) if *who == attempt.member);
        let slept_through = |deed: &&Deed| {
            deed.until_ns - deed.ns > lease && attempt.from < deed.ns && goes_on(attempt, deed)
        };
        let mut deeds = evidence.diary.of(frozen).filter(slept_through);
        let Some(deed) = deeds.next() else { continue };
        let until = attempt.let_go.or_else(|| evidence.diary.killed(&attempt.member));
        let Some(until) = until else {
            finds.breach(format!(
                "{} {} by {} went on for ever though its worker woke up without its lease",
                attempt.kind,
                attempt.id,
                attempt.name()
            ));
            continue;
        };
        let stood_still_again: u64 = evidence
            .diary
            .of(frozen)
            .filter(|other| other.ns >= deed.until_ns)
            .map(|other| other.until_ns.min(until).saturating_sub(other.ns))
            .sum();
        let went_on = Duration::from_nanos(until.saturating_sub(deed.until_ns + stood_still_again));
        // A handler that keeps its thread is in the way of being told.
        if went_on > PROMISED + evidence.allowance(deed.until_ns, until)
            && !was_blocked(evidence, attempt, until)
        {
            finds.breach(format!(
                "{} {} by {} went on for {went_on:.1?} after its worker woke up without its lease",
                attempt.kind,
                attempt.id,
                attempt.name()
            ));
        }
    }
}

fn goes_on(attempt: &Attempt, deed: &Deed) -> bool {
    attempt.let_go.is_none_or(|let_go| let_go > deed.until_ns)
}

fn was_blocked(evidence: &Evidence, attempt: &Attempt, until: u64) -> bool {
    evidence.attempts.iter().any(|other| {
        other.kind == "bad"
            && other.member == attempt.member
            && other.from < until
            && other.let_go.is_none_or(|let_go| let_go > attempt.from)
    })
}
