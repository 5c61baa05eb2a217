//! From a job with its options to the call that puts it in.

use std::{future::IntoFuture, pin::Pin, time::Duration};

use ergate_shared::{JobId, JobRecord, Lane, Priority, QueueName, duration, function::QUEUE_PREFIX};

use super::{
    Enqueue, OnConflict, Receipt, When,
    receipt::{receipt, unshare},
};
use crate::{
    Durability, Error,
    batch::{Draft, Made, Special, Taken},
    insist::insist_after,
    start::{StartOptions, newest},
};

/// A job that has passed every check.
pub(crate) struct Ready {
    pub(crate) queue: QueueName,
    pub(crate) draft: Draft,
    pub(crate) durability: Durability,
    pub(crate) unique: Option<(String, OnConflict)>,
}

impl Enqueue {
    /// For the engine: tries until Redis has taken it, however long it is away or full.
    #[doc(hidden)]
    pub async fn insist(self) -> Result<Receipt, Error> {
        let mut prepared = match self.insist_on_declared(newest).await? {
            Some(spec) => self.by_options_of(&spec)?,
            None => self,
        };
        while let Err(error) = prepared.keep_waits().await {
            insist_after(error).await?;
        }
        let client = prepared.client.clone();
        let Ready { queue, draft, unique, .. } = prepared.draft()?;
        let batcher = client.batcher(&queue);
        let taken = loop {
            match batcher.submit(vec![draft.clone()]).await.map_err(unshare) {
                Ok(taken) => break taken,
                Err(error) => insist_after(error).await?,
            }
        };
        let taken = taken.into_iter().next().map_or(Taken::New, |(taken, _)| taken);
        let receipt = receipt(&queue, draft.id, taken, unique)?;
        if receipt.dropped { Err(Error::Dropped { queue }) } else { Ok(receipt) }
    }

    /// Checks everything and writes the record. Nothing has been sent yet.
    pub(crate) fn draft(self) -> Result<Ready, Error> {
        if let Some(problem) = self.problem {
            return Err(Error::Option(problem));
        }
        let (queue, name) = (self.queue?, self.name?);
        let payload = self.payload.map_err(|source| Error::Payload { name: name.to_string(), source })?;
        let limit = self.client.payload_limit();
        if payload.len() > limit && self.routed_until.is_none() {
            return Err(Error::TooLarge { name: name.to_string(), size: payload.len(), limit });
        }
        let own_id = self.id.is_some();
        let id = self.id.transpose()?.unwrap_or_else(JobId::generate);
        let now = self.client.redis().now_ms();
        if let When::At(at) = self.when
            && Duration::from_millis(at.saturating_sub(now)) > duration::LONGEST
        {
            return Err(Error::Option("run_at is over ten years away".to_owned()));
        }
        let (when, due_by_time) = match self.when {
            When::Now => (String::new(), now),
            When::In(delay) if delay.is_zero() => (String::new(), now),
            When::In(delay) => (format!("+{}", delay.as_millis()), now + delay.as_millis() as u64),
            When::At(at) => (format!("@{at}"), at.max(now)),
        };
        let StartOptions { keys, rules, ahead_ms, due_at, newer, since, .. } = self.start;
        let lane = match keys.is_empty() {
            true => Lane::of(self.keys)?,
            false => Lane::of_run(keys.into_iter().chain(self.keys).collect())?,
        };
        let due_at = due_at.unwrap_or(due_by_time);
        let order_at = ahead_ms.map(|ms| due_at.max(now).saturating_add_signed(-ms));
        let plain = when.is_empty()
            && !own_id
            && self.unique.is_none()
            && lane.is_none()
            && self.expires_in.is_none()
            && order_at.is_none()
            && rules.is_empty()
            && self.priority == Priority::Normal;
        let record = JobRecord {
            name,
            priority: self.priority,
            unique: self.unique.as_ref().map(|unique| (unique.scope, unique.key.clone())),
            lane,
            order_at,
            expires: self.expires_in.is_some(),
            tells: self.options.parent.is_some() || queue.as_str().starts_with(QUEUE_PREFIX),
            enqueued_at: since.unwrap_or(now),
            due_at,
            version: self.version,
            options: self.options,
            payload,
        }
        .encode();
        let special = (!plain).then(|| Special {
            when,
            own_id,
            routed_until: self.routed_until.or(self.once.then_some(u64::MAX)),
            window_ms: self
                .unique
                .as_ref()
                .and_then(|unique| unique.window)
                .map(|window| window.as_millis() as u64),
            on_conflict: match self.unique.as_ref().map(|unique| unique.on_conflict) {
                Some(OnConflict::Replace) => "replace".into(),
                Some(OnConflict::PutOff) => {
                    let newer = if newer { " newer" } else { "" };
                    let most = self.put_off_most.map(|most| format!(" {}", most.as_millis()));
                    format!("put_off{newer}{}", most.unwrap_or_default()).into()
                }
                Some(OnConflict::Drop) => "drop".into(),
                Some(OnConflict::Cancel) => "cancel".into(),
                _ => "keep".into(),
            },
            expiry_ms: self.expires_in.map(|time| time.as_millis() as u64),
            rules,
        });
        Ok(Ready {
            queue,
            draft: Draft { id, record, special },
            durability: self.durability,
            unique: self.unique.map(|unique| (unique.key, unique.on_conflict)),
        })
    }

    async fn send(self) -> Result<Receipt, Error> {
        let client = self.client.clone();
        let Ready { queue, draft, durability, unique } = self.prepared().await?.draft()?;
        let id = draft.id.clone();
        let batcher = client.batcher(&queue);
        let taken = batcher.submit(vec![draft]).await.map_err(unshare)?;
        let (taken, call) = taken.into_iter().next().unwrap_or((Taken::New, Made::default()));
        let mut receipt = receipt(&queue, id, taken, unique)?;
        if receipt.dropped {
            return Err(Error::Dropped { queue });
        }
        receipt.durability = durability.reach(batcher.haul(), call).await;
        Ok(receipt)
    }
}

impl IntoFuture for Enqueue {
    type Output = Result<Receipt, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}
