//! How long to wait before trying again.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(20);
/// Short, as workers must be back within two seconds of Redis being back.
const LONGEST: Duration = Duration::from_millis(500);

/// The next wait before a call to Redis is tried again: 20 ms, then twice as long each time up to half a second, and up to a
/// quarter of that less by chance, so that replicas do not return in step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause(Duration);

impl Pause {
    /// The first.
    pub const fn first() -> Self {
        Self(FIRST)
    }

    /// How long it is.
    pub const fn length(self) -> Duration {
        self.0
    }

    /// Tells its length, and is the one after it from now on.
    pub fn advance(&mut self) -> Duration {
        let jitter = 0.75 + 0.25 * (uuid::Uuid::new_v4().as_u128() % 1000) as f64 / 1000.0;
        let next = (self.0 * 2).min(LONGEST).mul_f64(jitter);
        std::mem::replace(&mut self.0, next)
    }

    /// Waits, and is the one after it from now on.
    pub async fn wait(&mut self) {
        tokio::time::sleep(self.advance()).await;
    }
}

impl Default for Pause {
    fn default() -> Self {
        Self::first()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_half_a_second_and_no_further() {
        let mut pause = Pause::first();

        let lengths: Vec<_> = (0..20).map(|_| pause.advance()).collect();

        assert_eq!(lengths[0], FIRST);
        assert!(lengths.iter().all(|length| *length <= LONGEST), "{lengths:?}");
        assert!(lengths[19] >= LONGEST.mul_f64(0.75), "{lengths:?}");
    }
}
