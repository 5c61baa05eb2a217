//! What is leased, and what becomes of it.

use super::*;

/// A job a worker by hand was given.
#[derive(Debug, Clone)]
pub(crate) struct Leased {
    pub(crate) id: String,
    pub(crate) token: String,
    pub(crate) record: Vec<u8>,
    pub(crate) tries: Tries,
    /// How many entries its journal has, if it is a run.
    pub(crate) steps: u32,
}

/// What a worker says of a job it has held: kind, delay, tries and detail as the turn script takes them.
#[derive(Debug, Clone)]
pub(crate) struct Settle {
    pub(crate) id: String,
    pub(crate) token: String,
    pub(crate) kind: &'static str,
    pub(crate) delay: u64,
    pub(crate) tries: Option<Tries>,
    pub(crate) detail: String,
}

impl Leased {
    fn settle(&self, kind: &'static str) -> Settle {
        Settle {
            id: self.id.clone(),
            token: self.token.clone(),
            kind,
            delay: 0,
            tries: None,
            detail: String::new(),
        }
    }

    /// As a worker does: a job with keys, or with a unique key that it lets go of at its end, is told of apart.
    pub(crate) fn complete(&self, result: &str) -> Settle {
        let record = JobRecord::decode(&self.record).unwrap();
        let kind = match record.unique {
            _ if record.tells => "tell",
            Some((UniqueScope::Started | UniqueScope::Finished, _)) => "complete",
            _ if record.lane.is_some() => "complete",
            _ => "",
        };
        Settle { detail: result.to_owned(), ..self.settle(kind) }
    }

    pub(crate) fn retry(&self, delay: u64) -> Settle {
        let tries = Tries { failures: self.tries.failures + 1, ..self.tries };
        Settle { delay, tries: Some(tries), detail: failure("failed"), ..self.settle("retry") }
    }

    pub(crate) fn snooze(&self, delay: u64) -> Settle {
        let tries = Tries { snoozes: self.tries.snoozes + 1, ..self.tries };
        Settle { delay, tries: Some(tries), ..self.settle("snooze") }
    }

    /// Of a run whose journal has this many entries, until then.
    pub(crate) fn suspend(&self, due: u64, known: u32) -> Settle {
        Settle { delay: due, detail: known.to_string(), ..self.settle("suspend") }
    }

    pub(crate) fn hand_back(&self) -> Settle {
        let tries = Tries { interruptions: self.tries.interruptions + 1, ..self.tries };
        Settle { tries: Some(tries), ..self.settle("hand_back") }
    }

    pub(crate) fn bury(&self) -> Settle {
        let tries = Tries { failures: self.tries.failures + 1, ..self.tries };
        Settle { tries: Some(tries), detail: failure("buried"), ..self.settle("dead") }
    }

    pub(crate) fn discard(&self) -> Settle {
        self.settle("discard")
    }

    pub(crate) fn cancel(&self, why: &str) -> Settle {
        Settle { detail: why.to_owned(), ..self.settle("cancel") }
    }
}

/// A failure as workers write it.
pub(crate) fn failure(message: &str) -> String {
    format!(r#"{{"kind":"error","message":"{message}","attempt":1,"at":{START}}}"#)
}

/// The ids of jobs, in their order.
pub(crate) fn ids(leased: &[Leased]) -> Vec<&str> {
    leased.iter().map(|job| job.id.as_str()).collect()
}
