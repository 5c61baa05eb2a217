//! Work goes on within the promised time: after a killed worker within the lease and two seconds, after Redis is back within two
//! seconds, and each worker within two seconds of the last strike. Later by as much as the machine is.

use std::{collections::HashMap, time::Duration};

use ergate::Tries;

use super::Finds;
use crate::{
    diary::Did,
    evidence::{Attempt, Evidence},
    report::Back,
    roll_call,
    work::functions::NAMES,
};

const AFTER_REDIS: Duration = Duration::from_secs(2);
const AFTER_LEASE: Duration = Duration::from_secs(2);
/// One that was started last may be coming up, or joining again.
const AFTER_STRIKE: Duration = Duration::from_secs(2);

/// From when to when, in ns.
type Wait = (u64, u64);

pub(super) fn judge(evidence: &Evidence, finds: &mut Finds) {
    after_outages(evidence, finds);
    after_kills(evidence, finds);
    each_worker(evidence, finds);
}

fn each_worker(evidence: &Evidence, finds: &mut Finds) {
    let blocked = evidence.blocked();
    let mut waits = Vec::new();
    for deed in &evidence.diary.deeds {
        let (Did::Answered(who) | Did::Silent(who)) = &deed.what else { continue };
        let meets = |(from, to): &Wait| *from < deed.until_ns && *to > deed.ns;
        if blocked.iter().any(|(member, time)| member == who && meets(time)) {
            continue;
        }
        waits.push((deed.ns, deed.until_ns));
        if deed.what == Did::Silent(who.clone()) {
            finds.breach(format!("{who} took no job within {:?} of the last strike", roll_call::PATIENCE));
        }
    }
    note(evidence, finds, "the last strike, each worker", &waits, AFTER_STRIKE);
}

fn after_outages(evidence: &Evidence, finds: &mut Finds) {
    let mut waits = Vec::new();
    for deed in evidence.diary.of(|did| *did == Did::Outage) {
        let next = goes_on(&evidence.attempts, deed.until_ns, |attempt| evidence.enqueued(attempt));
        let Some(next) = next else { continue };
        // The next outage came before work could go on.
        let mut others = evidence.diary.of(|did| *did == Did::Outage);
        if others.any(|other| other.until_ns > deed.until_ns && other.ns < next) {
            continue;
        }
        waits.push((deed.until_ns, next));
    }
    note(evidence, finds, "redis was back", &waits, AFTER_REDIS);
}

/// When the next attempt begins after `back`, if there was anything to begin with: its own job, as far as is known when it was
/// enqueued, or a plain one that begins later. A run that goes on may have waited for an event until then. At the end of a play all
/// that is left may be an event that a router takes over from one that died, ten seconds later.
fn goes_on(attempts: &[Attempt], back: u64, enqueued: impl Fn(&Attempt) -> Option<u64>) -> Option<u64> {
    let mut later = attempts.iter().filter(|attempt| attempt.from > back).peekable();
    let next = later.peek()?.from;
    let is_run = |attempt: &Attempt| NAMES.contains(&attempt.kind.as_str());
    let goes_on = |attempt: &Attempt| {
        is_run(attempt) && attempts.iter().any(|other| other.id == attempt.id && other.from < back)
    };
    let waited = |attempt: &&Attempt| enqueued(attempt).is_none_or(|at| at <= back) && !goes_on(attempt);
    let is_new = |attempt: &&Attempt| attempt.kind == "plain" && attempt.tries == Tries::default();
    let any = later.next().is_some_and(|attempt| waited(&attempt))
        || later.filter(is_new).any(|attempt| waited(&attempt));
    any.then_some(next)
}

/// What a killed worker had begun begins again elsewhere. Only of plain jobs: others may have to wait for their turn.
fn after_kills(evidence: &Evidence, finds: &mut Finds) {
    let promised = evidence.plan.lease + AFTER_LEASE;
    let outages: Vec<_> = evidence.diary.of(|did| matches!(did, Did::Outage | Did::Lost)).collect();
    // Handlers that block their threads are in everybody's way.
    let blocked = evidence.blocked();
    let mut begun: HashMap<&str, Vec<&Attempt>> = HashMap::new();
    for attempt in evidence.attempts.iter().filter(|attempt| attempt.kind == "plain") {
        begun.entry(&attempt.id).or_default().push(attempt);
    }
    let mut waits = Vec::new();
    for attempt in evidence.attempts.iter().filter(|attempt| attempt.kind == "plain" && !attempt.ended) {
        let Some(killed) = evidence.diary.killed(&attempt.member) else { continue };
        if attempt.to != Some(killed) {
            continue;
        }
        let again = begun[attempt.id.as_str()].iter().find(|again| again.from > killed);
        let Some(again) = again else { continue };
        // While Redis is away nobody can take over; and whoever had taken over may have been killed before it began.
        if outages.iter().any(|deed| deed.ns < again.from && deed.until_ns > killed)
            || blocked.iter().any(|(_, (from, to))| *from < again.from && *to > killed)
            || again.tries.crashes > attempt.tries.crashes + 1
        {
            continue;
        }
        waits.push((killed, again.from));
    }
    note(evidence, finds, "a worker was killed", &waits, promised);
}

fn note(evidence: &Evidence, finds: &mut Finds, after: &str, waits: &[Wait], promised: Duration) {
    let took = |(from, to): &Wait| Duration::from_nanos(to - from);
    let Some(longest) = waits.iter().map(took).max() else { return };
    let millis = |duration: Duration| duration.as_millis() as u64;
    finds.back.push(Back {
        after: after.to_owned(),
        took_ms: millis(longest),
        promised_ms: millis(promised),
    });
    for wait in waits {
        let allowance = evidence.allowance(wait.0, wait.1);
        if took(wait) > promised + allowance {
            finds.breach(format!(
                "work went on {:.1?} after {after}, where {promised:.1?} are promised, and {allowance:.1?} more on this machine",
                took(wait)
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(kind: &str, id: &str, from: u64) -> Attempt {
        Attempt {
            member: "w1".to_owned(),
            serial: from,
            kind: kind.to_owned(),
            id: id.to_owned(),
            tries: Tries::default(),
            key: None,
            from,
            to: None,
            let_go: None,
            ended: false,
        }
    }

    #[test]
    fn what_was_there_when_redis_was_back_tells_when_work_went_on() {
        let attempts = [attempt("order", "a", 90), attempt("order", "b", 150), attempt("plain", "c", 160)];
        let enqueued = |a, b, c| {
            move |attempt: &Attempt| match attempt.id.as_str() {
                "a" => a,
                "b" => b,
                _ => c,
            }
        };

        assert_eq!(goes_on(&attempts, 100, enqueued(None, Some(99), Some(140))), Some(150));
        assert_eq!(
            goes_on(&attempts, 100, enqueued(None, None, Some(140))),
            Some(150),
            "it may have been there"
        );
        assert_eq!(goes_on(&attempts, 100, enqueued(None, Some(140), Some(99))), Some(150), "another waited");
        assert_eq!(goes_on(&attempts, 100, enqueued(None, Some(140), Some(140))), None, "there was nothing");
        assert_eq!(goes_on(&attempts, 200, enqueued(None, None, None)), None);
    }

    #[test]
    fn a_run_that_goes_on_may_have_waited_for_an_event_until_then() {
        let attempts = [attempt("order", "a", 90), attempt("order", "a", 150)];

        assert_eq!(goes_on(&attempts, 100, |_| Some(80)), None);
        assert_eq!(goes_on(&attempts[1..], 100, |_| Some(80)), Some(150), "it was to begin");
    }
}
