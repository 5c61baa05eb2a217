//! From an error to what the caller sees: lines on stderr and an exit code.
//!
//! | code | means |
//! |---|---|
//! | 0 | done |
//! | 1 | failed |
//! | 2 | usage: options that cannot be used; nothing was started |
//! | 3 | Redis cannot be reached, or does not answer |
//! | 4 | no such job, queue or worker |

use std::{error::Error as StdError, fmt, io::Write, process::ExitCode};

/// Why a program ends, as a number for scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// It was tried and did not work.
    Failed = 1,
    /// What was asked for makes no sense; nothing was tried.
    Usage = 2,
    /// Redis is not there.
    Unreachable = 3,
    /// What was asked for is not there.
    NotFound = 4,
}

/// Options that cannot be used: everything that is wrong with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage(pub Vec<String>);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0[..] {
            [problem] => f.write_str(problem),
            problems => {
                write!(f, "{} options cannot be used", problems.len())?;
                problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}

impl StdError for Usage {}

/// The code of an error: that of the outermost cause that has one.
pub fn code(error: &anyhow::Error) -> Code {
    error.chain().find_map(code_of).unwrap_or(Code::Failed)
}

fn code_of(cause: &(dyn StdError + 'static)) -> Option<Code> {
    if cause.is::<Usage>() {
        return Some(Code::Usage);
    }
    if let Some(error) = cause.downcast_ref::<crate::Error>() {
        return match error {
            crate::Error::Setup(_) => Some(Code::Usage),
            crate::Error::Client(error) => Some(client_code(error)),
            crate::Error::Thread(_) => None,
        };
    }
    cause.downcast_ref::<ergate_client::Error>().map(client_code)
}

fn client_code(error: &ergate_client::Error) -> Code {
    match error {
        _ if error.is_connection() => Code::Unreachable,
        _ if error.is_not_found() => Code::NotFound,
        ergate_client::Error::Address { .. } => Code::Usage,
        _ => Code::Failed,
    }
}

fn hint(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| match cause.downcast_ref::<crate::Error>() {
        Some(crate::Error::Client(error)) => error.hint(),
        _ => cause.downcast_ref::<ergate_client::Error>()?.hint(),
    })
}

/// Writes the chain of causes, and the way out where it is known, to stderr, and chooses the exit code.
pub fn report(outcome: anyhow::Result<()>) -> ExitCode {
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    let mut text = format!("error: {error}\n");
    let mut told = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        // Some errors repeat their cause instead of adding to it.
        if cause != told {
            text.push_str(&format!("  caused by: {cause}\n"));
        }
        told = cause;
    }
    if let Some(hint) = hint(&error) {
        text.push_str(&format!("hint: {hint}\n"));
    }
    // Nobody is left to be told that stderr is gone.
    let _ = std::io::stderr().write_all(text.as_bytes());
    ExitCode::from(code(&error) as u8)
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    fn unreachable() -> ergate_client::Error {
        ergate_client::Error::TimedOut {
            address: "localhost:6379".to_owned(),
            what: "PING",
            after: std::time::Duration::from_secs(5),
        }
    }

    #[test]
    fn the_code_says_what_kind_of_error_it_is_however_deep_it_lies() {
        let usage = anyhow::Error::new(Usage(vec!["--lease is no duration".to_owned()]));
        let setup = anyhow::Error::new(crate::Error::Setup(vec!["it has no queue".to_owned()]));
        let away = Err::<(), _>(unreachable()).context("looking at the queue").unwrap_err();
        let away_at_start = anyhow::Error::new(crate::Error::Client(unreachable()));
        let taken = anyhow::Error::new(std::io::Error::from(std::io::ErrorKind::AddrInUse));

        assert_eq!([usage, setup].map(|error| code(&error)), [Code::Usage; 2]);
        assert_eq!([away, away_at_start].map(|error| code(&error)), [Code::Unreachable; 2]);
        assert_eq!(code(&taken), Code::Failed);
    }

    #[test]
    fn all_that_is_wrong_with_the_options_is_said_at_once() {
        let one = Usage(vec!["--lease is no duration".to_owned()]);
        let two = Usage(vec!["--lease is no duration".to_owned(), "--queue x has no slots".to_owned()]);

        assert_eq!(one.to_string(), "--lease is no duration");
        assert_eq!(
            two.to_string(),
            "2 options cannot be used\n  --lease is no duration\n  --queue x has no slots"
        );
    }
}
