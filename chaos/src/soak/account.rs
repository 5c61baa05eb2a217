//! What is acknowledged and what is done of it, told from ledgers that grow.

use std::{
    collections::{HashMap, HashSet},
    fs::OpenOptions,
    mem,
    path::Path,
};

use ergate_rig::RedisServer;
use rustix::{
    fs::{FallocateFlags, fallocate},
    io::Errno,
};

use crate::{
    evidence::Evidence,
    ledger::{Answer, Line, Told, What, now_ns, rest},
    stage::Stage,
    work::jobs::failures_of,
};

/// How long after it was acknowledged something may be under way; orders wait, and events whose router was told to stop take ten
/// seconds more.
const LATEST_NS: u64 = 60_000_000_000;

/// What is open, and how far the ledgers were read.
///
/// The two ledgers are read one after the other, so that a line of one may come a reading before the line of the other that
/// belongs to it. What only workers have told of is forgotten after two readings, since of ticks and of what runs start no
/// producer ever tells.
#[derive(Debug, Default)]
pub(super) struct Account {
    workers_read: u64,
    producers_read: u64,
    /// What is acknowledged and not done, for a minute at most.
    open: HashMap<String, Open>,
    /// What was done and was not open, since the last reading and in the one before.
    done: HashSet<String>,
    done_before: HashSet<String>,
    /// When plain jobs that were not open began for the first time, since the last reading and in the one before.
    first: HashMap<String, u64>,
    first_before: HashMap<String, u64>,
    /// The calls under way that settle what they are for when they end.
    begun: HashMap<(String, u64), String>,
    acknowledged: u64,
}

/// What is acknowledged and not done.
#[derive(Debug)]
struct Open {
    /// When it was acknowledged.
    since: u64,
    /// Whether it is a plain job that has not begun: how late it is comes out when it begins, in whichever reading that is.
    waits: bool,
}

/// What a reading found.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) breaches: Vec<String>,
    /// From acknowledged to begun, in ns, of each plain job of which the later of the two was read.
    pub(super) late: Vec<u64>,
    pub(super) acknowledged: u64,
}

impl Reading {
    /// The 99th percentile, in ms; 0 if nothing began.
    pub(super) fn late_p99_ms(&self) -> f64 {
        let mut late = self.late.clone();
        late.sort_unstable();
        let at = late.len().saturating_sub(1) * 99 / 100;
        late.get(at).map_or(0.0, |ns| *ns as f64 / 1e6)
    }
}

impl Account {
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// What is still open.
    pub(super) fn still_open(&self) -> Vec<String> {
        self.open.keys().take(10).map(|id| format!("{id} was acknowledged and is not done")).collect()
    }

    /// Reads what has been added to the ledgers.
    pub(super) fn read(&mut self, stage: &Stage<RedisServer>) -> std::io::Result<Reading> {
        let told = rest(&stage.told(), &mut self.producers_read)?;
        let lines = rest(&stage.ledger(), &mut self.workers_read)?;
        Ok(self.count(told, lines, now_ns()))
    }

    /// Gives back the room of what has been read.
    pub(super) fn give_back(&self, stage: &Stage<RedisServer>) -> std::io::Result<()> {
        give_back(&stage.told(), self.producers_read)?;
        give_back(&stage.ledger(), self.workers_read)
    }

    /// Adds what producers and workers told until `now`, in ns of the ledgers' clock.
    fn count(&mut self, told: Vec<Told>, lines: Vec<Line>, now: u64) -> Reading {
        let mut reading = Reading::default();
        for line in lines {
            match line.what {
                What::Begin { kind, id, serial, tries, .. } => {
                    if kind == "plain" {
                        reading.late.extend(self.begin(&id, line.ns));
                    }
                    let settles = match kind.as_str() {
                        // Its last step does.
                        "order" => false,
                        // An attempt that is to fail ends too, and is to be followed by another.
                        "flaky" => tries.failures >= failures_of(&id),
                        _ => true,
                    };
                    if settles {
                        self.begun.insert((line.member, serial), id);
                    }
                }
                What::End { serial } => {
                    if let Some(id) = self.begun.remove(&(line.member, serial)) {
                        self.settle(id);
                    }
                }
                What::Dropped { serial } => {
                    self.begun.remove(&(line.member, serial));
                }
                What::Step { about, step, .. } if step == "close" => self.settle(about),
                What::Step { .. } => {}
            }
        }
        for told in told.into_iter().filter(|told| told.answer == Answer::Kept && is_to_be_done(&told.kind)) {
            reading.acknowledged += 1;
            reading.late.extend(self.acknowledge(told));
        }
        self.acknowledged += reading.acknowledged;
        self.done_before = mem::take(&mut self.done);
        self.first_before = mem::take(&mut self.first);

        self.open.retain(|id, open| {
            let lost = now.saturating_sub(open.since) > LATEST_NS;
            if lost {
                reading.breaches.push(format!("{id} was acknowledged a minute ago and is not done"));
            }
            !lost
        });
        reading
    }

