//! Calls about single jobs: what operators do with them.

use ergate::{JobState, Tries};
use ergate_shared::script;

use super::ByHand;

/// What is known of a job.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Known {
    pub(crate) state: JobState,
    /// Token, outcome, time of death or due time, by state.
    pub(crate) detail: String,
    pub(crate) record: Vec<u8>,
    pub(crate) tries: Tries,
    pub(crate) failure: Option<String>,
    pub(crate) progress: Option<String>,
}

impl ByHand {
    /// Answers `ok`, `asked`, `gone` or `ended`.
    pub(crate) async fn cancel(&self, id: &str, why: &str) -> String {
        let call = self.call(&script::JOB_CANCEL).arg(id).arg(why);
        let (_, code, _): (u64, String, String) = self.run(&call).await;
        code
    }

    pub(crate) async fn retry(&self, id: &str) -> String {
        self.retry_all(&[id.to_owned()], 0, 0, false).await.remove(0)
    }

    /// The first after so long, and then one each `spacing` ms; 0 is at once.
    pub(crate) async fn retry_all(
        &self,
        ids: &[String],
        after: u64,
        spacing: u64,
        dead_only: bool,
    ) -> Vec<String> {
        let dead_only = if dead_only { "1" } else { "" };
        let mut call = self.call(&script::JOB_RETRY).number(after).number(spacing).arg(dead_only);
        for id in ids {
            call.push(id);
            call.push("");
        }
        let (_, outcomes): (u64, Vec<String>) = self.run(&call).await;
        outcomes
    }

    /// `when` is `""` for now, `+ms` or `@ms`.
    pub(crate) async fn reschedule(&self, id: &str, when: &str) -> String {
        let call = self.call(&script::JOB_RESCHEDULE).arg(id).arg(when);
        let (_, code, _): (u64, String, u64) = self.run(&call).await;
        code
    }

    pub(crate) async fn remove(&self, id: &str) -> String {
        let call = script::JOB_REMOVE.on(self.queue.keys()).arg("").arg(id);
        let outcomes: Vec<String> = self.run(&call).await;
        outcomes.into_iter().next().expect("one outcome per job")
    }

    /// Replaces the payload of a job, as it was read.
    pub(crate) async fn update(&self, id: &str, expected: &[u8], record: &[u8]) -> String {
        self.run(&script::JOB_UPDATE.on(self.queue.keys()).arg(id).arg(expected).arg(record)).await
    }

    pub(crate) async fn inspect(&self, ids: &[String]) -> Vec<Option<Known>> {
        let mut call = self.call(&script::JOB_INSPECT).arg("");
        for id in ids {
            call.push(id);
        }
        type Seen = (String, String, Vec<u8>, Option<String>, Option<String>, Option<String>);
        let (_, found): (u64, Vec<Option<Seen>>) = self.run(&call).await;
        let known = |(state, detail, record, tries, failure, progress): Seen| Known {
            state: state.parse().unwrap(),
            detail,
            record,
            tries: tries.map(|text| Tries::parse(&text).unwrap()).unwrap_or_default(),
            failure,
            progress,
        };
        found.into_iter().map(|seen| seen.map(known)).collect()
    }

    pub(crate) async fn state(&self, id: &str) -> Option<JobState> {
        self.inspect(&[id.to_owned()]).await.remove(0).map(|known| known.state)
    }
}
