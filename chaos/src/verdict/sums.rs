//! Everything adds up: numbers of every queue, nothing for a reconciler to repair, no worker that ended by itself.

use super::Finds;
use crate::{diary::Did, evidence::Evidence};

pub(super) fn judge(evidence: &Evidence, finds: &mut Finds) {
    for (queue, stats) in &evidence.stats {
        if !stats.adds_up() {
            finds.breach(format!("queue {queue} does not add up: {stats:?}"));
        }
        if stats.leased + stats.held > 0 && evidence.done {
            finds.breach(format!("queue {queue} is done and has leases: {stats:?}"));
        }
    }
    finds.counts.repairs = evidence.repairs + evidence.repairs_said.len() as u64;
    if finds.counts.repairs > 0 && !evidence.plan.repairs {
        finds.breach(format!("{} repairs at the end; said: {:?}", evidence.repairs, evidence.repairs_said));
    }
    for words in &evidence.fallen {
        finds.breach(words.clone());
    }
    // Who connects for the first time makes these, and nobody has since all was lost: a new data set stays unknown to those who
    // knew the old one, so that they go on to say so.
    let all_was_lost = evidence.diary.of(|did| *did == Did::Lost).any(|deed| deed.ns == 0);
    let made_at_connecting = [":epoch: is missing", ":format: is missing"];
    for finding in &evidence.findings {
        if !(all_was_lost && made_at_connecting.iter().any(|made| finding.contains(made))) {
            finds.breach(finding.clone());
        }
    }
}
