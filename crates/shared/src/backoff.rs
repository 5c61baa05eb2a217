//! Back-off: from the number of failures so far to the delay before the next attempt. Pure.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{Error, duration};

/// How much of a delay is left to chance, so that jobs that failed together do not come back together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Jitter {
    /// Exactly the delay.
    None,
    /// Between 90 % and 110 % of the delay. The default.
    #[default]
    Slight,
    /// Between nothing and the whole delay ("full jitter", AWS Architecture Blog, Exponential Backoff And Jitter, 2015).
    Full,
}

/// The delay before the next attempt, as a function of how many attempts have failed.
///
/// | kind | first delays |
/// |---|---|
/// | `fixed(10 s)` | 10 s, 10 s, 10 s |
/// | `exponential(1 s)` | 1 s, 2 s, 4 s, 8 s; at most a day unless [`up_to`](Backoff::up_to) says otherwise |
/// | `linear(5 s)` | 5 s, 10 s, 15 s |
/// | `table([1 s, 1 min, 1 h])` | 1 s, 1 min, 1 h, then 1 h again and again |
///
/// The default is `exponential(1 s)`. A handler that knows better returns its own delay with `retry_in`.
///
/// ```
/// # use std::time::Duration;
/// # use ergate_shared::{Backoff, Jitter};
/// let backoff = Backoff::exponential(Duration::from_secs(1)).jitter(Jitter::None);
///
/// assert_eq!(backoff.delay(1, 0.5), Duration::from_secs(1));
/// assert_eq!(backoff.delay(4, 0.5), Duration::from_secs(8));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    curve: Curve,
    jitter: Jitter,
    most: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Curve {
    Fixed(Duration),
    Exponential(Duration),
    Linear(Duration),
    Table(Vec<Duration>),
}

impl Backoff {
    const DAY: Duration = Duration::from_secs(86_400);

    fn of(curve: Curve) -> Self {
        Self { curve, jitter: Jitter::default(), most: Self::DAY }
    }

    /// No delay at all.
    pub fn none() -> Self {
        Self::of(Curve::Fixed(Duration::ZERO))
    }

    /// The same delay every time.
    pub fn fixed(delay: Duration) -> Self {
        Self::of(Curve::Fixed(delay))
    }

    /// `first`, then twice as long each time.
    pub fn exponential(first: Duration) -> Self {
        Self::of(Curve::Exponential(first))
    }

    /// `step`, then `step` longer each time.
    pub fn linear(step: Duration) -> Self {
        Self::of(Curve::Linear(step))
    }

    /// These delays in turn, the last one from then on; none for an empty table.
    pub fn table(delays: impl IntoIterator<Item = Duration>) -> Self {
        Self::of(Curve::Table(delays.into_iter().collect()))
    }

    /// Sets how much is left to chance; default [`Jitter::Slight`].
    #[must_use]
    pub fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// Sets the longest delay, jitter included; default one day.
    #[must_use]
    pub fn up_to(mut self, most: Duration) -> Self {
        self.most = most;
        self
    }

    /// The delay after `failures` failed attempts (from 1; 0 is taken as 1). `chance` in 0..1 decides the jitter.
    ///
    /// Never over [`up_to`](Self::up_to), however many failures: the doubling saturates.
    pub fn delay(&self, failures: u32, chance: f64) -> Duration {
        let step = failures.max(1);
        let plain = match &self.curve {
            Curve::Fixed(delay) => *delay,
            Curve::Exponential(first) => {
                1_u32.checked_shl(step - 1).map_or(self.most, |times| first.saturating_mul(times))
            }
            Curve::Linear(by) => by.saturating_mul(step),
            Curve::Table(delays) => {
                delays.get(step as usize - 1).or(delays.last()).copied().unwrap_or(Duration::ZERO)
            }
        }
        .min(self.most.min(duration::LONGEST));
        let factor = match self.jitter {
            Jitter::None => 1.0,
            Jitter::Slight => 0.9 + 0.2 * chance.clamp(0.0, 1.0),
            Jitter::Full => chance.clamp(0.0, 1.0),
        };
        plain.mul_f64(factor).min(self.most)
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::exponential(Duration::from_secs(1))
    }
}

