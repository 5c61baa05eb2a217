//! What a producer sends and when: all of it follows from the seed.

use crate::work::LIMITS;

/// One thing to be sent.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Its id, which no other has.
    pub id: String,
    /// When it is sent, since the producer's start.
    pub at_ms: u64,
    /// How long its handler takes.
    pub runs_ms: u64,
    /// What it is.
    pub order: Order,
}

/// What is sent.
#[derive(Debug, Clone)]
pub enum Order {
    /// A plain job, perhaps a delayed one.
    Plain {
        /// How long it is delayed.
        delay_ms: u64,
    },
    /// A job that fails as often as its id says.
    Flaky,
    /// A job under a limit.
    Keyed {
        /// Its name.
        limit: &'static str,
        /// The value of the key.
        value: String,
    },
    /// A job with a unique key.
    Only {
        /// The unique key.
        value: String,
    },
    /// A run of `pack`, invoked by hand.
    Pack,
    /// An `order`: an event that starts it and one that it waits for.
    Order {
        /// How long the run sleeps before it waits.
        nap_ms: u64,
        /// How long after the first event the second is sent: before, after, and just when the run begins to wait.
        pays_after_ms: u64,
    },
}

/// The longest a handler takes.
pub const LONGEST_MS: u64 = 120;

/// All that the producer `member` sends within `over_ms`.
pub fn drafts(member: &str, seed: u64, jobs: usize, orders: usize, over_ms: u64) -> Vec<Draft> {
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut drafts = Vec::with_capacity(jobs + orders);
    for number in 0..jobs {
        let (at_ms, runs_ms) = (chance.u64(..over_ms.max(1)), chance.u64(..LONGEST_MS));
        let value = char::from(b'a' + chance.u8(..4)).to_string();
        let order = match chance.u8(..100) {
            0..40 => Order::Plain { delay_ms: 0 },
            40..50 => Order::Plain { delay_ms: chance.u64(1..500) },
            50..65 => Order::Flaky,
            65..77 => Order::Keyed { limit: LIMITS[0].0, value },
            77..89 => Order::Keyed { limit: LIMITS[1].0, value },
            89..95 => Order::Only { value },
            _ => Order::Pack,
        };
        // Jobs of which one runs at a time are short, so that they do not queue up for longer than the run lasts.
        let runs_ms =
            if matches!(order, Order::Keyed { .. } | Order::Only { .. }) { runs_ms / 6 } else { runs_ms };
        drafts.push(Draft { id: format!("{member}-j{number}"), at_ms, runs_ms, order });
    }
    for number in 0..orders {
        let nap_ms = if chance.bool() { 0 } else { chance.u64(..60) };
        let pays_after_ms = if chance.bool() { chance.u64(..20) } else { chance.u64(..400) };
        drafts.push(Draft {
            id: format!("{member}-o{number}"),
            at_ms: chance.u64(..over_ms.max(1)),
            runs_ms: 0,
            order: Order::Order { nap_ms, pays_after_ms },
        });
    }
    drafts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_says_all_that_is_sent() {
        let text = |seed| format!("{:?}", drafts("p1", seed, 50, 10, 1000));

        assert_eq!(text(3), text(3));
        assert_ne!(text(3), text(4));
    }
}
