//! What a handler returns when it did not work: any error, with a verdict.

use std::{fmt, time::Duration};

use ergate_shared::FailureKind;

/// What a handler returns.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// Why an attempt did not work, and what is to become of the job.
///
/// Every error converts with `?` and means: try again after the back-off, as long as tries are left. Other verdicts are
/// said with [`Verdict`]'s methods on a `Result`, or with the functions here.
///
/// It does not implement `std::error::Error`, as that would forbid the conversion from every error (`anyhow::Error` is
/// in the same place).
///
/// ```
/// # use std::time::Duration;
/// # use ergate_worker::{Failure, Result, Verdict};
/// async fn charge(amount: i64) -> Result<()> {
///     if amount < 0 {
///         return Err(Failure::fatal("a charge cannot be negative"));
///     }
///     let _answer: u32 = "12".parse().fatal()?;
///     "busy".parse::<u32>().retry_in(Duration::from_secs(30))?;
///     Ok(())
/// }
/// ```
pub struct Failure {
    pub(crate) course: Course,
    pub(crate) kind: FailureKind,
    pub(crate) error: anyhow::Error,
}

/// What is to become of the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Course {
    Retry,
    RetryIn(Duration),
    Snooze(Duration),
    Fatal,
    Cancel,
    /// A run leaves memory: no failure, but it goes the way of one.
    Suspend {
        due: u64,
        known: u32,
    },
}

impl Failure {
    fn new(course: Course, error: anyhow::Error) -> Self {
        Self { course, kind: FailureKind::Error, error }
    }

    /// Dead-letters the job now, whatever tries are left. With
    /// [`OnExhausted::Discard`](ergate_shared::OnExhausted::Discard) it is forgotten instead.
    pub fn fatal(why: impl fmt::Display) -> Self {
        Self::new(Course::Fatal, anyhow::Error::msg(why.to_string()))
    }

    /// Tries again after the back-off, as long as tries are left.
    pub fn retry(why: impl fmt::Display) -> Self {
        Self::new(Course::Retry, anyhow::Error::msg(why.to_string()))
    }

    /// Tries again after this long instead of the back-off; it counts as a failed attempt.
    pub fn retry_in(delay: Duration, why: impl fmt::Display) -> Self {
        Self::new(Course::RetryIn(delay), anyhow::Error::msg(why.to_string()))
    }

    /// Puts the job off; this does not count as an attempt.
    pub fn snooze(delay: Duration) -> Self {
        Self::new(Course::Snooze(delay), anyhow::Error::msg("put off by its handler"))
    }

    /// Cancels the job: it ends, neither well nor as a dead letter.
    pub fn cancel(why: impl fmt::Display) -> Self {
        Self::new(Course::Cancel, anyhow::Error::msg(why.to_string()))
    }

    /// Whether it dead-letters the job now, whatever tries are left.
    pub fn is_fatal(&self) -> bool {
        self.course == Course::Fatal
    }

    /// Whether it is a run that is about to leave memory, until a time or an event: nothing went wrong.
    pub fn is_suspension(&self) -> bool {
        matches!(self.course, Course::Suspend { .. })
    }

    /// How long the job waits before it is tried again, if the handler said so itself.
    pub fn delay(&self) -> Option<Duration> {
        match self.course {
            Course::RetryIn(delay) | Course::Snooze(delay) => Some(delay),
            Course::Retry | Course::Fatal | Course::Cancel | Course::Suspend { .. } => None,
        }
    }

    /// Until `due` in ms since the epoch, unless the journal has another number of entries than are `known`.
    pub(crate) fn suspend(due: u64, known: u32) -> Self {
        Self::new(Course::Suspend { due, known }, anyhow::Error::msg("the run is suspended"))
    }

    pub(crate) fn of_kind(kind: FailureKind, course: Course, error: impl Into<anyhow::Error>) -> Self {
        Self { course, kind, error: error.into() }
    }

    /// The outermost message, and those below it.
    pub(crate) fn messages(&self) -> (String, Vec<String>) {
        let mut chain = self.error.chain().map(ToString::to_string);
        (chain.next().unwrap_or_default(), chain.collect())
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(Course::Retry, error.into())
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {:?}", self.course, self.error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.error)
    }
}

/// Verdicts on any `Result`.
pub trait Verdict<T> {
    /// An error dead-letters the job now, as [`Failure::fatal`] does.
    ///
    /// # Errors
    /// The same error, with that verdict.
    fn fatal(self) -> Result<T>;

    /// An error is tried again after this long instead of the back-off.
    ///
    /// # Errors
    /// The same error, with that verdict.
    fn retry_in(self, delay: Duration) -> Result<T>;

    /// Says what was being done, as `anyhow`'s method does; it keeps a verdict already given.
    ///
    /// # Errors
    /// The same error, below the new message.
    fn context(self, what: impl fmt::Display + Send + Sync + 'static) -> Result<T>;
}

impl<T, E: Into<Failure>> Verdict<T> for std::result::Result<T, E> {
    fn fatal(self) -> Result<T> {
        self.map_err(|error| Failure { course: Course::Fatal, ..error.into() })
    }

    fn retry_in(self, delay: Duration) -> Result<T> {
        self.map_err(|error| Failure { course: Course::RetryIn(delay), ..error.into() })
    }

    fn context(self, what: impl fmt::Display + Send + Sync + 'static) -> Result<T> {
        self.map_err(|error| {
            let Failure { course, kind, error } = error.into();
            Failure { course, kind, error: error.context(what) }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_error_is_retried_unless_a_verdict_says_otherwise() {
        let retried: Failure = "x".parse::<u32>().unwrap_err().into();
        let fatal = "x".parse::<u32>().fatal().unwrap_err();
        let later = "x".parse::<u32>().retry_in(Duration::from_secs(9)).unwrap_err();

        assert_eq!(retried.course, Course::Retry);
        assert_eq!(fatal.course, Course::Fatal);
        assert_eq!(later.course, Course::RetryIn(Duration::from_secs(9)));
    }

    #[test]
    fn context_keeps_the_verdict_and_the_chain() {
        let failure = "x".parse::<u32>().fatal().context("reading the port").unwrap_err();

        assert_eq!(failure.course, Course::Fatal);
        assert_eq!(
            failure.messages(),
            ("reading the port".to_owned(), vec!["invalid digit found in string".to_owned()])
        );
    }
}
