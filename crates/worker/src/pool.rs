//! Slots that several queues of a worker share: every queue may use what is free, and each is sure of its share.
//!
//! A queue's share is the total times its weight over all weights. Slots within the shares of *other* queues that want
//! work are left to them, so that a busy queue cannot keep a waiting one from its share, and a lone one uses everything. If
//! the shares of all that wait are more than is free, as with fewer slots than queues, the one that waits longest goes first.

use crate::{
    identity::{Seat, Signal},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The shared slots of a worker.
#[derive(Debug)]
pub(crate) struct Pool {
    total: usize,
    seats: Vec<Arc<Seat>>,
    queues: Mutex<Queues>,
}

#[derive(Debug)]
struct Queues {
    shares: Vec<Share>,
    /// Counts queues that begin to wait.
    waits: u64,
}

#[derive(Debug, Clone, Default)]
struct Share {
    sure: usize,
    held: usize,
    /// Its place among those that were given less than they wanted, the lower the longer ago; it waits anew with all it gets.
    waits: Option<u64>,
}

impl Share {
    /// What it has not of its share.
    fn lacks(&self) -> usize {
        self.sure.saturating_sub(self.held)
    }
}

impl Pool {
    /// `weights[i]` belongs to `seats[i]`.
    pub(crate) fn new(total: usize, seats: Vec<Arc<Seat>>, weights: &[u32]) -> Self {
        let sum: u64 = weights.iter().map(|weight| u64::from(*weight)).sum::<u64>().max(1);
        let share = |weight: &u32| (total as u64 * u64::from(*weight) / sum) as usize;
        let shares =
            weights.iter().map(|weight| Share { sure: share(weight).max(1), ..Share::default() }).collect();
        Self { total, seats, queues: Mutex::new(Queues { shares, waits: 0 }) }
    }

    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes up to `want` slots for a queue and returns how many it got.
    pub(crate) fn take(&self, queue: usize, want: usize) -> usize {
        let Queues { shares, waits } = &mut *self.queues();
        let granted = grant(shares, self.total, queue, want);
        let share = &mut shares[queue];
        share.held += granted;
        if granted == want {
            share.waits = None;
        } else if granted > 0 || share.waits.is_none() {
            *waits += 1;
            share.waits = Some(*waits);
        }
        granted
    }

    /// Takes slots for jobs that are there already, whatever the limit.
    pub(crate) fn take_surely(&self, queue: usize, count: usize) {
        self.queues().shares[queue].held += count;
    }

    /// Gives back slots for which there was no job: the queue wants no more.
    pub(crate) fn not_needed(&self, queue: usize, count: usize) {
        if count > 0 {
            self.queues().shares[queue].waits = None;
            self.give_back(queue, count);
        }
    }

    /// Gives slots back, and wakes the queues that wait for some.
    pub(crate) fn give_back(&self, queue: usize, count: usize) {
        if count == 0 {
            return;
        }
        let mut queues = self.queues();
        let shares = &mut queues.shares;
        shares[queue].held = shares[queue].held.saturating_sub(count);
        let waiting: Vec<usize> =
            (0..shares.len()).filter(|other| *other != queue && shares[*other].waits.is_some()).collect();
        drop(queues);
        for other in waiting {
            self.seats[other].tell(Signal::Wake);
        }
    }
}

fn grant(shares: &[Share], total: usize, queue: usize, want: usize) -> usize {
    let free = total.saturating_sub(shares.iter().map(|share| share.held).sum());
    let own = &shares[queue];
    let kept = |is_kept: &dyn Fn(&Share) -> bool| -> usize {
        let others = shares.iter().enumerate().filter(|(other, _)| *other != queue);
        others
            .filter(|(_, share)| share.waits.is_some() && is_kept(share))
            .map(|(_, share)| share.lacks())
            .sum()
    };
    let beside_all = free.saturating_sub(kept(&|_| true));
    // Of its own share nothing is kept for those that have waited less long.
    let of_share =
        free.saturating_sub(kept(&|other| own.waits.is_none() || other.waits < own.waits)).min(own.lacks());
    want.min(beside_all.max(of_share))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(sure: usize, held: usize, waits: bool) -> Share {
        Share { sure, held, waits: waits.then_some(1) }
    }

    #[test]
    fn a_lone_queue_uses_everything() {
        assert_eq!(grant(&[share(3, 0, true), share(7, 0, false)], 10, 0, 20), 10);
    }

    #[test]
    fn what_is_within_the_share_of_a_waiting_queue_is_left_to_it() {
        assert_eq!(grant(&[share(3, 0, true), share(7, 2, true)], 10, 0, 20), 3);
        assert_eq!(grant(&[share(3, 3, true), share(7, 2, true)], 10, 1, 20), 5);
    }

    #[test]
    fn nobody_gets_more_than_there_is() {
        for held in 0..=12 {
            let queues = [share(5, held, true), share(5, 0, true)];
            assert!(held.min(10) + grant(&queues, 10, 1, 100) <= 10);
        }
    }

    #[test]
    fn with_fewer_slots_than_queues_the_one_that_waits_longest_goes_first() {
        let waits = |since| Share { sure: 1, held: 0, waits: since };

        let queues = [waits(Some(2)), waits(Some(1)), waits(None)];

        assert_eq!([0, 1, 2].map(|queue| grant(&queues, 1, queue, 5)), [0, 1, 0]);
    }
}
