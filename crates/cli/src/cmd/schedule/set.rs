//! Setting a schedule by hand.

use std::time::Duration;

use clap::{ArgGroup, Args};
use ergate_client::Client;
use ergate_shared::{
    Backoff, JobName, JobOptions, Priority, QueueName, ScheduleName, duration,
    schedule::{CatchUp, Overlap, Zone},
};

use super::show;
use crate::output::{GREEN, Output};

/// `ergate schedule set`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ergate schedule set nightly --cron '0 3 * * *' --zone Europe/Berlin --job nightly-report --into reports
  ergate schedule set pulse --every 5m --job http.request --into http --payload '{\"url\": \"https://example.com/health\"}'
  ergate schedule set cleanup --cron @daily --function daily-cleanup --overlap skip")]
#[command(group = ArgGroup::new("when").required(true).args(["cron", "every"]))]
#[command(group = ArgGroup::new("what").required(true).args(["job", "function"]))]
pub(crate) struct Set {
    /// What it is called
    name: ScheduleName,
    /// At the times of an expression: minute, hour, day of month, month, day of week, or `@daily` and the like
    #[arg(long, value_name = "EXPRESSION", help_heading = "When")]
    cron: Option<String>,
    /// The zone by whose clock the expression is read, such as `Europe/Berlin` [default: UTC]
    #[arg(long, conflicts_with = "every", help_heading = "When")]
    zone: Option<Zone>,
    /// Every so often, at whole periods since 1970
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, help_heading = "When")]
    every: Option<Duration>,
    /// Put each start off by up to this long, by chance
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "0s", help_heading = "When")]
    jitter: Duration,

    /// Start a job of this name
    #[arg(long, value_name = "NAME", requires = "into", help_heading = "What")]
    job: Option<JobName>,
    /// The queue the job goes to
    #[arg(long, value_name = "QUEUE", conflicts_with = "function", help_heading = "What")]
    into: Option<QueueName>,
    /// The job's payload as JSON
    #[arg(
        long,
        value_name = "JSON",
        default_value = "null",
        conflicts_with = "function",
        allow_negative_numbers = true,
        help_heading = "What"
    )]
    payload: String,
    /// Start a run of this durable function
    #[arg(long, value_name = "NAME", help_heading = "What")]
    function: Option<JobName>,
    /// Place within the queue, 1 (first) to 10 (last) [default: 5]
    #[arg(long, value_name = "N", requires = "job", allow_hyphen_values = true, help_heading = "What")]
    priority: Option<Priority>,
    /// Tries after the first [default: what the worker's handler declares, else 3]
    #[arg(long, value_name = "N", requires = "job", help_heading = "What")]
    retries: Option<u32>,
    /// Delay between tries, as of `ergate enqueue`
    #[arg(long, value_name = "SPEC", requires = "job", help_heading = "What")]
    backoff: Option<Backoff>,

    /// What becomes of times that were missed: `skip`, `latest`, or `all:N` for the last N of them
    #[arg(long, value_name = "POLICY", default_value = "latest", help_heading = "Policies")]
    catch_up: CatchUp,
    /// What becomes of times that come while the last job has not ended: `allow`, `skip`, `queue-one` or `cancel-running`
    #[arg(long, value_name = "POLICY", default_value = "allow", help_heading = "Policies")]
    overlap: Overlap,
}

impl Set {
    pub(super) async fn run(self, client: &Client, output: Output) -> anyhow::Result<()> {
        let schedule = client.schedule(self.name.as_str())?;
        let mut set = match (self.every, self.cron) {
            (Some(period), _) => schedule.every(period),
            (None, cron) => schedule.cron(&cron.unwrap_or_default()),
        };
        if let Some(zone) = self.zone {
            set = set.zone(zone.as_str());
        }
        set = match (self.function, self.job, self.into) {
            (Some(function), ..) => set.function(function.as_str()),
            (None, Some(job), Some(queue)) => {
                let mut set = set.raw_job(queue, job, self.payload);
                if let Some(priority) = self.priority {
                    set = set.priority(priority);
                }
                set.options(JobOptions {
                    retries: self.retries,
                    backoff: self.backoff,
                    ..JobOptions::default()
                })
            }
            (None, ..) => set,
        };
        let view = set.catch_up(self.catch_up).overlap(self.overlap).jitter(self.jitter).await?;
        let next = view.next().map(|next| format!(", next {}", show::moment(next))).unwrap_or_default();
        output.either(
            &view.to_json(),
            format!("{GREEN}✓{GREEN:#} schedule {}: {}{next}", view.name, view.spec.recurrence.describe()),
        )
    }
}
