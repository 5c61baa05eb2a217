//! How fast one way of a connection is.

use std::{num::NonZeroU32, time::Duration};

use tokio::time::Instant;

/// A second is cut into so many portions, so that a slow link is slow from the first byte on.
const PORTIONS: u32 = 50;

/// Until when one way of a connection is busy with what it has carried.
#[derive(Debug)]
pub(super) struct Pace {
    busy_until: Instant,
}

impl Default for Pace {
    fn default() -> Self {
        Self { busy_until: Instant::now() }
    }
}

impl Pace {
    /// What of `waiting` may go on now.
    pub(super) fn take<'a>(&self, waiting: &'a [u8], pace: Option<NonZeroU32>) -> &'a [u8] {
        match pace {
            None => waiting,
            Some(_) if self.busy_until > Instant::now() => &[],
            Some(pace) => &waiting[..waiting.len().min((pace.get() / PORTIONS).max(1) as usize)],
        }
    }

    /// Counts what went on.
    pub(super) fn spend(&mut self, bytes: usize, pace: Option<NonZeroU32>) {
        if let Some(pace) = pace {
            self.busy_until = Instant::now() + Duration::from_secs_f64(bytes as f64 / f64::from(pace.get()));
        }
    }

    /// When more may go on.
    pub(super) fn goes_on(&self) -> Instant {
        self.busy_until
    }
}
