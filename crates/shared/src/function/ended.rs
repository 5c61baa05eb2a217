//! Events Ergate sends itself when a run has ended.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Event, EventName, EventRecord, FailureRecord, FunctionName, JobId};

/// The run that such an event tells of.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EndedRun {
    /// Which function.
    #[serde(rename = "function_id")]
    pub function: FunctionName,
    /// Its id.
    #[serde(rename = "run_id")]
    pub id: JobId,
    /// What started it; `None` if that is too large to be sent on, over 252 KiB of JSON.
    pub event: Option<EventRecord>,
    /// All events that started it, for a batch; none if they are too large together with `event`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<EventRecord>,
}

/// Sent for every run that failed for good, other than one that was started by one of these events itself.
///
/// ```
/// # use ergate_shared::function::FunctionFailed;
/// async fn alert(failed: FunctionFailed /* , step: Step, … */) {
///     println!("{} failed: {}", failed.run.function, failed.error.message);
/// }
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FunctionFailed {
    /// Which run.
    #[serde(flatten)]
    pub run: EndedRun,
    /// What went wrong: of its message the first 4 KiB, of those below 16, each up to 1 KiB. The run has all of it.
    pub error: FailureRecord,
}

/// Sent for every run that was cancelled, as [`FunctionFailed`] is for one that failed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FunctionCancelled {
    /// Which run.
    #[serde(flatten)]
    pub run: EndedRun,
    /// Why, cut as that of [`FunctionFailed`] is.
    pub error: FailureRecord,
}

/// Sent for every run that has ended, however, as long as some function is started by it.
///
/// Up to five seconds after the first such function was declared, completed runs may go untold.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FunctionFinished {
    /// Which run.
    #[serde(flatten)]
    pub run: EndedRun,
    /// What it returned; `null` if it did not, or if that is too large to be sent on, over 252 KiB of JSON.
    #[serde(default)]
    pub result: Value,
    /// What went wrong, or why it was cancelled, cut as that of [`FunctionFailed`] is; `None` if it completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<FailureRecord>,
}

impl Event for FunctionFailed {
    const NAME: &str = "ergate/function.failed";
}

impl Event for FunctionCancelled {
    const NAME: &str = "ergate/function.cancelled";
}

impl Event for FunctionFinished {
    const NAME: &str = "ergate/function.finished";
}

/// Whether an event tells of the end of a run: what it starts is not told of in turn, so that nothing goes round in a circle.
pub fn tells_of_an_end(event: &EventName) -> bool {
    [FunctionFailed::NAME, FunctionCancelled::NAME, FunctionFinished::NAME].contains(&event.as_str())
}
