//! Runs that wait for an event which is sent at about the moment they begin to wait, while their workers are killed: none
//! misses it, and none has it twice.
//!
//! A short one with a fixed seed is part of every test run; `script/chaos` makes it long by `ERGATE_CHAOS_MEETINGS`: how many
//! events have to be sent a millisecond or two before a wait was journalled, and how many as long after.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use ergate::{
    Client, JobState, Queue, Retention,
    run::{Entry, Op, Resolution},
};
use serde_json::json;
use tokio::{
    net::UnixDatagram,
    sync::{Semaphore, oneshot},
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::support::{Process, RedisServer, until_some};

/// Meetings of a round, if so many are wanted.
const MOST_OF_A_ROUND: u64 = 10_000;
/// Rounds within which the events have to have hit the moment often enough.
const MOST_ROUNDS: u64 = 40;
/// Meetings under way at once, but for those whose worker was killed.
const AT_ONCE: usize = 6;
/// Whoever begins to wait later than this has lost its worker, or stands behind runs of such.
const SOON: Duration = Duration::from_millis(30);
/// By how much events are sent before and after the moment at which most runs have journalled that they wait, in µs.
const SPREAD_US: u64 = 2_000;
const KILL_EVERY: Duration = Duration::from_millis(2000);

/// A small generator, so that a seed replays a run (SplitMix64, Steele et al., OOPSLA 2014).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// What came of some rounds.
#[derive(Default)]
struct Sum {
    meetings: u64,
    kills: u64,
    bodies_again: u64,
    /// How many events were sent so many ms after their run had journalled that it waits.
    after_ms: BTreeMap<i64, u64>,
}

impl Sum {
    fn count(&self, from: i64, to: i64) -> u64 {
        self.after_ms.range(from..=to).map(|(_, count)| count).sum()
    }

    fn just_before(&self) -> u64 {
        self.count(-2, -1)
    }

    fn just_after(&self) -> u64 {
        self.count(1, 2)
    }

    fn add(&mut self, round: Self) {
        self.meetings += round.meetings;
        self.kills += round.kills;
        self.bodies_again += round.bodies_again;
        for (ms, count) in round.after_ms {
            *self.after_ms.entry(ms).or_default() += count;
        }
    }

    /// The median of those that were not far off.
    fn median_ms(&self) -> i64 {
        let near = self.after_ms.range(-50..=50).flat_map(|(ms, count)| (0..*count).map(|_| *ms));
        let near: Vec<i64> = near.collect();
        near.get(near.len() / 2).copied().unwrap_or(0)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_meets_the_run_that_begins_to_wait_for_it() {
    let (wanted, seed) = (setting("ERGATE_CHAOS_MEETINGS", 5), setting("ERGATE_CHAOS_SEED", 7));
    let (mut chance, started) = (Chance(seed), Instant::now());
    let (mut sum, mut pause_us) = (Sum::default(), 2 * SPREAD_US);
    let meetings = wanted.clamp(300, MOST_OF_A_ROUND);
    for _ in 0..MOST_ROUNDS {
        let round = play(&mut chance, meetings, pause_us).await;
        // So that the next one comes nearer.
        pause_us = pause_us.saturating_add_signed(-1000 * round.median_ms()).max(SPREAD_US);
        sum.add(round);
        if sum.just_before().min(sum.just_after()) >= wanted {
            break;
        }
    }
    println!(
        "seed {seed}: {} meetings in {:.1?}, {} kills, {} bodies ran again; after the run had journalled that it waits, {} events were \
         sent within 1 or 2 ms, and {} as long before; in the same ms {}, earlier {}, later {}",
        sum.meetings,
        started.elapsed(),
        sum.kills,
        sum.bodies_again,
        sum.just_after(),
        sum.just_before(),
        sum.count(0, 0),
        sum.count(i64::MIN, -3),
        sum.count(3, i64::MAX),
    );
    assert!(sum.just_before().min(sum.just_after()) >= wanted, "too few were sent at about the moment");
}

/// One round on a server of its own. Events are sent about so long after their run began to wait.
async fn play(chance: &mut Chance, meetings: u64, pause_us: u64) -> Sum {
    let redis = RedisServer::start().await;
    let client = Client::builder().deadline(Duration::from_secs(60)).connect(&redis.url()).await.unwrap();
    let queue = client.queue("fn/meet").unwrap();
    let keep = Retention {
        completed: Some(u32::MAX),
        completed_for: Some(Duration::from_secs(86_400)),
        ..Retention::default()
    };
    queue.set_retention(keep).await.unwrap();
    let (ledger, socket) = (redis.directory().join("meetings"), redis.directory().join("waits"));
    let waits = Waits::listen(&socket);
    let spawn = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_meeting-worker"));
        Process::start(command.args([&redis.url(), "2000"]).arg(&ledger).arg(&socket))
    };
    let mut workers: Vec<Process> = (0..3).map(|_| spawn()).collect();
    let declared = async || (!client.functions().await.unwrap().is_empty()).then_some(());
    until_some("the function is declared", declared).await;

    let pauses: Vec<_> = (0..meetings)
        .map(|_| pause_us - SPREAD_US + chance.below(2 * SPREAD_US))
        .map(Duration::from_micros)
        .collect();
    let sending = tokio::spawn(send_all(client.clone(), waits, pauses));

    let started = Instant::now();
    let limit = Duration::from_secs(180 + meetings / 25);
    let (mut kill_at, mut kills) = (KILL_EVERY, 0);
    loop {
        sleep(Duration::from_millis(50)).await;
        let stats = queue.stats().await.unwrap();
        if sending.is_finished() && stats.completed >= meetings {
            break;
        }
        assert!(started.elapsed() < limit, "not done after {limit:?}: {stats:?}");
        if started.elapsed() >= kill_at && !sending.is_finished() {
            kill_at += KILL_EVERY;
            let victim = chance.below(workers.len() as u64) as usize;
            workers[victim].sigkill();
            workers[victim] = spawn();
            kills += 1;
        }
    }
    sending.await.unwrap();

    let after_ms = judge(&client, &queue, meetings).await;
    let mut bodies = BTreeMap::<String, u64>::new();
    for line in fs::read_to_string(&ledger).unwrap().lines() {
        *bodies.entry(line.to_owned()).or_default() += 1;
    }
    assert_eq!(bodies.len() as u64, 2 * meetings, "every body ran");
    Sum { meetings, kills, bodies_again: bodies.values().map(|times| times - 1).sum(), after_ms }
}

/// Who is to be told that a run begins to wait.
#[derive(Clone, Default)]
struct Waits(Arc<Mutex<HashMap<u64, oneshot::Sender<()>>>>);

impl Waits {
    fn listen(socket: &Path) -> Self {
        let (waits, socket) = (Self::default(), UnixDatagram::bind(socket).unwrap());
        let of = waits.clone();
        tokio::spawn(async move {
            let mut number = [0; 8];
            while socket.recv(&mut number).await.is_ok() {
                // A run whose worker was killed says it again.
                if let Some(told) = of.0.lock().unwrap().remove(&u64::from_be_bytes(number)) {
                    let _ = told.send(());
                }
            }
        });
        waits
    }

    fn of(&self, number: u64) -> oneshot::Receiver<()> {
        let (tell, told) = oneshot::channel();
        self.0.lock().unwrap().insert(number, tell);
        told
    }
}

/// Starts runs, and sends each its event so long after it says that it begins to wait.
async fn send_all(client: Client, waits: Waits, pauses: Vec<Duration>) {
    let (places, mut meetings) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
    for (number, pause) in (0..).zip(pauses) {
        let place = Arc::clone(&places).acquire_owned().await.unwrap();
        let (client, mut told) = (client.clone(), waits.of(number));
        meetings.spawn(async move {
            let data = json!({ "number": number });
            client.send_raw("meeting/begun", data.clone()).await.unwrap();
            if timeout(SOON, &mut told).await.is_err() {
                drop(place);
                told.await.unwrap();
            }
            sleep(pause).await;
            client.send_raw("meeting/answered", data).await.unwrap();
        });
    }
    meetings.join_all().await;
}

/// Every number has one run, and every run its event, journalled once; answers when it was sent.
async fn judge(client: &Client, queue: &Queue, meetings: u64) -> BTreeMap<i64, u64> {
    let (mut numbers, mut after_ms) = (BTreeMap::<u64, u32>::new(), BTreeMap::<i64, u64>::new());
    let mut cursor = None;
    loop {
        let page = queue.list(JobState::Completed, cursor.as_deref(), 500).await.unwrap();
        for view in &page.items {
            let input: serde_json::Value = view.payload().unwrap();
            *numbers.entry(input["events"][0]["data"]["number"].as_u64().unwrap()).or_default() += 1;
            assert_eq!(view.outcome.as_ref().unwrap().detail, "true", "it got its answer: {view:?}");
            let journal = client.run("meet", view.id.as_str()).unwrap().journal().await.unwrap();
            let said: Vec<_> =
                journal.entries().iter().map(|entry| (entry.step.as_str(), told(&entry.op))).collect();
            assert_eq!(
                said,
                [("before", "done"), ("answer", "wait"), ("answer", "came"), ("after", "done")],
                "each once, in order"
            );
            *after_ms.entry(sent_after(journal.entries())).or_default() += 1;
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert!(numbers.len() as u64 == meetings && numbers.values().all(|runs| *runs == 1), "{numbers:?}");
    after_ms
}

fn told(op: &Op) -> &'static str {
    match op {
        Op::Done { .. } => "done",
        Op::Wait { .. } => "wait",
        Op::Resolved { with: Resolution::Event(_), .. } => "came",
        _ => "something else",
    }
}

/// By how many ms the answer was sent after the run journalled that it waits, by the one clock of this machine.
fn sent_after(journal: &[Entry]) -> i64 {
    let waits = journal.iter().find(|entry| matches!(entry.op, Op::Wait { .. })).unwrap();
    let sent = journal.iter().find_map(|entry| match &entry.op {
        Op::Resolved { with: Resolution::Event(event), .. } => Some(event.ts),
        _ => None,
    });
    sent.unwrap().cast_signed() - waits.at.cast_signed()
}
