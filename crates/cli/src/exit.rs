//! From an error to what the caller sees: lines on stderr and an exit code.
//!
//! | code | means |
//! |---|---|
//! | 0 | done |
//! | 1 | failed |
//! | 2 | usage: bad names, options or payloads; nothing was changed |
//! | 3 | Redis cannot be reached, or does not answer |
//! | 4 | no such job, queue, function, run, event, schedule or worker |

use std::{fmt, io, process::ExitCode};

use ergate_worker::binary::exit as worker;

use crate::output::{BOLD, CYAN, RED};

/// Why a program ends, as a number for scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    Failed = 1,
    Usage = 2,
    Unreachable = 3,
    NotFound = 4,
}

/// An error of the program itself, which knows its code and its way out.
#[derive(Debug)]
pub(crate) struct Refusal {
    code: Code,
    message: String,
    hint: Option<String>,
}

impl Refusal {
    fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    /// It was tried and did not work.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Code::Failed, message)
    }

    /// What was asked for makes no sense; nothing was tried.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Code::Usage, message)
    }

    /// Redis is not there.
    pub(crate) fn unreachable(message: impl Into<String>) -> Self {
        Self::new(Code::Unreachable, message)
    }

    /// What was asked for is not there.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, message)
    }

    /// Adds the way out.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

/// Ends with a code and without a word: everything has been said already.
#[derive(Debug)]
pub(crate) struct Quiet(pub(crate) Code);

impl fmt::Display for Quiet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ended with code {}", self.0 as u8)
    }
}

impl std::error::Error for Quiet {}

/// Says what went wrong and what to do about it, and chooses the exit code.
pub(crate) fn of(outcome: anyhow::Result<()>) -> ExitCode {
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    // `ergate queue list | head -1` is no failure.
    if is_closed_pipe(&error) {
        return ExitCode::SUCCESS;
    }
    if error.downcast_ref::<Quiet>().is_none() {
        say(&error);
    }
    ExitCode::from(code(&error) as u8)
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let piped = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    error.chain().any(piped)
}

/// For what changes many things, one after the other: it goes on to the end, though nobody may read any more what came of them.
pub(crate) fn heard_or_not(told: anyhow::Result<()>) -> anyhow::Result<()> {
    told.or_else(|error| if is_closed_pipe(&error) { Ok(()) } else { Err(error) })
}

/// Writes the chain of causes and one hint to stderr.
pub(crate) fn say(error: &anyhow::Error) {
    anstream::eprintln!("{RED}{BOLD}error:{RED:#}{BOLD:#} {error}");
    for cause in chain(error).iter().skip(1) {
        anstream::eprintln!("  caused by: {cause}");
    }
    if let Some(hint) = hint(error) {
        anstream::eprintln!("{CYAN}{BOLD}hint:{CYAN:#}{BOLD:#} {hint}");
    }
}

/// An error and its causes, outermost first; wrapped errors often repeat the one inside, and say it once here.
pub(crate) fn chain(error: &anyhow::Error) -> Vec<String> {
    let mut chain: Vec<_> = error.chain().map(words).collect();
    chain.dedup();
    chain
}

