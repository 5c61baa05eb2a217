//! Waits for events that a run needs no more: they are taken out of Redis, which would else keep them until their time is over.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use ergate_client::Client;
use ergate_shared::{EventName, WaitRef};

use crate::Context;

/// The waits that an attempt at a run has registered and that no event has ended so far: for what, and until when, by the entry that
/// waits.
#[derive(Debug, Default)]
pub(crate) struct Registered(Mutex<BTreeMap<u32, (EventName, u64)>>);

/// Waits by the events they are for, as they are taken out.
#[derive(Debug, Default)]
pub(crate) struct Unneeded(BTreeMap<EventName, Vec<WaitRef>>);

impl Registered {
    fn waits(&self) -> MutexGuard<'_, BTreeMap<u32, (EventName, u64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn registered(&self, entry: u32, event: &EventName, due: u64) {
        self.waits().insert(entry, (event.clone(), due));
    }

    pub(crate) fn ended(&self, entry: u32) {
        self.waits().remove(&entry);
    }
}

impl Unneeded {
    /// Those of these entries of an attempt's run.
    pub(crate) fn of_entries(context: &Context, entries: &[u32]) -> Self {
        let mut unneeded = Self::default();
        let mut waits = context.inner.waits.waits();
        for entry in entries {
            if let Some(wait) = waits.remove(entry) {
                unneeded.push(context, *entry, wait);
            }
        }
        unneeded
    }

    /// Adds all that an attempt has left when its run is over.
    pub(crate) fn add_all(&mut self, context: &Context) {
        for (entry, wait) in std::mem::take(&mut *context.inner.waits.waits()) {
            self.push(context, entry, wait);
        }
    }

    fn push(&mut self, context: &Context, entry: u32, (event, due): (EventName, u64)) {
        let inner = &context.inner;
        // Those whose time is over are taken out many at once by the waits that come after them.
        if due > inner.client.redis().now_ms() {
            let (queue, run) = (inner.queue.clone(), inner.id.clone());
            self.0.entry(event).or_default().push(WaitRef { queue, run, entry });
        }
    }

    /// Takes them out, while nobody waits for that. What is left by a call that fails goes once an event comes that it is for, or its
    /// time is over.
    pub(crate) fn withdraw(self, client: &Client) {
        if self.0.is_empty() {
            return;
        }
        let client = client.clone();
        tokio::spawn(async move {
            for (event, waits) in &self.0 {
                if let Err(error) = client.withdraw_waits(event, waits).await {
                    tracing::debug!(%event, waits = waits.len(), %error, "waits that are needed no more are left over");
                }
            }
        });
    }
}
