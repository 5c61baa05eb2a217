//! How many runs execute at once: in all, and of those with an equal value.
//!
//! `ERGATE_OPTIONS_WORKERS`, `ERGATE_OPTIONS_KEYS` and `ERGATE_OPTIONS_RUNS` make the runs long.

use std::collections::BTreeMap;

use super::*;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Order {
    account: u64,
}

impl Event for Order {
    const NAME: &str = "shop/order";
}

/// What bodies of steps wrote: which account began, how many of its bodies ran then, and how many of its runs were there.
#[derive(Debug, Clone, Default)]
struct Book(Arc<Mutex<Page>>);

#[derive(Debug, Default)]
struct Page {
    executing: BTreeMap<u64, u32>,
    there: BTreeMap<u64, u32>,
    most_executing: u32,
    most_there: u32,
    /// Accounts in the order in which their runs began.
    began: Vec<u64>,
    ended: usize,
}

impl Book {
    fn with<T>(&self, change: impl FnOnce(&mut Page) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }

    async fn body(&self, account: u64) -> Result<()> {
        self.with(|page| {
            let executing = page.executing.entry(account).or_default();
            *executing += 1;
            page.most_executing = page.most_executing.max(*executing);
        });
        // Long enough for others to execute meanwhile, if they were let.
        tokio::time::sleep(Duration::from_millis(2)).await;
        self.with(|page| *page.executing.entry(account).or_default() -= 1);
        Ok(())
    }
}

async fn ship(order: Order, step: Step, State(book): State<Book>) -> Result<()> {
    let account = order.account;
    let begin = async {
        book.with(|page| {
            page.began.push(account);
            let there = page.there.entry(account).or_default();
            *there += 1;
            page.most_there = page.most_there.max(*there);
        });
        book.body(account).await
    };
    step.run("pack", begin).await?;
    step.sleep("pause", Duration::from_millis(30)).await;
    let end = async {
        book.body(account).await?;
        book.with(|page| {
            *page.there.entry(account).or_default() -= 1;
            page.ended += 1;
        });
        Ok::<_, Failure>(())
    };
    step.run("send", end).await?;
    Ok(())
}

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// Runs orders of many accounts on several workers with `slots` together, and returns what was written, and how many orders
/// each account has.
async fn ship_all(declare: impl Fn(Function<Book>) -> Function<Book>, slots: usize) -> (Page, usize) {
    let workers = setting("ERGATE_OPTIONS_WORKERS", 4);
    let accounts = setting("ERGATE_OPTIONS_KEYS", 50);
    let each = setting("ERGATE_OPTIONS_RUNS", 1000) / accounts;
    let story = Story::begin().await;
    let book = Book::default();
    let start = || {
        let function = Function::new("ship", ship).slots(slots.div_ceil(workers));
        let metrics = Metrics::new();
        let worker = Worker::new(story.client.clone(), book.clone()).metrics(metrics.clone());
        RunningWorker::start(worker.function(declare(function)), metrics)
    };
    let first = start();
    until_declared(&story, "ship").await;
    let queue = story.client.queue("fn/ship").unwrap();
    // So that all are there before the first is served, account by account.
    queue.pause().await.unwrap();
    let running: Vec<_> = std::iter::once(first).chain((1..workers).map(|_| start())).collect();
    for account in 0..accounts {
        let orders = (0..each).map(|_| Order { account: account as u64 });
        story.client.send_all(orders).await.unwrap();
    }
    let all = (accounts * each) as u64;
    until("all runs are there", async || queue.stats().await.unwrap().records == all).await;
    queue.resume().await.unwrap();
    for part in 1..=10 {
        let enough = accounts * each * part / 10;
        until(&format!("{enough} have ended"), async || book.with(|page| page.ended) >= enough).await;
    }
    for worker in running {
        worker.stop().await;
    }
    assert!(queue.stats().await.unwrap().adds_up());
    assert_eq!(ergate::reconcile(&queue).await.unwrap().total(), 0);
    (book.with(std::mem::take), each)
}