/// Writes what [`FromStr`] reads: the jitter is not in it, nor the longest delay of a fixed one.
impl fmt::Display for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.curve {
            Curve::Fixed(Duration::ZERO) => f.write_str("none")?,
            Curve::Fixed(delay) => write!(f, "fixed:{}", duration::show(*delay))?,
            Curve::Exponential(first) => write!(f, "exponential:{}", duration::show(*first))?,
            Curve::Linear(step) => write!(f, "linear:{}", duration::show(*step))?,
            Curve::Table(delays) => {
                let delays: Vec<_> = delays.iter().map(|delay| duration::show(*delay)).collect();
                write!(f, "table:{}", delays.join(","))?;
            }
        }
        if self.most != Self::DAY && !matches!(self.curve, Curve::Fixed(_)) {
            write!(f, "..{}", duration::show(self.most))?;
        }
        Ok(())
    }
}

/// Reads `none`, `fixed:10s`, `exponential:1s`, `exponential:1s..1h`, `linear:5s` or `table:1s,1m,1h`; the jitter is slight.
impl FromStr for Backoff {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::Backoff(text.to_owned());
        if text == "none" {
            return Ok(Self::none());
        }
        let (kind, rest) = text.split_once(':').ok_or_else(wrong)?;
        let (delays, most) =
            rest.split_once("..").map_or((rest, None), |(delays, most)| (delays, Some(most)));
        let one = || duration::parse(delays).map_err(|_| wrong());
        let backoff = match kind {
            "fixed" => Self::fixed(one()?),
            "exponential" => Self::exponential(one()?),
            "linear" => Self::linear(one()?),
            "table" => Self::table(
                delays.split(',').map(duration::parse).collect::<Result<Vec<_>, _>>().map_err(|_| wrong())?,
            ),
            _ => return Err(wrong()),
        };
        match most {
            None => Ok(backoff),
            Some(most) => Ok(backoff.up_to(duration::parse(most).map_err(|_| wrong())?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_delays_are_as_documented() {
        let seconds = |backoff: Backoff| -> Vec<u64> {
            (1..=4).map(|n| backoff.clone().jitter(Jitter::None).delay(n, 0.0).as_secs()).collect()
        };

        assert_eq!(seconds(Backoff::default()), [1, 2, 4, 8]);
        assert_eq!(seconds("fixed:10s".parse().unwrap()), [10, 10, 10, 10]);
        assert_eq!(seconds("linear:5s".parse().unwrap()), [5, 10, 15, 20]);
        assert_eq!(seconds("table:1s,1m,1h".parse().unwrap()), [1, 60, 3600, 3600]);
        assert_eq!(seconds("none".parse().unwrap()), [0, 0, 0, 0]);
    }

    proptest! {
        #[test]
        fn no_delay_is_over_the_limit(failures in 0_u32.., chance in 0.0..1.0_f64, first_ms in 0_u64..1_000_000_000) {
            let first = Duration::from_millis(first_ms);
            for backoff in [Backoff::exponential(first), Backoff::linear(first), Backoff::fixed(first)] {
                prop_assert!(backoff.delay(failures, chance) <= Backoff::DAY);
            }
        }

        #[test]
        fn delays_never_shrink_as_failures_grow(failures in 1_u32..200, first_ms in 1_u64..100_000) {
            for backoff in [Backoff::exponential(Duration::from_millis(first_ms)), Backoff::linear(Duration::from_millis(first_ms))] {
                prop_assert!(backoff.delay(failures, 0.5) <= backoff.delay(failures + 1, 0.5));
            }
        }

        #[test]
        fn slight_jitter_stays_within_a_tenth(failures in 1_u32..20, chance in 0.0..1.0_f64) {
            let backoff = Backoff::exponential(Duration::from_millis(10));
            let plain = backoff.clone().jitter(Jitter::None).delay(failures, 0.0).as_secs_f64();
            let jittered = backoff.delay(failures, chance).as_secs_f64();
            prop_assert!((jittered / plain - 1.0).abs() <= 0.1001);
        }

        #[test]
        fn what_is_written_reads_back(first in 1_u64..86_400, most in 1_u64..86_400) {
            let backoff = Backoff::exponential(Duration::from_secs(first)).up_to(Duration::from_secs(most));
            prop_assert_eq!(backoff.to_string().parse::<Backoff>().unwrap(), backoff);
        }
    }
}
