//! Runs by function, state and time, page by page.

use ergate_shared::{FunctionName, JobState, run::RunState};

use super::{
    RunView,
    view::{ended_at, views},
};
use crate::{Client, Error, JobView, Page, Queue};

/// Which runs are meant; an empty filter means all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Only runs of these functions; none: of all.
    pub functions: Vec<FunctionName>,
    /// Only runs in these states; none: in any.
    pub states: Vec<RunState>,
    /// Only those that ended at or after this time, or, having not ended, were started then; in ms since the epoch.
    pub since: Option<u64>,
    /// Only those that ended before this time, or, having not ended, were started before; likewise.
    pub until: Option<u64>,
}

/// The states of jobs in which runs are looked for, in the order of a list.
const STATES: [JobState; 6] = [
    JobState::Leased,
    JobState::Ready,
    JobState::Scheduled,
    JobState::Dead,
    JobState::Cancelled,
    JobState::Completed,
];

impl RunFilter {
    /// Adds a function whose runs are meant.
    #[must_use]
    pub fn function(mut self, function: FunctionName) -> Self {
        self.functions.push(function);
        self
    }

    /// Adds a state in which runs are meant.
    #[must_use]
    pub fn state(mut self, state: RunState) -> Self {
        self.states.push(state);
        self
    }

    /// Whether a run is meant.
    pub fn matches(&self, run: &RunView) -> bool {
        (self.functions.is_empty() || self.functions.contains(&run.function))
            && (self.states.is_empty() || self.states.contains(&run.state))
            && self.is_in_period(run.at())
    }

    fn is_in_period(&self, at: u64) -> bool {
        self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at < until)
    }

    /// Whether runs in this state of their job may be meant.
    fn looks_at(&self, state: JobState) -> bool {
        let may_be = |wanted: &RunState| match state {
            JobState::Leased => *wanted == RunState::Running,
            JobState::Ready | JobState::Scheduled => matches!(wanted, RunState::Queued | RunState::Suspended),
            JobState::Dead => *wanted == RunState::Failed,
            JobState::Cancelled => *wanted == RunState::Cancelled,
            JobState::Completed => *wanted == RunState::Completed,
        };
        self.states.is_empty() || self.states.iter().any(may_be)
    }
}

/// Runs that a filter means.
#[derive(Debug, Clone)]
pub struct Runs {
    pub(super) client: Client,
    pub(super) filter: RunFilter,
}

impl Client {
    /// Runs of durable functions: those that the filter means.
    ///
    /// ```no_run
    /// # use ergate_client::RunFilter;
    /// # use ergate_shared::run::RunState;
    /// # async fn example(client: ergate_client::Client) -> Result<(), ergate_client::Error> {
    /// let failed = client.runs(RunFilter::default().state(RunState::Failed));
    ///
    /// for run in failed.page(None, 20).await?.items {
    ///     println!("{} {}: {:?}", run.function, run.id, run.last_step);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn runs(&self, filter: RunFilter) -> Runs {
        Runs { client: self.clone(), filter }
    }
}

/// Where a page begins: function, state, and the queue's own cursor within that.
struct Place {
    function: usize,
    state: usize,
    cursor: Option<String>,
}

impl Runs {
    /// Some of them: function by function in order of name; of each first those that execute, wait to, or sleep, then the failed,
    /// cancelled and completed ones, the last to end first.
    ///
    /// At most `limit` runs, 1,000 at most, are looked at, so that a page of a narrow filter may be empty and have a next one.
    /// `cursor` is what the page before said. Runs that move meanwhile may be missed or seen twice.
    ///
    /// # Errors
    /// [`Error::Option`] for a cursor that no page gave.
    pub async fn page(&self, cursor: Option<&str>, limit: usize) -> Result<Page<RunView>, Error> {
        let functions = self.functions().await?;
        let mut place = self.place(&functions, cursor)?;
        let (mut left, mut items) = (limit.clamp(1, 1000), Vec::new());
        while left > 0
            && let Some(function) = functions.get(place.function)
        {
            let Some(state) = STATES.get(place.state) else {
                place = Place { function: place.function + 1, state: 0, cursor: None };
                continue;
            };
            let next = if self.filter.looks_at(*state) {
                let queue = Queue::new(self.client.clone(), function.queue());
                let page = queue.list(*state, place.cursor.as_deref(), left).await?;
                left = left.saturating_sub(page.items.len().max(1));
                let is_over = self.is_before_period(page.items.last());
                let meant = page.items.into_iter().filter(|job| self.may_be_meant(job)).collect();
                let runs = views(&queue, function, meant).await?;
                items.extend(runs.into_iter().filter(|run| self.filter.matches(run)));
                page.next.filter(|_| !is_over)
            } else {
                None
            };
            place = match next {
                Some(next) => Place { cursor: Some(next), ..place },
                None => Place { state: place.state + 1, cursor: None, ..place },
            };
        }
        let next = functions.get(place.function).map(|function| {
            let state = STATES.get(place.state).map_or("", |state| state.as_str());
            format!("{function}:{state}:{}", place.cursor.unwrap_or_default())
        });
        Ok(Page { items, next })
    }

    /// All functions that are meant and ever had a run or a worker, in order of name.
    pub(super) async fn functions(&self) -> Result<Vec<FunctionName>, Error> {
        if !self.filter.functions.is_empty() {
            let mut functions = self.filter.functions.clone();
            functions.sort();
            functions.dedup();
            return Ok(functions);
        }
        let queues = self.client.queues().await?;
        Ok(queues.iter().filter_map(FunctionName::of_queue).collect())
    }

    fn place(&self, functions: &[FunctionName], cursor: Option<&str>) -> Result<Place, Error> {
        let Some(text) = cursor else { return Ok(Place { function: 0, state: 0, cursor: None }) };
        let wrong = || Error::Option(format!("cursor {text:?} is not one that a page gave"));
        let mut parts = text.rsplitn(3, ':');
        let (Some(cursor), Some(state), Some(name)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(wrong());
        };
        let cursor = (!cursor.is_empty()).then(|| cursor.to_owned());
        let state = match state {
            "" => STATES.len(),
            state => STATES.iter().position(|known| known.as_str() == state).ok_or_else(wrong)?,
        };
        // The function may be gone by now: then the next one is meant.
        let function = functions.partition_point(|known| known.as_str() < name);
        match functions.get(function) {
            Some(known) if known.as_str() == name => Ok(Place { function, state, cursor }),
            _ => Ok(Place { function, state: 0, cursor: None }),
        }
    }

    /// Whether it is worth looking at its journal.
    fn may_be_meant(&self, job: &JobView) -> bool {
        let started = job.record.as_ref().map_or(0, |record| record.enqueued_at);
        self.filter.is_in_period(ended_at(job).unwrap_or(started))
    }

    /// Whether all that follow in a list of ended runs, the last to end first, ended too early.
    fn is_before_period(&self, last: Option<&JobView>) -> bool {
        let ended = last.and_then(ended_at);
        ended.zip(self.filter.since).is_some_and(|(ended, since)| ended < since)
    }
}
