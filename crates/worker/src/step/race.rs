//! The first of several futures: which one it was is a step of its own.

use std::{
    collections::HashMap,
    sync::Arc,
    task::{Context, Poll},
};

use ergate_shared::{FailureKind, run::Op};
use serde::{Deserialize, Serialize};
use serde_json::value::to_raw_value;

use super::{StepError, Way, changed, mismatch};
use crate::run::{Shared, Standing};

/// What is remembered of a race.
#[derive(Serialize, Deserialize)]
struct Won {
    /// The place of the first.
    first: usize,
    /// How often each id was used by all of them while it went on: those of the others are not replayed.
    #[serde(default, skip_serializing_if = "HashMap::is_empty")]
    used: HashMap<String, u32>,
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
            let mut used = HashMap::new();
            let (first, result) = std::future::poll_fn(|cx| {
                shared.tallying(&mut used, || {
                    // Each is polled, also behind one that is ready, to see which ids it has used in earlier replays.
                    let polled = ways.iter_mut().map(|way| way.as_mut().poll(cx)).collect::<Vec<_>>();
                    let ready = polled.into_iter().enumerate().find_map(|(place, polled)| match polled {
                        Poll::Ready(result) => Some((place, result)),
                        Poll::Pending => None,
                    });
                    ready.map_or(Poll::Pending, Poll::Ready)
                })
            })
            .await;
            shared.abandon(ways);
            let won = to_raw_value(&Won { first, used }).expect("numbers are JSON");
            shared.write(&step, Op::Done { result: won, attempt: 1, ran: 0 });
            changed(shared, &step, seen).await;
            result
        }
        Standing::Done(won) => {
            let won = serde_json::from_str(&won).ok().filter(|won: &Won| won.first < ways.len());
            let Some(Won { first, used }) = won else { return mismatch(shared, &step, "a race").await };
            let mut way = ways.swap_remove(first);
            let mut again = HashMap::new();
            let polled = |cx: &mut Context<'_>| shared.tallying(&mut again, || way.as_mut().poll(cx));
            let result = std::future::poll_fn(polled).await;
            for (id, times) in used {
                shared.count_as_used(&id, times.saturating_sub(again.get(&id).copied().unwrap_or(0)));
            }
            result
        }
        _ => mismatch(shared, &step, "a race").await,
    }
}
