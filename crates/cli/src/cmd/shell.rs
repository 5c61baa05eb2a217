//! What shells and `man` want to know of the command line.

use std::{io::Write as _, path::PathBuf};

use anyhow::Context as _;
use clap::Args;
use clap_complete::Shell;

use crate::args;

/// `ergate completions`.
#[derive(Debug, Args)]
#[command(after_help = "\
Install:
  bash  ergate completions bash > ~/.local/share/bash-completion/completions/ergate
  zsh   ergate completions zsh > \"${fpath[1]}/_ergate\"
  fish  ergate completions fish > ~/.config/fish/completions/ergate.fish")]
pub(crate) struct Completions {
    /// Which shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        // Written at once, since the generator panics when a pipe is closed on it.
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut args::command(), "ergate", &mut text);
        Ok(std::io::stdout().write_all(&text)?)
    }
}

/// `ergate man`.
#[derive(Debug, Args)]
#[command(after_help = "Read it at once:\n  ergate man | man -l -")]
pub(crate) struct Man {
    /// Write `ergate.1`, `ergate-enqueue.1` and so on into this directory
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Man {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let mut command = args::command();
        command.build();
        match self.dir {
            Some(dir) => {
                std::fs::create_dir_all(&dir).with_context(|| format!("directory {}", dir.display()))?;
                clap_mangen::generate_to(command, &dir)
                    .with_context(|| format!("directory {}", dir.display()))
            }
            None => {
                let mut text = Vec::new();
                clap_mangen::Man::new(command).render(&mut text)?;
                Ok(std::io::stdout().write_all(&text)?)
            }
        }
    }
}
