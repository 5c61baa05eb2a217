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
    /// Whether a flusher before this one ended without having sent it.
    was_left: bool,
    answer: oneshot::Sender<Answer<H>>,
}

/// What a caller hears.
enum Answer<H: Haul> {
    Reply(Reply<H>),
    /// The flusher ended, and the items were not sent: they still wait, and this is where the answer will come.
    Left(oneshot::Receiver<Answer<H>>),
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
        let (answer, mut heard) = oneshot::channel();
        let shared = Arc::clone(&self.shared);
        shared.state().pending.push(Request { items, came: Instant::now(), was_left: false, answer });
        shared.begin();
        async move {
            loop {
                match heard.await {
                    Ok(Answer::Reply(reply)) => return reply,
                    Ok(Answer::Left(next)) => {
                        shared.begin();
                        heard = next;
                    }
                    Err(_) => return Err(Arc::new(Error::GivenUp)),
                }
            }
        }
    }
}

impl<H: Haul> Shared<H> {
    fn state(&self) -> MutexGuard<'_, State<H>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a flush on the runtime of whoever calls, if something waits and nobody is at it.
    fn begin(self: &Arc<Self>) {
        let begins = {
            let mut state = self.state();
            !state.pending.is_empty() && !std::mem::replace(&mut state.flushing, true)
        };
        if begins {
            // Made here, so that it ends the flush also if a runtime that shuts down drops the task before it has begun.
            let flusher = Flusher { shared: Arc::clone(self), is_done: false };
            // A task of its own, so that a caller that goes away does not take the others' items along.
            tokio::spawn(flusher.flush());
        }
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

    /// What has waited for as long as its deadline while other calls were made, as far as it is such: it is taken out.
    fn overdue(&self, is_such: impl Fn(&Request<H>) -> bool) -> Vec<Request<H>> {
        let deadline = self.haul.deadline();
        let is_overdue = |request: &&Request<H>| is_such(request) && request.came.elapsed() >= deadline;
        let mut state = self.state();
        // They came one behind the other.
        let overdue = state.pending.iter().take_while(is_overdue).count();
        state.pending.drain(..overdue).collect()
    }
}

/// Makes calls until nothing is left. However it ends, whoever comes next begins another.
struct Flusher<H: Haul> {
    shared: Arc<Shared<H>>,
    is_done: bool,
}

impl<H: Haul> Flusher<H> {
    async fn flush(mut self) {
        let shared = &self.shared;
        // What a flusher before this one left long ago is sent behind nobody's back.
        drop(shared.overdue(|request| request.was_left));
        while let Some((batch, number)) = shared.next_batch() {
            let items = batch.iter().flat_map(|request| &request.items).collect();
            let waited = batch.first().map(|oldest| oldest.came.elapsed()).unwrap_or_default();
            match shared.haul.send(items, number, shared.haul.deadline().saturating_sub(waited)).await {
                Ok(mut outcomes) => {
                    for request in batch.into_iter().rev() {
                        let own = outcomes.split_off(outcomes.len() - request.items.len());
                        let _ = request.answer.send(Answer::Reply(Ok(own)));
                    }
                }
                Err(error) => {
                    let error = Arc::new(error);
                    // Nobody waits for longer than a deadline because others waited before.
                    let overdue = if error.is_connection() { shared.overdue(|_| true) } else { Vec::new() };
                    for request in batch.into_iter().chain(overdue) {
                        let _ = request.answer.send(Answer::Reply(Err(Arc::clone(&error))));
                    }
                }
            }
        }
        self.is_done = true;
    }
}

impl<H: Haul> Drop for Flusher<H> {
    /// After a panic, or with its runtime: those whose items were sent are told that they were given up. The others are asked to
    /// begin another flush where they are, but once only, as their runtime may be about to end too.
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        let mut state = self.shared.state();
        state.flushing = false;
        let (given_up, left): (Vec<_>, Vec<_>) =
            std::mem::take(&mut state.pending).into_iter().partition(|request| request.was_left);
        let mut told = Vec::with_capacity(left.len());
        for Request { items, came, answer, .. } in left {
            let (next, heard) = oneshot::channel();
            told.push((answer, heard));
            state.pending.push(Request { items, came, was_left: true, answer: next });
        }
        drop(state);
        drop(given_up);
        for (answer, heard) in told {
            let _ = answer.send(Answer::Left(heard));
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
