//! The first of several futures: which one it was is a step of its own.

use std::{collections::HashMap, sync::Arc, task::Poll};

use ergate_shared::{FailureKind, run::Op};
use serde::{Deserialize, Serialize};
use serde_json::value::to_raw_value;

use super::{StepError, Way, changed, mismatch};
use crate::run::{Naming, Numbers, Shared, Standing};

/// What is remembered of a race.
#[derive(Default, Serialize, Deserialize)]
struct Won {
    /// The place of the first.
    first: usize,
    /// How often each id was used by all of them while it went on: all that releases had before they numbered uses.
    #[serde(default, skip_serializing_if = "HashMap::is_empty")]
    used: HashMap<String, u32>,
    /// Which time each use of an id was, by the first.
    #[serde(default, skip_serializing_if = "Numbers::is_empty")]
    won: Numbers,
    /// The same by the others, which are not replayed.
    #[serde(default, skip_serializing_if = "Numbers::is_empty")]
    lost: Numbers,
}

impl Won {
    fn of(first: usize, namings: Vec<Naming>) -> Self {
        let mut record = Self { first, ..Self::default() };
        for (place, naming) in namings.into_iter().enumerate() {
            let numbers = if place == first { &mut record.won } else { &mut record.lost };
            for (id, given) in naming.into_numbers() {
                *record.used.entry(id.clone()).or_insert(0) += given.len() as u32;
                numbers.entry(id).or_default().extend(given);
            }
        }
        record
    }

    /// Whether it was written by a release that did not number uses.
    fn is_unnumbered(&self) -> bool {
        self.won.is_empty() && self.lost.is_empty()
    }
}

/// Polls all until one is ready, has its place written down, and drops the others.
///
/// Until the place is written, a replay may find several of them ready, and take any. From then on it takes that one.
pub(super) async fn race<T>(
    shared: &Arc<Shared>,
    step: String,
    mut ways: Vec<Way<'_, T>>,
) -> Result<T, StepError> {
    let (seen, standing) = shared.standing(&step);
    if ways.is_empty() {
        let message = "a race of nothing has no winner".to_owned();
        let failure = shared.failure(FailureKind::Error, message);
        return Err(StepError::new(&step, failure));
    }
    match standing {
        Standing::Fresh => {
            let mut namings: Vec<Naming> = ways.iter().map(|_| Naming::default()).collect();
            let (first, result) = std::future::poll_fn(|cx| {
                // Each is polled, also behind one that is ready, to see which ids it has used in earlier replays.
                let mut ready = None;
                for (place, (way, naming)) in ways.iter_mut().zip(&mut namings).enumerate() {
                    if let Poll::Ready(result) = shared.naming(naming, || way.as_mut().poll(cx)) {
                        ready.get_or_insert((place, result));
                    }
                }
                ready.map_or(Poll::Pending, Poll::Ready)
            })
            .await;
            shared.abandon(ways);
            let won = to_raw_value(&Won::of(first, namings)).expect("numbers are JSON");
            shared.write(&step, Op::Done { result: won, attempt: 1, ran: 0 });
            changed(shared, &step, seen).await;
            result
        }
        Standing::Done(won) => {
            let won = serde_json::from_str(&won).ok().filter(|won: &Won| won.first < ways.len());
            let Some(won) = won else { return mismatch(shared, &step, "a race").await };
            replay(shared, ways.swap_remove(won.first), won).await
        }
        _ => mismatch(shared, &step, "a race").await,
    }
}

/// Goes the way that was first, whose steps have the names that they had beside the others.
async fn replay<T>(shared: &Arc<Shared>, mut way: Way<'_, T>, won: Won) -> Result<T, StepError> {
    let unnumbered = won.is_unnumbered();
    let mut naming = if unnumbered {
        Naming::default()
    } else {
        shared.keep_names(&won.won, &won.lost);
        Naming::Remembered(won.won)
    };
    let result = std::future::poll_fn(|cx| shared.naming(&mut naming, || way.as_mut().poll(cx))).await;
    if unnumbered {
        let again = naming.into_numbers();
        for (id, times) in won.used {
            let by_winner = again.get(&id).map_or(0, |given| given.len() as u32);
            shared.count_as_used(&id, times.saturating_sub(by_winner));
        }
    }
    result
}
