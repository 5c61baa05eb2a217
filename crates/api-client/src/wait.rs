//! Waiting for events: a run registers what it waits for, an event finds it, and what it found is delivered to the run.
//!
//! All three can be repeated: registering looks back and registers in one script, delivering goes by the run's journal, and a
//! wait is removed last.

use ergate_shared::{
    Condition, EventName, EventRecord, JobId, QueueName, WaitRef,
    key::NameKeys,
    run::{Entry, Resolution},
    script,
};

use crate::{Client, Error};

/// Recent events answered by one call of a wait that looks back.
const LOOK_AT_ONCE: u64 = 100;

/// A wait as it is kept.
#[derive(Debug, Clone)]
#[doc(hidden)]
pub struct KeptWait {
    /// Who waits.
    pub wait: WaitRef,
    /// Since when, in ms since the epoch.
    pub since: u64,
    /// Until when, likewise.
    pub until: u64,
    /// What the event must be like.
    pub condition: Condition,
}

/// What [`Client::deliver`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivered {
    /// The entry is resolved, and the run goes on.
    Done,
    /// It was resolved before.
    Closed,
    /// There is no such run, or it has ended.
    Gone,
}

impl Client {
    /// The keys of what is kept under an event's name.
    pub fn name_keys(&self, name: &EventName) -> NameKeys {
        NameKeys::new(self.namespace(), name)
    }

    /// Lets a run wait for an event of a name that meets a condition, unless one came since `since_ms`: that is returned,
    /// and nothing is registered.
    ///
    /// It waits until `until_ms`; both are ms since the epoch by Redis' clock. Looking back goes as far as the recent
    /// events of a name are kept: a day, 100,000 events, 64 MiB; 1,000 and 8 MiB before anybody has waited for the name.
    /// Repeating the call changes nothing.
    ///
    /// # Errors
    /// [`Error::Contract`] for an expression this build cannot read, [`Error::Option`] if events of the name are waited
    /// for by more than 64 different fields; errors of the connection.
    pub async fn register_wait(
        &self,
        name: &EventName,
        wait: &WaitRef,
        condition: &Condition,
        since_ms: u64,
        until_ms: u64,
    ) -> Result<Option<EventRecord>, Error> {
        self.note_event_name(name).await?;
        let (field, term) = condition.indexed();
        let json = serde_json::to_string(condition).expect("a condition is JSON");
        let kept = format!("{term} {since_ms} {until_ms}\n{json}");
        let (mut looked, mut looked_at_all) = ("0".to_owned(), "0".to_owned());
        loop {
            let call = script::EVENT_WAIT
                .on_name(&self.name_keys(name))
                .arg("")
                .arg(wait.to_string())
                .arg(field)
                .arg(&term)
                .arg(&kept)
                .number(since_ms)
                .number(until_ms)
                .arg(&looked)
                .arg(&looked_at_all)
                .number(LOOK_AT_ONCE);
            let reply: Vec<redis::Value> = self.redis().run(&call).await?;
            let mut reply = reply.into_iter();
            let now: u64 = next(&mut reply)?;
            self.redis().saw_time(now);
            let code: String = next(&mut reply)?;
            match code.as_str() {
                "kept" => return Ok(None),
                "crowded" => {
                    return Err(Error::Option(format!(
                        "events {name} are waited for by more than 64 different fields; {field:?} is one too many"
                    )));
                }
                "look" | "check" => {
                    let mut last = String::new();
                    while let Some(place) = reply.next() {
                        last = redis::from_redis_value(place).map_err(|error| wrong(error.to_string()))?;
                        let body: Vec<u8> = next(&mut reply)?;
                        let Some((came, event)) = read_body(&body) else { continue };
                        let odd = |problem: &_| {
                            tracing::warn!(event.id = %event.id, %wait, %problem, "an event is none for a wait, as its condition comes to nothing");
                        };
                        if came >= since_ms && came <= until_ms && condition.is_met_by(&event, odd)? {
                            return Ok(Some(event));
                        }
                    }
                    if code == "look" { looked_at_all = last } else { looked = last }
                }
                _ => return Err(wrong(code)),
            }
        }
    }

