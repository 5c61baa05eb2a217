//! Looks at all there is in Redis, and at the model beside it.

use std::collections::BTreeMap;

use ergate::JobState;
use ergate_shared::{ending, key::QueueKey};

use super::{Done, LOOK_AT_ALL_EVERY, Rehearsal, same};

impl Rehearsal {
    /// The numbers after each operation, and everything else that can be seen after each few.
    pub(super) async fn compare(&mut self) -> Done {
        let stats = self.redis.queue().stats().await.map_err(|error| error.to_string())?;
        if !stats.adds_up() {
            return Err(format!("does not add up: {stats:?}"));
        }
        for state in JobState::ALL {
            same(state.as_str(), stats.count(state), self.model.count(state))?;
        }
        self.played += 1;
        if self.played.is_multiple_of(LOOK_AT_ALL_EVERY) { self.compare_all().await } else { Ok(()) }
    }

    pub(super) async fn compare_all(&self) -> Done {
        let (now, model) = (self.redis.now, &self.model);
        for (id, seen) in self.known.iter().zip(self.redis.inspect(&self.known).await) {
            let seen =
                seen.map(|job| (job.state, job.detail, job.record, job.tries, job.failure, job.progress));
            let expected = model.jobs.get(id).map(|job| {
                let (state, detail) = job.state.told();
                (state, detail, job.record.clone(), job.tries, job.failure.clone(), job.progress.clone())
            });
            same(id, seen, expected)?;
        }
        let mut look = redis::pipe();
        look.hgetall(self.redis.key(QueueKey::unique)).hgetall(self.redis.key(QueueKey::logs));
        for key in [QueueKey::windows, QueueKey::expiring, QueueKey::workers] {
            look.zrange_withscores(self.redis.key(key), 0, -1);
        }
        look.cmd("XRANGE").arg(self.redis.key(QueueKey::outbox)).arg("-").arg("+");
        type Texts = BTreeMap<String, String>;
        type Times = BTreeMap<String, u64>;
        type Told = Vec<(String, BTreeMap<String, Vec<u8>>)>;
        let seen = self.redis.queue().client().redis().pipeline("a look", &look).await;
        let (unique, logs, windows, expiring, workers, outbox): (Texts, Texts, Times, Times, Times, Told) =
            seen.map_err(|error| error.to_string())?;
        let held = unique.into_iter().filter(|(key, _)| windows.get(key).is_none_or(|until| *until > now));
        let expected =
            model.unique.keys().filter_map(|key| Some((key.clone(), model.holder_of(key, now)?.to_owned())));
        same::<BTreeMap<_, _>>("unique keys", held.collect(), expected.collect())?;
        let expected = model.jobs.iter().filter_map(|(id, job)| Some((id.clone(), job.expires_at?)));
        same::<Times>("expiries", expiring, expected.collect())?;
        same("ends of workers' leases", &workers, &model.workers)?;
        let expected = model.jobs.iter().filter(|(_, job)| !job.log.is_empty());
        same("logs", logs, expected.map(|(id, job)| (id.clone(), job.log.clone())).collect())?;
        // When a job was removed is told by the server's own clock.
        let told = outbox.iter().map(|(_, fields)| {
            let text = |name: &str| String::from_utf8_lossy(&fields[name]).into_owned();
            let end = text("end");
            (text("id"), end.chars().next().unwrap_or_default(), ending::read(&end).1.to_owned())
        });
        same("ends that are to be told", &told.collect::<Vec<_>>(), &model.told)
    }
}
