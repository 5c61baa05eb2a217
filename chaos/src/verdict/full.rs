//! A full Redis refuses what is new and lets what runs finish.

use ergate::JobState;

use super::Finds;
use crate::{diary::Did, evidence::Evidence, ledger::Answer};

pub(super) fn judge(evidence: &Evidence, finds: &mut Finds) {
    let times: Vec<_> = evidence.diary.of(|did| *did == Did::Full).collect();
    // In a mixture it may be full when nothing is sent, or while it is away.
    if times.is_empty() || evidence.plan.mixed {
        return;
    }
    if !evidence.told.iter().any(|told| told.answer == Answer::Refused) {
        finds.breach("redis was full, and refused nothing");
    }
    let completed = evidence.jobs.values().flat_map(|jobs| jobs.values());
    let mut at = completed
        .filter(|view| view.state == JobState::Completed)
        .filter_map(|view| Some(evidence.ns_of(view.outcome.as_ref()?.at)));
    if !at.any(|ns| times.iter().any(|deed| (deed.ns..deed.until_ns).contains(&ns))) {
        finds.breach("nothing was completed while redis was full");
    }
}
