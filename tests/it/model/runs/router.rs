//! Routers by hand: each does one call at a time of what it has read, and may be cut off after any.

use std::collections::{BTreeMap, BTreeSet};

use ergate_shared::{script, wait::terms};

use super::{
    journal,
    operation::Cut,
    play::{Done, Play, same},
    worker::Letter,
    world::Wait,
};

const GROUP: &str = "routers";
/// What a router read is its own so long, and after so long another takes it over, in ms.
const OWNED_FOR: u64 = 8_000;
const TAKEN_OVER_AFTER: u64 = 10_000;
/// As `event/tend` has it.
const AGAIN_AT_MOST: u64 = 10;
const KEEP: u64 = 1000;
const FOREVER: u64 = 1_000_000_000_000_000;

#[derive(Debug)]
pub(super) struct Router {
    name: &'static str,
    /// Fields by which waits are indexed, as far as it knows.
    fields: Vec<String>,
    pub(super) batch: Option<Batch>,
    /// When it last took something for its own.
    last_read: u64,
}

/// Events a router has read, and what it does next.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    /// Place in the stream and key; a place alone announces an event of the future.
    entries: Vec<(String, Option<String>)>,
    read_at: u64,
    /// Handed to the router once more: calls it made before for these may come yet, and must find the ids of runs taken.
    is_again: bool,
    next: Next,
}

#[derive(Debug, Clone)]
enum Next {
    Start,
    Find,
    /// Deliver the first of these, and then take their waits off.
    Deliver(Vec<(String, Wait, String)>, Vec<String>),
    Unwait(Vec<String>),
    Finish,
    Acknowledge,
}

impl Router {
    pub(super) fn named(name: &'static str) -> Self {
        Self { name, fields: Vec::new(), batch: None, last_read: 0 }
    }
}

type Raw = (String, BTreeMap<String, String>);

fn entries(raw: Vec<Raw>) -> Vec<(String, Option<String>)> {
    raw.into_iter().map(|(place, mut fields)| (place, fields.remove("key"))).collect()
}

impl Play {
    pub(super) async fn read(&mut self, router: usize) -> Done {
        if self.routers[router].batch.is_some() {
            return Ok(());
        }
        self.make_group().await?;
        let mut read = redis::cmd("XREADGROUP");
        read.arg("GROUP").arg(GROUP).arg(self.routers[router].name).arg("COUNT").arg(3);
        read.arg("STREAMS").arg(&self.shard.stream).arg(">");
        let answer: Result<Option<Vec<(String, Vec<Raw>)>>, _> =
            self.jobs.queue().client().redis().command("XREADGROUP", &read).await;
        let answer = answer.map_err(|error| error.to_string())?.unwrap_or_default();
        let entries: Vec<_> = answer.into_iter().flat_map(|(_, raw)| entries(raw)).collect();
        for key in entries.iter().filter_map(|(_, key)| key.as_ref()) {
            same("read", Some(key), self.world.unread.pop_front().as_ref())?;
        }
        if !entries.is_empty() {
            self.routers[router].batch =
                Some(Batch { entries, read_at: self.jobs.now, is_again: false, next: Next::Start });
            self.routers[router].last_read = self.jobs.now;
        }
        Ok(())
    }

    async fn make_group(&mut self) -> Done {
        let mut make = redis::cmd("XGROUP");
        make.arg("CREATE").arg(&self.shard.stream).arg(GROUP).arg("0").arg("MKSTREAM");
        // It is there already, most times.
        let _ = self.jobs.queue().client().redis().command::<String>("XGROUP", &make).await;
        Ok(())
    }

    /// Takes over what is left behind only once no router owns anything: Redis' own clock, which `XAUTOCLAIM` goes by, stands still
    /// here. A router that does not know what is its own asks for it `again`.
    pub(super) async fn tend(&mut self, router: usize, again: bool) -> Done {
        let now = self.jobs.now;
        let is_again = again && self.routers[router].batch.is_none();
        let takes = self.routers[router].batch.is_none()
            && self.routers.iter().all(|router| now >= router.last_read + TAKEN_OVER_AFTER);
        let idle = if takes && !is_again { 0 } else { FOREVER };
        let own = if is_again { self.own(router).await? } else { Vec::new() };
        let call = script::EVENT_TEND
            .on_shard(&self.shard)
            .arg(now.to_string())
            .arg(GROUP)
            .arg(self.routers[router].name)
            .number(idle)
            .number(100)
            .number(100)
            .number(KEEP)
            .number(FOREVER)
            .number(FOREVER)
            .arg(if is_again { "1" } else { "" });
        let (_, next, taken): (u64, String, Vec<Raw>) = self.run_when_full(&call).await;
        self.fall_due();
        let first = self.world.events.values().filter_map(|event| event.due).min();
        // When others' entries may be taken over is reckoned by Redis' own clock, and here never, or now.
        let next = next.parse::<u64>().ok().filter(|at| *at < now + FOREVER / 2);
        same("next of the future", next, first)?;
        let what = match (taken.is_empty(), is_again) {
            (true, _) => "none taken",
            (false, true) => "had again",
            (false, false) => "taken",
        };
        self.meets("event/tend", what);
        let places: Vec<_> = taken.iter().map(|(place, _)| place.clone()).collect();
        if is_again {
            same("what is its own", &places, &own)?;
        }
        if !taken.is_empty() {
            let batch = Batch { entries: entries(taken), read_at: now, is_again, next: Next::Start };
            (self.routers[router].batch, self.routers[router].last_read) = (Some(batch), now);
        }
        Ok(())
    }

