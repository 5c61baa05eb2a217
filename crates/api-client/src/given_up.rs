//! Shared calls that are given up: their code panics, or they are not answered. Beside `coalesce.rs`, as that file is compiled with other locks too (`tests/interleave`).

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use crate::{
    Error,
    coalesce::{Coalescer, Haul},
};

/// Panics at its first call.
#[derive(Default)]
struct Fragile {
    broke: AtomicBool,
}

impl Haul for Fragile {
    type Item = u8;
    type Outcome = u8;
    const MOST_ITEMS: usize = 1;
    const MOST_BYTES: usize = 1;

    fn size(_: &u8) -> usize {
        1
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(15)
    }

    async fn send(&self, items: Vec<&u8>, _: u64, _: Duration) -> Result<Vec<u8>, Error> {
        tokio::task::yield_now().await;
        assert!(self.broke.swap(true, Ordering::SeqCst), "it breaks");
        Ok(items.into_iter().copied().collect())
    }
}

#[tokio::test]
async fn who_waits_for_a_call_that_panics_is_told_and_the_next_call_is_made() {
    let calls = Coalescer::new(Fragile::default());

    let (first, behind_it) = tokio::join!(calls.submit(vec![1]), calls.submit(vec![2]));
    let next = calls.submit(vec![3]).await;

    assert!(first.is_err() && behind_it.is_err());
    assert_eq!(next.unwrap(), [3]);
}

/// Is never answered, and nothing is worth a second try.
#[derive(Default)]
struct Silent {
    calls: AtomicU64,
}

impl Haul for Silent {
    type Item = u8;
    type Outcome = u8;
    const MOST_ITEMS: usize = 1;
    const MOST_BYTES: usize = 1;

    fn size(_: &u8) -> usize {
        1
    }

    fn deadline(&self) -> Duration {
        Duration::ZERO
    }

    async fn send(&self, _: Vec<&u8>, _: u64, after: Duration) -> Result<Vec<u8>, Error> {
        tokio::task::yield_now().await;
        self.calls.fetch_add(1, Ordering::SeqCst);
        Err(Error::TimedOut { address: "nowhere".to_owned(), what: "a call", after })
    }
}

#[tokio::test]
async fn who_has_waited_for_a_deadline_behind_a_call_that_is_not_answered_is_told_with_it() {
    let calls = Coalescer::new(Silent::default());

    let answers = tokio::join!(calls.submit(vec![1]), calls.submit(vec![2]), calls.submit(vec![3]));

    assert!(answers.0.is_err() && answers.1.is_err() && answers.2.is_err());
    assert_eq!(calls.haul().calls.load(Ordering::SeqCst), 1);
}

/// Takes its time for a call, and remembers how much was left for each.
#[derive(Default)]
struct Slow {
    left: std::sync::Mutex<Vec<Duration>>,
}

impl Haul for Slow {
    type Item = u8;
    type Outcome = ();
    const MOST_ITEMS: usize = 1;
    const MOST_BYTES: usize = 1;

    fn size(_: &u8) -> usize {
        1
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(15)
    }

    async fn send(&self, _: Vec<&u8>, _: u64, left: Duration) -> Result<Vec<()>, Error> {
        self.left.lock().unwrap().push(left);
        tokio::time::sleep(Duration::from_millis(30)).await;
        Ok(vec![()])
    }
}

#[tokio::test]
async fn a_call_has_the_time_that_is_left_to_who_waited_for_others_to_be_made() {
    let calls = Coalescer::new(Slow::default());

    let (first, second) = tokio::join!(calls.submit(vec![1]), calls.submit(vec![2]));

    assert!(first.is_ok() && second.is_ok());
    let left = calls.haul().left.lock().unwrap();
    assert!(left[0] > left[1] + Duration::from_millis(20), "{left:?}");
}
