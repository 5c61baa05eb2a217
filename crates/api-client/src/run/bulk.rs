//! Changing the course of many runs: of all that a filter means.

use ergate_shared::{FunctionName, JobId, id::own_id, run::RunState};
use futures_util::{StreamExt as _, stream};

use super::{RunFilter, RunHandle, Runs};
use crate::{Cancelled, Error, Redriven, at_once::AtOnce, redrive::Redrive};

/// The most runs looked at by one call.
const PAGE: usize = 500;
/// Cancellations on their way at once: they share the connection.
const UNDER_WAY: usize = 64;

/// What cancelling many runs did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CancelledRuns {
    /// Runs that waited and go on no more.
    pub cancelled: u64,
    /// Runs that execute, whose workers have been asked to stop them.
    pub asked: u64,
    /// Runs that had ended by then.
    pub left: u64,
}

impl Runs {
    /// How many there are. Looks at each that may be meant.
    ///
    /// # Errors
    /// Errors of the connection.
    pub async fn count(&self) -> Result<u64, Error> {
        Ok(self.matching().await?.iter().map(|(_, ids)| ids.len() as u64).sum())
    }

    /// Cancels all of them that have not ended, telling `done` how many so far.
    ///
    /// # Errors
    /// Errors of the connection; what has been cancelled by then stays so.
    pub async fn cancel(&self, reason: &str, mut done: impl FnMut(u64)) -> Result<CancelledRuns, Error> {
        let mut sum = CancelledRuns::default();
        for (function, ids) in self.going_on()?.matching().await? {
            let queue = self.client.queue(function.queue().as_str())?;
            let cancels = ids.into_iter().map(|id| {
                let job = crate::JobHandle::new(queue.clone(), id);
                async move { job.cancel(reason).await }
            });
            let mut outcomes = stream::iter(cancels).buffer_unordered(UNDER_WAY);
            while let Some(outcome) = outcomes.next().await {
                match outcome {
                    Ok(Cancelled::Done) => sum.cancelled += 1,
                    Ok(Cancelled::Asked) => sum.asked += 1,
                    Err(Error::WrongState { .. } | Error::NotFound { .. }) => sum.left += 1,
                    Err(error) => return Err(error),
                }
                done(sum.cancelled + sum.asked + sum.left);
            }
        }
        Ok(sum)
    }

    /// Lets those of them that failed go on where they failed, the first to fail first, `per_second` each second if that is
    /// given, telling `done` how many so far. Steps that worked are not done again.
    ///
    /// # Errors
    /// [`Error::Option`] for a rate that is not above 0.
    pub async fn again(&self, per_second: Option<f64>, mut done: impl FnMut(u64)) -> Result<Redriven, Error> {
        let mut redrive = Redrive::at(per_second)?;
        for (function, mut ids) in self.failed()?.matching().await? {
            ids.reverse();
            let dead = self.client.queue(function.queue().as_str())?.dead();
            redrive.send(&dead, &ids, &mut done).await?;
        }
        Ok(redrive.sum)
    }

    /// Starts a new run for each of them that failed, from its beginning and with what it was started with, telling `done`
    /// how many so far. The failed ones stay where they are, and asking again starts nothing twice: those that were started over
    /// before are left.
    ///
    /// # Errors
    /// Errors of the connection; what has been started by then goes on.
    pub async fn anew(&self, mut done: impl FnMut(u64)) -> Result<Redriven, Error> {
        let mut sum = Redriven::default();
        for (function, ids) in self.failed()?.matching().await? {
            let starts = ids.iter().rev().map(|id| {
                let run = self.run(&function, id);
                async move {
                    let run = run?;
                    run.rerun().id(own_id(format!("{}~", run.id()))).unless_there().await
                }
            });
            let mut outcomes = stream::iter(starts).buffered(UNDER_WAY);
            while let Some(outcome) = outcomes.next().await {
                match outcome {
                    Ok(Some(_)) => sum.redriven += 1,
                    Ok(None) | Err(Error::NotFound { .. } | Error::Duplicate { .. }) => sum.left += 1,
                    Err(error) => return Err(error),
                }
                done(sum.redriven);
            }
        }
        Ok(sum)
    }

    fn run(&self, function: &FunctionName, id: &JobId) -> Result<RunHandle, Error> {
        self.client.run(function.as_str(), id.as_str())
    }

    fn failed(&self) -> Result<Self, Error> {
        self.only(&[RunState::Failed], "replayed")
    }

    /// Those of them that have not ended.
    ///
    /// # Errors
    /// [`Error::Option`] if the filter means ended runs only.
    pub fn going_on(&self) -> Result<Self, Error> {
        self.only(&[RunState::Queued, RunState::Running, RunState::Suspended], "cancelled")
    }

    /// Those in one of these states.
    fn only(&self, states: &[RunState], done: &str) -> Result<Self, Error> {
        let meant = |state: &&RunState| self.filter.states.is_empty() || self.filter.states.contains(state);
        let states: Vec<_> = states.iter().filter(meant).copied().collect();
        // No state at all would mean any.
        if states.is_empty() {
            let wanted: Vec<_> = self.filter.states.iter().map(|state| state.as_str()).collect();
            return Err(Error::Option(format!("runs that are {} cannot be {done}", wanted.join(" or "))));
        }
        Ok(Self { client: self.client.clone(), filter: RunFilter { states, ..self.filter.clone() } })
    }

    /// Their ids by function, in the order of a list.
    async fn matching(&self) -> Result<Vec<(FunctionName, Vec<JobId>)>, Error> {
        let mut matching: Vec<(FunctionName, Vec<JobId>)> = Vec::new();
        let (mut cursor, mut at_once): (Option<String>, _) = (None, AtOnce::new(PAGE));
        loop {
            let page = at_once.until_in_time(async |count| self.page(cursor.as_deref(), count).await).await?;
            for run in page.items {
                match matching.last_mut() {
                    Some((function, ids)) if *function == run.function => ids.push(run.id),
                    _ => matching.push((run.function, vec![run.id])),
                }
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(matching);
            }
        }
    }
}
