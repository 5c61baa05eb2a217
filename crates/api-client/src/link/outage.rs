//! Tells an outage once when it begins, now and then while it lasts, and once when it is over, however many calls it fails.

use std::{
    error::Error as _,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::Error;

/// An answer ends an outage only if no call has failed for so long: a node of a cluster may be away while others answer.
const STEADY: Duration = Duration::from_secs(3);
/// How often it is told that an outage lasts.
const REMIND_EVERY: Duration = Duration::from_secs(30);

/// Shared by all connections to one place.
#[derive(Default)]
pub(super) struct Outage {
    /// Calls that are answered look at nothing else while there is none.
    lasts: AtomicBool,
    course: Mutex<Option<Course>>,
}

/// How an outage went so far.
struct Course {
    began: Instant,
    failed: u64,
    last_failed: Instant,
    last_told: Instant,
}

/// What there is to tell.
#[derive(Debug, PartialEq, Eq)]
enum News {
    Began,
    Lasts { failed: u64, since: Duration },
    Over { failed: u64, after: Duration },
}

impl Outage {
    /// Takes note of how a call ended, and logs what is worth it.
    pub(super) fn heard<T>(&self, answer: &Result<T, Error>, address: impl FnOnce() -> String) {
        let error = answer.as_ref().err().filter(|error| error.is_connection());
        let news = match error {
            Some(_) => self.failed(Instant::now()),
            None if self.lasts.load(Ordering::Relaxed) => self.answered(Instant::now()),
            None => None,
        };
        let Some(news) = news else { return };
        let address = address();
        let source = error.and_then(|error| error.source()).map(tracing::field::display);
        let error = error.map(tracing::field::display);
        match news {
            News::Began => {
                tracing::warn!(
                    address,
                    error,
                    source,
                    "calls to redis fail; it is told once when it answers again"
                );
            }
            News::Lasts { failed, since } => {
                tracing::warn!(address, error, source, failed, ?since, "calls to redis still fail");
            }
            News::Over { failed, after } => tracing::info!(address, failed, ?after, "redis answers again"),
        }
    }

    fn failed(&self, now: Instant) -> Option<News> {
        let mut course = self.course.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(course) = course.as_mut() else {
            *course = Some(Course { began: now, failed: 1, last_failed: now, last_told: now });
            self.lasts.store(true, Ordering::Relaxed);
            return Some(News::Began);
        };
        course.failed += 1;
        course.last_failed = now;
        if now.duration_since(course.last_told) < REMIND_EVERY {
            return None;
        }
        course.last_told = now;
        Some(News::Lasts { failed: course.failed, since: now.duration_since(course.began) })
    }

    fn answered(&self, now: Instant) -> Option<News> {
        let mut course = self.course.lock().unwrap_or_else(PoisonError::into_inner);
        let over = course.take_if(|course| now.duration_since(course.last_failed) >= STEADY)?;
        self.lasts.store(false, Ordering::Relaxed);
        Some(News::Over { failed: over.failed, after: now.duration_since(over.began) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    #[test]
    fn an_outage_is_told_when_it_begins_and_when_it_is_over_and_not_for_each_call() {
        let (outage, start) = (Outage::default(), Instant::now());

        assert_eq!(outage.answered(start), None);
        assert_eq!(outage.failed(start), Some(News::Began));
        assert_eq!(outage.failed(after(start, 200)), None);
        assert_eq!(outage.failed(after(start, 1_500)), None);
        let over = News::Over { failed: 3, after: Duration::from_millis(4_500) };
        assert_eq!(outage.answered(after(start, 4_000)), None);
        assert_eq!(outage.answered(after(start, 4_500)), Some(over));
        assert_eq!(outage.answered(after(start, 4_600)), None);
        assert_eq!(outage.failed(after(start, 4_700)), Some(News::Began));
    }

    #[test]
    fn a_node_that_is_away_while_others_answer_is_one_outage() {
        let (outage, start) = (Outage::default(), Instant::now());

        assert_eq!(outage.failed(start), Some(News::Began));
        for ms in (0..20_000).step_by(100) {
            assert_eq!(outage.answered(after(start, ms)), None);
            assert_eq!(outage.failed(after(start, ms + 50)), None);
        }
    }

    #[test]
    fn an_outage_that_lasts_is_told_every_half_minute() {
        let (outage, start) = (Outage::default(), Instant::now());

        let told =
            (0..100).filter_map(|second| outage.failed(after(start, second * 1_000))).collect::<Vec<_>>();

        let lasts = |second| News::Lasts { failed: second + 1, since: Duration::from_secs(second) };
        assert_eq!(told, [News::Began, lasts(30), lasts(60), lasts(90)]);
    }
}
