//! Limits and singletons are never exceeded: at no moment of the ledger are more attempts with a key under way than may be.

use std::{collections::BTreeMap, time::Duration};

use super::Finds;
use crate::{
    evidence::{Attempt, Evidence},
    work::LIMITS,
};

/// How long a worker that stood still may take to notice that its leases are gone. What it begins in that time it begins under
/// a lease it has lost, which no limit of Redis can know of.
const NOTICES: u64 = 1_000_000_000;

pub(super) fn judge(evidence: &Evidence, finds: &mut Finds) {
    let mut by_key: BTreeMap<&str, Vec<&Attempt>> = BTreeMap::new();
    for attempt in &evidence.attempts {
        if let Some(key) = &attempt.key
            && !in_the_dark(evidence, attempt)
        {
            by_key.entry(key).or_default().push(attempt);
        }
    }
    for (key, attempts) in by_key {
        let name = key.split('=').next().unwrap_or_default();
        let most = LIMITS.iter().find(|(limit, _)| *limit == name).map_or(u32::MAX, |(_, most)| *most);
        sweep(key, most, &attempts, finds);
    }
}

fn in_the_dark(evidence: &Evidence, attempt: &Attempt) -> bool {
    let thawed = |deed: &crate::diary::Deed| (deed.until_ns..deed.until_ns + NOTICES).contains(&attempt.from);
    evidence.in_doubt(attempt, Duration::ZERO)
        || evidence.diary.frozen(&attempt.member, evidence.plan.lease).any(thawed)
}

/// Goes through beginnings and ends in order of time; ends go first where both are at one moment.
fn sweep(key: &str, most: u32, attempts: &[&Attempt], finds: &mut Finds) {
    let mut moments: Vec<(u64, bool, &Attempt)> = Vec::new();
    for attempt in attempts {
        moments.push((attempt.from, true, attempt));
        moments.extend(attempt.to.map(|to| (to, false, *attempt)));
    }
    moments.sort_by_key(|(ns, begins, _)| (*ns, *begins));
    let mut under_way: Vec<String> = Vec::new();
    for (_, begins, attempt) in moments {
        let name = format!("{} by {}", attempt.id, attempt.name());
        if !begins {
            under_way.retain(|other| *other != name);
            continue;
        }
        under_way.push(name);
        if under_way.len() > most as usize {
            finds.breach(format!("{key}: {} at once where {most} may be: {under_way:?}", under_way.len()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(serial: u64, from: u64, to: Option<u64>) -> Attempt {
        Attempt {
            member: "w0".to_owned(),
            serial,
            kind: "keyed".to_owned(),
            id: serial.to_string(),
            tries: ergate::Tries::default(),
            key: None,
            from,
            to,
            let_go: to,
            ended: to.is_some(),
        }
    }

    fn breaches(most: u32, attempts: &[Attempt]) -> usize {
        let mut finds = Finds::default();
        sweep("single=a", most, &attempts.iter().collect::<Vec<_>>(), &mut finds);
        finds.breaches.len()
    }

    #[test]
    fn one_after_another_is_one_at_a_time() {
        assert_eq!(breaches(1, &[attempt(1, 0, Some(10)), attempt(2, 10, Some(20))]), 0);
    }

    #[test]
    fn two_at_once_are_too_many_for_one_and_not_for_two() {
        let both = [attempt(1, 0, Some(10)), attempt(2, 9, Some(20))];

        assert_eq!((breaches(1, &both), breaches(2, &both)), (1, 0));
    }

    #[test]
    fn what_never_ended_goes_on() {
        assert_eq!(breaches(1, &[attempt(1, 0, None), attempt(2, 1_000, Some(1_001))]), 1);
    }
}
