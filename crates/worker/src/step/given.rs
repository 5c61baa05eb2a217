//! Which events a run was given: no later wait of it is ended by one of them, though waits look back to the start of the run.
//!
//! A wait names in its entry what was given since the waits before it did, so that each event stands in the journal once. What it
//! is not ended by is all that the entries up to its own name.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
};

use ergate_shared::{EventId, EventName, EventRecord, run::Op};

use super::{StepError, Way};
use crate::run::Shared;

type Named = (EventName, EventId);

/// What the code has been given so far: the events that started the run, and those that ended its waits. What a wait found that
/// nobody took, as another won the race, is not among them.
pub(super) struct Given {
    /// Within each race that is being polled the innermost last; the first is outside of all.
    scopes: Mutex<Vec<Vec<Named>>>,
}

impl Given {
    pub(super) fn at_the_start(events: &[EventRecord]) -> Self {
        Self { scopes: Mutex::new(vec![events.iter().map(named).collect()]) }
    }

    fn scopes(&self) -> MutexGuard<'_, Vec<Vec<Named>>> {
        self.scopes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, event: &EventRecord) {
        self.add_all([named(event)]);
    }

    /// Adds what the way that won a race was given.
    pub(super) fn add_all(&self, given: impl IntoIterator<Item = Named>) {
        if let Some(scope) = self.scopes().last_mut() {
            scope.extend(given);
        }
    }

    /// What was given of the events of a name and no wait has named yet.
    pub(super) fn unnamed(&self, shared: &Shared, name: &EventName) -> Vec<EventId> {
        let mut known: HashSet<EventId> = left_out(shared, u32::MAX, name).into_iter().collect();
        let scopes = self.scopes();
        let of_name = scopes.iter().flatten().filter(|(of, _)| of == name);
        of_name.filter(|(_, id)| known.insert(id.clone())).map(|(_, id)| id.clone()).collect()
    }

    /// One way of a race, which tells along with its result what it was given.
    pub(super) fn apart<'a, T: 'a>(
        self: &Arc<Self>,
        mut way: Way<'a, T>,
    ) -> Way<'a, (Result<T, StepError>, Vec<Named>)> {
        let given = Arc::clone(self);
        Box::pin(async move {
            let mut own = Vec::new();
            let result = std::future::poll_fn(|cx| given.within(&mut own, || way.as_mut().poll(cx))).await;
            Ok((result, own))
        })
    }

    fn within<T>(&self, own: &mut Vec<Named>, poll: impl FnOnce() -> Poll<T>) -> Poll<T> {
        self.scopes().push(std::mem::take(own));
        let polled = poll();
        *own = self.scopes().pop().unwrap_or_default();
        polled
    }
}

fn named(event: &EventRecord) -> Named {
    (event.name.clone(), event.id.clone())
}

/// The events of a name that do not end the wait of entry `upto`: what it and the waits before it name.
pub(super) fn left_out(shared: &Shared, upto: u32, name: &EventName) -> Vec<EventId> {
    let entries = (1..=upto).map_while(|number| shared.entry(number));
    let named = entries.filter_map(|op| match op {
        Op::Wait { event, condition, .. } if event == *name => Some(condition.except),
        _ => None,
    });
    named.flatten().collect()
}
