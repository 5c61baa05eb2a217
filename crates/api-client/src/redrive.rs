//! Sending dead letters back, all at once or at a pace.

use std::time::Duration;

use ergate_shared::{JobId, duration::LONGEST};

use crate::{DeadLetters, Error};

/// What a redrive did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redriven {
    /// Jobs sent back, or that would be.
    pub redriven: u64,
    /// Jobs left where they are: another job holds their unique key, somebody was faster, or they were started over before.
    pub left: u64,
}

/// Sends them back one behind the other, also over several queues.
pub(crate) struct Redrive {
    spacing: Duration,
    /// When the next one is due, from now.
    after: Duration,
    pub(crate) sum: Redriven,
}

impl Redrive {
    /// Jobs sent back by one call.
    const AT_ONCE: usize = 200;

    /// So many per second; `None`: all at once.
    pub(crate) fn at(per_second: Option<f64>) -> Result<Self, Error> {
        let spacing = match per_second {
            None => Duration::ZERO,
            Some(rate) if rate > 0.0 && rate.is_finite() => {
                Duration::try_from_secs_f64(1.0 / rate).unwrap_or(LONGEST).min(LONGEST)
            }
            Some(rate) => return Err(Error::Option(format!("rate {rate} per second is not above 0"))),
        };
        Ok(Self { spacing, after: Duration::ZERO, sum: Redriven::default() })
    }

    /// Sends back these, behind those of earlier calls, telling `done` how many so far.
    pub(crate) async fn send(
        &mut self,
        dead: &DeadLetters,
        ids: &[JobId],
        done: &mut impl FnMut(u64),
    ) -> Result<(), Error> {
        for some in ids.chunks(Self::AT_ONCE) {
            let outcomes = dead.send_back(some, None, self.after, self.spacing).await?;
            let redriven = outcomes.iter().filter(|outcome| *outcome == "ok").count() as u64;
            self.sum.redriven += redriven;
            self.sum.left += outcomes.len() as u64 - redriven;
            self.after += self.spacing * u32::try_from(redriven).unwrap_or(u32::MAX);
            done(self.sum.redriven);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_above_nothing_and_may_be_next_to_nothing() {
        assert_eq!(Redrive::at(Some(4.0)).unwrap().spacing, Duration::from_millis(250));
        assert_eq!(Redrive::at(Some(1e-30)).unwrap().spacing, LONGEST);
        assert_eq!(Redrive::at(Some(f64::MIN_POSITIVE)).unwrap().spacing, LONGEST);
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Redrive::at(Some(rate)).is_err(), "{rate}");
        }
    }
}
