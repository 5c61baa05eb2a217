//! A running stage: the ground, worker and producer processes, the ledgers they write, and a diary of what was done to them.

use std::{
    path::PathBuf,
    process::{Command, ExitStatus},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use ergate::{Client, Retention};
use ergate_rig::Process;

use crate::{
    diary::{Diary, Did},
    ground::Ground,
    play::insist,
    stalls::Stalls,
    work::{functions, jobs},
};

mod folder;
mod plan;

pub use folder::Folder;
pub use plan::Plan;

/// What a worker logs of each queue it joins.
const JOINED: &str = "worker joined";

/// A worker or producer process.
#[derive(Debug)]
pub struct Member {
    /// Its name, never used again on this stage.
    pub name: String,
    /// The process.
    pub process: Process,
}

/// See the module.
#[derive(Debug)]
pub struct Stage<G> {
    /// What it stands on.
    pub ground: G,
    /// How large it is.
    pub plan: Plan,
    /// A client of its own.
    pub client: Client,
    /// Workers that are to be there.
    pub workers: Vec<Member>,
    /// Workers that were told to stop.
    pub leaving: Vec<Member>,
    /// Workers that were killed or ended by themselves, for what they logged.
    pub gone: Vec<Member>,
    /// Of those that ended by themselves though nothing was to end them, how, and their last words.
    pub fallen: Vec<String>,
    /// Producers.
    pub producers: Vec<Member>,
    /// What was done.
    pub diary: Diary,
    /// How late the machine is.
    pub stalls: Stalls,
    /// Where the ledgers are.
    pub folder: Folder,
    hired: usize,
    newest: u32,
    seed: u64,
}

impl<G: Ground> Stage<G> {
    /// Starts the workers, and returns once they are at work.
    ///
    /// # Errors
    /// If that takes over half a minute.
    pub async fn open(ground: G, plan: Plan, seed: u64) -> anyhow::Result<Self> {
        let client = Client::builder().deadline(Duration::from_secs(30)).connect(&ground.url()).await?;
        let stalls = Stalls::watch().and_of(&ground.url());
        let mut stage = Self {
            ground,
            plan,
            client,
            workers: Vec::new(),
            leaving: Vec::new(),
            gone: Vec::new(),
            fallen: Vec::new(),
            producers: Vec::new(),
            diary: Diary::default(),
            stalls,
            folder: Folder::new()?,
            hired: 0,
            newest: 0,
            seed,
        };
        stage.keep_everything().await?;
        for _ in 0..stage.plan.workers {
            let worker = stage.worker()?;
            stage.workers.push(worker);
        }
        stage.at_work().await?;
        Ok(stage)
    }

    /// All queues whose jobs the workers perform.
    pub fn queues(&self) -> Vec<String> {
        let mut queues = vec![jobs::QUEUE.to_owned(), jobs::TICKS.to_owned()];
        queues.extend(functions::NAMES.map(|name| format!("fn/{name}")));
        queues.push("fn/order@2".to_owned());
        queues
    }

    /// The file the workers append to.
    pub fn ledger(&self) -> PathBuf {
        self.folder.path().join("workers")
    }

    /// The file the producers append to.
    pub fn told(&self) -> PathBuf {
        self.folder.path().join("producers")
    }

    /// Has all queues keep what ended, so that it can be judged, and limits the one of ticks.
    ///
    /// # Errors
    /// Errors of the connection.
    pub async fn keep_everything(&self) -> anyhow::Result<()> {
        let all = (Some(u32::MAX), Some(Duration::from_hours(24)));
        let keep = Retention {
            completed: all.0,
            completed_for: all.1,
            cancelled: all.0,
            cancelled_for: all.1,
            dead: all.0,
            dead_for: all.1,
        };
        for queue in self.queues() {
            let queue = self.client.queue(&queue)?;
            insist(async || queue.set_retention(keep).await).await?;
        }
        let ticks = self.client.queue(jobs::TICKS)?;
        insist(async || ticks.set_concurrency(Some(1)).await).await?;
        Ok(())
    }

    /// Waits until all workers are in their queues and the functions are known.
    ///
    /// # Errors
    /// After half a minute.
    pub async fn at_work(&self) -> anyhow::Result<()> {
        let ready = async {
            loop {
                let known =
                    self.client.functions().await.is_ok_and(|known| known.len() >= functions::NAMES.len());
                let stats = self.client.queue(jobs::QUEUE)?.stats().await;
                if known && stats.is_ok_and(|stats| stats.workers >= self.workers.len() as u64) {
                    return anyhow::Ok(());
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), ready)
            .await
            .context("the workers did not begin to work")?
    }

    /// Waits until nothing but the next tick is under way.
    ///
    /// # Errors
    /// After ten minutes.
    pub async fn until_done(&self) -> anyhow::Result<()> {
        for _ in 0..6000 {
            let mut left = 0;
            for queue in self.queues() {
                let queue = self.client.queue(&queue)?;
                let stats = insist(async || queue.stats().await).await?;
                left += stats.ready + stats.leased + stats.scheduled;
            }
            if left <= 1 {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bail!("not all was done within ten minutes")
    }

    /// Starts a worker, which is not among `workers` yet.
    ///
    /// # Errors
    /// If there is no such program.
    pub fn worker(&mut self) -> anyhow::Result<Member> {
        let name = format!("w{}", self.hired);
        let clock = self.plan.clocks_ms[self.hired % self.plan.clocks_ms.len()];
        self.hired += 1;
        self.newest = self.newest.max(self.plan.release);
        let mut command = Command::new(program("chaos-worker")?);
        command
            // The first panic's backtrace would bring 40 MB of symbols into memory, for good.
            .env_remove("RUST_BACKTRACE")
            .args(["--url", &self.ground.url_for(&name), "--member", &name])
            .arg("--ledger")
            .arg(self.ledger());
        let plan = &self.plan;
        for (flag, value) in [
            ("--lease-ms", plan.lease.as_millis().to_string()),
            ("--slots", plan.slots.to_string()),
            ("--deadline-ms", plan.deadline.as_millis().to_string()),
            ("--clock-ms", clock.to_string()),
            ("--release", plan.release.to_string()),
        ] {
            command.args([flag, &value]);
        }
        if let Some(most) = plan.memory_mb {
            command.args(["--memory-mb", &most.to_string()]);
        }
        Ok(Member { name, process: Process::start(&mut command) })
    }

    /// Puts a new worker in the place of another, which is returned.
    ///
    /// # Errors
    /// As [`worker`](Self::worker).
    pub fn replace(&mut self, place: usize) -> anyhow::Result<Member> {
        let fresh = self.worker()?;
        Ok(std::mem::replace(&mut self.workers[place], fresh))
    }

    /// Tells a worker to stop, and puts a new one in its place.
    ///
    /// # Errors
    /// As [`worker`](Self::worker).
    pub fn relieve(&mut self, place: usize) -> anyhow::Result<()> {
        let leaving = self.replace(place)?;
        self.diary.note(Did::ToldToStop(leaving.name.clone()));
        leaving.process.sigterm();
        self.leaving.push(leaving);
        Ok(())
    }

    /// Ends a play with the newest release there was: runs of a version that only it has wait for it.
    ///
    /// # Errors
    /// As [`worker`](Self::worker).
    pub fn end_with_newest_release(&mut self) -> anyhow::Result<()> {
        if self.plan.release < self.newest {
            self.plan.release = self.newest;
            for place in 0..self.workers.len() {
                self.relieve(place)?;
            }
        }
        Ok(())
    }

    /// Keeps the ledgers, the diary and what the workers logged, and says where.
    pub fn keep_traces(&mut self) -> PathBuf {
        self.folder.keep = true;
        let folder = self.folder.path().to_owned();
        let _ = std::fs::write(folder.join("diary"), format!("{:#?}\n", self.diary));
        for member in self.workers.iter().chain(&self.leaving).chain(&self.gone).chain(&self.producers) {
            let _ = std::fs::write(folder.join(format!("{}.log", member.name)), member.process.output());
        }
        folder
    }

    /// Starts the producers.
    ///
    /// # Errors
    /// As [`worker`](Self::worker).
    pub fn produce(&mut self) -> anyhow::Result<()> {
        for number in 0..self.plan.producers {
            let producer = self.producer(number)?;
            self.producers.push(producer);
        }
        Ok(())
    }

    /// Starts the producer of this number, which is not among `producers` yet. Whatever it was before, it sends the same.
    ///
    /// # Errors
    /// As [`worker`](Self::worker).
    pub fn producer(&mut self, number: usize) -> anyhow::Result<Member> {
        self.producer_of(&format!("p{number}"), self.seed.wrapping_add(number as u64))
    }

    /// Starts a producer with a name and a seed of its own.
    ///
    /// # Errors
    /// As [`worker`](Self::worker).
    pub fn producer_of(&mut self, name: &str, seed: u64) -> anyhow::Result<Member> {
        let name = name.to_owned();
        let mut command = Command::new(program("chaos-producer")?);
        command
            .args(["--url", &self.ground.url_for(&name), "--member", &name])
            .arg("--ledger")
            .arg(self.told());
        for (flag, value) in [
            ("--seed", seed.to_string()),
            ("--jobs", self.plan.jobs.to_string()),
            ("--orders", self.plan.orders.to_string()),
            ("--over-ms", self.plan.over.as_millis().to_string()),
        ] {
            command.args([flag, &value]);
        }
        command.args((!self.plan.event_ids).then_some("--without-event-ids"));
        Ok(Member { name, process: Process::start(&mut command) })
    }

    /// Waits until the workers that were told to stop have ended; those that did not in time, or not well, have [fallen](Self::fallen).
    pub async fn see_off(&mut self) {
        // Time for what a handler must not do, which keeps its thread, and to leave.
        let until = Instant::now() + self.plan.deadline + self.plan.lease + Duration::from_secs(10);
        for worker in &mut self.leaving {
            loop {
                match worker.process.ended() {
                    // It may have been told before it had come far enough to be able to listen, or to have anything to leave.
                    Some(status) if status.success() || !worker.process.output().contains(JOINED) => break,
                    Some(status) => {
                        self.fallen.push(last_words(worker, status));
                        break;
                    }
                    None if Instant::now() > until => {
                        self.fallen.push(format!(
                            "{} was told to stop and has not ended: {}",
                            worker.name,
                            worker.process.output()
                        ));
                        break;
                    }
                    None => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        }
    }

    /// Takes workers that ended by themselves for killed, and puts new ones in their places. Returns how many. Where nothing was to
    /// end a worker, as want of memory is, it has [fallen](Self::fallen).
    ///
    /// # Errors
    /// As [`worker`](Self::worker).
    pub fn bury(&mut self) -> anyhow::Result<usize> {
        let mut buried = 0;
        for place in 0..self.workers.len() {
            if let Some(status) = self.workers[place].process.ended() {
                self.diary.note(Did::Killed(self.workers[place].name.clone()));
                let dead = self.replace(place)?;
                if self.plan.memory_mb.is_none() {
                    self.fallen.push(last_words(&dead, status));
                }
                self.gone.push(dead);
                buried += 1;
            }
        }
        Ok(buried)
    }
}

fn last_words(worker: &Member, status: ExitStatus) -> String {
    format!("{} ended by itself ({status}): {}", worker.name, worker.process.output())
}

/// A program of this crate: it is built beside the one that runs.
fn program(name: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let found = own.ancestors().skip(1).take(2).map(|folder| folder.join(name)).find(|file| file.is_file());
    let Some(found) = found else {
        bail!("the program {name} is not built: `cargo build -p ergate-chaos --bins`");
    };
    Ok(found)
}
