//! What can go wrong on the producer's side.

use std::time::Duration;

use ergate_shared::{EventId, JobId, JobState, QueueName, ScheduleName, duration};
use redis::{ErrorKind, RedisError, ServerErrorKind};

/// An error of [`Client`](crate::Client) and what it hands out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No connection could be made.
    #[error("redis at {address} cannot be reached after {} in {}", times(*.tries), duration::show(*.after))]
    Unreachable {
        /// Which address, without user and password.
        address: String,
        /// How many times it was tried.
        tries: u32,
        /// For how long.
        after: Duration,
        /// What the last try said.
        #[source]
        source: RedisError,
    },
    /// An address that cannot be read.
    #[error("redis url {url:?} {problem}")]
    Address {
        /// The address, without user and password.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// No answer in time; whether the command was carried out is not known.
    #[error("redis at {address} did not answer {what} within {}", duration::show(*.after))]
    TimedOut {
        /// Which address.
        address: String,
        /// The command or script.
        what: &'static str,
        /// How long was waited.
        after: Duration,
    },
    /// The runtime that made the call for several callers ended, or its code panicked; whether it was carried out is not known.
    #[error(
        "the call was given up by this process and may have been carried out: make it again, with the same id for a job or an event"
    )]
    GivenUp,
    /// Redis answered with an error, or the connection broke.
    #[error("{} {what}", if is_cut(source) { "the connection to redis broke in" } else { "redis refused" })]
    Redis {
        /// The command or script.
        what: &'static str,
        /// What Redis said.
        #[source]
        source: RedisError,
    },
    /// A server Ergate does not work on, or must not without being told to.
    #[error("{0}")]
    Server(String),
    /// A job with the same unique key is there, and the new one was to be refused then.
    #[error("unique key {key:?} of queue {queue} is held by job {holder}")]
    Duplicate {
        /// Which queue.
        queue: QueueName,
        /// The unique key.
        key: String,
        /// The job that holds it.
        holder: JobId,
    },
    /// A run that an option of its function does not let start: a rate limit, idempotency, or a singleton that is there.
    #[error("a run of queue {queue} was dropped: an option of its function does not let it start now")]
    Dropped {
        /// The queue of the function.
        queue: QueueName,
    },
    /// No such job.
    #[error("queue {queue} has no job {id}; it may have ended and been trimmed")]
    NotFound {
        /// Which queue.
        queue: QueueName,
        /// Which job.
        id: JobId,
    },
    /// No such schedule.
    #[error("there is no schedule {name}")]
    NoSchedule {
        /// Which schedule.
        name: ScheduleName,
    },
    /// The job is in a state in which that cannot be done.
    #[error("job {id} is {state} and cannot be {action}")]
    WrongState {
        /// Which job.
        id: JobId,
        /// The state it is in.
        state: JobState,
        /// What was asked for, such as `promoted`.
        action: &'static str,
    },
    /// A payload over the limit.
    #[error(
        "payload of job {name} has {size} bytes, the limit is {limit}: keep the data elsewhere and pass a reference, or raise the client's payload_limit"
    )]
    TooLarge {
        /// The job's name.
        name: String,
        /// Its size in bytes.
        size: usize,
        /// The client's limit in bytes.
        limit: usize,
    },
    /// A payload that cannot be written or read as JSON.
    #[error("payload of job {name} is not valid JSON")]
    Payload {
        /// The job's name.
        name: String,
        /// What the parser says.
        #[source]
        source: serde_json::Error,
    },
    /// An event that cannot be sent as it is.
    #[error("event {name:?} {problem}")]
    Event {
        /// Its name.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// No such event.
    #[error("no event {0}; it may have been trimmed from the history")]
    NoEvent(EventId),
    /// A router took longer than what it read is its own: another may be at it.
    #[error("the time for routing these events is over; they are routed again")]
    Late,
    /// An option outside its range.
    #[error("{0}")]
    Option(String),
    /// Awaiting a result took longer than asked.
    #[error("job {id} had not ended after {}; it is {state}", duration::show(*.after))]
    NotEnded {
        /// Which job.
        id: JobId,
        /// The state it is in.
        state: JobState,
        /// How long was waited.
        after: Duration,
    },
    /// The job ended, but not well.
    #[error("job {id} is {state}: {reason}")]
    Ended {
        /// Which job.
        id: JobId,
        /// How it ended.
        state: JobState,
        /// Its last failure, or why it was cancelled.
        reason: String,
    },
    /// Bad names, ids, durations, or bytes nobody knows.
    #[error(transparent)]
    Contract(#[from] ergate_shared::Error),
}

impl Error {
    /// Whether Redis could not be reached, did not answer, or went away, or this process did not wait for its answer: the same call
    /// may succeed later.
    pub fn is_connection(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::GivenUp => true,
            Self::Redis { source, .. } => breaks_connection(source),
            _ => false,
        }
    }

    /// Whether the same call may succeed later though nobody changes it: Redis cannot be reached, has no memory left, or cannot save
    /// and takes no writes meanwhile (`MISCONF`).
    pub fn is_temporary(&self) -> bool {
        self.is_connection() || self.is_out_of_memory() || self.is_unsaved()
    }

    /// Whether Redis takes no writes as it cannot write its snapshot or its append-only file.
    fn is_unsaved(&self) -> bool {
        matches!(self, Self::Redis { source, .. } if says(source, "MISCONF"))
    }

    /// Whether Redis is out of memory: new work is refused, running work may still finish.
    pub fn is_out_of_memory(&self) -> bool {
        matches!(self, Self::Redis { source, .. } if says(source, "OOM"))
    }

    /// Whether the job, queue, schedule or event asked for does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. } | Self::NoSchedule { .. } | Self::NoEvent(_))
    }

    /// What to do about it, when that is known: one line for people.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unreachable { source, .. } | Self::Redis { source, .. } if source.kind() == ErrorKind::AuthenticationFailed || says(source, "NOAUTH") || says(source, "WRONGPASS") => "give user and password in the URL: redis://user:password@host".to_owned(),
            Self::Unreachable { .. } => "start redis-server or valkey-server, or name another with --redis-url or REDIS_URL; `ergate dev` brings its own".to_owned(),
            Self::TimedOut { .. } => "look for slow commands with SLOWLOG GET, and at the network between here and there".to_owned(),
            Self::Redis { source, .. } if says(source, "NOPERM") => "give the user the rights README.md lists under \"ACL\"".to_owned(),
            Self::Redis { .. } if self.is_out_of_memory() => "raise maxmemory, or purge completed and dead jobs".to_owned(),
            Self::Redis { .. } if self.is_unsaved() => "redis cannot write to its disk, and takes no writes until it can: its log says why, mostly a full disk".to_owned(),
            Self::NotFound { queue, .. } => format!("list what is there with `ergate queue show {queue} --state completed`"),
            Self::NoSchedule { .. } => "list those there are with `ergate schedule list`".to_owned(),
            Self::NoEvent(_) => "list what is there with `ergate event list`".to_owned(),
            Self::Duplicate { holder, .. } => format!("look at the holder with `ergate job show`, id {holder}, or choose another key"),
            Self::Dropped { .. } => "look at the options of the function: rate limit, idempotency and singleton drop what is over them".to_owned(),
            _ => return None,
        })
    }
}

