//! What has happened to a job so far: three counters with three limits, never mixed, and two more for show.

use serde::{Deserialize, Serialize};

use crate::Error;

/// Counts of what happened to a job's attempts. All zero until something did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tries {
    /// Attempts that failed: the handler said no, panicked or ran out of time. Limited by `retries`.
    pub failures: u32,
    /// Attempts whose worker died or lost its lease. Limited by the crash limit of the worker that finds that out, default 3.
    pub crashes: u32,
    /// Attempts handed back by a worker that was stopping. Free.
    pub interruptions: u32,
    /// Times the handler put the job off. Free.
    pub snoozes: u32,
    /// Times a worker found no handler for the job.
    pub unhandled: u32,
}

impl Tries {
    /// Reads the five numbers kept in Redis.
    ///
    /// # Errors
    /// [`Error::Record`] if there are not five numbers.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut numbers = text.split(' ').map(str::parse::<u32>);
        let mut next = || match numbers.next() {
            Some(Ok(number)) => Ok(number),
            _ => Err(Error::Record(format!("tries {text:?} are not five numbers"))),
        };
        Ok(Self {
            failures: next()?,
            crashes: next()?,
            interruptions: next()?,
            snoozes: next()?,
            unhandled: next()?,
        })
    }

    /// Writes the five numbers, as [`Tries::parse`] and the scripts read them.
    pub fn to_text(self) -> String {
        let Self { failures, crashes, interruptions, snoozes, unhandled } = self;
        format!("{failures} {crashes} {interruptions} {snoozes} {unhandled}")
    }

    /// The number of the attempt that starts now, counted from 1: only failed ones count before it.
    pub const fn attempt(self) -> u32 {
        self.failures + 1
    }
}
