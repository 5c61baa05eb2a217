//! Asking before something is deleted for good.

use std::io::{BufRead as _, IsTerminal as _};

use crate::{
    exit::Refusal,
    output::{BOLD, YELLOW},
};

/// Goes on if `yes`, or if somebody at a terminal types `name`.
pub(crate) fn deletion(what: &str, name: &str, yes: bool) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Refusal::usage(format!(
            "this deletes {what} for good, and nobody is here to confirm it"
        ))
        .hint("pass --yes")
        .into());
    }
    anstream::eprintln!("{YELLOW}This deletes {what} for good.{YELLOW:#}");
    anstream::eprint!("Type {BOLD}{name}{BOLD:#} to go on: ");
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    if answer.trim() == name {
        return Ok(());
    }
    Err(Refusal::failed("nothing was deleted").into())
}