    /// Places of what Redis says is a router's own, unless it was handed out too often.
    async fn own(&mut self, router: usize) -> Result<Vec<String>, String> {
        self.make_group().await?;
        let mut pending = redis::cmd("XPENDING");
        pending.arg(&self.shard.stream).arg(GROUP).arg("-").arg("+").arg(100).arg(self.routers[router].name);
        let answer = self.jobs.queue().client().redis().command("XPENDING", &pending).await;
        let answer: Vec<(String, String, u64, u64)> = answer.map_err(|error| error.to_string())?;
        let again = answer.into_iter().filter(|(.., times)| *times <= AGAIN_AT_MOST);
        Ok(again.map(|(place, ..)| place).collect())
    }

    pub(super) async fn route(&mut self, router: usize, cut: Cut) -> Done {
        let Some(batch) = self.routers[router].batch.take() else { return Ok(()) };
        let mut next = self.do_next(router, batch.clone()).await?;
        match cut {
            Cut::None => {}
            Cut::Twice => next = self.do_next(router, batch).await?,
            Cut::ReplyLost | Cut::Late => next = None,
        }
        self.routers[router].batch = next;
        Ok(())
    }

    pub(super) async fn route_all(&mut self, router: usize) -> Done {
        self.read(router).await?;
        while self.routers[router].batch.is_some() {
            self.route(router, Cut::None).await?;
        }
        self.jobs.pass(1);
        Ok(())
    }

    /// One call; what is left to do after it.
    async fn do_next(&mut self, router: usize, batch: Batch) -> Result<Option<Batch>, String> {
        let keys: Vec<String> = batch.entries.iter().filter_map(|(_, key)| key.clone()).collect();
        let until = batch.read_at + OWNED_FOR;
        let next = match &batch.next {
            Next::Start => {
                let ids: Vec<_> = self.starts(&keys);
                if !ids.is_empty() && self.start(&ids, until).await?.iter().any(|outcome| outcome == "late") {
                    return Ok(None);
                }
                Next::Find
            }
            Next::Find => match self.find(router, &keys).await? {
                Some((deliveries, ended)) => Next::Deliver(deliveries, ended),
                None => Next::Find,
            },
            Next::Deliver(deliveries, ended) => match deliveries.split_first() {
                None => Next::Unwait(ended.clone()),
                Some(((who, _, key), rest)) => {
                    let mut words = who.split(' ').skip(1);
                    let (run, entry) = (words.next().expect("a run"), words.next().expect("an entry"));
                    let entry = entry.parse().expect("a number");
                    let record = &self.world.events[key].record;
                    let text = journal::found(entry, self.jobs.now, record).text;
                    self.deliver(&Letter::Delivery { run: run.to_owned(), entry, text }).await?;
                    let ended = ended.iter().chain([who]).cloned().collect();
                    Next::Deliver(rest.to_vec(), ended)
                }
            },
            Next::Unwait(ended) => {
                if !ended.is_empty() {
                    let mut call = script::EVENT_UNWAIT.on_name(&self.name);
                    for who in ended {
                        call.push(who);
                    }
                    let were = ended.iter().filter(|who| self.world.waits.remove(*who).is_some()).count();
                    same("unwait", self.run_when_full::<u64>(&call).await, were as u64)?;
                }
                Next::Finish
            }
            Next::Finish => {
                if self.finish(&batch, until).await? == "late" {
                    return Ok(None);
                }
                if batch.is_again {
                    return Ok(None);
                }
                Next::Acknowledge
            }
            Next::Acknowledge => {
                let mut free = redis::cmd("ZREM");
                free.arg(self.jobs.key(ergate_shared::key::QueueKey::routed)).arg("");
                for id in self.starts(&keys) {
                    free.arg(&id);
                    self.world.routed.remove(&id);
                }
                let freed = self.jobs.queue().client().redis().command::<u64>("ZREM", &free).await;
                freed.map_err(|error| error.to_string())?;
                return Ok(None);
            }
        };
        Ok(Some(Batch { next, ..batch }))
    }