    /// Removes a wait, as its time is over or its run has ended. One that is not there is no mistake.
    ///
    /// # Errors
    /// Errors of the connection.
    pub async fn withdraw_wait(&self, name: &EventName, wait: &WaitRef) -> Result<(), Error> {
        self.withdraw_waits(name, std::slice::from_ref(wait)).await
    }

    #[doc(hidden)]
    pub async fn withdraw_waits(&self, name: &EventName, waits: &[WaitRef]) -> Result<(), Error> {
        for some in waits.chunks(500) {
            let mut call = script::EVENT_UNWAIT.on_name(&self.name_keys(name));
            for wait in some {
                call.push(wait.to_string());
            }
            self.redis().run::<u64>(&call).await?;
        }
        Ok(())
    }

    /// Resolves an open entry of a run's journal from outside. Repeating it changes nothing.
    ///
    /// # Errors
    /// Errors of the connection.
    pub async fn deliver(
        &self,
        queue: &QueueName,
        run: &JobId,
        entry: u32,
        resolution: Resolution,
    ) -> Result<Delivered, Error> {
        let delivered = self.deliver_all(queue, vec![(run.clone(), entry, resolution)]).await?;
        delivered.into_iter().next().ok_or_else(|| delivery(String::new()))
    }

    #[doc(hidden)]
    pub async fn deliver_all(
        &self,
        queue: &QueueName,
        resolutions: Vec<(JobId, u32, Resolution)>,
    ) -> Result<Vec<Delivered>, Error> {
        let mut call = script::RUN_DELIVER.on(&self.keys(queue)).arg("");
        let at = self.redis().now_ms();
        for (run, entry, resolution) in resolutions {
            call.push(run.as_str());
            call.push(entry.to_string());
            call.push(Entry::resolution(entry, resolution, at).to_json());
        }
        let (now, codes): (u64, Vec<String>) = self.redis().run(&call).await?;
        self.redis().saw_time(now);
        codes
            .into_iter()
            .map(|code| match code.as_str() {
                "ok" => Ok(Delivered::Done),
                "closed" => Ok(Delivered::Closed),
                "gone" => Ok(Delivered::Gone),
                _ => Err(delivery(code)),
            })
            .collect()
    }
}

impl KeptWait {
    /// Reads a wait as `event/route` answers it; `None` for what no release wrote.
    pub fn read(wait: &str, kept: &str) -> Option<Self> {
        let (line, condition) = kept.split_once('\n')?;
        let mut words = line.split(' ').skip(1);
        Some(Self {
            wait: wait.parse().ok()?,
            since: words.next()?.parse().ok()?,
            until: words.next()?.parse().ok()?,
            condition: serde_json::from_str(condition).ok()?,
        })
    }
}

/// When an event came, and its record, out of its body among the recent events.
fn read_body(body: &[u8]) -> Option<(u64, EventRecord)> {
    let mut lines = body.splitn(3, |byte| *byte == b'\n').skip(1);
    let came = std::str::from_utf8(lines.next()?).ok()?.parse().ok()?;
    Some((came, serde_json::from_slice(lines.next()?).ok()?))
}

fn next<T: redis::FromRedisValue>(reply: &mut impl Iterator<Item = redis::Value>) -> Result<T, Error> {
    let value = reply.next().ok_or_else(|| wrong("a reply cut short".to_owned()))?;
    redis::from_redis_value(value).map_err(|error| wrong(error.to_string()))
}

fn delivery(reply: String) -> Error {
    ergate_shared::Error::Reply { script: "run/deliver", reply }.into()
}

fn wrong(reply: String) -> Error {
    ergate_shared::Error::Reply { script: "event/wait", reply }.into()
}
