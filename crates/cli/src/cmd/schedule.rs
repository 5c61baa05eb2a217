//! `ergate schedule`: what is started again and again.

mod list;
mod set;
mod show;

use clap::{Args, Subcommand};
use ergate_client::{Client, ScheduleHandle};
use ergate_shared::{
    ScheduleName,
    schedule::{Cron, Recurrence, Zone},
};
use jiff::Timestamp;
use serde_json::json;

use crate::{
    confirm,
    connection::Connection,
    exit::Refusal,
    output::{self, DIM, GREEN, Output},
    values,
};

/// `ergate schedule`.
#[derive(Debug, Subcommand)]
pub(crate) enum Schedule {
    /// All schedules: when, what, the next time, how the last job went
    List,
    /// One schedule: what it starts, its next times, what became of those that passed
    Show(One),
    /// Start what it starts now, and print the id; its times stay as they are
    Run(One),
    /// Start nothing until it is resumed; what runs goes on
    Pause(One),
    /// Go on with the next time; what passed meanwhile is not made up
    Resume(One),
    /// The next times of a schedule, or of an expression that is yet to be set
    Preview(Preview),
    /// Start what it would have started in a stretch of time that has passed
    Backfill(Backfill),
    /// Set a schedule by hand: it goes before one of the same name in a worker's code
    Set(Box<set::Set>),
    /// Delete a schedule; what it has started stays
    Remove(Remove),
}

/// One schedule.
#[derive(Debug, Args)]
pub(crate) struct One {
    /// Which schedule
    name: ScheduleName,
}

/// `ergate schedule preview`.
#[derive(Debug, Args)]
pub(crate) struct Preview {
    /// Which schedule
    #[arg(required_unless_present = "cron", conflicts_with = "cron")]
    name: Option<ScheduleName>,
    /// An expression such as `0 3 * * *` instead
    #[arg(long, value_name = "EXPRESSION")]
    cron: Option<String>,
    /// The zone by whose clock the expression is read [default: UTC]
    #[arg(long, requires = "cron")]
    zone: Option<Zone>,
    /// How many times
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
    count: u16,
}

/// `ergate schedule backfill`.
#[derive(Debug, Args)]
pub(crate) struct Backfill {
    /// Which schedule
    name: ScheduleName,
    /// From when on: `2027-01-31T09:00:00Z`, by this machine's clock `2027-01-31 09:00`, or so long ago, like `7d`
    #[arg(long, value_name = "TIME", value_parser = values::since)]
    from: values::Since,
    /// Up to when, not included [default: now]
    #[arg(long, value_name = "TIME", value_parser = values::since)]
    to: Option<values::Since>,
}

