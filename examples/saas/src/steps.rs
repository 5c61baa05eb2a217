//! A run's steps, as the functions of this example take them.

use std::time::Duration;

use ergate::{Failure, RunStep, Sleep, Step, StepAttempt};
use serde::{Serialize, de::DeserializeOwned};

use crate::ledger::{Ledger, Moment};

/// Ergate's [`Step`] with what a demonstration needs: each body is noted in a ledger before and after its effect, and
/// sleeps of days can be made short. A service of yours takes `Step` itself, and reads the same.
#[derive(Debug, Clone)]
pub(crate) struct Steps {
    step: Step,
    ledger: Ledger,
    pace: Pace,
}

/// How fast time passes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// What sleeps are multiplied by; 1 leaves them as they are.
    pub(crate) factor: f64,
}

impl Pace {
    /// As sleeps are.
    pub(crate) const REAL: Self = Self { factor: 1.0 };
    /// However small the factor, a run that sleeps leaves memory and comes back.
    const SHORTEST: Duration = Duration::from_millis(20);

    pub(crate) fn of(self, sleep: Duration) -> Duration {
        sleep.mul_f64(self.factor).max(Self::SHORTEST.min(sleep))
    }
}

impl Steps {
    pub(crate) fn new(step: Step, ledger: Ledger, pace: Pace) -> Self {
        Self { step, ledger, pace }
    }

    /// The run's id.
    pub(crate) fn run_id(&self) -> &str {
        self.step.run_id().as_str()
    }

    /// As [`Step::run`].
    pub(crate) fn run<'a, T, E, F>(&self, id: impl Into<String>, body: F) -> RunStep<'a, T>
    where
        T: Serialize + DeserializeOwned + Send + 'a,
        E: Into<Failure>,
        F: Future<Output = Result<T, E>> + Send + 'a,
    {
        self.run_with(id, |_| body)
    }

    /// As [`Step::run_with`].
    pub(crate) fn run_with<'a, T, E, F>(
        &self,
        id: impl Into<String>,
        body: impl FnOnce(StepAttempt) -> F + Send + 'a,
    ) -> RunStep<'a, T>
    where
        T: Serialize + DeserializeOwned + Send + 'a,
        E: Into<Failure>,
        F: Future<Output = Result<T, E>> + Send + 'a,
    {
        let ledger = self.ledger.clone();
        self.step.run_with(id, async move |attempt: StepAttempt| {
            ledger.note(&attempt, Moment::Began)?;
            let result = body(attempt.clone()).await.map_err(Into::into);
            ledger.note(&attempt, if result.is_ok() { Moment::Worked } else { Moment::Failed })?;
            result
        })
    }

    /// As [`Step::sleep`], but shortened.
    pub(crate) fn sleep(&self, id: impl Into<String>, duration: Duration) -> Sleep {
        self.step.sleep(id, self.pace.of(duration))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortened_sleep_is_still_one_and_never_longer_than_it_was() {
        let fast = Pace { factor: 1e-6 };

        assert_eq!(
            fast.of(Duration::from_hours(72)),
            Duration::from_millis(259).max(Duration::from_micros(259_200))
        );
        assert_eq!(fast.of(Duration::from_secs(45)), Pace::SHORTEST);
        assert_eq!(fast.of(Duration::from_millis(5)), Duration::from_millis(5));
        assert_eq!(Pace::REAL.of(Duration::from_hours(24)), Duration::from_hours(24));
    }
}
