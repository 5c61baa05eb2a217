//! Sleeping: the run leaves memory until its time.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context as Task, Poll},
    time::Duration,
};

use ergate_shared::{
    duration,
    run::{LONGEST_SLEEP, Op},
};

use super::{changed, mismatch};
use crate::{
    Failure,
    run::{Shared, Standing},
};

/// A sleep about to begin: await it.
#[must_use = "a run sleeps while this is awaited"]
pub struct Sleep {
    sleeping: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").finish_non_exhaustive()
    }
}

impl Sleep {
    pub(super) fn lasting(shared: &Arc<Shared>, step: String, length: Duration) -> Self {
        let shared = Arc::clone(shared);
        Self {
            sleeping: Box::pin(async move {
                let due = shared.store.now_ms().saturating_add(length.as_millis() as u64);
                sleep(&shared, &step, due).await;
            }),
        }
    }

    pub(super) fn until(shared: &Arc<Shared>, step: String, time: jiff::Timestamp) -> Self {
        let shared = Arc::clone(shared);
        let due = u64::try_from(time.as_millisecond()).unwrap_or(0);
        Self { sleeping: Box::pin(async move { sleep(&shared, &step, due).await }) }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Task<'_>) -> Poll<()> {
        self.sleeping.as_mut().poll(cx)
    }
}

async fn sleep(shared: &Arc<Shared>, step: &str, end: u64) {
    let standing = match shared.standing(step) {
        (_, Standing::Fresh) => {
            if shared.stops_before(step) {
                return std::future::pending().await;
            }
            let length = Duration::from_millis(end.saturating_sub(shared.store.now_ms()));
            if length > LONGEST_SLEEP {
                shared.end(Failure::fatal(format!(
                    "step {step} would sleep {}, the most is {}",
                    duration::show(length),
                    duration::show(LONGEST_SLEEP)
                )));
                return std::future::pending().await;
            }
            shared.write(step, Op::Sleep { due: end });
            changed(shared, step, 0).await.1
        }
        (_, standing) => standing,
    };
    let Standing::Sleep { due } = standing else { return mismatch(shared, step, "a sleep").await };
    until(shared, due).await;
}

/// Returns once it is `due`, in ms since the epoch. While nothing else goes on, the run leaves memory here, and comes back then.
pub(super) async fn until(shared: &Arc<Shared>, due: u64) {
    let is_due = || shared.store.now_ms() >= due;
    if is_due() {
        return;
    }
    let _pending = shared.pending(due);
    std::future::poll_fn(|cx| {
        if is_due() {
            return Poll::Ready(());
        }
        shared.listen(cx.waker());
        Poll::Pending
    })
    .await;
}
