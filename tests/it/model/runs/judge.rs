//! What must be true of journals at any time, and of everything once all that was begun has been done.

use std::collections::BTreeSet;

use super::{
    journal,
    operation::Cut,
    play::{Done, Play, same},
    world::State,
};
use crate::model::Met;

impl Play {
    /// Each step was journalled once since the run was last started again, and each open entry was closed once.
    pub(super) fn is_sound(&self) -> Done {
        for (id, run) in &self.world.runs {
            let (mut steps, mut closed) = (BTreeSet::new(), BTreeSet::new());
            for (step, closes) in journal::steps(&run.journal) {
                if let Some(entry) = closes {
                    if !closed.insert(entry) || run.open.contains(&entry) {
                        return Err(format!("entry {entry} of {id} was closed twice"));
                    }
                } else if !step.is_empty() && !steps.insert(step.clone()) {
                    return Err(format!("step {step} of {id} was journalled twice"));
                }
            }
        }
        Ok(())
    }

    /// Everybody dies, and all that is left is done by others: then nothing has been lost.
    pub(super) async fn end(mut self) -> Result<Met, String> {
        for router in 0..2 {
            self.routers[router].batch = None;
        }
        self.jobs.pass(20_000);
        self.tend(0, false).await?;
        loop {
            while self.routers[0].batch.is_some() {
                self.route(0, Cut::None).await?;
                self.compare().await?;
            }
            self.read(0).await?;
            if self.routers[0].batch.is_none() {
                break;
            }
        }
        while !self.world.outbox.is_empty() {
            self.tell(Cut::None).await?;
        }
        self.compare().await?;
        let missed = self.world.waits.iter().find_map(|(who, wait)| {
            let mut words = who.split(' ').skip(1);
            let (run, entry) = (words.next()?, words.next()?.parse().ok()?);
            let is_open = self.world.runs.get(run)?.open.contains(&entry);
            let event = self.world.look_back(wait).next()?;
            (is_open && wait.until > self.jobs.now).then(|| format!("{who} missed {event}"))
        });
        same("waits that missed their event", missed, None)?;
        let unrouted = self.world.events.iter().find(|(_, event)| !event.routed && event.due.is_none());
        same("events that were never routed", unrouted.map(|(key, _)| key), None)?;
        let untold = self.parents.iter().find(|(child, (parent, entry))| {
            let is_open = self.world.runs.get(parent).is_some_and(|run| run.open.contains(entry));
            let has_ended = match self.world.runs.get(*child) {
                Some(run) => matches!(run.state, State::Completed | State::Cancelled | State::Dead),
                None => self.world.routed.contains(*child),
            };
            is_open && has_ended
        });
        same("results that never came", untold.map(|(child, _)| child), None)?;
        Ok(self.met)
    }
}
