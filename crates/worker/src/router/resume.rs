//! Recent events of a name, and the waits for them: an event is added to the one and finds the others in a single script.

use std::collections::HashMap;

use ergate_client::{Client, Error, KeptWait};
use ergate_shared::{EventName, JobId, QueueName, script, wait::terms};

use super::{met::end_waits, routing::Arrived};

/// How many recent events of a name are kept, and how many bytes of them: of one that nobody has waited for, and of the others. A
/// run whose worker or router was killed begins to wait many seconds after the event that it then looks back for.
const KEEP_RECENT: (u64, u64) = (1000, 8 * 1024 * 1024);
const KEEP_RECENT_WAITED: (u64, u64) = (100_000, 64 * 1024 * 1024);
/// For how long in ms.
const KEEP_RECENT_MS: u64 = 24 * 60 * 60 * 1000;
/// Waits answered at once for a term; more are read on.
const WAITS_AT_ONCE: u64 = 200;
/// Events and bytes of one call.
const MOST_EVENTS: usize = 100;
const MOST_BYTES: usize = 2 * 1024 * 1024;
/// Names whose fields are remembered; beyond, they are asked for again.
const MOST_NAMES: usize = 10_000;

/// What came of an event for those who waited.
#[derive(Debug, Default)]
pub(super) struct Resumed {
    pub(super) runs: Vec<(QueueName, JobId)>,
    /// Those that it cancels.
    pub(super) cancelled: Vec<(QueueName, JobId)>,
    /// Whether a condition is in a language this build does not know.
    pub(super) is_beyond_us: bool,
}

pub(super) struct Names {
    client: Client,
    /// The fields by which waits for events of a name are indexed, as last heard.
    fields: HashMap<EventName, Vec<String>>,
}

/// A wait that an event may end.
pub(super) struct Candidate {
    pub(super) place: usize,
    pub(super) wait: KeptWait,
}

impl Names {
    pub(super) fn new(client: Client) -> Self {
        Self { client, fields: HashMap::new() }
    }

    /// Adds events to the recent ones, and resolves the waits they end; the outcomes come in the order of the events.
    pub(super) async fn resume(&mut self, arrived: &[Arrived<'_>]) -> Result<Vec<Resumed>, Error> {
        let mut resumed: Vec<Resumed> = Vec::new();
        resumed.resize_with(arrived.len(), Resumed::default);
        let mut by_name: HashMap<&EventName, Vec<usize>> = HashMap::new();
        for (place, event) in arrived.iter().enumerate() {
            by_name.entry(&event.record.name).or_default().push(place);
        }
        if self.fields.len() > MOST_NAMES {
            self.fields.clear();
        }
        let client = &self.client;
        let known = &self.fields;
        let each: Vec<_> = by_name
            .iter()
            .map(|(name, places)| {
                let fields = known.get(*name).cloned().unwrap_or_default();
                async move {
                    client.note_event_name(name).await?;
                    route(client, name, arrived, places, fields).await
                }
            })
            .collect();
        let routed = futures_util::future::try_join_all(each).await?;
        let mut learnt = Vec::new();
        for ((name, _), (fields, of_name)) in by_name.iter().zip(routed) {
            for (place, outcome) in of_name {
                resumed[place] = outcome;
            }
            learnt.push(((*name).clone(), fields));
        }
        self.fields.extend(learnt);
        Ok(resumed)
    }
}

type Routed = (Vec<String>, Vec<(usize, Resumed)>);

/// Routes the events of one name, and returns the fields as heard meanwhile.
async fn route(
    client: &Client,
    name: &EventName,
    arrived: &[Arrived<'_>],
    places: &[usize],
    mut fields: Vec<String>,
) -> Result<Routed, Error> {
    let mut outcomes = Vec::new();
    let mut rest = places;
    while !rest.is_empty() {
        let mut bytes = 0;
        let count = rest
            .iter()
            .take(MOST_EVENTS)
            .take_while(|place| {
                bytes += arrived[**place].text.len();
                bytes <= MOST_BYTES
            })
            .count()
            .max(1);
        let (some, others) = rest.split_at(count);
        rest = others;
        let candidates = append(client, name, arrived, some, &mut fields).await?;
        outcomes.extend(end_waits(client, name, arrived, some, candidates).await?);
    }
    Ok((fields, outcomes))
}

/// Adds events to the recent ones, and returns the waits that each may end, in the order of the events.
async fn append(
    client: &Client,
    name: &EventName,
    arrived: &[Arrived<'_>],
    places: &[usize],
    fields: &mut Vec<String>,
) -> Result<Vec<Candidate>, Error> {
    loop {
        let (keep, keep_bytes) = if fields.is_empty() { KEEP_RECENT } else { KEEP_RECENT_WAITED };
        let mut call = script::EVENT_ROUTE
            .on_name(&client.name_keys(name))
            .arg("")
            .number(keep)
            .number(KEEP_RECENT_MS)
            .number(keep_bytes)
            .number(WAITS_AT_ONCE)
            .number(fields.len() as u64);
        for field in fields.iter() {
            call.push(field);
        }
        let mut terms_of = Vec::new();
        for place in places {
            let event = &arrived[*place];
            call.push(event.key.as_str());
            call.push(event.entry.came.to_string());
            call.push(&event.text);
            let terms = terms(&event.record, fields);
            for term in &terms {
                call.push(term);
            }
            terms_of.push(terms);
        }
        let (now, code, answer): (u64, String, redis::Value) = client.redis().run(&call).await?;
        client.redis().saw_time(now);
        let wrong = |error: redis::ParsingError| ergate_shared::Error::Reply {
            script: "event/route",
            reply: error.to_string(),
        };
        if code == "fields" {
            *fields = redis::from_redis_value(answer).map_err(wrong)?;
            continue;
        }
        let found: Vec<Vec<Vec<String>>> = redis::from_redis_value(answer).map_err(wrong)?;
        let mut candidates = Vec::new();
        for ((place, terms), by_field) in places.iter().zip(terms_of).zip(found) {
            for (term, mut answer) in terms.iter().zip(by_field) {
                loop {
                    let last = read_waits(*place, &answer, &mut candidates);
                    let (Some(last), Some("1")) = (last, answer.first().map(String::as_str)) else { break };
                    let call = script::EVENT_WAITS
                        .on_name(&client.name_keys(name))
                        .arg(term)
                        .arg(&last)
                        .number(WAITS_AT_ONCE);
                    answer = client.redis().run(&call).await?;
                }
            }
        }
        return Ok(candidates);
    }
}

/// Reads an answer of waits, and returns who waits in the last of them.
fn read_waits(place: usize, answer: &[String], candidates: &mut Vec<Candidate>) -> Option<String> {
    let mut last = None;
    for pair in answer.get(1..)?.chunks_exact(2) {
        match KeptWait::read(&pair[0], &pair[1]) {
            Some(wait) => candidates.push(Candidate { place, wait }),
            None => tracing::error!(wait = pair[0], "a wait cannot be read"),
        }
        last = Some(pair[0].clone());
    }
    last
}
