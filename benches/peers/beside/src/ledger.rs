//! The ledger: what handlers really did, in a file outside Redis.
//!
//! Each line is JSON, written by one `write` to a file opened for appending, so that lines of several processes are not torn and
//! a line outlives the process that wrote it. All processes are on one machine, so that one clock dates all lines.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Microseconds since the epoch.
#[expect(
    clippy::disallowed_methods,
    reason = "it dates what was seen on one machine; no deadline depends on it"
)]
pub fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// What a handler did.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Line {
    /// When.
    pub at_us: u64,
    /// Which worker process.
    pub member: String,
    /// The job.
    pub id: String,
    /// Tells this call of a handler from all others of the process.
    pub call: u64,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What happened to a call of a handler.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum What {
    /// It began.
    Begin {
        /// What the system told it of earlier attempts.
        counts: Value,
    },
    /// The system told it to stop.
    Told,
    /// It came to its end.
    End,
    /// It was dropped before its end, by the system or by a panic.
    Dropped,
}

/// Reads all whole lines; a process killed in the middle of a write may leave half a one.
pub fn read(file: &Path) -> Vec<Line> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Writes a line of JSON to standard output.
pub(crate) fn tell(said: &impl Serialize) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{}", serde_json::to_string(said)?)?;
    Ok(())
}

/// Where the handlers of a worker process note what they do.
#[derive(Debug, Clone)]
pub struct Desk(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: PathBuf,
    ledger: File,
    member: String,
    calls: AtomicU64,
}

impl Desk {
    pub(crate) fn open(file: &Path, member: &str) -> std::io::Result<Self> {
        let ledger = OpenOptions::new().create(true).append(true).open(file)?;
        let (file, member) = (file.to_owned(), member.to_owned());
        Ok(Self(Arc::new(Inner { file, ledger, member, calls: AtomicU64::new(0) })))
    }

    /// Tells the driver that the worker has connected.
    ///
    /// # Errors
    ///
    /// If standard output is closed.
    pub fn ready(&self) -> anyhow::Result<()> {
        tell(&"ready")
    }

    /// Notes the beginning of a call; also says whether it is the first of this job, by whichever worker.
    pub(crate) fn begin(&self, id: &str, counts: Value) -> (Call, bool) {
        let first = read(&self.0.file).iter().all(|line| line.id != id);
        let number = self.0.calls.fetch_add(1, Ordering::Relaxed);
        let call = Call { desk: self.clone(), id: id.to_owned(), number, ended: false };
        call.note(What::Begin { counts });
        (call, first)
    }
}

/// A call of a handler. Dropped before its end, it notes that.
#[derive(Debug)]
pub(crate) struct Call {
    desk: Desk,
    id: String,
    number: u64,
    ended: bool,
}

impl Call {
    pub(crate) fn told(&self) {
        self.note(What::Told);
    }

    /// Notes the end, and returns what tells this call from all others.
    pub(crate) fn end(mut self) -> String {
        self.ended = true;
        format!("{}:{}", self.desk.0.member, self.number)
    }

    fn note(&self, what: What) {
        let (member, id) = (self.desk.0.member.clone(), self.id.clone());
        let line = Line { at_us: now_us(), member, id, call: self.number, what };
        let mut text = serde_json::to_vec(&line).unwrap_or_default();
        text.push(b'\n');
        // Nobody is there to hear of an error; the driver takes what is not noted for not done.
        let _ = (&self.desk.0.ledger).write_all(&text);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.note(if self.ended { What::End } else { What::Dropped });
    }
}
