//! What a handler may ask for after its payload.

use std::time::{Duration, Instant};

use ergate_client::Client;
use ergate_shared::{JobId, Tries};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::{
    Context,
    context::Reason,
    notes::{Note, NoteKind},
};

/// An argument of a handler that comes from the attempt or from the worker's state `S`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no argument a handler can have",
    note = "after the payload a handler takes State<T>, Attempt, JobId, Deadline, Cancelled, Progress, Log, Client or Context",
    note = "State<T> needs T to be the worker's state, or to implement FromRef of it"
)]
pub trait FromContext<S>: Sized {
    /// Takes it.
    fn from_context(context: &Context, state: &S) -> Self;
}

/// The worker's state, or a part of it that implements [`FromRef`].
#[derive(Debug, Clone, Copy)]
pub struct State<T>(pub T);

/// A part of the worker's state, taken by clone.
///
/// ```
/// # use ergate_worker::FromRef;
/// # #[derive(Clone)] struct Mailer;
/// #[derive(Clone)]
/// struct App {
///     mailer: Mailer,
/// }
///
/// impl FromRef<App> for Mailer {
///     fn from_ref(app: &App) -> Self {
///         app.mailer.clone()
///     }
/// }
/// ```
pub trait FromRef<S> {
    /// Takes it.
    fn from_ref(state: &S) -> Self;
}

impl<S: Clone> FromRef<S> for S {
    fn from_ref(state: &S) -> Self {
        state.clone()
    }
}

impl<S, T: FromRef<S>> FromContext<S> for State<T> {
    fn from_context(_: &Context, state: &S) -> Self {
        Self(T::from_ref(state))
    }
}

/// Which try this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// Counted from 1. Crashes of workers, deploys and snoozes do not count.
    pub number: u32,
    /// How many there are at most.
    pub of: u32,
    /// Everything that happened to the job so far.
    pub tries: Tries,
}

impl Attempt {
    /// Whether the job is out of tries if this one fails.
    pub const fn is_last(self) -> bool {
        self.number >= self.of
    }
}

impl<S> FromContext<S> for Attempt {
    fn from_context(context: &Context, _: &S) -> Self {
        let tries = context.inner.tries;
        Self { number: tries.attempt(), of: context.inner.retries.saturating_add(1), tries }
    }
}

impl<S> FromContext<S> for JobId {
    fn from_context(context: &Context, _: &S) -> Self {
        context.inner.id.clone()
    }
}

impl<S> FromContext<S> for Client {
    fn from_context(context: &Context, _: &S) -> Self {
        context.inner.client.clone()
    }
}

impl<S> FromContext<S> for Context {
    fn from_context(context: &Context, _: &S) -> Self {
        context.clone()
    }
}

/// When the attempt's time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline(pub Instant);

impl Deadline {
    /// How long is left; zero once it is over.
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

impl<S> FromContext<S> for Deadline {
    fn from_context(context: &Context, _: &S) -> Self {
        Self(context.inner.deadline)
    }
}

/// Tells a handler that it should end.
///
/// | why | it is told | it is dropped | if it returns an error then, or is dropped |
/// |---|---|---|---|
/// | the job was cancelled | at once | 5 s later | the job is cancelled |
/// | the worker stops | when the [shutdown deadline](crate::Worker::shutdown_deadline) is over, and not before | 0.5 s later | the job is handed back, and no attempt is counted |
/// | [`SOFT_TIMEOUT`](ergate_shared::Job::SOFT_TIMEOUT) is over | then | at [`TIMEOUT`](ergate_shared::Job::TIMEOUT) | the attempt has failed, like any other |
/// | the lease is lost | when nine tenths of it are over | at once | the job goes back to the queue once the lease is over, and a crash is counted |
///
/// If it returns `Ok`, whatever it was told, the job is completed, unless its lease is over by then. Whatever it was told, it is
/// dropped at its time-out at the latest.
///
/// When the lease is lost, a handler that listens is polled once more: what it does before it next has to wait is done. What
/// blocks its thread cannot be dropped: it goes on, and what it returns is dropped.
#[derive(Debug, Clone)]
pub struct Cancelled(Context);

impl Cancelled {
    /// Returns once the handler should end.
    pub async fn wait(&self) {
        self.0.inner.stop.asked(None).await;
    }

    /// Whether it should end.
    pub fn is_cancelled(&self) -> bool {
        self.0.inner.stop.reason().is_some()
    }

    /// Whether the lease is lost: another worker may have the job, so that nothing more should be done for it.
    pub fn is_lost(&self) -> bool {
        self.0.inner.stop.reason() == Some(Reason::Lost)
    }

    /// The same as a token, to hand on.
    pub fn token(&self) -> CancellationToken {
        self.0.inner.stop.token()
    }
}

impl<S> FromContext<S> for Cancelled {
    fn from_context(context: &Context, _: &S) -> Self {
        Self(context.clone())
    }
}

/// Says how far the job is.
#[derive(Debug, Clone)]
pub struct Progress(Context);

impl Progress {
    /// Keeps a number from 0 to 1, or any JSON. Calls that come faster than Redis answers are merged: the last one counts.
    pub fn set(&self, progress: impl Serialize) {
        match serde_json::to_string(&progress) {
            Ok(text) => self.0.note(NoteKind::Progress, text),
            Err(error) => tracing::warn!(job.id = %self.0.id(), %error, "progress is not valid JSON"),
        }
    }
}

impl<S> FromContext<S> for Progress {
    fn from_context(context: &Context, _: &S) -> Self {
        Self(context.clone())
    }
}

/// Keeps lines beside the job, for people who look at it.
#[derive(Debug, Clone)]
pub struct Log(Context);

impl Log {
    /// Adds a line; line breaks become spaces. At most 64 KiB are kept per job, the oldest lines go first.
    pub fn line(&self, line: impl AsRef<str>) {
        let now = self.0.inner.client.redis().now_ms();
        let line = line.as_ref().replace(['\n', '\r'], " ");
        self.0.note(NoteKind::Log, format!("{now} {line}"));
    }
}

impl<S> FromContext<S> for Log {
    fn from_context(context: &Context, _: &S) -> Self {
        Self(context.clone())
    }
}

impl Context {
    fn note(&self, kind: NoteKind, text: String) {
        self.inner.notes.add(Note { kind, id: self.inner.id.clone(), token: self.inner.token.clone(), text });
    }
}
