//! Asking before something is deleted, or much is cancelled, for good.

use std::io::{BufRead as _, IsTerminal as _};

use crate::{
    exit::Refusal,
    output::{BOLD, YELLOW},
};

/// Goes on if `yes`, or if somebody at a terminal types `name`.
pub(crate) fn deletion(what: &str, name: &str, yes: bool) -> anyhow::Result<()> {
    ask(&format!("deletes {what} for good"), "nothing was deleted", name, yes)
}

/// Likewise before many runs are cancelled.
pub(crate) fn cancellation(what: &str, name: &str, yes: bool) -> anyhow::Result<()> {
    ask(&format!("cancels {what}"), "nothing was cancelled", name, yes)
}

fn ask(deed: &str, otherwise: &str, name: &str, yes: bool) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Refusal::usage(format!("this {deed}, and nobody is here to confirm it"))
            .hint("pass --yes")
            .into());
    }
    anstream::eprintln!("{YELLOW}This {deed}.{YELLOW:#}");
    anstream::eprint!("Type {BOLD}{name}{BOLD:#} to go on: ");
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    if answer.trim() == name {
        return Ok(());
    }
    Err(Refusal::failed(otherwise).into())
}
