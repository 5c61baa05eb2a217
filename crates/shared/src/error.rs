//! What can be wrong with names, options and stored bytes.

/// An error of the contract: bad input, or bytes in Redis that no release of Ergate wrote.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name is empty, too long, or has a character that is not allowed.
    #[error("{what} {value:?} {problem}")]
    Name {
        /// Which kind of name, such as `queue name`.
        what: &'static str,
        /// The value as it was given, shortened.
        value: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A priority outside 1..=10.
    #[error("priority {0} is not in 1..=10 (1 runs first, 5 is the default)")]
    Priority(i64),
    /// A duration that cannot be read.
    #[error("duration {value:?} {problem}; write it like 45s, 1h30m or 7d")]
    Duration {
        /// The text as it was given.
        value: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A back-off specification that cannot be read.
    #[error(
        "backoff {0:?} is not like fixed:10s, exponential:1s, exponential:1s..1h, linear:5s, table:1s,1m,1h or none"
    )]
    Backoff(String),
    /// A cron expression that cannot be read, or never comes.
    #[error("cron expression {expression:?} {problem}")]
    Cron {
        /// The expression as it was given.
        expression: String,
        /// Which field is wrong and why, and what it may be.
        problem: String,
    },
    /// A time zone nobody knows here.
    #[error("time zone {name:?} {problem}")]
    Zone {
        /// The name as it was given.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A policy that does not exist.
    #[error("{what} {value:?} is not one of {known}")]
    Policy {
        /// Which kind of policy.
        what: &'static str,
        /// The text as it was given.
        value: String,
        /// Those there are.
        known: &'static str,
    },
    /// A schedule that cannot work.
    #[error("schedule {name} {problem}")]
    Schedule {
        /// Which schedule.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A state name that does not exist.
    #[error("state {0:?} is not one of scheduled, ready, leased, completed, cancelled, dead")]
    State(String),
    /// A stored record that cannot be read.
    #[error("record is malformed: {0}")]
    Record(String),
    /// An expression that cannot be read or evaluated.
    #[error("expression {text:?} {problem}")]
    Expression {
        /// The expression.
        text: String,
        /// What is wrong with it, and where.
        problem: String,
    },
    /// A reply that no release of the script gives.
    #[error("script {script} gave a reply nobody knows: {reply}")]
    Reply {
        /// The script's name, such as `worker/turn`.
        script: &'static str,
        /// What it said.
        reply: String,
    },
}
