//! Says what happens, with the time since the start.

use std::{io::Write, time::Instant};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Teller {
    begun: Instant,
}

impl Teller {
    pub(crate) fn new() -> Self {
        Self { begun: Instant::now() }
    }

    pub(crate) fn say(&self, what: impl AsRef<str>) {
        let seconds = self.seconds();
        // Nobody may be listening any more; the work goes on.
        let _ = writeln!(std::io::stdout(), "{seconds:>6.1} s  {}", what.as_ref());
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }
}
