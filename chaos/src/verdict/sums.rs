//! Everything adds up: numbers of every queue, nothing for a reconciler to repair, no worker that ended by itself.

use super::Finds;
use crate::evidence::Evidence;

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
    for finding in &evidence.findings {
        finds.breach(finding.clone());
    }
}
