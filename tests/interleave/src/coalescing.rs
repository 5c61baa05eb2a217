//! Calls that are shared: one in flight, everybody is answered with what is theirs.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use shuttle::{
    future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use crate::{
    Error,
    coalesce::{Coalescer, Haul},
    in_many_orders,
};

/// Remembers what was sent, and by which call.
#[derive(Default)]
struct Calls {
    in_flight: AtomicUsize,
    sent: Mutex<Vec<(u64, u32)>>,
    fails: Option<u64>,
    /// The call that the task dies in which makes it.
    dies: Option<u64>,
}

impl Haul for Calls {
    type Item = u32;
    type Outcome = u32;
    const MOST_ITEMS: usize = 3;
    const MOST_BYTES: usize = 1000;

    fn size(_: &u32) -> usize {
        1
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(15)
    }

    async fn send(&self, items: Vec<&u32>, number: u64, _: Duration) -> Result<Vec<u32>, Error> {
        assert_eq!(self.in_flight.fetch_add(1, Ordering::SeqCst), 0, "two calls are in flight");
        thread::yield_now();
        self.sent.lock().unwrap().extend(items.iter().map(|item| (number, **item)));
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        if self.dies == Some(number) {
            return tokio::die().await;
        }
        if self.fails == Some(number) {
            return Err(Error::Server("no".to_owned()));
        }
        Ok(items.into_iter().map(|item| item * 10).collect())
    }
}

#[test]
fn everybody_is_answered_with_their_own_and_each_item_is_sent_once() {
    in_many_orders(|| {
        let calls = Coalescer::new(Calls::default());
        let senders: Vec<_> = [vec![1, 2], vec![3], vec![4, 5], vec![6]]
            .into_iter()
            .map(|items| {
                let calls = calls.clone();
                thread::spawn(move || {
                    let expected: Vec<_> = items.iter().map(|item| item * 10).collect();
                    assert_eq!(future::block_on(calls.submit(items)).unwrap(), expected);
                })
            })
            .collect();
        for sender in senders {
            sender.join().unwrap();
        }

        let sent = calls.haul().sent.lock().unwrap().clone();
        let mut items: Vec<_> = sent.iter().map(|(_, item)| *item).collect();
        items.sort_unstable();
        assert_eq!(items, [1, 2, 3, 4, 5, 6]);
        assert!(sent.is_sorted_by_key(|(number, _)| *number), "calls are numbered as they are sent");
    });
}

#[test]
fn one_who_goes_away_takes_nobody_along() {
    in_many_orders(|| {
        let calls = Coalescer::new(Calls::default());
        let leaver = {
            let calls = calls.clone();
            thread::spawn(move || {
                let mut submit = pin!(calls.submit(vec![1]));
                let _: Poll<_> = submit.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            })
        };
        let stayer = {
            let calls = calls.clone();
            thread::spawn(move || future::block_on(calls.submit(vec![2])).unwrap())
        };

        leaver.join().unwrap();
        assert_eq!(stayer.join().unwrap(), [20]);
    });
}

/// Whoever is in the first call, and nobody else, is told that it failed.
fn first_fails(calls: Calls) {
    let calls = Coalescer::new(calls);
    let failed = Arc::new(Mutex::new(Vec::new()));
    let senders: Vec<_> = (1..=3)
        .map(|item| {
            let (calls, failed) = (calls.clone(), Arc::clone(&failed));
            thread::spawn(move || match future::block_on(calls.submit(vec![item])) {
                Ok(outcome) => assert_eq!(outcome, [item * 10]),
                Err(_) => failed.lock().unwrap().push((1, item)),
            })
        })
        .collect();
    for sender in senders {
        sender.join().unwrap();
    }

    let mut failed = failed.lock().unwrap().clone();
    failed.sort_unstable();
    let sent = calls.haul().sent.lock().unwrap().clone();
    let mut of_first: Vec<_> = sent.iter().copied().filter(|(number, _)| *number == 1).collect();
    of_first.sort_unstable();
    assert_eq!(failed, of_first);
    assert_eq!(sent.len(), 3, "each item is sent once");
}

#[test]
fn a_call_that_fails_fails_for_those_in_it_and_no_other() {
    in_many_orders(|| first_fails(Calls { fails: Some(1), ..Calls::default() }));
}

#[test]
fn a_task_that_ends_in_its_call_fails_those_in_it_and_no_other() {
    in_many_orders(|| first_fails(Calls { dies: Some(1), ..Calls::default() }));
}
