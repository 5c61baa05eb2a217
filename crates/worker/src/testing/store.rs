//! A journal in memory, with a clock that is set.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ergate_client::Enqueue;
use ergate_shared::{
    EventRecord, JobId,
    run::{Entry, Op},
};

use crate::{
    Failure,
    run::{Boxed, Instead, Recorded, Store, Write},
};

#[derive(Clone)]
pub(super) struct Memory {
    state: Arc<Mutex<State>>,
    instead: Arc<HashMap<String, Instead>>,
}

struct State {
    now: u64,
    entries: Vec<String>,
    deliveries: Vec<EventRecord>,
}

impl Memory {
    pub(super) fn new(now: u64, instead: HashMap<String, Instead>, deliveries: Vec<EventRecord>) -> Self {
        let state = State { now, entries: Vec::new(), deliveries };
        Self { state: Arc::new(Mutex::new(state)), instead: Arc::new(instead) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.state().entries.len()).unwrap_or(u32::MAX)
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

    fn register<'a>(&'a self, _: u32, wait: &'a Op) -> Boxed<'a, Result<Option<EventRecord>, Failure>> {
        Box::pin(async move {
            let Op::Wait { event, condition, .. } = wait else { return Ok(None) };
            let mut state = self.state();
            for place in 0..state.deliveries.len() {
                let delivery = &state.deliveries[place];
                if delivery.name == *event && condition.is_met_by(delivery).map_err(Failure::fatal)? {
                    return Ok(Some(state.deliveries.remove(place)));
                }
            }
            Ok(None)
        })
    }

    fn start<'a>(&'a self, _: u32, _: &'a JobId, _: Enqueue) -> Boxed<'a, Result<(), Failure>> {
        Box::pin(async {
            Err(Failure::fatal("the test does not say what it returns; say it with .step(id, result)"))
        })
    }

    fn instead(&self, step: &str) -> Option<Instead> {
        self.instead.get(step).cloned()
    }
}