    /// A plain job began. Returns how late, if that was the first time and its acknowledgement was read before.
    fn begin(&mut self, id: &str, ns: u64) -> Option<u64> {
        let Some(open) = self.open.get_mut(id) else {
            self.first.entry(id.to_owned()).or_insert(ns);
            return None;
        };
        mem::take(&mut open.waits).then(|| ns.saturating_sub(open.since))
    }

    /// Something is kept. Returns how late it began, if it is a plain job that was seen to begin.
    fn acknowledge(&mut self, told: Told) -> Option<u64> {
        let is_plain = told.kind == "plain";
        let first = self.first_before.get(&told.id).or_else(|| self.first.get(&told.id));
        let begun = first.copied().filter(|_| is_plain);
        let is_done = self.done.contains(&told.id) || self.done_before.contains(&told.id);
        if !is_done {
            let waits = is_plain && begun.is_none();
            self.open.insert(told.id, Open { since: told.ns, waits });
        }
        begun.map(|ns| ns.saturating_sub(told.ns))
    }

    fn settle(&mut self, id: String) {
        if self.open.remove(&id).is_none() {
            self.done.insert(id);
        }
    }
}

/// Whether something is started by what is told to be of this kind; not so by a payment, which an order waits for.
fn is_to_be_done(kind: &str) -> bool {
    Evidence::JOBS.contains(&kind) || ["pack", "ordered"].contains(&kind)
}

