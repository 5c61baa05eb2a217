//! Ledgers: what handlers really did and what producers were really told, in files outside Redis.
//!
//! Each line is JSON, written by one `write` to a file opened for appending, so that lines of many processes are not torn and
//! a line outlives the process that wrote it. All times are of `CLOCK_MONOTONIC`, which every process of a machine shares.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead as _, BufReader, Seek as _, SeekFrom, Write},
    path::Path,
    sync::Arc,
};

use ergate::Tries;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Nanoseconds of the clock that all processes of the machine share and nobody sets.
pub fn now_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// A file that lines are appended to.
#[derive(Debug, Clone)]
pub struct Ledger(Arc<File>);

impl Ledger {
    /// Opens it, and makes it if it is not there.
    ///
    /// # Errors
    /// Errors of the file system.
    pub fn open(file: &Path) -> std::io::Result<Self> {
        Ok(Self(Arc::new(OpenOptions::new().create(true).append(true).open(file)?)))
    }

    /// Appends a line.
    ///
    /// # Errors
    /// Errors of the file system.
    pub fn write(&self, line: &impl Serialize) -> std::io::Result<()> {
        // A line of its own even behind half a one, of a process that was killed in the middle of it.
        let mut text = vec![b'\n'];
        serde_json::to_writer(&mut text, line)?;
        text.push(b'\n');
        (&*self.0).write_all(&text)
    }
}

/// Reads all whole lines; a process killed in the middle of a write may leave half a one.
pub fn read<T: DeserializeOwned>(file: &Path) -> Vec<T> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The lines added since `read` bytes were read. Half a line is left for the next time.
///
/// # Errors
/// Errors of the file system.
pub fn rest<T: DeserializeOwned>(file: &Path, read: &mut u64) -> std::io::Result<Vec<T>> {
    let mut file = BufReader::new(File::open(file)?);
    file.seek(SeekFrom::Start(*read))?;
    let (mut lines, mut line) = (Vec::new(), String::new());
    while file.read_line(&mut line)? > 0 && line.ends_with('\n') {
        *read += line.len() as u64;
        lines.extend(serde_json::from_str(&line).ok());
        line.clear();
    }
    Ok(lines)
}

/// What a worker's handler did.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Line {
    /// When.
    pub ns: u64,
    /// Which worker process; a name that is never used again.
    pub member: String,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What happened in a worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum What {
    /// A handler was called, or the code of a run.
    Begin {
        /// What sort of job or function.
        kind: String,
        /// Its id.
        id: String,
        /// Tells this call from all others of the process.
        serial: u64,
        /// What the worker was told of its tries.
        tries: Tries,
        /// What the job is limited by, such as `single=a`.
        key: Option<String>,
    },
    /// It came to its end, well or not.
    End {
        /// As in its beginning.
        serial: u64,
    },
    /// It was dropped before it came to its end.
    Dropped {
        /// As in its beginning.
        serial: u64,
    },
    /// The body of a step was called.
    Step {
        /// The run.
        run: String,
        /// What the run is about, the same whatever its id.
        about: String,
        /// The step.
        step: String,
        /// Tells this call from all others of the process.
        serial: u64,
    },
}

/// What a producer was told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Told {
    /// When the answer was there.
    pub ns: u64,
    /// When the producer asked for the first time.
    pub asked_ns: u64,
    /// Which producer process.
    pub member: String,
    /// What sort of job, event or function.
    pub kind: String,
    /// The id it asked for.
    pub id: String,
    /// What came back.
    pub answer: Answer,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It is kept.
    Kept,
    /// Another one holds its unique key: it is not to run.
    Held,
    /// Redis had no memory for it.
    Refused,
    /// An error that leaves open whether it is kept; it is asked for again.
    Unclear(String),
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_line_behind_half_a_one_is_read() {
        let file = std::env::temp_dir().join(format!("ergate-ledger-{}", now_ns()));
        let ledger = Ledger::open(&file).unwrap();

        ledger.write(&1).unwrap();
        (&*ledger.0).write_all(b"{\"half").unwrap();
        ledger.write(&2).unwrap();

        assert_eq!(read::<u32>(&file), [1, 2]);
        fs::remove_file(file).unwrap();
    }
}