/// `ergate schedule remove`.
#[derive(Debug, Args)]
pub(crate) struct Remove {
    /// Which schedule
    name: ScheduleName,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl One {
    fn of(&self, client: &Client) -> anyhow::Result<ScheduleHandle> {
        Ok(client.schedule(self.name.as_str())?)
    }
}

impl Schedule {
    pub(crate) async fn run(self, connection: &Connection, output: Output) -> anyhow::Result<()> {
        if let Self::Preview(Preview { cron: Some(cron), zone, count, .. }) = &self {
            return preview_of(cron, zone.clone(), *count, output);
        }
        let client = connection.client().await?;
        match self {
            Self::List => list::run(&client, output).await,
            Self::Show(one) => show::run(&one.of(&client)?.show().await?, output),
            Self::Run(one) => {
                let receipt = one.of(&client)?.run_now().await?;
                output.either(&json!({"id": receipt.id, "queue": receipt.queue}), &receipt.id)
            }
            Self::Pause(one) => {
                one.of(&client)?.pause().await?;
                let name = &one.name;
                output.either(
                    &json!({"name": name, "paused": true}),
                    format!("{GREEN}✓{GREEN:#} schedule {name} is paused {DIM}(go on with `ergate schedule resume {name}`){DIM:#}"),
                )
            }
            Self::Resume(one) => {
                let schedule = one.of(&client)?;
                schedule.resume().await?;
                let next = schedule.show().await?.next();
                let when = next.map(|next| format!(", next {}", show::moment(next))).unwrap_or_default();
                output.either(
                    &json!({"name": one.name, "paused": false, "next_at": next.map(Timestamp::as_millisecond)}),
                    format!("{GREEN}✓{GREEN:#} schedule {} goes on{when}", one.name),
                )
            }
            Self::Preview(preview) => preview.run(&client, output).await,
            Self::Backfill(backfill) => backfill.run(&client, output).await,
            Self::Set(set) => set.run(&client, output).await,
            Self::Remove(remove) => remove.run(&client, output).await,
        }
    }
}

impl Preview {
    async fn run(self, client: &Client, output: Output) -> anyhow::Result<()> {
        let Some(name) = self.name else { return Err(Refusal::usage("say which schedule").into()) };
        let view = client.schedule(name.as_str())?.show().await?;
        print_times(&view.spec.recurrence, &view.preview(self.count.into()), output)
    }
}

/// Needs no Redis: only the calendar.
fn preview_of(cron: &str, zone: Option<Zone>, count: u16, output: Output) -> anyhow::Result<()> {
    let (cron, own) = Cron::with_zone(cron).map_err(|error| Refusal::usage(error.to_string()))?;
    let recurrence = Recurrence::Cron { cron, zone: zone.or(own).unwrap_or_default() };
    let times = recurrence.preview(Timestamp::now(), count.into());
    output.line(recurrence.describe())?;
    print_times(&recurrence, &times, output)
}

fn print_times(recurrence: &Recurrence, times: &[Timestamp], output: Output) -> anyhow::Result<()> {
    if output.is_json() {
        let times: Vec<_> = times.iter().map(|time| time.as_millisecond()).collect();
        return output.json(&json!({"description": recurrence.describe(), "times": times}));
    }
    if times.is_empty() {
        output::note("it has no time left");
    }
    let zone = match recurrence {
        Recurrence::Cron { zone, .. } => zone.clone(),
        Recurrence::Every(_) => Zone::utc(),
    };
    for time in times {
        output.line(time.to_zoned(zone.rules().clone()).strftime("%a %Y-%m-%d %H:%M:%S %:z"))?;
    }
    Ok(())
}

impl Backfill {
    async fn run(self, client: &Client, output: Output) -> anyhow::Result<()> {
        let schedule = client.schedule(self.name.as_str())?;
        let now = schedule.show().await?.now;
        let time = |since: values::Since| Timestamp::from_millisecond(since.millis(now).cast_signed());
        let from = time(self.from)?;
        let to = match self.to {
            Some(to) => time(to)?,
            None => Timestamp::from_millisecond(now.cast_signed())?,
        };
        if from >= to {
            return Err(Refusal::usage(format!("{from} is not before {to}")).into());
        }
        let filled = schedule.backfill(from, to).await?;
        let there = match filled.there {
            0 => String::new(),
            there => format!(" {DIM}({} there already){DIM:#}", output::counted(there as u64, "job")),
        };
        output.either(
            &json!({"name": self.name, "started": filled.started, "there": filled.there}),
            format!("{GREEN}✓{GREEN:#} {} started{there}", output::counted(filled.started as u64, "job")),
        )
    }
}

impl Remove {
    async fn run(self, client: &Client, output: Output) -> anyhow::Result<()> {
        let schedule = client.schedule(self.name.as_str())?;
        schedule.show().await?;
        confirm::deletion(&format!("schedule {}", self.name), self.name.as_str(), self.yes)?;
        schedule.remove().await?;
        output.either(
            &json!({"name": self.name, "removed": true}),
            format!("{GREEN}✓{GREEN:#} schedule {} deleted", self.name),
        )
    }
}
