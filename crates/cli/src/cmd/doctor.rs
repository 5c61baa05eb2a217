//! `ergate doctor`: what about this Redis, and the queues on it, loses work or costs speed.
//!
//! Each group of findings has a module. A finding says what is the case and, unless all is well, what to do about it.
//! Nothing is changed, except in a namespace of the doctor's own that is deleted afterwards.

mod data;
mod facts;
mod latency;
mod memory;
mod persistence;
mod replication;
mod rights;
mod server;

use anstyle::Style;
use clap::Args;
use ergate_client::Redis;
use serde::Serialize;
use serde_json::json;

use crate::{
    connection::Connection,
    exit::{Code, Quiet},
    output::{self, BOLD, DIM, GREEN, Output, RED, YELLOW},
};

use facts::Facts;

/// `ergate doctor`.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Show only what is not in order
    #[arg(long)]
    problems: bool,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Level {
    Ok,
    /// Slower, or less safe than it could be.
    Warn,
    /// Jobs are lost, stay where they are, or cannot be enqueued.
    LosesWork,
}

/// One thing found out.
#[derive(Debug, Clone, Serialize)]
struct Finding {
    level: Level,
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

impl Finding {
    fn ok(what: impl Into<String>) -> Self {
        Self { level: Level::Ok, what: what.into(), fix: None }
    }

    fn warn(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { level: Level::Warn, what: what.into(), fix: Some(fix.into()) }
    }

    fn loses_work(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { level: Level::LosesWork, what: what.into(), fix: Some(fix.into()) }
    }
}

/// Findings under a title.
#[derive(Debug, Serialize)]
struct Group {
    title: &'static str,
    findings: Vec<Finding>,
}

impl Doctor {
    pub(crate) async fn run(self, connection: &Connection, output: Output) -> anyhow::Result<()> {
        let redis = Redis::open(&connection.url())?;
        let spinner = output::spinner(&format!("looking at {}", redis.address()));
        let groups = examine(&redis, connection).await;
        spinner.finish_and_clear();
        let mut groups = groups?;
        let count = |level| {
            groups.iter().flat_map(|group| &group.findings).filter(|finding| finding.level == level).count()
        };
        let (fine, warnings, losing) = (count(Level::Ok), count(Level::Warn), count(Level::LosesWork));
        if self.problems {
            for group in &mut groups {
                group.findings.retain(|finding| finding.level != Level::Ok);
            }
            groups.retain(|group| !group.findings.is_empty());
        }
        if output.is_json() {
            let address = redis.address();
            output.json(&json!({"address": address, "ok": fine, "warnings": warnings, "loses_work": losing, "groups": groups}))?;
        } else {
            groups.iter().try_for_each(|group| group.print(output))?;
            output.line(verdict(fine, warnings, losing))?;
        }
        if losing > 0 { Err(Quiet(Code::Failed).into()) } else { Ok(()) }
    }
}

impl Group {
    fn print(&self, output: Output) -> anyhow::Result<()> {
        output.line(format!("{BOLD}{}{BOLD:#}", self.title))?;
        for finding in &self.findings {
            let (mark, style) = match finding.level {
                Level::Ok => ("✓", GREEN),
                Level::Warn => ("!", YELLOW),
                Level::LosesWork => ("✗", RED.bold()),
            };
            let emphasis = if finding.level == Level::LosesWork { RED } else { Style::new() };
            output.line(output::hanging(
                &format!("  {style}{mark}{style:#} {emphasis}"),
                4,
                &finding.what,
                &format!("{emphasis:#}"),
            ))?;
            if let Some(fix) = &finding.fix {
                output.line(output::hanging(&format!("    {DIM}fix:{DIM:#} "), 9, fix, ""))?;
            }
        }
        output.line("")
    }
}

async fn examine(redis: &Redis, connection: &Connection) -> anyhow::Result<Vec<Group>> {
    redis.connect_within(connection.connect_within()).await?;
    let facts = Facts::gather(redis).await?;
    let mut groups = vec![
        Group { title: "server", findings: server::findings(&facts) },
        Group { title: "memory", findings: memory::findings(&facts) },
        Group { title: "persistence", findings: persistence::findings(&facts) },
        Group { title: "replication", findings: replication::findings(&facts) },
        Group { title: "latency and clock", findings: latency::findings(redis).await? },
        Group { title: "rights", findings: rights::findings(redis, connection.namespace()).await? },
        Group { title: "data", findings: data::findings(connection).await? },
    ];
    groups.retain(|group| !group.findings.is_empty());
    Ok(groups)
}

fn verdict(fine: usize, warnings: usize, losing: usize) -> String {
    let fine = format!("{fine} in order");
    let warnings = match warnings {
        0 => String::new(),
        count => format!("{YELLOW}{}{YELLOW:#}, ", output::counted(count as u64, "warning")),
    };
    match losing {
        0 => format!("{GREEN}nothing here loses work{GREEN:#}: {warnings}{fine}"),
        1 => format!("{RED}{BOLD}1 finding loses work{RED:#}{BOLD:#}, {warnings}{fine}"),
        count => format!("{RED}{BOLD}{count} findings lose work{RED:#}{BOLD:#}, {warnings}{fine}"),
    }
}
