//! What runs write into their journals, on its way to Redis: one call in flight per queue, and what comes meanwhile goes
//! with the next, whichever run it is of.

use std::sync::{Arc, Mutex, PoisonError};

use ergate_client::{Redis, link::Pause};
use ergate_shared::{JobId, key::QueueKeys, script};
use tokio::sync::oneshot;

use super::{Recorded, Write};
use crate::metrics::{RunMetrics, StepEnd};

use crate::cut_off::cut_off;

/// The most runs of one call, and after how many bytes no more are added: about a millisecond of Redis' time.
const MOST_RUNS: usize = 500;
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// Writes journals of one queue's runs.
#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    redis: Redis,
    keys: QueueKeys,
    /// `None` if the queue has no runs.
    metrics: Option<RunMetrics>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Request>,
    writing: bool,
}

#[derive(Debug)]
struct Request {
    run: JobId,
    token: Arc<str>,
    known: u32,
    /// Per entry: what it closes, whether it is open, its text.
    entries: Vec<(Option<u32>, bool, String)>,
    /// Per entry what it says of an attempt at a step.
    ends: Vec<Option<StepEnd>>,
    /// Answered with `None` if the lease is lost.
    reply: oneshot::Sender<Option<Recorded>>,
}

impl Recorder {
    pub(crate) fn new(redis: Redis, keys: QueueKeys, metrics: Option<RunMetrics>) -> Self {
        Self { shared: Arc::new(Shared { redis, keys, metrics, state: Mutex::default() }) }
    }

    /// What is counted of the queue's runs.
    pub(crate) fn metrics(&self) -> Option<&RunMetrics> {
        self.shared.metrics.as_ref()
    }

    /// Writes entries after the `known` ones; answers `None` if the run's lease is lost. Goes on until Redis answers, or
    /// nobody waits for the answer any more.
    pub(crate) fn record(
        &self,
        run: &JobId,
        token: &Arc<str>,
        known: u32,
        writes: &[Write],
    ) -> oneshot::Receiver<Option<Recorded>> {
        let entries = writes.iter().map(|write| (write.closes, write.opens, write.text.clone())).collect();
        let ends = writes.iter().map(|write| StepEnd::of(&write.entry.op)).collect();
        let (reply, answer) = oneshot::channel();
        let (run, token) = (run.clone(), Arc::clone(token));
        let request = Request { run, token, known, entries, ends, reply };
        let start = {
            let mut state = self.shared.state();
            state.waiting.push(request);
            !std::mem::replace(&mut state.writing, true)
        };
        if start {
            tokio::spawn(Arc::clone(&self.shared).write());
        }
        answer
    }
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn write(self: Arc<Self>) {
        let mut pause = Pause::first();
        loop {
            let Some(requests) = self.next() else { return };
            match self.redis.run::<Vec<Reply>>(&self.call(&requests)).await {
                Ok(replies) => {
                    pause = Pause::first();
                    for (request, (code, before, unknown, numbers)) in requests.into_iter().zip(replies) {
                        self.count(&request.ends, &numbers);
                        let recorded = Recorded { unknown, before, numbers };
                        let _ = request.reply.send((code == "ok").then_some(recorded));
                    }
                }
                Err(error) => {
                    cut_off!(
                        error,
                        runs = requests.len(),
                        "journals could not be written; it is tried again"
                    );
                    self.state().waiting.splice(0..0, requests);
                    pause.wait().await;
                }
            }
        }
    }

    /// Counts the attempts whose entries were taken, by this call or by one whose answer was lost.
    fn count(&self, ends: &[Option<StepEnd>], numbers: &[u32]) {
        let Some(metrics) = &self.metrics else { return };
        for (end, number) in ends.iter().zip(numbers) {
            if let Some(end) = end
                && *number > 0
            {
                metrics.recorded(*end);
            }
        }
    }

    /// The requests of the next call, without those nobody waits for any more; `None` if there are none.
    fn next(&self) -> Option<Vec<Request>> {
        let mut state = self.state();
        state.waiting.retain(|request| !request.reply.is_closed());
        if state.waiting.is_empty() {
            state.writing = false;
            return None;
        }
        let mut bytes = 0;
        let count = state
            .waiting
            .iter()
            .take(MOST_RUNS)
            .take_while(|request| {
                let before = bytes;
                bytes += request.entries.iter().map(|(.., text)| text.len()).sum::<usize>();
                before < MOST_BYTES
            })
            .count();
        Some(state.waiting.drain(..count).collect())
    }

    fn call(&self, requests: &[Request]) -> script::Call {
        let mut call = script::RUN_RECORD.on(&self.keys);
        for request in requests {
            call.push(request.run.as_str());
            call.push(request.token.as_bytes());
            call.push(request.known.to_string());
            call.push(request.entries.len().to_string());
            for (closes, opens, text) in &request.entries {
                call.push(closes.map(|number| number.to_string()).unwrap_or_default());
                call.push(if *opens { "1" } else { "" });
                call.push(text);
            }
        }
        call
    }
}

/// Per run: code, entries there were before, those of them that were not known, the number of each entry.
type Reply = (String, u32, Vec<String>, Vec<u32>);
