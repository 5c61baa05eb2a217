//! Dead letters one by one, or by what they died of.

use clap::Args;
use ergate_client::{Client, DeadLetters, Filter, JobView};
use ergate_shared::{JobState, QueueName};
use serde_json::json;

use super::{Which, groups::Groups};
use crate::{
    cmd::queue::known,
    listing,
    output::{self, Clock, DIM, Output},
};

/// Dead letters read by one call.
const PAGE: usize = 200;
/// Dead letters listed at most.
const MOST: u16 = 1000;

/// `ergate dead list`.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Which queue
    queue: QueueName,
    /// Count them by kind and message of their failure
    #[arg(long)]
    group: bool,
    /// How many to list
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=i64::from(MOST)))]
    limit: u16,
    /// Go on where the page before ended, which says with what
    #[arg(long, conflicts_with_all = ["name", "kind", "message", "tag", "since", "group"])]
    cursor: Option<String>,
    #[command(flatten)]
    which: Which,
}

impl List {
    pub(super) async fn run(self, client: &Client, output: Output) -> anyhow::Result<()> {
        let queue = known(client, &self.queue).await?;
        let clock = Clock::new(client.redis().now_ms());
        let dead = queue.dead();
        let filter = self.which.filter(client);
        if self.group {
            let mut groups = Groups::default();
            read(&dead, &filter, |views| {
                groups.add(&views);
                true
            })
            .await?;
            return self.groups(&groups, clock, output);
        }
        let limit = usize::from(self.limit);
        let (views, next, more) = if self.which.is_everything() {
            let page = dead.list(self.cursor.as_deref(), limit).await?;
            (page.items, page.next, false)
        } else {
            let mut views = Vec::new();
            read(&dead, &filter, |matching| {
                views.extend(matching);
                views.len() <= limit
            })
            .await?;
            let more = views.len() > limit;
            views.truncate(limit);
            (views, None, more)
        };
        if output.is_json() {
            let views: Vec<_> = views.iter().map(JobView::to_json).collect();
            return output.json(
                &json!({"queue": self.queue, "jobs": views, "next": next, "more": more || next.is_some()}),
            );
        }
        if views.is_empty() {
            self.none();
            return Ok(());
        }
        output.line(listing::jobs(JobState::Dead, &views, clock))?;
        let remark = match next {
            _ if more && self.limit == MOST => {
                "and more; narrow it down, with --since or --message".to_owned()
            }
            _ if more => "and more; raise --limit".to_owned(),
            Some(cursor) if queue.stats().await?.dead != views.len() as u64 => {
                format!("go on with --cursor {cursor}")
            }
            _ => return Ok(()),
        };
        output.line(format!("\n{DIM}{remark}{DIM:#}"))
    }

    fn none(&self) {
        let such = if self.which.is_everything() { "" } else { " like that" };
        output::note(format!("queue {} has no dead letters{such}", self.queue));
    }

    fn groups(&self, groups: &Groups, clock: Clock, output: Output) -> anyhow::Result<()> {
        if output.is_json() {
            return output.json(&json!({"queue": self.queue, "groups": groups.to_json()}));
        }
        if groups.is_empty() {
            self.none();
            return Ok(());
        }
        output.line(groups.table(clock))
    }
}

/// Reads page by page and hands over what matches of each, until `take` wants no more.
async fn read(
    dead: &DeadLetters,
    filter: &Filter,
    mut take: impl FnMut(Vec<JobView>) -> bool,
) -> anyhow::Result<()> {
    let spinner = output::spinner("reading dead letters");
    let mut cursor = None;
    loop {
        let page = dead.list(cursor.as_deref(), PAGE).await?;
        let goes_on = take(page.items.into_iter().filter(|view| filter.matches(view)).collect());
        cursor = page.next;
        if !goes_on || cursor.is_none() {
            spinner.finish_and_clear();
            return Ok(());
        }
    }
}
