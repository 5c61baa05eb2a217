//! What a function declares about how its runs start.

use ergate_shared::function::ConcurrencyPer;

use super::Function;

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
}
