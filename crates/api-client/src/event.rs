//! Sending events: awaitable builders for one and for many. An event is checked as a whole before anything is sent.

use std::{future::IntoFuture, pin::Pin, time::Duration};

use ergate_shared::{
    Event, EventId, EventName, EventRecord, duration,
    event::{LARGEST_EVENT, MOST_EVENTS},
};
use serde::Serialize;
use serde_json::Value;

use crate::{Client, Error, enqueue::unshare, insist::insist_after};

pub(crate) mod batch;
mod history;
#[cfg(feature = "schema")]
pub(crate) mod schema;

use batch::{Kept, Parcel};
pub use history::{EventView, Events, Started, StartedRun};

/// What sending an event says once it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventReceipt {
    /// The event's id.
    pub id: EventId,
    /// Whether an event with this own id was sent within the last 24 hours, so that this one starts nothing.
    pub duplicate: bool,
}

/// An event about to be sent: set options, then `.await` it. Nothing happens before.
#[derive(Debug)]
#[must_use = "an event is sent when this is awaited"]
pub struct SendEvent {
    client: Client,
    name: Result<EventName, ergate_shared::Error>,
    data: Result<Value, serde_json::Error>,
    id: Option<Result<EventId, ergate_shared::Error>>,
    ts: Option<u64>,
    user: Option<Value>,
    version: Option<String>,
    own_events: bool,
    #[cfg(feature = "schema")]
    schema_problem: Option<Error>,
}

impl Client {
    /// Sends an event: `.await` what it returns, after setting options if need be.
    ///
    /// It is kept once this returns, and delivered to every function it triggers and every run that waits for it.
    #[allow(clippy::needless_pass_by_value, reason = "an event that is sent is given away")]
    pub fn send<E: Event>(&self, event: E) -> SendEvent {
        let mut send = SendEvent::new(self, EventName::new(E::NAME), to_value(&event));
        #[cfg(feature = "schema")]
        if let Err(error) = self.schemas().learn::<E>() {
            send.schema_problem = Some(error);
        }
        send.version = E::VERSION.map(str::to_owned);
        send
    }

    /// Sends an event whose type is not known here.
    pub fn send_raw(&self, name: &str, data: Value) -> SendEvent {
        SendEvent::new(self, name.parse(), Ok(data))
    }

    /// Sends up to 5,000 events of one type. Every one is checked before the first is sent.
    pub fn send_all<E: Event>(&self, events: impl IntoIterator<Item = E>) -> SendEvents {
        events.into_iter().map(|event| self.send(event)).collect()
    }

    /// Has the data of an event checked from now on, also where it is sent as one whose type is not known.
    ///
    /// # Errors
    /// [`Error::Event`] if its schema is none.
    #[cfg(feature = "schema")]
    pub fn check_schema_of<E: Event>(&self) -> Result<(), Error> {
        self.schemas().learn::<E>()
    }

    /// For the engine: sends an event of Ergate's own, whose name begins with `ergate/`.
    #[doc(hidden)]
    pub fn announce(&self, name: EventName, data: Value) -> SendEvent {
        let mut send = SendEvent::new(self, Ok(name), Ok(data));
        send.own_events = true;
        send
    }
}

fn to_value(event: &impl Serialize) -> Result<Value, serde_json::Error> {
    serde_json::to_value(event)
}

impl SendEvent {
    fn new(
        client: &Client,
        name: Result<EventName, ergate_shared::Error>,
        data: Result<Value, serde_json::Error>,
    ) -> Self {
        Self {
            client: client.clone(),
            name,
            data,
            id: None,
            ts: None,
            user: None,
            version: None,
            own_events: false,
            #[cfg(feature = "schema")]
            schema_problem: None,
        }
    }

    /// Sets its id. For 24 hours, and until it has been delivered, another event with this id is a duplicate and starts
    /// nothing; default: one that nobody else has.
    pub fn id(mut self, id: impl AsRef<str>) -> Self {
        self.id = Some(EventId::new(id));
        self
    }

    /// Sets when it happened; default now. One in the future, by at most ten years, is delivered then.
    pub fn ts(mut self, time: jiff::Timestamp) -> Self {
        self.ts = Some(u64::try_from(time.as_millisecond()).unwrap_or(0));
        self
    }

    /// Delivers it after this long; default at once.
    pub fn delay(mut self, delay: Duration) -> Self {
        let delay = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.ts = Some(self.client.redis().now_ms().saturating_add(delay));
        self
    }

    /// Says what user it concerns.
    pub fn user(mut self, user: Value) -> Self {
        self.user = Some(user);
        self
    }

    /// Sets the version of the data's shape; default: what its type declares.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// For the engine: tries until Redis has taken it, however long it is away or full.
    #[doc(hidden)]
    pub async fn insist(self) -> Result<EventId, Error> {
        let client = self.client.clone();
        let parcel = self.parcel()?;
        let batcher = client.event_batcher(parcel.id.shard());
        while let Err(error) = batcher.submit(vec![parcel.clone()]).await.map_err(unshare) {
            insist_after(error).await?;
        }
        Ok(parcel.id)
    }

