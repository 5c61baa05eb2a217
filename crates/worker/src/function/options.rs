//! What a function declares about how its runs start.

use std::time::Duration;

use ergate_shared::function::{
    CancelOn, ConcurrencyPer, Debounce, EventBatch, RateLimit, Singleton, SingletonMode, Throttle,
};

use super::Function;

/// What was said last, so that more can be said of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Subject {
    #[default]
    Trigger,
    CancelOn,
    Throttle,
    RateLimit,
    Debounce,
    Batch,
    Singleton,
}

impl<S: Send + Sync + 'static> Function<S> {
    /// Lets at most this many of its runs execute at once, over all workers; default no limit. A run that sleeps or waits
    /// does not execute.
    pub fn concurrency(mut self, limit: u32) -> Self {
        self.options.concurrency = Some(limit);
        self
    }

    /// Lets at most this many of its runs with the same value of `key` execute at once: a field of the event that starts
    /// them, `event.data.account`, or with the feature `cel` any expression. At most two of these; default none.
    ///
    /// Values take turns. Runs for which the expression has no value are counted together, as `null`.
    pub fn concurrency_per(mut self, limit: u32, key: &str) -> Self {
        self.options.concurrency_per.push(ConcurrencyPer { limit, key: key.to_owned() });
        self
    }

    /// Lets at most this many of its runs start per period, evenly spaced; the others wait. Default no limit; a period of at
    /// most 24 h. It counts when a run begins, and not when it goes on.
    pub fn throttle(mut self, limit: u32, period: Duration) -> Self {
        self.options.throttle = Some(Throttle { limit, period_ms: millis(period), burst: 1, key: None });
        self.last = Subject::Throttle;
        self
    }

    /// Lets this many runs start at once after a pause, under its [`throttle`](Self::throttle); default 1.
    pub fn burst(mut self, burst: u32) -> Self {
        match &mut self.options.throttle {
            Some(throttle) => throttle.burst = burst,
            None => self.misplaced.push("has a burst, and no throttle before it".to_owned()),
        }
        self
    }

    /// Drops starts beyond this many within a period, at most 24 h, that begins with the first of them. Default no limit.
    ///
    /// [`Started::dropped`](ergate_client::Started) of the event tells; a start by hand is an
    /// [`Error::Dropped`](ergate_client::Error).
    pub fn rate_limit(mut self, limit: u32, period: Duration) -> Self {
        self.options.rate_limit = Some(RateLimit { limit, period_ms: millis(period), key: None });
        self.last = Subject::RateLimit;
        self
    }

    /// Lets events for which this expression, such as `event.data.cart`, has the same value start one run within 24 hours of
    /// the first; others are dropped as by [`rate_limit`](Self::rate_limit).
    pub fn idempotency(mut self, key: &str) -> Self {
        self.options.idempotency = Some(key.to_owned());
        self
    }

    /// Starts one run once no event has come for this long, with the last event by its `ts`.
    pub fn debounce(mut self, period: Duration) -> Self {
        self.options.debounce = Some(Debounce { period_ms: millis(period), most_ms: None, key: None });
        self.last = Subject::Debounce;
        self
    }

    /// Starts a debounced run this long after its first event, whatever comes; default never.
    pub fn debounce_max(mut self, most: Duration) -> Self {
        match &mut self.options.debounce {
            Some(debounce) => debounce.most_ms = Some(millis(most)),
            None => self.misplaced.push("has a debounce_max, and no debounce before it".to_owned()),
        }
        self
    }

    /// Starts one run with up to `size` events, at most 1,000: when there are so many, or when the first has waited for
    /// `timeout`. What the function takes first is a [`Batch`](ergate_shared::function::Batch) of them.
    pub fn batch(mut self, size: u32, timeout: Duration) -> Self {
        self.options.batch = Some(EventBatch { size, timeout_ms: millis(timeout), key: None });
        self.last = Subject::Batch;
        self
    }

    /// Lets at most one of its runs be there at a time, also while it sleeps or waits to begin.
    pub fn singleton(mut self, mode: SingletonMode) -> Self {
        self.options.singleton = Some(Singleton { mode, key: None });
        self.last = Subject::Singleton;
        self
    }

    /// Counts apart for each value of this expression over `event`: what was said last of throttle, rate limit, debounce,
    /// batch and singleton. Default: all its runs together.
    pub fn per(mut self, key: &str) -> Self {
        let options = &mut self.options;
        let place = match self.last {
            Subject::Trigger | Subject::CancelOn => None,
            Subject::Throttle => options.throttle.as_mut().map(|throttle| &mut throttle.key),
            Subject::RateLimit => options.rate_limit.as_mut().map(|rate| &mut rate.key),
            Subject::Debounce => options.debounce.as_mut().map(|debounce| &mut debounce.key),
            Subject::Batch => options.batch.as_mut().map(|batch| &mut batch.key),
            Subject::Singleton => options.singleton.as_mut().map(|singleton| &mut singleton.key),
        };
        match place {
            Some(place) => *place = Some(key.to_owned()),
            None => self.misplaced.push(format!("says per {key:?} of nothing")),
        }
        self
    }

    /// Moves each run ahead in the queue by as many seconds as this expression says, -600 to 600: it is served as if it had
    /// come so much earlier. `event.data.urgency`, or with the feature `cel` something like
    /// `event.data.plan == "pro" ? 120 : 0`; what is no number counts as 0.
    pub fn priority(mut self, seconds: &str) -> Self {
        self.options.priority = Some(seconds.to_owned());
        self
    }

    /// Cancels a run when an event of this name comes after it was started: any, unless [`matching`](Self::matching) or
    /// [`when`](Self::when) say which. At most five names; default none.
    pub fn cancel_on(mut self, event: &str) -> Self {
        match event.parse() {
            Ok(event) => {
                let cancel = CancelOn { event, matching: None, r#if: None, within_ms: None };
                self.options.cancel_on.push(cancel);
            }
            Err(error) => self.misplaced.push(error.to_string()),
        }
        self.last = Subject::CancelOn;
        self
    }

    /// Lets only those events cancel a run in which this field, such as `data.order`, equals that of the event that started
    /// the run. A run whose event has no such field is cancelled by none.
    pub fn matching(self, field: &str) -> Self {
        self.of_cancel("matching", |cancel| cancel.matching = Some(field.to_owned()))
    }

    /// Lets events cancel a run only for this long after it was started; default as long as it is there, at most 366 days.
    pub fn within(self, time: Duration) -> Self {
        self.of_cancel("within", |cancel| cancel.within_ms = Some(millis(time)))
    }

    pub(super) fn of_cancel(mut self, what: &str, change: impl FnOnce(&mut CancelOn)) -> Self {
        match self.options.cancel_on.last_mut() {
            Some(cancel) if self.last == Subject::CancelOn => change(cancel),
            _ => self.misplaced.push(format!("says {what}, and no cancel_on before it")),
        }
        self
    }

    /// Cancels a run that has not ended this long after it was due to start, whether it executes, sleeps or waits; default
    /// never.
    pub fn finish_timeout(mut self, timeout: Duration) -> Self {
        self.options.finish_timeout_ms = Some(millis(timeout));
        self
    }

    /// Makes a run that has not begun this long after it was due a dead letter; default never.
    pub fn start_timeout(mut self, timeout: Duration) -> Self {
        self.options.start_timeout_ms = Some(millis(timeout));
        self
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
