//! What a run sends or starts has an id that is kept for a day, so that doing it again changes nothing. Once the run's journal says
//! what came of it, nobody does it again but a worker that stood still meanwhile: so the id is let go after an hour.
//!
//! That is for the room they take, and nothing depends on it: ids of which it is not said are kept for the day.

use std::time::Duration;

use ergate_shared::{
    EventId, JobId, Namespace, QueueName,
    event::SHARDS,
    key::{QueueKey, ShardKeys},
};

use crate::{
    Client, Error, Redis,
    coalesce::{Coalescer, Haul},
    link::DEADLINE,
};

const AN_HOUR: Duration = Duration::from_hours(1);
/// How long `queue/sweep` keeps ids of runs that were started.
const A_DAY: Duration = Duration::from_hours(24);

pub(crate) type SentIds = Coalescer<Sent>;

/// Own ids of events in one shard.
pub(crate) struct Sent {
    redis: Redis,
    keys: ShardKeys,
}

impl SentIds {
    pub(crate) fn of_all_shards(redis: &Redis, namespace: &Namespace) -> Vec<Self> {
        let shard = |number| Sent { redis: redis.clone(), keys: ShardKeys::new(namespace, number) };
        (0..SHARDS).map(|number| Self::new(shard(number))).collect()
    }
}

impl Haul for Sent {
    type Item = EventId;
    type Outcome = ();
    const MOST_ITEMS: usize = 1000;
    const MOST_BYTES: usize = 1024 * 1024;

    fn size(id: &EventId) -> usize {
        id.as_str().len()
    }

    fn deadline(&self) -> Duration {
        DEADLINE
    }

    async fn send(&self, ids: Vec<&EventId>, _: u64, _: Duration) -> Result<Vec<()>, Error> {
        let mut shorten = redis::cmd("ZADD");
        shorten.arg(&self.keys.owned).arg("XX");
        let free_at = self.redis.now_ms() + AN_HOUR.as_millis() as u64;
        for id in &ids {
            shorten.arg(free_at).arg(id.as_str());
        }
        self.redis.command::<u64>("ZADD", &shorten).await?;
        Ok(vec![(); ids.len()])
    }
}

impl Client {
    /// For the engine: that this event was sent is written down. Returns at once.
    #[doc(hidden)]
    pub fn let_event_id_go(&self, event: EventId) {
        if self.is_recording() {
            return;
        }
        let sent = self.sent_ids(event.shard()).clone();
        tokio::spawn(async move {
            if let Err(error) = sent.submit(vec![event]).await {
                tracing::debug!(%error, "an event's id is kept for a day");
            }
        });
    }

    /// For the engine: that this job was enqueued is written down. Returns at once.
    #[doc(hidden)]
    pub fn let_start_go(&self, queue: QueueName, job: JobId) {
        if self.is_recording() {
            return;
        }
        let client = self.clone();
        tokio::spawn(async move { client.let_starts_go(&queue, &[&job]).await });
    }

    /// What these jobs came to is in the journals of those who started them.
    pub(crate) async fn let_starts_go(&self, queue: &QueueName, jobs: &[&JobId]) {
        if jobs.is_empty() {
            return;
        }
        let mut shorten = redis::cmd("ZADD");
        shorten.arg(self.keys(queue).get(QueueKey::routed)).arg("XX");
        let since = self.redis().now_ms().saturating_sub((A_DAY - AN_HOUR).as_millis() as u64);
        for job in jobs {
            shorten.arg(since).arg(job.as_str());
        }
        if let Err(error) = self.redis().command::<u64>("ZADD", &shorten).await {
            tracing::debug!(%queue, %error, "ids of runs are kept for a day");
        }
    }
}
