//! What an enqueue says once Redis has answered.

use std::sync::Arc;

use ergate_shared::{JobId, QueueName};

use super::OnConflict;
use crate::{Client, Error, JobHandle, Reached, batch::Taken};

/// What an enqueue says once it is kept.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// The job's id; that of the holder if the new one was dropped, and of the run it joined if an option of its function put it
    /// into another (`batch`, `debounce`). Of a start that joined a batch under an id of the caller's and is made again, it is that id.
    pub id: JobId,
    /// The queue it is in.
    pub queue: QueueName,
    /// Whether a job with this id or unique key was there already, or a run that it joined, so that nothing new was enqueued.
    pub duplicate: bool,
    /// Whether it is a run that an option of its function dropped: a rate limit, idempotency, or a singleton that is there.
    pub dropped: bool,
    /// How safe it is.
    pub durability: Reached,
}

impl Receipt {
    /// The job, to ask for its state or wait for its result.
    pub fn job(&self, client: &Client) -> JobHandle {
        JobHandle::new(crate::Queue::new(client.clone(), self.queue.clone()), self.id.clone())
    }
}

pub(crate) fn receipt(
    queue: &QueueName,
    id: JobId,
    taken: Taken,
    unique: Option<(String, OnConflict)>,
) -> Result<Receipt, Error> {
    let kept = |id, duplicate| Receipt {
        id,
        queue: queue.clone(),
        duplicate,
        dropped: false,
        durability: Reached::Fast,
    };
    match (taken, unique) {
        (Taken::New | Taken::Asked(_), _) => Ok(kept(id, false)),
        (Taken::Dropped, _) => Ok(Receipt { dropped: true, ..kept(id, false) }),
        (Taken::Exists, _) => Ok(kept(id, true)),
        (Taken::Late, _) => Err(Error::Late),
        // Without a key it is a run that waits for other events: it has this one now.
        (Taken::Held(holder), None | Some((_, OnConflict::Ignore | OnConflict::PutOff))) => {
            Ok(kept(JobId::new(holder)?, true))
        }
        (Taken::Held(holder), Some((key, _))) => {
            Err(Error::Duplicate { queue: queue.clone(), key, holder: JobId::new(holder)? })
        }
    }
}

/// The error of a call that several enqueues shared, for one of them.
pub(crate) fn unshare(error: Arc<Error>) -> Error {
    match Arc::try_unwrap(error) {
        Ok(error) => error,
        Err(shared) => match &*shared {
            Error::Redis { what, source } => Error::Redis { what, source: source.clone() },
            Error::TimedOut { address, what, after } => {
                Error::TimedOut { address: address.clone(), what, after: *after }
            }
            Error::Unreachable { address, tries, after, source } => Error::Unreachable {
                address: address.clone(),
                tries: *tries,
                after: *after,
                source: source.clone(),
            },
            Error::GivenUp => Error::GivenUp,
            other => Error::Server(other.to_string()),
        },
    }
}