fn times(tries: u32) -> String {
    if tries == 1 { "1 try".to_owned() } else { format!("{tries} tries") }
}

fn says(error: &RedisError, word: &str) -> bool {
    error.code() == Some(word)
        || error.detail().is_some_and(|detail| detail.contains(word))
        || error.to_string().contains(word)
}

/// Whether there was no answer at all.
fn is_cut(error: &RedisError) -> bool {
    error.is_io_error() || error.is_connection_dropped() || error.is_timeout()
}

/// Whether after this error the connection must be dropped and the primary looked for again.
///
/// The words are those a server says when it stops being the primary, restarts, or has lost its cluster or its replicas: one whose
/// place another has taken does not hear of it for seconds. While a replica takes over, nodes send clients from one to the other for
/// longer than these follow.
pub(crate) fn breaks_connection(error: &RedisError) -> bool {
    const WORDS: [&str; 10] = [
        "READONLY",
        "UNBLOCKED",
        "LOADING",
        "MASTERDOWN",
        "NOREPLICAS",
        "CLUSTERDOWN",
        "TRYAGAIN",
        "BUSY",
        "MOVED",
        "ASK",
    ];
    is_cut(error)
        || matches!(
            error.kind(),
            ErrorKind::Server(
                ServerErrorKind::BusyLoading
                    | ServerErrorKind::ReadOnly
                    | ServerErrorKind::MasterDown
                    | ServerErrorKind::ClusterDown
                    | ServerErrorKind::TryAgain
                    | ServerErrorKind::Moved
                    | ServerErrorKind::Ask
            )
                // A reply that ends in its middle: nothing after it on that connection is in step.
                | ErrorKind::Parse
                | ErrorKind::ClusterConnectionNotFound
                | ErrorKind::MasterNameNotFoundBySentinel
        )
        || error.code().is_some_and(|code| WORDS.contains(&code))
        // Redis 6.2 puts what a command within a script was told into a sentence.
        || (error.code() == Some("ERR")
            && error.detail().is_some_and(|detail| {
                detail.split(' ').any(|word| word.strip_prefix('-').is_some_and(|word| WORDS.contains(&word)))
            }))
}

#[cfg(test)]
mod tests {
    use redis::{Value, parse_redis_value};

    use super::*;

    #[test]
    fn a_reply_that_was_cut_short_is_a_matter_of_the_connection() {
        let source = parse_redis_value(b"*2\r\n$5\r\nab").unwrap_err();

        assert!(Error::Redis { what: "job/enqueue", source }.is_connection());
    }

    fn told(line: &str) -> Error {
        let said = parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
        let Value::ServerError(said) = said else { panic!("{line} is an error") };
        Error::Redis { what: "job/enqueue", source: said.into() }
    }

    #[test]
    fn what_a_cluster_says_while_slots_move_is_a_matter_of_the_connection() {
        for line in
            ["MOVED 9631 127.0.0.1:7001", "ASK 9631 127.0.0.1:7001", "TRYAGAIN later", "CLUSTERDOWN gone"]
        {
            assert!(told(line).is_connection(), "{line}");
        }
    }

    #[test]
    fn a_replica_that_refuses_what_a_script_writes_is_known_by_the_sentence_of_redis_6_too() {
        let sentence = "ERR Error running script (call to f_6b1b): @user_script:7: @user_script: 7: \
                        -READONLY You can't write against a read only replica.";

        assert!(told(sentence).is_connection());
        assert!(
            !told("ERR Error running script (call to f_6b1b): user_script:7: it has no READONLY")
                .is_connection()
        );
    }

    #[test]
    fn a_redis_that_cannot_save_takes_writes_again_later() {
        let error = told(
            "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
        );

        assert!(error.is_temporary() && !error.is_connection());
        assert!(error.hint().is_some());
    }
}
