//! Shared calls that are given up: their code panics, their runtime ends, or they are not answered. Beside `coalesce.rs`, as that file is compiled with other locks too (`tests/interleave`).

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    runtime::{Builder, Runtime},
    sync::mpsc,
};

use crate::{
    Error,
    coalesce::{Coalescer, Haul},
};

/// Makes each call, of one item, as it is told to.
struct Call<S> {
    deadline: Duration,
    send: S,
}

impl<S, F> Haul for Call<S>
where
    S: Fn(u8, Duration) -> F + Send + Sync + 'static,
    F: Future<Output = Result<u8, Error>> + Send,
{
    type Item = u8;
    type Outcome = u8;
    const MOST_ITEMS: usize = 1;
    const MOST_BYTES: usize = 1;

    fn size(_: &u8) -> usize {
        1
    }

    fn deadline(&self) -> Duration {
        self.deadline
    }

    async fn send(&self, items: Vec<&u8>, _: u64, left: Duration) -> Result<Vec<u8>, Error> {
        Ok(vec![(self.send)(*items[0], left).await?])
    }
}

#[tokio::test]
async fn who_waits_for_a_call_that_panics_is_told_and_those_behind_it_are_sent() {
    let broke = Arc::new(AtomicBool::new(false));
    let send = move |item, _| {
        let broke = Arc::clone(&broke);
        async move {
            tokio::task::yield_now().await;
            assert!(broke.swap(true, Ordering::SeqCst), "it breaks");
            Ok(item)
        }
    };
    let calls = Coalescer::new(Call { deadline: Duration::from_secs(15), send });

    let (first, behind_it) = tokio::join!(calls.submit(vec![1]), calls.submit(vec![2]));
    let next = calls.submit(vec![3]).await;

    let first = first.unwrap_err();
    assert!(first.is_connection() && first.to_string().contains("may have been carried out"), "{first}");
    assert_eq!((behind_it.unwrap(), next.unwrap()), (vec![2], vec![3]));
}

fn runtime() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

#[test]
fn what_a_runtime_that_ends_has_not_sent_is_sent_by_those_who_wait() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let (began, mut has_begun) = mpsc::unbounded_channel();
    let send = move |item, _| {
        seen.lock().unwrap().push(item);
        let _ = began.send(());
        async move {
            if item == 1 {
                std::future::pending::<()>().await;
            }
            Ok(item)
        }
    };
    let calls = Coalescer::new(Call { deadline: Duration::from_secs(15), send });
    let (one, other) = (runtime(), runtime());
    let first = {
        let _one = one.enter();
        calls.submit(vec![1])
    };
    one.block_on(has_begun.recv()).unwrap();
    let behind_it = [2, 3, 4].map(|item| calls.submit(vec![item]));

    drop(one);
    let [second, third, fourth] = behind_it;
    drop(third);
    let (first, second, fourth) = other.block_on(async { tokio::join!(first, second, fourth) });

    assert!(first.unwrap_err().is_connection());
    assert_eq!((second.unwrap(), fourth.unwrap()), (vec![2], vec![4]));
    assert_eq!(*asked.lock().unwrap(), [1, 2, 3, 4]);
}

#[test]
fn a_call_that_is_to_be_made_on_a_runtime_that_has_ended_holds_up_nobody() {
    let send = |item, _| std::future::ready(Ok(item));
    let calls = Coalescer::new(Call { deadline: Duration::from_secs(15), send });
    let (one, other) = (runtime(), runtime());
    let handle = one.handle().clone();
    drop(one);

    let first = {
        let _ended = handle.enter();
        calls.submit(vec![1])
    };
    let second = other.block_on(async { calls.submit(vec![2]).await });

    assert_eq!((other.block_on(first).unwrap(), second.unwrap()), (vec![1], vec![2]));
}

#[tokio::test]
async fn who_has_waited_for_a_deadline_behind_a_call_that_is_not_answered_is_told_with_it() {
    let made = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&made);
    let send = move |_, after| {
        count.fetch_add(1, Ordering::SeqCst);
        async move {
            tokio::task::yield_now().await;
            Err(Error::TimedOut { address: "nowhere".to_owned(), what: "a call", after })
        }
    };
    // Nothing is worth a second try.
    let calls = Coalescer::new(Call { deadline: Duration::ZERO, send });

    let answers = tokio::join!(calls.submit(vec![1]), calls.submit(vec![2]), calls.submit(vec![3]));

    assert!(answers.0.is_err() && answers.1.is_err() && answers.2.is_err());
    assert_eq!(made.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_call_has_the_time_that_is_left_to_who_waited_for_others_to_be_made() {
    let left = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&left);
    let send = move |item, left| {
        seen.lock().unwrap().push(left);
        async move {
            tokio::time::sleep(Duration::from_millis(30)).await;
            Ok(item)
        }
    };
    let calls = Coalescer::new(Call { deadline: Duration::from_secs(15), send });

    let (first, second) = tokio::join!(calls.submit(vec![1]), calls.submit(vec![2]));

    assert!(first.is_ok() && second.is_ok());
    let left = left.lock().unwrap();
    assert!(left[0] > left[1] + Duration::from_millis(20), "{left:?}");
}
