//! A run as a text that can be kept: what started it and what it has done, to be looked at later or replayed in a test.

use serde::{Deserialize, Serialize};

use super::{Entry, RerunOf, RunInput, RunState};
use crate::{Error, EventRecord, FunctionName, JobId};

/// A run as it was recorded: what started it, and its journal.
///
/// As JSON it is what `ergate run trace --json` prints, so that a run can become a fixture of a test.
#[derive(Debug, Clone)]
pub struct RecordedRun {
    /// Its function.
    pub function: FunctionName,
    /// Its id.
    pub id: JobId,
    /// The state it was in.
    pub state: RunState,
    /// When it was started, in ms since the epoch.
    pub started_at: u64,
    /// What started it.
    pub input: RunInput,
    /// What it had done.
    pub entries: Vec<Entry>,
}

/// The fields that matter of what the command line prints.
#[derive(Serialize, Deserialize)]
struct Document {
    function: FunctionName,
    id: JobId,
    state: RunState,
    started_at: u64,
    events: Vec<EventRecord>,
    version: u32,
    rerun_of: Option<RerunOf>,
    journal: Vec<Entry>,
}

impl RecordedRun {
    /// Reads what [`to_json`](Self::to_json) wrote, or `ergate run trace --json` printed.
    ///
    /// # Errors
    /// [`Error::Record`] for a text that is no recorded run.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let document: Document =
            serde_json::from_str(text).map_err(|error| Error::Record(format!("recorded run: {error}")))?;
        let Document { function, id, state, started_at, events, version, rerun_of, journal } = document;
        let input = RunInput { events, version, rerun_of };
        Ok(Self { function, id, state, started_at, input, entries: journal })
    }

    /// The run as JSON, to be kept in a file.
    ///
    /// # Panics
    /// Never: every part can be written.
    pub fn to_json(&self) -> String {
        let Self { function, id, state, started_at, input, entries } = self.clone();
        let RunInput { events, version, rerun_of } = input;
        let document =
            Document { function, id, state, started_at, events, version, rerun_of, journal: entries };
        serde_json::to_string(&document).expect("a run is JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Printed by the command line, shortened by what does not matter.
    const PRINTED: &str = r#"{"function":"trip-confirmed","id":"01M81044CSPR7D2ZA6BSGG2X42","state":"suspended",
        "events":[{"data":{"tripId":"t1"},"id":"01M81044CSEX1R3NRMQKVG8W1X","name":"trip/confirmed","ts":1795330019737}],
        "parent":null,"rerun_of":null,"version":1,"started_at":1795330019737,"ended_at":null,"now":1795330020000,"steps":[],
        "journal":[{"at":1795330019752,"op":{"done":{"attempt":1,"ran":1,"result":{"big":9007199254740993}}},"step":"notify-driver"},
        {"at":1795330019754,"op":{"sleep":{"due":1795330064754}},"step":"email-delay"}],"result":null}"#;

    #[test]
    fn what_the_command_line_prints_is_read_and_written_again() {
        let run = RecordedRun::from_json(PRINTED).unwrap();

        let again = RecordedRun::from_json(&run.to_json()).unwrap();

        for run in [run, again] {
            assert_eq!((run.function.as_str(), run.state), ("trip-confirmed", RunState::Suspended));
            assert_eq!(run.input.events[0].name.as_str(), "trip/confirmed");
            let steps: Vec<_> = run.entries.iter().map(|entry| entry.step.as_str()).collect();
            assert_eq!(steps, ["notify-driver", "email-delay"]);
            assert!(run.entries[0].to_json().contains("9007199254740993"), "results stay as they were");
        }
    }

    #[test]
    fn another_text_is_refused() {
        let error = RecordedRun::from_json("{}").unwrap_err().to_string();

        assert!(error.contains("recorded run: missing field `function`"), "{error}");
    }
}
