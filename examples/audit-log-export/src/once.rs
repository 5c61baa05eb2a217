//! The whole story once, in a minute, with everything that may go wrong: producers, workers, a broken storage, an order
//! that makes no sense, a worker that is killed; and at the end an audit of every file, mail and row.
//!
//! The troubles are real ones. The job that fails twice finds a folder where its file should go until somebody clears it
//! away; the job that fails for good has a range that ends before it starts, which the API would have refused; the
//! worker is killed as the kernel kills, while it holds jobs.

use std::{
    fs,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, ensure};
use ergate::{Client, JobHandle, JobId, JobState, Queue, Retention, shutdown_signal};
use jiff::{Timestamp, Unit};

use crate::{
    app::{App, Places},
    job::EXPORTS,
};

mod audit;
mod order;
mod summary;
mod teller;
mod tidy;
mod workers;

use order::{Fate, Ledger};
use teller::Teller;
use workers::WorkerProcess;

/// Organizations in the database.
const ORGANIZATIONS: usize = 20;
/// Short, so that what a killed worker held is soon given to another.
const LEASE: Duration = Duration::from_secs(3);

/// How much there is to do.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct OnceOptions {
    /// Audit logs in the database.
    #[arg(long, default_value_t = 100_000)]
    rows: u32,

    /// Exports that are asked for, and a few more that make trouble.
    #[arg(long, default_value_t = 300)]
    exports: usize,

    /// How long it may take until all is settled.
    #[arg(long, default_value = "2m", value_parser = ergate::duration::parse)]
    within: Duration,

    /// Keeps files, mail, database and logs; without it they stay only if something was wrong.
    #[arg(long)]
    keep: bool,
}

