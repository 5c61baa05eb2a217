//! Shared calls whose code panics. Beside `coalesce.rs`, as that file is compiled with other locks too (`tests/interleave`).

use std::sync::atomic::{AtomicBool, Ordering};

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

    async fn send(&self, items: Vec<&u8>, _: u64) -> Result<Vec<u8>, Error> {
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
