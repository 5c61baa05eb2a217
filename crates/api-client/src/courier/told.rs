//! An end as it is kept until it is told.

use std::collections::HashMap;

use ergate_shared::{FailureKind, FailureRecord, JobId, JobRecord, ending, run::Resolution};
use serde_json::value::RawValue;

/// An end that is to be told.
#[derive(Debug)]
pub(super) struct Told {
    /// Its id in the stream, which no other end has, of the same run neither.
    pub(super) entry: String,
    pub(super) id: JobId,
    pub(super) record: JobRecord,
    pub(super) outcome: Outcome,
}

#[derive(Debug)]
pub(super) enum Outcome {
    Completed(Box<RawValue>),
    Failed(FailureRecord),
    Cancelled(FailureRecord),
}

impl Outcome {
    /// What a run is told that waits for it.
    pub(super) fn resolution(&self) -> Resolution {
        match self {
            Self::Completed(result) => Resolution::Result(result.clone()),
            Self::Failed(failure) | Self::Cancelled(failure) => Resolution::Failure(failure.clone()),
        }
    }

    /// How much there is to tell, in bytes.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Completed(result) => result.get().len(),
            Self::Failed(failure) | Self::Cancelled(failure) => {
                failure.message.len() + failure.chain.iter().map(String::len).sum::<usize>()
            }
        }
    }
}

/// Reads what is kept; what no release wrote concerns nobody.
pub(super) fn read(entry: String, fields: &HashMap<String, Vec<u8>>) -> Option<Told> {
    let id = JobId::stored(String::from_utf8_lossy(fields.get("id")?));
    let record = match JobRecord::decode(fields.get("record")?) {
        Ok(record) => record,
        Err(error) => {
            tracing::error!(job.id = %id, %error, "the end of a job whose record cannot be read is told to nobody");
            return None;
        }
    };
    let end = String::from_utf8_lossy(fields.get("end")?);
    let (at, detail) = ending::read(&end);
    let outcome = match end.as_bytes().first() {
        Some(&ending::COMPLETED) => Outcome::Completed(
            RawValue::from_string(detail.to_owned()).unwrap_or_else(|_| RawValue::NULL.to_owned()),
        ),
        Some(&ending::CANCELLED) => Outcome::Cancelled(FailureRecord {
            kind: FailureKind::Cancelled,
            message: match detail {
                "" => format!("{} {id} was cancelled", record.name),
                why => format!("{} {id} was cancelled: {why}", record.name),
            },
            chain: Vec::new(),
            attempt: 0,
            worker: String::new(),
            at,
        }),
        _ => Outcome::Failed(FailureRecord::from_json(detail.as_bytes())),
    };
    Some(Told { entry, id, record, outcome })
}
