//! A journal in memory, with a clock that is set.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ergate_client::Enqueue;
use ergate_shared::{
    EventRecord, JobId, QueueName,
    run::{Entry, Op},
};

use crate::{
    Failure,
    run::{Boxed, Instead, Recorded, Store, Write},
};

/// Draws every delay as it is declared.
pub(super) const NO_JITTER: f64 = 0.5;

#[derive(Clone)]
pub(super) struct Memory {
    state: Arc<Mutex<State>>,
    instead: Arc<HashMap<String, Instead>>,
}

struct State {
    now: u64,
    entries: Vec<String>,
    waits: Waits,
    stopped: bool,
}

/// What a test says becomes of waits.
#[derive(Default)]
pub(super) struct Waits {
    /// Events in the order in which they come, some only to the wait of a step.
    pub(super) deliveries: Vec<(Option<String>, EventRecord)>,
    /// Steps whose waits run out, whatever comes.
    pub(super) expire: Vec<String>,
}

impl Waits {
    /// What comes to the wait of a step at the time `now`. That an event ends none of the waits after those it has ended is what their
    /// conditions say.
    fn come(&mut self, step: &str, wait: &Op, now: u64) -> Result<Option<EventRecord>, Failure> {
        let Op::Wait { event, condition, .. } = wait else { return Ok(None) };
        if self.expire.iter().any(|expired| expired == step) {
            return Ok(None);
        }
        for (target, delivery) in &mut self.deliveries {
            delivery.ts = now;
            if target.as_ref().is_some_and(|target| target != step) {
                continue;
            }
            let odd = |problem: &_| {
                tracing::warn!(step, %problem, "an event is none for a wait, as its condition comes to nothing");
            };
            let is_meant =
                delivery.name == *event && condition.is_met_by(delivery, odd).map_err(Failure::fatal)?;
            assert!(
                is_meant || target.is_none(),
                "step {step} waits for another event than the {} delivered to it: {}, {condition:?}",
                delivery.name,
                event
            );
            if is_meant {
                return Ok(Some(delivery.clone()));
            }
        }
        Ok(None)
    }
}

impl Memory {
    pub(super) fn new(now: u64, instead: HashMap<String, Instead>, waits: Waits) -> Self {
        let state = State { now, entries: Vec::new(), waits, stopped: false };
        Self { state: Arc::new(Mutex::new(state)), instead: Arc::new(instead) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.state().entries.len()).unwrap_or(u32::MAX)
    }

    /// Whether it was told to stop before a step, and did.
    pub(super) fn stopped(&self) -> bool {
        self.state().stopped
    }

    pub(super) fn pass_until(&self, due: u64) {
        let mut state = self.state();
        state.now = state.now.max(due);
    }

    pub(super) fn pass(&self, time: Duration) {
        self.state().now += time.as_millis() as u64;
    }

    pub(super) fn passed(&self, since: u64) -> Duration {
        Duration::from_millis(self.state().now - since)
    }

    pub(super) fn entries(&self) -> Vec<Entry> {
        let read = |text: &String| Entry::from_json(text).expect("it was written here");
        self.state().entries.iter().map(read).collect()
    }
}

impl Store for Memory {
    fn now_ms(&self) -> u64 {
        self.state().now
    }

    fn chance(&self) -> f64 {
        NO_JITTER
    }

    fn worker(&self) -> String {
        "test".to_owned()
    }

    fn load(&self) -> Boxed<'_, Result<Vec<String>, Failure>> {
        let entries = self.state().entries.clone();
        Box::pin(async move { Ok(entries) })
    }

    fn record(&self, known: u32, writes: &[Write]) -> Boxed<'static, Recorded> {
        let mut state = self.state();
        let mut numbers = Vec::new();
        for write in writes {
            state.entries.push(write.text.clone());
            numbers.push(u32::try_from(state.entries.len()).unwrap_or(u32::MAX));
        }
        Box::pin(async move { Recorded { unknown: Vec::new(), before: known, numbers } })
    }

    fn register<'a>(&'a self, entry: u32, wait: &'a Op) -> Boxed<'a, Result<Option<EventRecord>, Failure>> {
        Box::pin(async move {
            let step = self.entries().swap_remove(entry as usize - 1).step;
            let mut state = self.state();
            let now = state.now;
            state.waits.come(&step, wait, now)
        })
    }

    fn start<'a>(
        &'a self,
        _: u32,
        _: &'a QueueName,
        _: &'a JobId,
        _: Enqueue,
    ) -> Boxed<'a, Result<(), Failure>> {
        Box::pin(async {
            Err(Failure::fatal("the test does not say what it returns; say it with .step(id, result)"))
        })
    }

    fn instead(&self, step: &str) -> Option<Instead> {
        let instead = self.instead.get(step).cloned();
        self.state().stopped |= matches!(instead, Some(Instead::Stop));
        instead
    }
}