    /// Ids of the runs that these events start.
    fn starts(&self, keys: &[String]) -> Vec<String> {
        let starts = keys.iter().filter(|key| self.world.events[*key].number == 0);
        starts.map(|key| format!("run-{key}")).collect()
    }

    /// Who is met by which event, each by the first; `None` if the fields had to be learnt first.
    async fn find(&mut self, router: usize, keys: &[String]) -> Result<Option<Found>, String> {
        let now = self.jobs.now;
        if keys.is_empty() {
            return Ok(Some((Vec::new(), Vec::new())));
        }
        let fields = self.routers[router].fields.clone();
        let mut call = script::EVENT_ROUTE
            .on_name(&self.name)
            .arg(now.to_string())
            .number(100_000)
            .number(FOREVER / 1000)
            .number(FOREVER)
            .number(1)
            .number(fields.len() as u64);
        for field in &fields {
            call.push(field);
        }
        let mut terms_of = Vec::new();
        for key in keys {
            let event = &self.world.events[key];
            let terms = terms(&serde_json::from_str(&event.record).expect("it is an event"), &fields);
            call.push(key);
            call.push(event.came.to_string());
            call.push(&event.record);
            for term in &terms {
                call.push(term);
            }
            terms_of.push(terms);
        }
        let (_, code, answer): (u64, String, redis::Value) = self.jobs.run(&call).await;
        self.meets("event/route", &code);
        if code == "fields" {
            self.routers[router].fields =
                redis::from_redis_value(answer).map_err(|error| error.to_string())?;
            return Ok(None);
        }
        self.world.waits.retain(|_, wait| wait.until > now);
        for key in keys {
            if !self.world.recent.contains_key(key) {
                self.world.last = (now * 1000).max(self.world.last + 1);
                self.world.recent.insert(key.clone(), self.world.last);
            }
        }
        let found: Vec<Vec<Vec<String>>> =
            redis::from_redis_value(answer).map_err(|error| error.to_string())?;
        let (mut deliveries, mut taken) = (Vec::new(), BTreeSet::new());
        for ((key, terms), by_field) in keys.iter().zip(terms_of).zip(found) {
            let mut candidates = BTreeSet::new();
            for (term, mut answer) in terms.iter().zip(by_field) {
                while let Some(last) = answer.len().checked_sub(2).filter(|_| answer.len() > 1) {
                    candidates.extend(answer[1..].chunks(2).map(|pair| pair[0].clone()));
                    if answer[0] != "1" {
                        break;
                    }
                    let call = script::EVENT_WAITS.on_name(&self.name).arg(term).arg(&answer[last]).number(2);
                    answer = self.jobs.run(&call).await;
                }
            }
            let number = self.world.events[key].number;
            let expected = self.world.waits.iter().filter(|(_, wait)| wait.number == number);
            same("who waits for it", &candidates, &expected.map(|(who, _)| who.clone()).collect())?;
            for who in candidates {
                let wait = self.world.waits[&who].clone();
                if self.world.meets(key, &wait) && taken.insert(who.clone()) {
                    deliveries.push((who, wait, key.clone()));
                }
            }
        }
        Ok(Some((deliveries, Vec::new())))
    }

    async fn finish(&mut self, batch: &Batch, until: u64) -> Result<&'static str, String> {
        let now = self.jobs.now;
        let mut call = script::EVENT_FINISH
            .on_shard(&self.shard)
            .arg(now.to_string())
            .arg(GROUP)
            .number(until)
            .number(KEEP)
            .number(FOREVER);
        for (place, key) in &batch.entries {
            call.push(place);
            call.push(key.as_deref().unwrap_or_default());
            call.push("{}");
        }
        let (_, code): (u64, String) = self.run_when_full(&call).await;
        let expected = if now > until { "late" } else { "ok" };
        self.meets("event/finish", expected);
        same("finish", code.as_str(), expected)?;
        if expected == "ok" {
            for key in batch.entries.iter().filter_map(|(_, key)| key.as_ref()) {
                self.world.events.get_mut(key).expect("it was sent").routed = true;
            }
        }
        Ok(expected)
    }
}

/// Who is met, by what, with which event; and whose waits have ended.
type Found = (Vec<(String, Wait, String)>, Vec<String>);
