//! Compares what came of it with what should have: every job, file, mail and notification.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    time::Duration,
};

use anyhow::Context;
use ergate::{JobId, JobState, JobView, Queue};

use super::{
    Crash,
    order::{Asked, Fate, Ledger},
};
use crate::{
    app::{App, Places},
    job::Exported,
};

/// How much earlier than due a delayed job may seem to start: times are whole milliseconds of two clocks.
const CLOCKS_DIFFER: i64 = 20;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) done: usize,
    pub(crate) retried: usize,
    pub(crate) dead: usize,
    pub(crate) recovered: usize,
    /// Between the kill and the start of the last recovered job's next attempt.
    pub(crate) recovered_within: Duration,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    /// Between the time at which a job was due and the start of its first attempt, by priority.
    pub(crate) waits: BTreeMap<u8, Vec<Duration>>,
    /// What is not as it should be; empty if all is.
    pub(crate) problems: Vec<String>,
}

pub(crate) async fn audit(
    app: &App,
    places: &Places,
    queue: &Queue,
    ledger: &Ledger,
    crash: &Crash,
) -> anyhow::Result<Findings> {
    let mut findings = Findings::default();
    let mut recovered = HashSet::new();
    for asked in &ledger.jobs {
        match queue.job(asked.id.as_str())?.get().await {
            Ok(job) => {
                if job.tries.crashes > 0 {
                    recovered.insert(job.id.clone());
                    let again = exported(&job)
                        .map(|exported| exported.started_at.duration_since(crash.at).unsigned_abs());
                    findings.recovered_within = findings.recovered_within.max(again.unwrap_or_default());
                }
                findings.job(app, places, asked, &job).await?;
            }
            Err(error) => findings.problem(format!("export {}: {error}", asked.id)),
        }
    }
    findings.recovered = recovered.len();
    let held: HashSet<JobId> = crash.held.iter().cloned().collect();
    findings.expect(recovered == held, || {
        format!("the killed worker held {held:?}, but what was recovered is {recovered:?}")
    });
    findings.expect(ledger.duplicates == 2, || {
        format!("{} requests were told that the same export is under way, not 2", ledger.duplicates)
    });
    findings.nothing_more(app, places, ledger).await?;
    findings.priorities();
    let stats = queue.stats().await?;
    findings.expect(stats.adds_up(), || format!("the queue's numbers do not add up: {stats:?}"));
    Ok(findings)
}

impl Findings {
    fn problem(&mut self, problem: String) {
        self.problems.push(problem);
    }

    fn expect(&mut self, right: bool, problem: impl FnOnce() -> String) {
        if !right {
            self.problem(problem());
        }
    }

    async fn job(&mut self, app: &App, places: &Places, asked: &Asked, job: &JobView) -> anyhow::Result<()> {
        let id = &asked.id;
        let (state, failures) = match asked.fate {
            Fate::Completes => (JobState::Completed, 0),
            Fate::FailsTwice => (JobState::Completed, 2),
            Fate::Dies => (JobState::Dead, 1),
        };
        self.expect(job.state == state, || {
            format!("export {id} is {}, not {state}: {:?}", job.state, job.failure)
        });
        let failed = job.tries.failures;
        self.expect(failed == failures, || {
            format!("export {id} failed {failed} times, not {failures}: {:?}", job.failure)
        });
        match job.state {
            JobState::Completed => {
                self.done += 1;
                self.retried += usize::from(failed > 0);
                self.completed(app, places, asked, job).await
            }
            JobState::Dead => {
                self.dead += 1;
                let reason = job.failure.as_ref().map_or("", |failure| &failure.message);
                self.expect(reason.contains("before it starts"), || {
                    format!("export {id} died of {reason:?}")
                });
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn completed(
        &mut self,
        app: &App,
        places: &Places,
        asked: &Asked,
        job: &JobView,
    ) -> anyhow::Result<()> {
        let id = &asked.id;
        let exported = exported(job)?;
        let expected = app.database.count(&(&asked.export).into()).await?;
        let csv = app.csv(id).await?.unwrap_or_default();
        let rows = csv::Reader::from_reader(&*csv).records().filter(Result::is_ok).count() as u64;
        self.expect(rows == expected, || {
            format!("the file of export {id} has {rows} rows, the database {expected}")
        });
        self.expect(exported.rows == expected, || {
            format!("export {id} says that it has {} rows, the database {expected}", exported.rows)
        });

        let mail = fs::read_to_string(places.mail().join(format!("{id}.eml"))).unwrap_or_default();
        let (to, count) = (format!("To: {}", asked.export.user_email), format!("rows   {expected}"));
        self.expect(
            mail.contains(&to) && mail.contains(&count) && mail.contains(&app.link(id.as_str())),
            || format!("the mail of export {id} lacks the address, the row count or the link: {mail:?}"),
        );
        let noted = app.database.notification(id.as_str()).await?.map(|notification| notification.rows);
        self.expect(noted == Some(expected), || {
            format!("the notification of export {id} says {noted:?} rows")
        });

        self.rows += rows;
        self.bytes += csv.len() as u64;
        if let (Ok(record), 0, 0) = (&job.record, job.tries.failures, job.tries.crashes) {
            let waited = exported.started_at.as_millisecond() - record.due_at.cast_signed();
            self.expect(waited >= -CLOCKS_DIFFER, || {
                format!("export {id}, delayed by {:?}, started {} ms before it was due", asked.delay, -waited)
            });
            let waited = Duration::from_millis(u64::try_from(waited).unwrap_or(0));
            self.waits.entry(asked.priority.get()).or_default().push(waited);
        }
        Ok(())
    }

    /// Neither a mail nor a notification is there that nobody asked for, and none twice.
    async fn nothing_more(&mut self, app: &App, places: &Places, ledger: &Ledger) -> anyhow::Result<()> {
        let mails = fs::read_dir(places.mail())?.count();
        let files = fs::read_dir(places.files().join("exports"))?
            .filter_map(Result::ok)
            // What a killed worker had begun has a number after its name, and is nobody's file.
            .filter(|file| file.path().extension().is_some_and(|extension| extension == "csv"))
            .count();
        let notifications = app.database.notifications(u32::MAX).await?.len();
        let expected = ledger.jobs.iter().filter(|asked| asked.fate != Fate::Dies).count();
        for (what, found) in [("mails", mails), ("files", files), ("notifications", notifications)] {
            self.expect(found == expected, || {
                format!("there are {found} {what}, {expected} exports should have one")
            });
        }
        Ok(())
    }

    /// Those in a hurry waited less than those with time.
    fn priorities(&mut self) {
        let (hurried, patient) = (self.wait(1..=3, 0.5), self.wait(8..=10, 0.5));
        self.expect(hurried < patient, || {
            format!(
                "exports of priority 1 to 3 waited {hurried:?} at the median, those of 8 to 10 {patient:?}"
            )
        });
    }

    /// A quantile of the time in queue of some priorities; `part` is 0.5 for the median.
    pub(crate) fn wait(&self, priorities: std::ops::RangeInclusive<u8>, part: f64) -> Duration {
        let mut waits: Vec<Duration> =
            self.waits.range(priorities).flat_map(|(_, waits)| waits).copied().collect();
        waits.sort();
        let last = waits.len().saturating_sub(1);
        waits.get((part * last as f64).round() as usize).copied().unwrap_or_default()
    }
}

fn exported(job: &JobView) -> anyhow::Result<Exported> {
    let detail = job.outcome.as_ref().map_or("", |outcome| &outcome.detail);
    serde_json::from_str(detail).with_context(|| format!("result of export {}", job.id))
}
