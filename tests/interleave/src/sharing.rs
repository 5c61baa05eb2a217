//! Slots that queues share.

use shuttle::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use crate::{identity::Seat, in_many_orders, pool::Pool};

/// As a queue's loop does: takes what it gets, runs that many jobs, and sleeps until it is woken when it gets nothing.
fn work(pool: &Pool, seat: &Seat, queue: usize, mut jobs: usize, running: &AtomicUsize, total: usize) {
    while jobs > 0 {
        let ask = pool.take(queue, jobs.min(2));
        if ask == 0 {
            seat.until_woken();
            continue;
        }
        let leased = ask.min(jobs);
        assert!(running.fetch_add(leased, Ordering::SeqCst) + leased <= total, "more run than there are slots");
        jobs -= leased;
        for _ in 0..leased {
            thread::yield_now();
            running.fetch_sub(1, Ordering::SeqCst);
            pool.give_back(queue, 1);
        }
    }
    // Nothing is left: a turn finds nothing, and gives back all it took.
    loop {
        let ask = pool.take(queue, 2);
        if ask > 0 {
            return pool.not_needed(queue, ask);
        }
        seat.until_woken();
    }
}

#[test]
fn no_more_run_than_there_are_slots_and_no_queue_sleeps_while_one_is_free() {
    in_many_orders(|| {
        let seats: Vec<_> = (0..3).map(|_| Arc::new(Seat::default())).collect();
        let pool = Arc::new(Pool::new(2, seats.clone(), &[1, 1, 2]));
        let running = Arc::new(AtomicUsize::new(0));
        let queues: Vec<_> = seats
            .into_iter()
            .enumerate()
            .map(|(queue, seat)| {
                let (pool, running) = (Arc::clone(&pool), Arc::clone(&running));
                thread::spawn(move || work(&pool, &seat, queue, 2, &running, 2))
            })
            .collect();
        for queue in queues {
            queue.join().unwrap();
        }
        assert_eq!(pool.take(0, 2), 2, "all slots are free again");
    });
}