/// Makes a hole of the first `read` bytes, whose room is free then. Those who append notice nothing, and what follows stays where
/// it is. A file system that knows no holes leaves the file as it is, which goes on to need the room.
fn give_back(file: &Path, read: u64) -> std::io::Result<()> {
    // A hole of no bytes is an error.
    if read == 0 {
        return Ok(());
    }
    let file = OpenOptions::new().write(true).open(file)?;
    match fallocate(&file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 0, read) {
        Err(Errno::OPNOTSUPP) => Ok(()),
        done => done.map_err(Into::into),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::MetadataExt as _};

    use ergate::Tries;

    use super::*;
    use crate::ledger::Ledger;

    const SECOND: u64 = 1_000_000_000;

    fn told(kind: &str, id: &str, ns: u64) -> Told {
        Told {
            ns,
            asked_ns: ns,
            member: "p0".to_owned(),
            kind: kind.to_owned(),
            id: id.to_owned(),
            answer: Answer::Kept,
        }
    }

    fn line(ns: u64, what: What) -> Line {
        Line { ns, member: "w0".to_owned(), what }
    }

    fn begin(kind: &str, id: &str, serial: u64, failures: u32, ns: u64) -> Line {
        let tries = Tries { failures, ..Tries::default() };
        line(ns, What::Begin { kind: kind.to_owned(), id: id.to_owned(), serial, tries, key: None })
    }

    fn end(serial: u64, ns: u64) -> Line {
        line(ns, What::End { serial })
    }

    /// The id of a flaky job that fails so often.
    fn flaky(failures: u32) -> String {
        let mut ids = (0..).map(|number| format!("p0-j{number}"));
        ids.find(|id| failures_of(id) == failures).unwrap()
    }

    #[test]
    fn a_job_that_begins_after_a_reading_is_late_in_the_one_in_which_it_begins() {
        let mut account = Account::default();

        let first = account.count(vec![told("plain", "j", SECOND)], vec![], 2 * SECOND);
        let second = account.count(vec![], vec![], 20 * SECOND);
        let lines = vec![begin("plain", "j", 1, 0, 31 * SECOND), end(1, 32 * SECOND)];
        let third = account.count(vec![], lines, 40 * SECOND);

        assert_eq!((first.late, second.late), (vec![], vec![]));
        assert_eq!((third.late_p99_ms(), third.breaches), (30_000.0, vec![]));
        assert!(account.still_open().is_empty());
    }

    #[test]
    fn a_beginning_that_is_read_before_the_acknowledgement_counts_once_that_is_read() {
        let mut account = Account::default();

        let lines = vec![begin("plain", "j", 1, 0, 5 * SECOND), end(1, 6 * SECOND)];
        let first = account.count(vec![], lines, 7 * SECOND);
        let second = account.count(vec![told("plain", "j", 2 * SECOND)], vec![], 8 * SECOND);

        assert_eq!((first.late, second.late), (vec![], vec![3 * SECOND]));
        assert!(account.still_open().is_empty());
    }

    #[test]
    fn a_job_that_begins_twice_is_as_late_as_the_first_time() {
        let mut account = Account::default();

        let dropped = line(4 * SECOND, What::Dropped { serial: 1 });
        account.count(vec![], vec![begin("plain", "j", 1, 0, 3 * SECOND), dropped], 5 * SECOND);
        let again = vec![begin("plain", "j", 2, 0, 9 * SECOND)];
        let acknowledged = account.count(vec![told("plain", "j", 2 * SECOND)], again, 10 * SECOND);
        let ended = account.count(vec![], vec![end(2, 11 * SECOND)], 12 * SECOND);

        assert_eq!((acknowledged.late, ended.late), (vec![SECOND], vec![]));
        assert!(account.still_open().is_empty());
    }

    #[test]
    fn a_payment_is_nothing_to_be_done() {
        let mut account = Account::default();

        let kept = vec![told("ordered", "o", SECOND), told("paid", "o-paid", SECOND)];
        let reading = account.count(kept, vec![], 2 * SECOND);

        assert_eq!((reading.acknowledged, account.still_open().len()), (1, 1));
    }

    #[test]
    fn what_is_not_acknowledged_within_two_readings_of_its_beginning_is_forgotten() {
        let mut account = Account::default();

        account.count(vec![], vec![begin("plain", "j", 1, 0, SECOND), end(1, SECOND)], SECOND);
        account.count(vec![], vec![], 2 * SECOND);

        assert!(account.first.is_empty() && account.first_before.is_empty());
        assert!(account.done.is_empty() && account.done_before.is_empty() && account.begun.is_empty());
    }

    #[test]
    fn a_flaky_job_is_done_only_when_the_attempt_that_is_to_succeed_has_ended() {
        let (mut account, id) = (Account::default(), flaky(1));

        let failed = vec![begin("flaky", &id, 1, 0, SECOND), end(1, SECOND)];
        account.count(vec![told("flaky", &id, SECOND)], failed, 2 * SECOND);
        assert_eq!(account.still_open().len(), 1);
        account.count(vec![], vec![begin("flaky", &id, 2, 1, 3 * SECOND), end(2, 3 * SECOND)], 4 * SECOND);

        assert!(account.still_open().is_empty());
    }

    #[test]
    fn a_flaky_job_whose_retry_never_comes_is_told() {
        let (mut account, id) = (Account::default(), flaky(2));

        let failed = vec![begin("flaky", &id, 1, 0, SECOND), end(1, SECOND)];
        let first = account.count(vec![told("flaky", &id, SECOND)], failed, 2 * SECOND);
        let second = account.count(vec![], vec![], 62 * SECOND);

        assert_eq!(first.breaches, Vec::<String>::new());
        assert_eq!(second.breaches, [format!("{id} was acknowledged a minute ago and is not done")]);
    }

    #[test]
    fn lines_behind_those_whose_room_was_given_back_are_read() {
        let file = std::env::temp_dir().join(format!("ergate-account-{}", now_ns()));
        let ledger = Ledger::open(&file).unwrap();
        let blocks = || fs::metadata(&file).unwrap().blocks();
        let (long, mut read) = ("x".repeat(1000), 0);

        (0..200).for_each(|_| ledger.write(&long).unwrap());
        let first: Vec<String> = rest(&file, &mut read).unwrap();
        let before = blocks();
        give_back(&file, read).unwrap();
        let after = blocks();
        ledger.write(&"behind").unwrap();
        let second: Vec<String> = rest(&file, &mut read).unwrap();
        // A file system that knows no holes has left everything as it was.
        let is_whole = fs::read(&file).unwrap()[0] == b'\n';
        fs::remove_file(&file).unwrap();

        assert_eq!((first.len(), second), (200, vec!["behind".to_owned()]));
        assert!(after < before || is_whole, "{before} blocks were in use, and {after} are");
    }
}