pub(crate) async fn once(places: &Places, options: &OnceOptions) -> anyhow::Result<ExitCode> {
    let teller = Teller::new();
    let places = own(places)?;
    let client = places.client().await?;
    // Dropped, the story kills the workers it has started.
    let right = tokio::select! {
        right = story(&places, &client, options, teller) => right,
        () = shutdown_signal() => Err(anyhow!("stopped before its end")),
    };
    tidy::forget(&client).await?;
    if matches!(right, Ok(true)) && !options.keep {
        tidy::remove(&places.data)?;
    } else {
        teller.say(format!("files, mail, database and logs are in {}", places.data.display()));
    }
    Ok(if right? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Tells it, and says whether everything was right.
async fn story(
    places: &Places,
    client: &Client,
    options: &OnceOptions,
    teller: Teller,
) -> anyhow::Result<bool> {
    let app = places.open("http://127.0.0.1:8080").await?;
    let queue = client.queue(EXPORTS)?;

    teller.say(format!("seeding {} audit logs of {ORGANIZATIONS} organizations", options.rows));
    let now = Timestamp::now().round(Unit::Minute)?;
    app.database.seed(ORGANIZATIONS, options.rows / ORGANIZATIONS as u32, now).await?;

    teller.say(format!(
        "starting two workers, 4 slots and a lease of {LEASE:?} each; all they write is in {}",
        places.data.display()
    ));
    let mut first = WorkerProcess::start(places, "worker-1", LEASE)?;
    let mut second = WorkerProcess::start(places, "worker-2", LEASE)?;
    until("both workers are listed", options.within, async || {
        let listed = [first.listed(client).await?, second.listed(client).await?];
        Ok(listed.iter().all(Option::is_some).then_some(()))
    })
    .await?;

    teller.say(format!(
        "asking for {} exports, three producers at once, with priorities and delays",
        options.exports
    ));
    // All of them are looked at in the end, so none may be forgotten before.
    let most = options.exports.saturating_add(10).try_into()?;
    queue.set_retention(Retention { completed: Some(most), ..Retention::default() }).await?;
    let ledger = order::ask(places, &app, options.exports, now).await?;
    let blocked = ledger.find(Fate::FailsTwice).context("no job was to fail twice")?.id.clone();
    let obstacle = places.files().join("exports").join(format!("{blocked}.csv"));
    // A program may replace a file of that name, but not a folder: not even root's.
    fs::create_dir_all(&obstacle)?;

    let jobs = ledger.jobs.len() as u64;
    let crash = async {
        until("a quarter of the exports are done", options.within, async || {
            Ok((queue.stats().await?.completed > jobs / 4).then_some(()))
        })
        .await?;
        let crash = kill(&mut second, client, &queue, options.within).await?;
        let (pid, held) = (second.pid(), crash.held.len());
        teller.say(format!("killed worker-2 (SIGKILL, process {pid}) while it held {held} exports"));
        settle(&queue, jobs, options.within, teller).await?;
        Ok(crash)
    };
    let repair = repair(client.job(EXPORTS, blocked.as_str())?, &obstacle, options.within, teller);
    let (crash, ()) = tokio::try_join!(crash, repair)?;

    teller.say("all is settled; stopping worker-1 with SIGTERM");
    first.stop().await?;

    teller.say("checking every file, mail and notification against the database");
    let findings = audit::audit(&app, places, &queue, &ledger, &crash).await?;
    summary::print(&findings, &ledger, teller)?;
    Ok(findings.problems.is_empty())
}

/// A folder and a namespace of its own, so that nothing of yours is touched and nothing of an earlier time is counted.
fn own(places: &Places) -> anyhow::Result<Places> {
    let stamp = Timestamp::now().strftime("%Y%m%d-%H%M%S").to_string();
    let data = places.data.join(format!("once-{stamp}"));
    fs::create_dir_all(&data).with_context(|| format!("folder {}", data.display()))?;
    let namespace = format!("audit-log-once-{stamp}-{}", std::process::id());
    Ok(Places { data, namespace, storage_url: None, smtp_url: None, base_url: None, ..places.clone() })
}

/// What an operator does: sees the export fail, looks at why, clears the way. The third attempt finds it clear.
async fn repair(job: JobHandle, obstacle: &Path, within: Duration, teller: Teller) -> anyhow::Result<()> {
    let said = until("an export has failed twice", within, async || {
        let job = job.get().await?;
        Ok((job.tries.failures >= 2).then_some(job.failure).flatten())
    })
    .await?;
    fs::remove_dir(obstacle)?;
    let cause = said.chain.last().cloned().unwrap_or_default();
    teller.say(format!("cleared the storage: an export had failed twice ({cause})"));
    Ok(())
}

/// A worker that was killed.
#[derive(Debug)]
struct Crash {
    at: Timestamp,
    /// What it held.
    held: Vec<JobId>,
}

/// Kills a worker while it holds jobs.
async fn kill(
    worker: &mut WorkerProcess,
    client: &Client,
    queue: &Queue,
    within: Duration,
) -> anyhow::Result<Crash> {
    let name = until("worker-2 holds exports", within, async || {
        let Some(name) = worker.listed(client).await? else { return Ok(None) };
        Ok((!held_by(&name, queue).await?.is_empty()).then_some(name))
    })
    .await?;
    worker.kill().await?;
    let at = Timestamp::now();
    let held = held_by(&name, queue).await?;
    ensure!(!held.is_empty(), "worker-2 had settled all it held when it was killed; ask for more --exports");
    Ok(Crash { at, held })
}

async fn held_by(worker: &str, queue: &Queue) -> anyhow::Result<Vec<JobId>> {
    let leased = queue.list(JobState::Leased, None, 1000).await?.items;
    Ok(leased.into_iter().filter(|job| job.worker.as_deref() == Some(worker)).map(|job| job.id).collect())
}

/// Waits until nothing waits or runs any more, saying now and then how far it is.
async fn settle(queue: &Queue, jobs: u64, within: Duration, teller: Teller) -> anyhow::Result<()> {
    let mut said = Instant::now();
    until("everything is settled", within, async || {
        let stats = queue.stats().await?;
        let ended = stats.completed + stats.dead + stats.cancelled;
        if said.elapsed() > Duration::from_secs(2) {
            said = Instant::now();
            let (running, ready, later) = (stats.leased, stats.ready, stats.scheduled);
            teller.say(format!(
                "{ended} of {jobs} have ended, {running} run, {ready} are ready, {later} wait for a time"
            ));
        }
        Ok((ended >= jobs).then_some(()))
    })
    .await
}

/// Asks again until there is an answer.
async fn until<T>(
    what: &str,
    within: Duration,
    mut look: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let begun = Instant::now();
    while begun.elapsed() < within {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    anyhow::bail!("waited {} in vain until {what}", ergate::duration::show(within))
}

impl Ledger {
    fn find(&self, fate: Fate) -> Option<&order::Asked> {
        self.jobs.iter().find(|asked| asked.fate == fate)
    }
}

impl App {
    /// The file of an export as it is; `None` if there is none.
    async fn csv(&self, id: &JobId) -> anyhow::Result<Option<Vec<u8>>> {
        match self.storage.download(id.as_str()).await? {
            Some(file) => Ok(Some(file.bytes().await?.to_vec())),
            None => Ok(None),
        }
    }
}