async fn of_each_account(limit: u32) {
    let per = |function: Function<Book>| function.concurrency_per(limit, "event.data.account");

    let (page, each) = ship_all(per, 200).await;

    // How many really overlap is up to the machine as well; more than the limit never do.
    assert!(
        (limit.min(2)..=limit).contains(&page.most_executing),
        "{} executed at once",
        page.most_executing
    );
    assert!(page.most_there > limit, "others went on while some slept: {}", page.most_there);
    assert_eq!(page.began.len(), page.ended);
    assert_eq!(page.ended, each * page.there.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_each_value_one_run_executes_at_a_time_over_all_workers_while_others_sleep() {
    of_each_account(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_each_value_three_runs_execute_at_a_time_over_all_workers_while_others_sleep() {
    of_each_account(3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_each_value_as_many_runs_begin_as_of_any_other_while_slots_are_few() {
    let per = |function: Function<Book>| function.concurrency_per(3, "event.data.account");

    let (page, each) = ship_all(per, setting("ERGATE_OPTIONS_KEYS", 50) / 4).await;

    let mut shares: BTreeMap<u64, usize> = BTreeMap::new();
    let half = page.began.len() / 2;
    for account in &page.began[..half] {
        *shares.entry(*account).or_default() += 1;
    }
    let fair = each as f64 / 2.0;
    let farthest = shares.values().map(|share| (*share as f64 - fair).abs() / fair).fold(0.0, f64::max);
    println!("shares of {} values within {:.1} % of {fair}", shares.len(), farthest * 100.0);
    assert!(farthest <= 0.1 && page.most_executing <= 3, "{shares:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_function_so_many_runs_execute_at_a_time_over_all_workers() {
    let story = Story::begin().await;
    let book = Book::default();
    let start = || {
        let metrics = Metrics::new();
        let worker = Worker::new(story.client.clone(), book.clone()).metrics(metrics.clone());
        RunningWorker::start(worker.function(Function::new("ship", ship).concurrency(2)), metrics)
    };
    let workers = [start(), start()];
    until_declared(&story, "ship").await;

    story.client.send_all((0..60).map(|_| Order { account: 1 })).await.unwrap();
    until("all have ended", async || book.with(|page| page.ended) == 60).await;

    assert_eq!(book.with(|page| page.most_executing), 2);
    assert!(book.with(|page| page.most_there) > 2, "others went on while some slept");
    for worker in workers {
        worker.stop().await;
    }
}

#[tokio::test]
async fn a_limit_that_code_declares_no_more_is_cleared_and_one_set_by_hand_stays() {
    let story = Story::begin().await;
    let queue = story.client.queue("fn/ship").unwrap();
    let start = |function: Function<Book>| {
        let metrics = Metrics::new();
        let worker = Worker::new(story.client.clone(), Book::default()).metrics(metrics.clone());
        RunningWorker::start(worker.function(function), metrics)
    };
    let limited = Function::new("ship", ship).concurrency(2).concurrency_per(1, "event.data.account");
    let first = start(limited);
    until_declared(&story, "ship").await;
    assert_eq!(queue.stats().await.unwrap().settings["concurrency"], "2");
    assert_eq!(queue.limits().await.unwrap().len(), 1);
    queue.set_limit(&Limit::per_key("by-hand").concurrency(9)).await.unwrap();
    first.stop().await;

    let second = start(Function::new("ship", ship));
    until("what was declared is cleared", async || {
        let left = queue.limits().await.unwrap();
        !queue.stats().await.unwrap().settings.contains_key("concurrency")
            && left.iter().all(|limit| limit.name.as_str() == "by-hand")
            && left.len() == 1
    })
    .await;
    second.stop().await;
}

#[tokio::test]
async fn whoever_starts_a_run_its_options_are_applied() {
    let story = Story::begin().await;
    let ledger = Ledger::default();
    async fn note(_: EventRecord, _: Step) -> Result<()> {
        Ok(())
    }
    let function = Function::new("note", note).on(PAID).concurrency_per(1, "event.data.account");
    let worker = worker(&story, &ledger, function);
    until_declared(&story, "note").await;
    let queue = story.client.queue("fn/note").unwrap();
    queue.pause().await.unwrap();
    story.client.schedule("nightly").unwrap().cron("0 3 * * *").function("note").await.unwrap();

    let event = send(&story, json!({"account": "acme"})).await;
    let by_event = run_of(&story, &event).await;
    let by_hand = story.client.invoke("note", &json!({"account": 7})).await.unwrap();
    let by_schedule = story.client.schedule("nightly").unwrap().run_now().await.unwrap();

    let mut lanes = Vec::new();
    for id in [by_event.id(), &by_hand.id, &by_schedule.id] {
        let view = queue.job(id.as_str()).unwrap().get().await.unwrap();
        lanes.push(view.record.unwrap().lane.unwrap().as_str().to_owned());
    }
    assert_eq!(lanes, ["fn/concurrency=acme", "fn/concurrency=7", "fn/concurrency=null"]);
    worker.stop().await;
}

#[tokio::test]
async fn a_function_whose_options_cannot_work_is_refused_before_anything_runs() {
    let story = Story::begin().await;
    let function = Function::new("ship", ship).concurrency(0).concurrency_per(1, "event.");

    let worker = Worker::new(story.client.clone(), Book::default()).function(function);
    let error = worker.run_until(std::future::pending()).await.unwrap_err().to_string();

    assert!(error.contains("function ship: concurrency of 0") && error.contains("\"event.\""), "{error}");
}
