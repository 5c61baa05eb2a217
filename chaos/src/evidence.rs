//! What is left after a play: the ledgers, the diary, and all that Redis has.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use ergate::{JobState, JobView, QueueStats, RunInput, Tries, reconcile};
use ergate_shared::clock;

use crate::{
    audit::audit,
    diary::Diary,
    ground::Ground,
    ledger::{self, Answer, Line, Told, What},
    stage::{Plan, Stage},
    stalls::Stall,
    work::{functions, jobs},
};

mod blocked;

/// One call of a handler or of a run's code, as the ledger has it.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The worker process.
    pub member: String,
    /// Tells it from others of that process.
    pub serial: u64,
    /// What sort of job or function.
    pub kind: String,
    /// The job.
    pub id: String,
    /// What the worker was told of the job's tries.
    pub tries: Tries,
    /// What it is limited by.
    pub key: Option<String>,
    /// When it began.
    pub from: u64,
    /// When it ended, was dropped, killed, frozen for good or without a thread until it was dropped; `None` if it goes on.
    pub to: Option<u64>,
    /// When the worker let it go: it ended or was dropped, as the ledger has it.
    pub let_go: Option<u64>,
    /// Whether it came to its end by itself.
    pub ended: bool,
}

impl Attempt {
    /// The name it gives itself as a result.
    pub fn name(&self) -> String {
        format!("{}:{}", self.member, self.serial)
    }
}

/// One call of a step's body.
#[derive(Debug, Clone)]
pub struct Body {
    /// When.
    pub ns: u64,
    /// The worker process.
    pub member: String,
    /// Its name, as the step returns it.
    pub name: String,
    /// The run.
    pub run: String,
    /// The order.
    pub about: String,
    /// The step.
    pub step: String,
}

/// See the module.
#[derive(Debug)]
pub struct Evidence {
    /// What was planned.
    pub plan: Plan,
    /// What was done to the stage.
    pub diary: Diary,
    /// All calls of handlers, in order of their beginning.
    pub attempts: Vec<Attempt>,
    /// All calls of steps' bodies, in order.
    pub bodies: Vec<Body>,
    /// All that producers were told, in order.
    pub told: Vec<Told>,
    /// All jobs Redis has, by queue and id.
    pub jobs: BTreeMap<String, HashMap<String, JobView>>,
    /// Each queue in numbers.
    pub stats: BTreeMap<String, QueueStats>,
    /// What a reconciler found at the end, and lines of workers whose reconcilers found something.
    pub repairs: u64,
    /// What workers said of repairs.
    pub repairs_said: Vec<String>,
    /// Workers that ended by themselves though nothing was to end them, or did not when they were told to, with their last words.
    pub fallen: Vec<String>,
    /// Whether all work was done in time.
    pub done: bool,
    /// When the machine stood still.
    pub stalls: Vec<Stall>,
    /// The longest a server that nothing was done to took to answer.
    pub slowest_answer: Duration,
    /// How long it all took.
    pub took: Duration,
    /// What the audit of all keys found.
    pub findings: Vec<String>,
    /// When the clock of the ledgers began, in ns since the epoch.
    pub clock_began_ns: u64,
}

impl Evidence {
    /// Reads everything. The stage must be quiet.
    ///
    /// # Errors
    /// Errors of the connection.
    pub async fn gather<G: Ground>(stage: &mut Stage<G>, done: bool, took: Duration) -> anyhow::Result<Self> {
        stage.bury()?;
        let said = stage.workers.iter().chain(&stage.leaving).chain(&stage.gone).flat_map(|worker| {
            let lines: Vec<_> = worker.process.output().lines().map(str::to_owned).collect();
            lines.into_iter().filter(|line| line.contains("were repaired"))
        });
        let repairs_said = said.collect();

        let (mut jobs, mut stats, mut repairs) = (BTreeMap::new(), BTreeMap::new(), 0);
        for name in stage.queues() {
            let queue = stage.client.queue(&name)?;
            stats.insert(name.clone(), queue.stats().await?);
            repairs += reconcile(&queue).await?.total();
            let mut found = HashMap::new();
            for state in JobState::ALL {
                let mut cursor: Option<String> = None;
                loop {
                    let page = queue.list(state, cursor.as_deref(), 500).await?;
                    found.extend(page.items.into_iter().map(|view| (view.id.to_string(), view)));
                    cursor = page.next;
                    if cursor.is_none() {
                        break;
                    }
                }
            }
            jobs.insert(name, found);
        }
        let diary = std::mem::take(&mut stage.diary);
        let (attempts, bodies) = sort(ledger::read(&stage.ledger()), &diary, &stage.plan);
        Ok(Self {
            plan: stage.plan.clone(),
            diary,
            attempts,
            bodies,
            told: ledger::read(&stage.told()),
            jobs,
            stats,
            repairs,
            repairs_said,
            fallen: std::mem::take(&mut stage.fallen),
            done,
            stalls: stage.stalls.all(),
            slowest_answer: stage.stalls.slowest_answer(),
            took,
            findings: audit(&stage.client).await?.into_iter().map(|finding| finding.0).collect(),
            clock_began_ns: (clock::unix_ms() * 1_000_000).saturating_sub(ledger::now_ns()),
        })
    }

    /// Everything of a kind that Redis said it keeps: id, and the answer.
    pub fn kept<'a>(&'a self, kinds: &'a [&str]) -> impl Iterator<Item = &'a Told> {
        // A producer that took the place of another has asked for everything again.
        let mut seen = HashSet::new();
        let kept = move |told: &&Told| told.answer == Answer::Kept && kinds.contains(&told.kind.as_str());
        self.told.iter().filter(kept).filter(move |told| seen.insert(told.id.as_str()))
    }

