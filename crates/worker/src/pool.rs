//! Slots that several queues of a worker share: every queue may use what is free, and each is sure of its share.
//!
//! A queue's share is the total times its weight over all weights. Slots within the shares of *other* queues that want
//! work are left to them, so that a busy queue cannot keep a waiting one from its share, and a lone one uses everything.

use std::sync::{Arc, Mutex, PoisonError};

use crate::identity::{Seat, Signal};

/// The shared slots of a worker.
#[derive(Debug)]
pub(crate) struct Pool {
    total: usize,
    seats: Vec<Arc<Seat>>,
    queues: Mutex<Vec<Share>>,
}

#[derive(Debug, Clone, Default)]
struct Share {
    sure: usize,
    held: usize,
    /// Whether it was given less than it wanted.
    wants: bool,
}

impl Pool {
    /// `weights[i]` belongs to `seats[i]`.
    pub(crate) fn new(total: usize, seats: Vec<Arc<Seat>>, weights: &[u32]) -> Self {
        let sum: u64 = weights.iter().map(|weight| u64::from(*weight)).sum::<u64>().max(1);
        let share = |weight: &u32| (total as u64 * u64::from(*weight) / sum) as usize;
        let queues =
            weights.iter().map(|weight| Share { sure: share(weight).max(1), ..Share::default() }).collect();
        Self { total, seats, queues: Mutex::new(queues) }
    }

    fn queues(&self) -> std::sync::MutexGuard<'_, Vec<Share>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes up to `want` slots for a queue and returns how many it got.
    pub(crate) fn take(&self, queue: usize, want: usize) -> usize {
        let mut queues = self.queues();
        let granted = grant(&queues, self.total, queue, want);
        queues[queue].held += granted;
        queues[queue].wants = granted < want;
        granted
    }

    /// Takes slots for jobs that are there already, whatever the limit.
    pub(crate) fn take_surely(&self, queue: usize, count: usize) {
        self.queues()[queue].held += count;
    }

    /// Gives back slots for which there was no job: the queue wants no more.
    pub(crate) fn not_needed(&self, queue: usize, count: usize) {
        if count > 0 {
            self.queues()[queue].wants = false;
            self.give_back(queue, count);
        }
    }

    /// Gives slots back, and wakes the queues that wait for some.
    pub(crate) fn give_back(&self, queue: usize, count: usize) {
        if count == 0 {
            return;
        }
        let mut queues = self.queues();
        queues[queue].held = queues[queue].held.saturating_sub(count);
        let waiting: Vec<usize> =
            (0..queues.len()).filter(|other| *other != queue && queues[*other].wants).collect();
        drop(queues);
        for other in waiting {
            self.seats[other].tell(Signal::Wake);
        }
    }
}

fn grant(queues: &[Share], total: usize, queue: usize, want: usize) -> usize {
    let used: usize = queues.iter().map(|share| share.held).sum();
    let kept: usize = queues
        .iter()
        .enumerate()
        .filter(|(other, share)| *other != queue && share.wants)
        .map(|(_, share)| share.sure.saturating_sub(share.held))
        .sum();
    want.min(total.saturating_sub(used + kept))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(sure: usize, held: usize, wants: bool) -> Share {
        Share { sure, held, wants }
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
}
