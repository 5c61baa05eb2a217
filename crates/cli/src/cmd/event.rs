//! `ergate event`: send events, and look at those that were sent.

mod show;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use ergate_client::{Client, EventReceipt, EventView, SendEvent, SendEvents};
use ergate_shared::{
    EventId, EventName, EventRecord,
    event::{LARGEST_EVENT, MOST_EVENTS},
};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::enqueue::lines;
use crate::{
    connection::Connection,
    exit::{self, Refusal},
    listing,
    output::{self, Cell, Clock, Column, DIM, GREEN, Output, Table, YELLOW},
    values,
};

/// `ergate event`.
#[derive(Debug, Subcommand)]
pub(crate) enum Event {
    /// Send an event, or one for each line of a file, and print its id
    Send(Send),
    /// List events that were sent, newest first
    List(List),
    /// Everything that is known of an event: its data, the runs it started, the runs that waited for it
    Show(One),
}

/// `ergate event send`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ergate event send app/user.signed-up '{\"user\": 7}'
  ergate event send shop/order.paid '{\"order\": 7}' --id order-7-paid
  ergate event send app/reminder '{}' --ts 2027-01-31T09:00:00Z
  ergate event send app/user.signed-up --file users.ndjson")]
pub(crate) struct Send {
    /// What happened, such as `app/user.signed-up`
    name: EventName,
    /// The data as JSON; `-` reads it from stdin
    #[arg(required_unless_present = "file", conflicts_with = "file", allow_negative_numbers = true)]
    data: Option<String>,

    /// Send one event for each line of this file, each line the data of one; `-` reads from stdin
    ///
    /// Every line is checked before the first is sent; blank lines are skipped.
    #[arg(long, value_name = "NDJSON", conflicts_with = "id")]
    file: Option<PathBuf>,
    /// Its id; for 24 hours another event with this id starts nothing
    #[arg(long)]
    id: Option<EventId>,
    /// When it happened; in the future, it is delivered then: `2027-01-31T09:00:00Z`, or by this machine's clock `2027-01-31 09:00`
    #[arg(long, value_name = "TIME", value_parser = values::instant)]
    ts: Option<Timestamp>,
    /// The user it concerns, as JSON
    #[arg(long, value_name = "JSON")]
    user: Option<String>,
    /// The version of the data's shape
    #[arg(long, value_name = "TEXT")]
    data_version: Option<String>,
}

/// `ergate event list`.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only events of this name
    #[arg(long)]
    name: Option<EventName>,
    /// How many to list
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Go on where the page before ended, which says with what
    #[arg(long)]
    cursor: Option<String>,
}

/// One event.
#[derive(Debug, Args)]
pub(crate) struct One {
    /// Its id
    id: EventId,
}

impl Event {
    pub(crate) async fn run(self, connection: &Connection, output: Output) -> anyhow::Result<()> {
        match self {
            Self::Send(send) => send.run(connection, output).await,
            Self::List(list) => list.run(&connection.client().await?, output).await,
            Self::Show(One { id }) => {
                let client = connection.client().await?;
                show::show(&client, &client.event(&id).await?, output)
            }
        }
    }
}

impl Send {
    async fn run(self, connection: &Connection, output: Output) -> anyhow::Result<()> {
        let user = match &self.user {
            None => None,
            Some(user) => Some(json_of("--user", user.as_bytes())?),
        };
        let Some(file) = &self.file else {
            let data = match self.data.as_deref() {
                Some("-") => lines::read_all(None)?,
                given => given.unwrap_or_default().as_bytes().to_vec(),
            };
            let data = json_of(&format!("data of event {}", self.name), &data)?;
            let client = connection.client().await?;
            let receipt = self.event(&client, data, user).await?;
            if receipt.duplicate {
                output::note(format!("event {} was sent before; it starts nothing again", receipt.id));
            }
            return output.either(&as_json(&receipt), &receipt.id);
        };
        let rest = self.rest_of_record(user.as_ref())?;
        let payloads = lines::read(file, |line| check(line, rest))?;
        let client = connection.client().await?;
        let mut sent = 0;
        for part in payloads.parts(MOST_EVENTS) {
            let events = part
                .iter()
                .map(|line| Ok(self.event(&client, serde_json::from_slice(line)?, user.clone())))
                .collect::<anyhow::Result<SendEvents>>()?;
            let receipts = events.await.with_context(|| part.so_far("event", "sent"))?;
            for receipt in receipts {
                sent += 1;
                let told =
                    if output.is_json() { output.raw(as_json(&receipt)) } else { output.raw(&receipt.id) };
                exit::heard_or_not(told)?;
            }
        }
        anstream::eprintln!("{GREEN}✓{GREEN:#} {}", output::counted(sent, "event"));
        Ok(())
    }