    /// All runs of a function, whatever its version.
    pub fn runs<'a>(&'a self, function: &'a str) -> impl Iterator<Item = &'a JobView> {
        let queue = format!("fn/{function}");
        let versions = format!("{queue}@");
        self.jobs
            .iter()
            .filter(move |(name, _)| **name == queue || name.starts_with(&versions))
            .flat_map(|(_, jobs)| jobs.values())
    }

    /// When the job of an attempt was enqueued, by the clock of the ledgers; `None` if Redis does not know the job any more.
    pub fn enqueued(&self, attempt: &Attempt) -> Option<u64> {
        let view = self.jobs.values().find_map(|jobs| jobs.get(&attempt.id))?;
        Some(self.ns_of(view.record.as_ref().ok()?.enqueued_at))
    }

    /// The order a run is about.
    pub fn order_of(view: &JobView) -> Option<String> {
        let input: RunInput = view.payload().ok()?;
        Some(input.events.first()?.data.get("order")?.as_str()?.to_owned())
    }

    /// Kinds of jobs in the queue of jobs.
    pub const JOBS: [&'static str; 6] = ["plain", "delayed", "flaky", "keyed", "only", "bad"];

    /// The queue that jobs of this kind are in.
    pub fn queue_of(kind: &str) -> String {
        match kind {
            "tick" => jobs::TICKS.to_owned(),
            kind if functions::NAMES.contains(&kind) => format!("fn/{kind}"),
            _ => jobs::QUEUE.to_owned(),
        }
    }

    /// The longest the machine stood still.
    pub fn longest_stall(&self) -> Duration {
        self.stalls.iter().map(Stall::lasted).max().unwrap_or_default()
    }

    /// How much later than promised something that was waited for from `from` to `to` (ns) may come on this machine, which has more
    /// to do than it has processors: half a second, and thrice the longest that it stood still meanwhile.
    pub fn allowance(&self, from: u64, to: u64) -> Duration {
        let meanwhile = self.stalls.iter().filter(|stall| stall.from <= to && stall.until >= from);
        Duration::from_millis(500) + 3 * meanwhile.map(Stall::lasted).max().unwrap_or_default()
    }

    /// Whether machine and server were never so late that a lease may have been lost by that: a heartbeat is sent each third of it.
    pub fn kept_up(&self) -> bool {
        self.longest_stall().max(self.slowest_answer) < self.plan.lease / 10
    }

    /// Whether Redis may have lost something of an attempt, or of what came of it up to `after` later. Who held leases that Redis has
    /// lost is told so within a lease and two seconds.
    pub fn in_doubt(&self, attempt: &Attempt, after: Duration) -> bool {
        self.diary.in_doubt(attempt.from, attempt.to, after, self.plan.lease + Duration::from_secs(2))
    }

    /// What a time since the epoch, in ms, is by the clock of the ledgers, in ns.
    pub fn ns_of(&self, unix_ms: u64) -> u64 {
        (unix_ms * 1_000_000).saturating_sub(self.clock_began_ns)
    }
}

/// Puts beginnings and ends together.
fn sort(mut lines: Vec<Line>, diary: &Diary, plan: &Plan) -> (Vec<Attempt>, Vec<Body>) {
    lines.sort_by_key(|line| line.ns);
    let (mut attempts, mut bodies, mut places) = (Vec::new(), Vec::new(), HashMap::new());
    for line in lines {
        let (ns, member) = (line.ns, line.member);
        match line.what {
            What::Begin { kind, id, serial, tries, key } => {
                places.insert((member.clone(), serial), attempts.len());
                attempts.push(Attempt {
                    member,
                    serial,
                    kind,
                    id,
                    tries,
                    key,
                    from: ns,
                    to: None,
                    let_go: None,
                    ended: false,
                });
            }
            What::End { serial } | What::Dropped { serial } => {
                let ended = matches!(line.what, What::End { .. });
                if let Some(attempt) =
                    places.get(&(member, serial)).and_then(|place| attempts.get_mut(*place))
                {
                    let attempt: &mut Attempt = attempt;
                    (attempt.to, attempt.let_go, attempt.ended) = (Some(ns), Some(ns), ended);
                }
            }
            What::Step { run, about, step, serial } => {
                bodies.push(Body { ns, name: format!("{member}:{serial}"), member, run, about, step });
            }
        }
    }
    for attempt in &mut attempts {
        // A process that stood still for longer than its lease held nothing any more when it went on.
        let lost =
            diary.frozen(&attempt.member, plan.lease).map(|deed| deed.ns).find(|ns| *ns > attempt.from);
        let killed = diary.killed(&attempt.member);
        attempt.to = [attempt.to, lost, killed].into_iter().flatten().min();
    }
    for (place, stood_still) in blocked::dropped_late(&attempts) {
        attempts[place].to = Some(stood_still);
    }
    (attempts, bodies)
}

/// Names that occur more than once.
pub fn repeated<T: std::hash::Hash + Eq>(all: impl IntoIterator<Item = T>) -> HashSet<T> {
    let mut seen = HashMap::new();
    for one in all {
        *seen.entry(one).or_insert(0_u32) += 1;
    }
    seen.into_iter().filter(|(_, times)| *times > 1).map(|(one, _)| one).collect()
}
