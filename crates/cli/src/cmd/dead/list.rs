//! Dead letters one by one, or by what they died of.

use std::collections::{BTreeSet, HashMap};

use clap::Args;
use ergate_client::{Client, DeadLetters, Filter, JobView};
use ergate_shared::{JobState, QueueName};
use serde_json::json;

use super::Which;
use crate::{
    cmd::queue::known,
    listing,
    output::{self, Cell, Clock, Column, DIM, Output, RED, Table},
};

/// Dead letters read by one call.
const PAGE: usize = 200;

/// `ergate dead list`.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Which queue
    queue: QueueName,
    /// Count them by kind and message of their failure
    #[arg(long)]
    group: bool,
    /// How many to list
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
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
            return self.groups(&all_matching(&dead, &filter, usize::MAX).await?.0, clock, output);
        }
        let limit = usize::from(self.limit);
        let (views, next, more) = if self.which.is_everything() {
            let page = dead.list(self.cursor.as_deref(), limit).await?;
            (page.items, page.next, false)
        } else {
            let (views, more) = all_matching(&dead, &filter, limit).await?;
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
        match next {
            _ if more => output.line(format!("\n{DIM}and more; raise --limit{DIM:#}")),
            Some(cursor) if queue.stats().await?.dead != views.len() as u64 => {
                output.line(format!("\n{DIM}go on with --cursor {cursor}{DIM:#}"))
            }
            _ => Ok(()),
        }
    }

    fn none(&self) {
        let such = if self.which.is_everything() { "" } else { " like that" };
        output::note(format!("queue {} has no dead letters{such}", self.queue));
    }

    fn groups(&self, views: &[JobView], clock: Clock, output: Output) -> anyhow::Result<()> {
        let groups = grouped(views);
        if output.is_json() {
            let groups: Vec<_> = groups
                .iter()
                .map(|group| {
                    json!({
                        "count": group.count, "kind": group.kind, "message": group.message, "names": group.names,
                        "first_at": group.first, "last_at": group.last,
                    })
                })
                .collect();
            return output.json(&json!({"queue": self.queue, "groups": groups}));
        }
        if groups.is_empty() {
            self.none();
            return Ok(());
        }
        let mut table = Table::new([
            Column::Number("count"),
            Column::Word("kind"),
            Column::Word("last died"),
            Column::Prose("jobs"),
            Column::Prose("message"),
        ]);
        for group in groups {
            table.row([
                Cell::count(group.count, RED),
                group.kind.into(),
                Cell::styled(clock.brief(group.last), DIM),
                group.names.into_iter().collect::<Vec<_>>().join(", ").into(),
                listing::shortened(group.message).into(),
            ]);
        }
        output.line(table.render())
    }
}

/// Reads until `limit` match; whether more would.
async fn all_matching(
    dead: &DeadLetters,
    filter: &Filter,
    limit: usize,
) -> anyhow::Result<(Vec<JobView>, bool)> {
    let spinner = output::spinner("reading dead letters");
    let (mut matching, mut cursor) = (Vec::new(), None);
    loop {
        let page = dead.list(cursor.as_deref(), PAGE).await?;
        matching.extend(page.items.into_iter().filter(|view| filter.matches(view)));
        cursor = page.next;
        if matching.len() > limit || cursor.is_none() {
            spinner.finish_and_clear();
            let more = matching.len() > limit;
            matching.truncate(limit);
            return Ok((matching, more));
        }
    }
}

#[derive(Debug, PartialEq)]
struct Group<'a> {
    kind: &'a str,
    message: &'a str,
    names: BTreeSet<&'a str>,
    count: u64,
    first: u64,
    last: u64,
}

/// Who died of the same thing, the most first.
fn grouped(views: &[JobView]) -> Vec<Group<'_>> {
    let deaths = views.iter().map(|view| {
        let failure = view.failure.as_ref();
        let kind = failure.map_or("", |failure| failure.kind.as_str());
        (kind, failure.map_or("", |failure| failure.message.as_str()), view.name(), view.at.unwrap_or(0))
    });
    let mut groups: HashMap<(&str, &str), Group<'_>> = HashMap::new();
    for (kind, message, name, at) in deaths {
        let new = Group { kind, message, names: BTreeSet::new(), count: 0, first: at, last: at };
        let group = groups.entry((kind, message)).or_insert(new);
        group.names.insert(name);
        group.count += 1;
        group.first = group.first.min(at);
        group.last = group.last.max(at);
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by(|a, b| b.count.cmp(&a.count).then(b.last.cmp(&a.last)));
    groups
}
