//! Child processes that cannot outlive the test.
//!
//! `Drop` ends the child of a test that returns or panics. A test that is killed runs no `Drop`, so each child has a small
//! shell beside it that blocks on a pipe from us: when we are gone the pipe ends, and the shell kills the child.

use std::{
    io::{Error, Result},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

/// `$1` is the child, `$2` a directory to remove afterwards or nothing. A terminal's or runner's polite signals reach this
/// shell too, and must not keep it from its one duty.
const WATCHDOG: &str = r#"
trap '' TERM INT HUP
read -r _
kill -KILL "$1" 2>/dev/null
[ -z "$2" ] || rm -rf -- "$2"
"#;

/// A running child and its watchdog.
#[derive(Debug)]
pub struct Leash {
    child: Child,
    watchdog: Child,
}

impl Leash {
    /// Starts `command`. If we are killed, so is the child, and `directory` is removed.
    pub fn spawn(command: &mut Command, directory: Option<&Path>) -> Result<Self> {
        let mut child = command.spawn()?;
        let watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "watchdog"])
            .arg(child.id().to_string())
            .arg(directory.unwrap_or(Path::new("")))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match watchdog {
            Ok(watchdog) => Ok(Self { child, watchdog }),
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error)
            }
        }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The child itself, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// How the child ended, or `None` while it runs.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Sends a signal; nothing happens if the process has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(self.pid()?, signal)?)
    }

    /// Stops the child where it stands, and returns once it does. A child that has ended is left as it is.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)?;
        let options = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(self.pid()?), options)?;
        Ok(())
    }

    /// Lets a frozen process go on.
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Kills the child and returns once it is gone. Does nothing the second time.
    pub fn kill(&mut self) -> Result<()> {
        // The watchdog goes first: it knows a number, and after the child's end that number may belong to a stranger.
        self.watchdog.kill()?;
        self.watchdog.wait()?;
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    fn pid(&self) -> Result<Pid> {
        Pid::from_raw(i32::try_from(self.id()).map_err(Error::other)?)
            .ok_or_else(|| Error::other("a child has a number other than zero"))
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}
