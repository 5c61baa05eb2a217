//! Natural batching: while one call is in flight the next requests pile up, and the next call takes them all.
//!
//! No linger timer and no task that waits: the first caller spawns a flusher, which ends when nothing is left. There is
//! one call in flight per coalescer.

use std::{
    fmt::Display,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use crate::{
    Error,
    link::Pause,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What goes with one call, and how.
pub(crate) trait Haul: Send + Sync + 'static {
    /// What callers submit.
    type Item: Send + Sync + 'static;
    /// What becomes of one.
    type Outcome: Send + 'static;
    /// The most items of one call, unless one caller alone has more.
    const MOST_ITEMS: usize;
    /// The most bytes of one call, likewise.
    const MOST_BYTES: usize;

    /// The bytes an item takes.
    fn size(item: &Self::Item) -> usize;

    /// For how long an item is worth a call that may be made again.
    fn deadline(&self) -> Duration;

    /// Makes call number `number`, again for `left` if it is not answered: the oldest of the items has waited for a call already.
    /// The outcomes come in the order of the items.
    fn send(
        &self,
        items: Vec<&Self::Item>,
        number: u64,
        left: Duration,
    ) -> impl Future<Output = Result<Vec<Self::Outcome>, Error>> + Send;
}

type Reply<H> = Result<Vec<<H as Haul>::Outcome>, Arc<Error>>;

struct Request<H: Haul> {
    items: Vec<H::Item>,
    came: Instant,
    reply: oneshot::Sender<Reply<H>>,
}

/// Shares calls between callers; clones are the same one.
pub(crate) struct Coalescer<H: Haul> {
    shared: Arc<Shared<H>>,
}

struct Shared<H: Haul> {
    haul: H,
    state: Mutex<State<H>>,
}

struct State<H: Haul> {
    pending: Vec<Request<H>>,
    flushing: bool,
    /// The number of the last call.
    calls: u64,
}

impl<H: Haul> Clone for Coalescer<H> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<H: Haul> Coalescer<H> {
    pub(crate) fn new(haul: H) -> Self {
        let state = State { pending: Vec::new(), flushing: false, calls: 0 };
        Self { shared: Arc::new(Shared { haul, state: Mutex::new(state) }) }
    }

    pub(crate) fn haul(&self) -> &H {
        &self.shared.haul
    }

    /// Takes items along with the next call; all of them with the same one. They are on their way when this returns, in the order in
    /// which it was called; what it returns waits for the outcomes.
    pub(crate) fn submit(&self, items: Vec<H::Item>) -> impl Future<Output = Reply<H>> + Send + use<H> {
        let (reply, answer) = oneshot::channel();
        let start = {
            let mut state = self.shared.state();
            state.pending.push(Request { items, came: Instant::now(), reply });
            !std::mem::replace(&mut state.flushing, true)
        };
        if start {
            // A task of its own, so that a caller that goes away does not take the others' items along.
            tokio::spawn(Arc::clone(&self.shared).flush());
        }
        async move {
            answer.await.unwrap_or_else(|_| {
                Err(Arc::new(Error::Server("the call was given up by this process".to_owned())))
            })
        }
    }
}

impl<H: Haul> Shared<H> {
    fn state(&self) -> MutexGuard<'_, State<H>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the next call takes, with its number; `None` once nothing is left.
    fn next_batch(&self) -> Option<(Vec<Request<H>>, u64)> {
        // The time that is left to a call is that of its oldest: who came much later is left to the next.
        let much_later = self.haul.deadline() / 4;
        let mut state = self.state();
        let (mut items, mut bytes, mut requests, mut since) = (0, 0, 0, None);
        for request in &state.pending {
            items += request.items.len();
            bytes += request.items.iter().map(H::size).sum::<usize>();
            let first = *since.get_or_insert(request.came);
            let is_late = request.came.duration_since(first) > much_later;
            if requests > 0 && (items > H::MOST_ITEMS || bytes > H::MOST_BYTES || is_late) {
                break;
            }
            requests += 1;
        }
        if requests == 0 {
            state.flushing = false;
            return None;
        }
        state.calls += 1;
        let batch = state.pending.drain(..requests).collect();
        Some((batch, state.calls))
    }

    /// What has waited for as long as its deadline while other calls were made: it is taken out.
    fn overdue(&self) -> Vec<Request<H>> {
        let deadline = self.haul.deadline();
        let mut state = self.state();
        // They came one behind the other.
        let overdue = state.pending.iter().take_while(|request| request.came.elapsed() >= deadline).count();
        state.pending.drain(..overdue).collect()
    }

    async fn flush(self: Arc<Self>) {
        let mut flusher = Flusher { shared: self, is_done: false };
        let shared = &flusher.shared;
        while let Some((batch, number)) = shared.next_batch() {
            let items = batch.iter().flat_map(|request| &request.items).collect();
            let waited = batch.first().map(|oldest| oldest.came.elapsed()).unwrap_or_default();
            match shared.haul.send(items, number, shared.haul.deadline().saturating_sub(waited)).await {
                Ok(mut outcomes) => {
                    for request in batch.into_iter().rev() {
                        let own = outcomes.split_off(outcomes.len() - request.items.len());
                        let _ = request.reply.send(Ok(own));
                    }
                }
                Err(error) => {
                    let error = Arc::new(error);
                    // Nobody waits for longer than a deadline because others waited before.
                    let overdue = if error.is_connection() { shared.overdue() } else { Vec::new() };
                    for request in batch.into_iter().chain(overdue) {
                        let _ = request.reply.send(Err(Arc::clone(&error)));
                    }
                }
            }
        }
        flusher.is_done = true;
    }
}

/// Ends however a flush ends: after a panic those who wait are told, and whoever comes next begins another flush.
struct Flusher<H: Haul> {
    shared: Arc<Shared<H>>,
    is_done: bool,
}

impl<H: Haul> Drop for Flusher<H> {
    fn drop(&mut self) {
        if !self.is_done {
            let mut state = self.shared.state();
            state.flushing = false;
            let given_up = std::mem::take(&mut state.pending);
            drop(state);
            drop(given_up);
        }
    }
}

/// Makes a repeatable call, again as long as it is not answered and `deadline` after now is not over; `about` is named in the
/// log.
///
/// # Errors
/// What the call says, if that is no error of the connection or the deadline is over.
pub(crate) async fn until_answered<T, F>(
    deadline: Duration,
    about: &(impl Display + Sync),
    call: impl Fn() -> F,
) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let (started, mut pause) = (Instant::now(), Pause::first());
    loop {
        match call().await {
            Ok(answer) => return Ok(answer),
            Err(error) if !error.is_connection() || started.elapsed() + pause.length() >= deadline => {
                return Err(error);
            }
            Err(error) => tracing::debug!(%about, %error, "a call is sent again"),
        }
        pause.wait().await;
    }
}