/// What a cause says. Redis answers each command of a pipeline on its own, most often all with the same error.
fn words(cause: &(dyn std::error::Error + 'static)) -> String {
    let first = cause.downcast_ref::<redis::RedisError>().and_then(|error| {
        let errors = error.clone().into_server_errors()?;
        errors.first().map(|(_, error)| error.to_string())
    });
    first.unwrap_or_else(|| cause.to_string())
}

/// The code of an error: that of the outermost cause that has one.
pub(crate) fn code(error: &anyhow::Error) -> Code {
    let known = |cause: &(dyn std::error::Error + 'static)| {
        if let Some(refusal) = cause.downcast_ref::<Refusal>() {
            return Some(refusal.code);
        }
        if let Some(quiet) = cause.downcast_ref::<Quiet>() {
            return Some(quiet.0);
        }
        if let Some(error) = cause.downcast_ref::<ergate_client::Error>() {
            return Some(client_code(error));
        }
        cause.downcast_ref::<ergate_shared::Error>().map(contract_code)
    };
    error.chain().find_map(known).unwrap_or_else(|| match worker::code(error) {
        worker::Code::Failed => Code::Failed,
        worker::Code::Usage => Code::Usage,
        worker::Code::Unreachable => Code::Unreachable,
        worker::Code::NotFound => Code::NotFound,
    })
}

fn client_code(error: &ergate_client::Error) -> Code {
    use ergate_client::Error;
    match error {
        _ if error.is_connection() || lets_nobody_in(error) => Code::Unreachable,
        _ if error.is_not_found() => Code::NotFound,
        Error::Address { .. } | Error::TooLarge { .. } | Error::Payload { .. } | Error::Option(_) => {
            Code::Usage
        }
        Error::Contract(error) => contract_code(error),
        _ => Code::Failed,
    }
}

/// Whether the server wants a password, or another one: to a script that is the same as no server.
fn lets_nobody_in(error: &ergate_client::Error) -> bool {
    let ergate_client::Error::Redis { source, .. } = error else { return false };
    let text = words(source);
    text.contains("NOAUTH") || text.contains("WRONGPASS")
}

fn contract_code(error: &ergate_shared::Error) -> Code {
    use ergate_shared::Error;
    match error {
        Error::Name { .. }
        | Error::Priority(_)
        | Error::Duration { .. }
        | Error::Backoff(_)
        | Error::Cron { .. }
        | Error::Zone { .. }
        | Error::Policy { .. }
        | Error::Schedule { .. }
        | Error::State(_) => Code::Usage,
        _ => Code::Failed,
    }
}

fn hint(error: &anyhow::Error) -> Option<String> {
    use ergate_client::Error;
    error.chain().find_map(|cause| {
        if let Some(refusal) = cause.downcast_ref::<Refusal>() {
            return refusal.hint.clone();
        }
        let error = cause.downcast_ref::<Error>()?;
        match error {
            Error::Duplicate { queue, holder, .. } => Some(format!(
                "look at the holder with `ergate job show {queue} {holder}`, or choose another key"
            )),
            Error::Server(message) if message.contains("maxmemory-policy") => Some(
                "`redis-cli CONFIG SET maxmemory-policy noeviction`, or pass --allow-eviction and risk it"
                    .to_owned(),
            ),
            _ => error.hint(),
        }
    })
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;
    use ergate_shared::{JobId, QueueName};

    use super::*;

    #[test]
    fn a_job_that_is_not_there_ends_with_4_however_deep_the_cause() {
        let missing = ergate_client::Error::NotFound {
            queue: QueueName::new("mail").unwrap(),
            id: JobId::new("x").unwrap(),
        };
        let error = Err::<(), _>(missing).context("while looking").unwrap_err();

        assert_eq!(code(&error), Code::NotFound);
    }

    #[test]
    fn a_bad_name_ends_with_2_and_an_unknown_reply_with_1() {
        let name = ergate_client::Error::from(QueueName::new("a b").unwrap_err());
        let reply = ergate_client::Error::from(ergate_shared::Error::Record("cut short".to_owned()));

        assert_eq!(code(&name.into()), Code::Usage);
        assert_eq!(code(&reply.into()), Code::Failed);
    }

    #[test]
    fn what_has_no_code_of_its_own_ends_with_1() {
        assert_eq!(code(&anyhow::anyhow!("something")), Code::Failed);
    }

    #[test]
    fn a_hint_names_the_holder_of_a_unique_key() {
        let error = ergate_client::Error::Duplicate {
            queue: QueueName::new("mail").unwrap(),
            key: "k".to_owned(),
            holder: JobId::new("42").unwrap(),
        };

        assert!(hint(&error.into()).unwrap().contains("ergate job show mail 42"));
    }
}
