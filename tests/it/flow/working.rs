//! With real workers: limits held against a ledger that handlers write.

use super::*;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Call {
    account: u64,
}

impl Job for Call {
    const NAME: &str = "call";
    const QUEUE: &str = QUEUE;

    fn keys(&self) -> Vec<(&'static str, String)> {
        vec![(ACCOUNT, self.account.to_string())]
    }
}

/// What handlers wrote: which account began, and how many of it ran then, itself included.
#[derive(Debug, Clone, Default)]
struct Ledger(Arc<Mutex<Book>>);

#[derive(Debug, Default)]
struct Book {
    running: BTreeMap<u64, u32>,
    starts: Vec<(u64, u32, tokio::time::Instant)>,
    done: usize,
}

impl Ledger {
    fn with<T>(&self, change: impl FnOnce(&mut Book) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn begin(&self, account: u64) {
        self.with(|book| {
            let running = book.running.entry(account).or_default();
            *running += 1;
            let running = *running;
            book.starts.push((account, running, tokio::time::Instant::now()));
        });
    }

    fn end(&self, account: u64) {
        self.with(|book| {
            *book.running.entry(account).or_default() -= 1;
            book.done += 1;
        });
    }

    fn worker(
        &self,
        story: &Story,
        slots: usize,
        options: impl FnOnce(Worker<Self>) -> Worker<Self>,
    ) -> RunningWorker {
        let metrics = Metrics::new();
        let worker = Worker::new(story.client.clone(), self.clone())
            .queue(QUEUE, slots)
            .job(call)
            .metrics(metrics.clone());
        RunningWorker::start(options(worker), metrics)
    }
}

async fn call(job: Call, State(ledger): State<Ledger>) -> Result<()> {
    ledger.begin(job.account);
    // Long enough for others to run meanwhile, if they were let.
    tokio::time::sleep(Duration::from_millis(2)).await;
    ledger.end(job.account);
    Ok(())
}

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// Runs jobs of many accounts on several workers that have `slots` together, at most `most` of an account at once. Returns how many
/// jobs each account has, and which accounts began in which order, with how many of it running then.
async fn run_many(most: u32, slots: impl Fn(usize) -> usize) -> (usize, Vec<(u64, u32)>) {
    let (workers, accounts, jobs) = (
        setting("ERGATE_FLOW_WORKERS", 4),
        setting("ERGATE_FLOW_KEYS", 50),
        setting("ERGATE_FLOW_JOBS", 3000),
    );
    let story = Story::begin().await;
    let queue = story.queue();
    queue.set_limit(&Limit::per_key(ACCOUNT).concurrency(most)).await.unwrap();
    // Account by account: whoever is first in line must not go first.
    let each = jobs / accounts;
    let calls = (0..accounts).flat_map(|account| (0..each).map(move |_| Call { account: account as u64 }));
    story.client.enqueue_all(calls).await.unwrap();

    let ledger = Ledger::default();
    let slots = slots(accounts).div_ceil(workers);
    let running: Vec<_> = (0..workers).map(|_| ledger.worker(&story, slots, |worker| worker)).collect();
    for quarter in 1..=4 {
        let enough = accounts * each * quarter / 4;
        until(&format!("{enough} are done"), async || ledger.with(|book| book.done) >= enough).await;
    }
    for worker in running {
        worker.stop().await;
    }
    story.all_adds_up().await;
    let starts = ledger.with(|book| std::mem::take(&mut book.starts));
    (each, starts.into_iter().map(|(account, running, _)| (account, running)).collect())
}

/// With more slots than all keys may use, so that nothing but their limit keeps them back.
async fn most_at_once(most: u32) -> u32 {
    let (_, starts) = run_many(most, |accounts| accounts * most as usize + 20).await;
    starts.into_iter().map(|(_, running)| running).max().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_each_key_one_job_runs_at_a_time_over_all_workers() {
    assert_eq!(most_at_once(1).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_each_key_three_jobs_run_at_a_time_over_all_workers() {
    // How many really overlap is up to the machine as well; more than the limit never do.
    let most = most_at_once(3).await;
    assert!((2..=3).contains(&most), "{most} ran at once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_each_key_as_many_jobs_run_as_of_any_other_while_slots_are_few() {
    let (each, starts) = run_many(3, |accounts| accounts / 4).await;

    let mut shares: BTreeMap<u64, usize> = BTreeMap::new();
    for (account, _) in &starts[..starts.len() / 2] {
        *shares.entry(*account).or_default() += 1;
    }
    let fair = each as f64 / 2.0;
    let farthest = shares.values().map(|share| (*share as f64 - fair).abs() / fair).fold(0.0, f64::max);
    println!("shares of {} keys within {:.1} % of {fair}", shares.len(), farthest * 100.0);
    assert!(shares.len() * each == starts.len() && farthest <= 0.1, "{shares:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_keep_the_spacing_their_code_declares() {
    let story = Story::begin().await;
    let ledger = Ledger::default();
    let spacing = Duration::from_millis(200);
    let declare = |worker: Worker<Ledger>| worker.limit(QUEUE, Limit::per_key(ACCOUNT).spacing(spacing));
    let workers = [ledger.worker(&story, 4, declare), ledger.worker(&story, 4, declare)];
    let story_queue = story.queue();
    until("the limit is set", async || story_queue.limits().await.unwrap().len() == 1).await;
    story.client.enqueue_all((0..12).map(|n| Call { account: n % 2 })).await.unwrap();

    until("all are done", async || ledger.with(|book| book.done) == 12).await;

    let starts = ledger.with(|book| std::mem::take(&mut book.starts));
    for account in 0..2 {
        let times: Vec<_> = starts.iter().filter(|start| start.0 == account).map(|start| start.2).collect();
        let whole = times[5] - times[0];
        // A handler begins a moment after Redis has said so: sooner or later by as much.
        assert!(whole >= spacing * 5 - Duration::from_millis(20), "{whole:?}");
        println!("5 spacings of {spacing:?} took {whole:?}");
    }
    for worker in workers {
        worker.stop().await;
    }
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_key_that_no_limit_could_count_by_is_refused_before_anything_is_sent() {
    let story = Story::begin().await;
    let call = || story.client.enqueue(Call { account: 1 });

    let third = call().key("a", "1").key("b", "2").await.unwrap_err().to_string();
    let empty = call().key("a", "").await.unwrap_err().to_string();
    let replaced = call().key(ACCOUNT, "2").await.unwrap();

    assert!(third.contains("the most is 2"), "{third}");
    assert!(empty.contains("empty value"), "{empty}");
    let view = replaced.job(&story.client).get().await.unwrap();
    let keys: Vec<_> = view.record.unwrap().lane.unwrap().keys().map(|key| key.to_string()).collect();
    assert_eq!(keys, ["account=2"]);
    assert_eq!(story.queue().stats().await.unwrap().records, 1);
}

#[tokio::test]
async fn a_worker_with_a_limit_that_cannot_be_is_not_started() {
    let story = Story::begin().await;

    let worker = Worker::new(story.client.clone(), Ledger::default())
        .queue(QUEUE, 1)
        .job(call)
        .limit(QUEUE, Limit::per_key(ACCOUNT).concurrency(0))
        .limit("elsewhere", Limit::per_key(ACCOUNT).concurrency(1));
    let error = worker.run_until(std::future::pending()).await.unwrap_err().to_string();

    assert!(error.contains("would never run a job") && error.contains("queue elsewhere"), "{error}");
}

#[tokio::test]
async fn the_receipt_of_a_debounced_job_names_the_one_that_will_run() {
    let story = Story::begin().await;
    let enqueue = |account| {
        story
            .client
            .enqueue(Call { account })
            .debounce("doc-7", Duration::from_hours(1))
            .debounce_at_most(Duration::from_hours(2))
    };

    let first = enqueue(1).await.unwrap();
    let second = enqueue(2).await.unwrap();

    assert!(!first.duplicate && second.duplicate);
    assert_eq!(first.id, second.id);
    let view = first.job(&story.client).get().await.unwrap();
    assert_eq!(view.payload::<Call>().unwrap().account, 2);
    assert_eq!(story.queue().stats().await.unwrap().scheduled, 1);
}
