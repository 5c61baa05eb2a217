//! A program started for one test, with signals and its output at hand.

use std::{
    io::{BufRead, BufReader, Read},
    path::PathBuf,
    process::{Command, ExitStatus, Stdio},
    sync::Arc,
    thread,
};

use rustix::process::Signal;
use tokio::{sync::watch, time::timeout};

use super::{
    leash::Leash,
    until::{DEADLINE, until_some},
};

/// A running program. Dropped, it is killed.
#[derive(Debug)]
pub struct Process {
    leash: Leash,
    output: watch::Receiver<Vec<String>>,
}

impl Process {
    /// Starts `command` without input, its output captured line by line.
    pub fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut leash = match Leash::spawn(command, None) {
            Ok(leash) => leash,
            Err(error) => panic!("{:?} cannot be started: {error}", command.get_program()),
        };
        let (lines, output) = watch::channel(Vec::new());
        let lines = Arc::new(lines);
        if let Some(stdout) = leash.child().stdout.take() {
            capture(stdout, Arc::clone(&lines));
        }
        if let Some(stderr) = leash.child().stderr.take() {
            capture(stderr, lines);
        }
        Self { leash, output }
    }

    /// Where cargo puts this workspace's program of that name.
    ///
    /// # Panics
    /// If it is not there: cargo does not build another package's programs for a test, `cargo build --bins` does.
    pub fn binary(name: &str) -> PathBuf {
        let test = std::env::current_exe().expect("a running program has a path");
        let built = test.ancestors().skip(2).map(|folder| folder.join(name)).find(|file| file.is_file());
        built.unwrap_or_else(|| {
            panic!(
                "the program `{name}` is not built: run `cargo build --workspace --bins`, or `script/test`"
            )
        })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.leash.id()
    }

    /// Waits for the first line of output, past or to come, that contains `text`, and returns it.
    pub async fn says(&self, text: &str) -> String {
        let found = |lines: &Vec<String>| lines.iter().find(|line| line.contains(text)).cloned();
        let mut output = self.output.clone();
        let said = timeout(DEADLINE, output.wait_for(|lines| found(lines).is_some())).await;
        let line = said.ok().and_then(Result::ok).and_then(|lines| found(&lines));
        line.unwrap_or_else(|| panic!("the process never said {text:?}; it said:\n{}", self.output()))
    }

    /// Everything written to standard output and standard error so far.
    pub fn output(&self) -> String {
        self.output.borrow().join("\n")
    }

    /// Asks the process to end.
    pub fn sigterm(&self) {
        self.leash.signal(Signal::TERM).expect("the process can be asked to end");
    }

    /// Kills the process, and returns once it is gone.
    pub fn sigkill(&mut self) {
        self.leash.kill().expect("the process can be killed");
    }

    /// Stops the process where it stands, and returns once it does.
    pub fn sigstop(&self) {
        self.leash.freeze().expect("the process can be stopped");
    }

    /// Lets a stopped process go on.
    pub fn sigcont(&self) {
        self.leash.thaw().expect("the process can be resumed");
    }

    /// How the process ended, or `None` while it runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.leash.exited().expect("the process is our child")
    }

    /// Waits until the process ends by itself.
    pub async fn exited(&mut self) -> ExitStatus {
        until_some("the process ends", async || self.leash.exited().expect("the process is our child")).await
    }

    /// Waits until the process ends by itself, for as long as a whole run of tests may take.
    ///
    /// # Panics
    /// When the time is over, with the output so far.
    pub async fn exited_within(&mut self, limit: std::time::Duration) -> ExitStatus {
        let ended = async {
            loop {
                if let Some(status) = self.leash.exited().expect("the process is our child") {
                    return status;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        match timeout(limit, ended).await {
            Ok(status) => status,
            Err(_) => panic!("the process has not ended after {limit:?}:\n{}", self.output()),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- output of process {} ---\n{}", self.id(), self.output());
        }
    }
}

/// On a thread, so that output arrives whatever the test's runtime is doing.
fn capture(stream: impl Read + Send + 'static, lines: Arc<watch::Sender<Vec<String>>>) {
    thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            lines.send_modify(|lines| lines.push(line));
        }
    });
}
