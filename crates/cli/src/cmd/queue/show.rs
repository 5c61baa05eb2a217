//! One queue in numbers, and its jobs page by page.

use anstyle::Style;
use clap::Args;
use ergate_client::{Client, JobView, Page, Queue, QueueStats};
use ergate_shared::{JobState, QueueName};
use serde_json::json;

use super::{as_json, keys, known, limit};
use crate::{
    listing,
    output::{self, BOLD, Clock, DIM, Output, RED, YELLOW, of_state},
};

/// `ergate queue show`.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// Which queue
    queue: QueueName,
    /// List its jobs in this state: `scheduled`, `ready`, `leased`, `completed`, `cancelled` or `dead`
    #[arg(long)]
    state: Option<JobState>,
    /// How many jobs to list
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000), requires = "state")]
    limit: u16,
    /// Go on where the page before ended, which says with what
    #[arg(long, requires = "state")]
    cursor: Option<String>,
}

impl Show {
    pub(super) async fn run(self, client: &Client, output: Output) -> anyhow::Result<()> {
        let queue = known(client, &self.queue).await?;
        let stats = queue.stats().await?;
        let Some(state) = self.state else {
            let limits = keys::page(&queue.limits().await?);
            return output.either(&as_json(&self.queue, &stats), page(&self.queue, &stats) + &limits);
        };
        let mut jobs = self.jobs(&queue, state).await?;
        // Of few leased jobs Redis tells all at once, however many are asked for. With a cursor they would be lost between pages.
        let is_whole = self.cursor.is_none() && jobs.next.is_none();
        let is_cut = is_whole && jobs.items.len() > usize::from(self.limit);
        if is_cut {
            jobs.items.truncate(self.limit.into());
        }
        if output.is_json() {
            let views: Vec<_> = jobs.items.iter().map(|view| view.to_json()).collect();
            return output.json(&json!({
                "queue": self.queue, "state": state, "jobs": views, "next": jobs.next,
                "more": is_cut || jobs.next.is_some(),
            }));
        }
        if jobs.items.is_empty() {
            output::note(format!(
                "queue {} has no {state} jobs{}",
                self.queue,
                if self.cursor.is_some() { " after that" } else { "" }
            ));
            return Ok(());
        }
        output.line(listing::jobs(state, &jobs.items, Clock::new(stats.now)))?;
        match jobs.next {
            _ if is_cut => output.line(format!(
                "\n{DIM}of {}; raise --limit{DIM:#}",
                output::counted(stats.count(state), "job")
            )),
            Some(cursor) if jobs.items.len() as u64 != stats.count(state) => output.line(format!(
                "\n{DIM}of {}; go on with --cursor {cursor}{DIM:#}",
                output::counted(stats.count(state), "job")
            )),
            _ => Ok(()),
        }
    }
}

impl Show {
    /// A full page if there is one: entries of jobs that have left the state are passed over.
    async fn jobs(&self, queue: &Queue, state: JobState) -> anyhow::Result<Page<JobView>> {
        let mut jobs = Page { items: Vec::new(), next: self.cursor.clone() };
        loop {
            let room = usize::from(self.limit) - jobs.items.len();
            let page = queue.list(state, jobs.next.as_deref(), room).await?;
            jobs.items.extend(page.items);
            jobs.next = page.next;
            if jobs.next.is_none() || jobs.items.len() >= self.limit.into() {
                return Ok(jobs);
            }
        }
    }
}

fn page(name: &QueueName, stats: &QueueStats) -> String {
    let clock = Clock::new(stats.now);
    let mut lines = Vec::new();
    let paused = if stats.paused { format!("  {YELLOW}paused{YELLOW:#}") } else { String::new() };
    lines.push(format!("{BOLD}{name}{BOLD:#}{paused}"));
    let widest =
        JobState::ALL.map(|state| output::grouped(stats.count(state)).len()).into_iter().max().unwrap_or(1);
    for state in JobState::ALL {
        let count = stats.count(state);
        let style = if count == 0 { DIM } else { of_state(state) };
        let remark = match state {
            JobState::Scheduled => {
                stats.next_due_at.map(|at| format!("the next is due {}", clock.relative(at)))
            }
            JobState::Ready => stats.oldest_ready_ms.map(|ms| format!("the first has waited {}", waited(ms))),
            _ => None,
        };
        let remark =
            remark.filter(|_| count > 0).map(|remark| format!("  {DIM}{remark}{DIM:#}")).unwrap_or_default();
        let (title, count) = (state.as_str(), output::grouped(count));
        lines.push(format!("  {title:<10} {style}{count:>widest$}{style:#}{remark}"));
    }
    let lonely = stats.workers == 0 && stats.ready > 0 && !stats.paused;
    let style = if lonely { YELLOW } else { Style::new() };
    let remark = if lonely { format!("  {YELLOW}nobody takes its jobs{YELLOW:#}") } else { String::new() };
    lines.push(format!(
        "  {:<10} {style}{:>widest$}{style:#}{remark}",
        "workers",
        output::grouped(stats.workers)
    ));
    if !stats.adds_up() {
        lines.push(format!(
            "  {RED}{} are kept, and the states have {}: `ergate doctor`{RED:#}",
            output::counted(stats.records, "record"),
            JobState::ALL.into_iter().map(|state| stats.count(state)).sum::<u64>()
        ));
    }
    lines.push(String::new());
    lines.push(limit::page(&stats.settings));
    lines.join("\n")
}

fn waited(ms: u64) -> String {
    output::about(std::time::Duration::from_millis(ms))
}
