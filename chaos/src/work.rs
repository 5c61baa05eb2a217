//! The work of chaos runs: jobs, functions and a schedule, and the desk at which their handlers note what they do.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use ergate::Context;

use crate::ledger::{Ledger, Line, What, now_ns};

pub mod functions;
pub mod jobs;

/// Threads of a worker: it takes as many jobs that block to keep them all.
pub const THREADS: usize = 2;
/// Each key of these names has at most so many jobs or runs under way: two limits of keys, one of unique keys, one of a function's
/// keys, one of a whole function and one of a whole queue.
pub const LIMITS: [(&str, u32); 6] =
    [("single", 1), ("trio", 3), ("only", 1), ("shelf", 2), ("shipped", 3), ("ticks", 1)];

/// Where the handlers of a worker process note what they do.
#[derive(Debug, Clone)]
pub struct Desk {
    ledger: Ledger,
    member: Arc<str>,
    serial: Arc<AtomicU64>,
}

impl Desk {
    /// The desk of a process.
    pub fn new(ledger: Ledger, member: &str) -> Self {
        Self { ledger, member: member.into(), serial: Arc::default() }
    }

    /// Notes a call of a handler; what it returns notes its end.
    ///
    /// # Errors
    /// If the ledger cannot be written.
    pub fn begin(&self, kind: &str, attempt: &Context, key: Option<String>) -> std::io::Result<Call> {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let (id, tries) = (attempt.id().to_string(), attempt.tries());
        self.note(What::Begin { kind: kind.to_owned(), id, serial, tries, key })?;
        Ok(Call { desk: self.clone(), serial, ended: false })
    }

    /// Notes that the body of a step was called, and returns what makes this call one of its kind.
    ///
    /// # Errors
    /// If the ledger cannot be written.
    pub async fn step(&self, run: String, about: String, step: &str) -> std::io::Result<String> {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        self.note(What::Step { run, about, step: step.to_owned(), serial })?;
        Ok(format!("{}:{serial}", self.member))
    }

    fn note(&self, what: What) -> std::io::Result<()> {
        self.ledger.write(&Line { ns: now_ns(), member: self.member.to_string(), what })
    }
}

/// A call of a handler. Dropped before its end, as when its worker stops or has lost the lease, it notes that.
#[derive(Debug)]
pub struct Call {
    desk: Desk,
    serial: u64,
    ended: bool,
}

impl Call {
    /// What makes this call one of its kind, to be the result of the job.
    pub fn name(&self) -> String {
        format!("{}:{}", self.desk.member, self.serial)
    }

    /// Notes its end, well or not, and says its name.
    pub fn end(mut self) -> String {
        self.ended = true;
        self.name()
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let serial = self.serial;
        let what = if self.ended { What::End { serial } } else { What::Dropped { serial } };
        // Nobody is there to hear of an error; a call without an end is taken for one that goes on.
        let _ = self.desk.note(what);
    }
}