    /// Checks everything and writes the record. Nothing has been sent yet.
    fn parcel(self) -> Result<Parcel, Error> {
        let name = self.name?;
        let wrong = |problem: String| Error::Event { name: name.to_string(), problem };
        if name.is_reserved() && !self.own_events {
            return Err(wrong(
                "is one of Ergate's own: choose a name without ergate/ or inngest/".to_owned(),
            ));
        }
        let data = self.data.map_err(|error| wrong(format!("has data that is no JSON: {error}")))?;
        #[cfg(feature = "schema")]
        {
            if let Some(problem) = self.schema_problem {
                return Err(problem);
            }
            self.client.schemas().check(name.as_str(), &data)?;
        }
        let now = self.client.redis().now_ms();
        let ts = self.ts.unwrap_or(now);
        if Duration::from_millis(ts.saturating_sub(now)) > duration::LONGEST {
            return Err(wrong("is over ten years away".to_owned()));
        }
        let key = EventId::generate(now);
        let own_id = self.id.transpose()?;
        let id = own_id.clone().unwrap_or_else(|| key.clone());
        let record = EventRecord { id, name: name.clone(), data, user: self.user, ts, v: self.version };
        let text = serde_json::to_vec(&record)
            .map_err(|error| wrong(format!("cannot be written as JSON: {error}")))?;
        if text.len() > LARGEST_EVENT {
            return Err(wrong(format!(
                "has {} bytes, the limit is {LARGEST_EVENT}: keep the data elsewhere and send a reference",
                text.len()
            )));
        }
        let due = (ts > now).then_some(ts);
        Ok(Parcel { id: record.id, key, is_own: own_id.is_some(), name, record: text, due })
    }

    async fn send(self) -> Result<EventReceipt, Error> {
        let client = self.client.clone();
        let parcel = self.parcel()?;
        let id = parcel.id.clone();
        let kept = client.event_batcher(id.shard()).submit(vec![parcel]).await.map_err(unshare)?;
        Ok(EventReceipt { id, duplicate: kept.first() == Some(&Kept::Duplicate) })
    }
}

impl IntoFuture for SendEvent {
    type Output = Result<EventReceipt, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

/// Many events about to be sent: `.await` it. Every one is checked before the first is sent.
///
/// The receipts come in the order of the events. Events go to several streams at once: after an error some of them may have
/// been kept, and those with own ids can be sent again.
#[derive(Debug)]
#[must_use = "events are sent when this is awaited"]
pub struct SendEvents {
    events: Vec<SendEvent>,
}

impl SendEvents {
    /// Sets options on every event.
    pub fn each(mut self, options: impl FnMut(SendEvent) -> SendEvent) -> Self {
        self.events = self.events.into_iter().map(options).collect();
        self
    }

    async fn send(self) -> Result<Vec<EventReceipt>, Error> {
        let Some(client) = self.events.first().map(|event| event.client.clone()) else {
            return Ok(Vec::new());
        };
        if self.events.len() > MOST_EVENTS {
            return Err(Error::Option(format!(
                "{} events in one call, the most is {MOST_EVENTS}: send them in several",
                self.events.len()
            )));
        }
        let mut shards: Vec<(Vec<usize>, Vec<Parcel>)> = Vec::new();
        shards.resize_with(ergate_shared::event::SHARDS, Default::default);
        let mut receipts = Vec::with_capacity(self.events.len());
        for (place, event) in self.events.into_iter().enumerate() {
            let parcel = event.parcel()?;
            receipts.push(EventReceipt { id: parcel.id.clone(), duplicate: false });
            let (places, parcels) = &mut shards[parcel.id.shard()];
            places.push(place);
            parcels.push(parcel);
        }
        let sends = shards.into_iter().enumerate().filter(|(_, (places, _))| !places.is_empty()).map(
            |(shard, (places, parcels))| {
                let batcher = client.event_batcher(shard);
                async move { (places, send_in_batches(batcher, parcels).await) }
            },
        );
        for (places, kept) in futures_util::future::join_all(sends).await {
            for (place, kept) in places.into_iter().zip(kept?) {
                receipts[place].duplicate = kept == Kept::Duplicate;
            }
        }
        Ok(receipts)
    }
}

/// Hands parcels over in batches of what one call takes, so that no call takes Redis long.
async fn send_in_batches(batcher: &batch::EventBatcher, parcels: Vec<Parcel>) -> Result<Vec<Kept>, Error> {
    let mut batches = Vec::new();
    let (mut batch, mut bytes) = (Vec::new(), 0);
    for parcel in parcels {
        bytes += parcel.record.len();
        if !batch.is_empty() && (batch.len() >= batch::MOST_PARCELS || bytes > batch::MOST_BYTES) {
            batches.push(std::mem::take(&mut batch));
            bytes = parcel.record.len();
        }
        batch.push(parcel);
    }
    batches.push(batch);
    let mut kept = Vec::new();
    for answer in futures_util::future::join_all(batches.into_iter().map(|batch| batcher.submit(batch))).await
    {
        kept.extend(answer.map_err(unshare)?);
    }
    Ok(kept)
}

impl FromIterator<SendEvent> for SendEvents {
    fn from_iter<T: IntoIterator<Item = SendEvent>>(events: T) -> Self {
        Self { events: events.into_iter().collect() }
    }
}

impl IntoFuture for SendEvents {
    type Output = Result<Vec<EventReceipt>, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}