    /// How many bytes an event has beside its data.
    fn rest_of_record(&self, user: Option<&Value>) -> anyhow::Result<usize> {
        let ts = self.ts.unwrap_or_else(Timestamp::now);
        let ts = u64::try_from(ts.as_millisecond()).unwrap_or(0);
        let record = EventRecord {
            id: EventId::generate(ts),
            name: self.name.clone(),
            data: Value::Null,
            user: user.cloned(),
            ts,
            v: self.data_version.clone(),
        };
        Ok(serde_json::to_vec(&record)?.len() - Value::Null.to_string().len())
    }

    fn event(&self, client: &Client, data: Value, user: Option<Value>) -> SendEvent {
        let mut event = client.send_raw(self.name.as_str(), data);
        if let Some(id) = &self.id {
            event = event.id(id.as_str());
        }
        if let Some(time) = self.ts {
            event = event.ts(time);
        }
        if let Some(user) = user {
            event = event.user(user);
        }
        if let Some(version) = &self.data_version {
            event = event.version(version);
        }
        event
    }
}

/// Says what is wrong with the data of an event that has so many bytes beside it, after the words "line 3".
fn check(data: &[u8], rest: usize) -> Result<(), String> {
    let data: Value = serde_json::from_slice(data).map_err(|error| format!("is not valid JSON: {error}"))?;
    match rest + data.to_string().len() {
        ..=LARGEST_EVENT => Ok(()),
        size => Err(format!(
            "makes an event of {}, the limit is {}",
            output::counted(size as u64, "byte"),
            output::grouped(LARGEST_EVENT as u64)
        )),
    }
}

fn json_of(what: &str, text: &[u8]) -> anyhow::Result<Value> {
    serde_json::from_slice(text)
        .map_err(|error| Refusal::usage(format!("{what} is not valid JSON: {error}")).into())
}

fn as_json(receipt: &EventReceipt) -> Value {
    json!({"id": receipt.id, "duplicate": receipt.duplicate})
}

impl List {
    async fn run(self, client: &Client, output: Output) -> anyhow::Result<()> {
        let mut events = client.events();
        if let Some(name) = &self.name {
            events = events.name(name.as_str())?;
        }
        let page = events.list(self.cursor.as_deref(), usize::from(self.limit)).await?;
        if output.is_json() {
            let views: Vec<_> = page.items.iter().map(show::as_json).collect();
            return output.json(&json!({"events": views, "next": page.next}));
        }
        if page.items.is_empty() && page.next.is_none() {
            let of = self.name.map(|name| format!(" {name}")).unwrap_or_default();
            output::note(format!("no events{of} are kept"));
            return Ok(());
        }
        output.line(table(&page.items, Clock::new(client.redis().now_ms())))?;
        match page.next {
            Some(cursor) => output.line(format!("\n{DIM}go on with --cursor {cursor}{DIM:#}")),
            None => Ok(()),
        }
    }
}

fn table(views: &[EventView], clock: Clock) -> String {
    let mut table = Table::new([
        Column::Word("id"),
        Column::Word("name"),
        Column::Word("sent"),
        Column::Number("started"),
        Column::Number("resumed"),
        Column::Prose("data"),
    ]);
    for view in views {
        let (runs, resumed) = match &view.started {
            Some(started) => {
                (Cell::from(started.runs.len().to_string()), started.resumed_count.to_string().into())
            }
            None => (Cell::styled("not yet", YELLOW), "".into()),
        };
        table.row([
            view.record.id.as_str().into(),
            view.record.name.as_str().into(),
            Cell::styled(clock.brief(view.sent_at), DIM),
            runs,
            resumed,
            listing::shortened(&view.record.data.to_string()).into(),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_that_makes_too_large_an_event_is_refused_with_its_size() {
        let data = format!("\"{}\"", "x".repeat(LARGEST_EVENT - 100));

        assert_eq!(check(data.as_bytes(), 98), Ok(()));
        assert_eq!(
            check(data.as_bytes(), 99).unwrap_err(),
            "makes an event of 524,289 bytes, the limit is 524,288"
        );
    }

    #[test]
    fn data_that_no_event_can_have_is_refused_before_anything_is_sent() {
        for data in ["{\"a\":", "1e999", ""] {
            assert!(check(data.as_bytes(), 0).is_err(), "{data}");
        }
    }
}
