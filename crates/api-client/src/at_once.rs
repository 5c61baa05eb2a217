//! How many of something are asked for at once when some are of several MiB and nobody knows which: a call has a deadline, and what
//! does not come within it would not come the next time either.

use std::time::{Duration, Instant};

use crate::Error;

/// What took less leaves room for twice as many within the deadline of a call, which is 5 s.
const QUICK: Duration = Duration::from_secs(1);
/// By how much fewer are asked for after a time-out. Each costs a deadline and the connection, so that few must do.
const FEWER: usize = 4;

/// A count that learns from how long calls take.
#[derive(Debug)]
pub(crate) struct AtOnce {
    count: usize,
    most: usize,
}

impl AtOnce {
    /// Begins with `most` at once, and never has more.
    pub(crate) const fn new(most: usize) -> Self {
        Self { count: most, most }
    }

    /// Does something with as many as are due now: with fewer the next time if that timed out, with more if it was quick.
    ///
    /// # Errors
    /// What is done says.
    pub(crate) async fn with<T>(
        &mut self,
        act: impl AsyncFnOnce(usize) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let began = Instant::now();
        let done = act(self.count).await;
        match &done {
            Ok(_) => self.took(began.elapsed()),
            Err(Error::TimedOut { .. }) => self.count = (self.count / FEWER).max(1),
            Err(_) => {}
        }
        done
    }

    /// The same, and again with fewer after each time-out.
    ///
    /// # Errors
    /// What is done says; [`Error::TimedOut`] only for one alone.
    pub(crate) async fn until_in_time<T>(
        &mut self,
        mut act: impl AsyncFnMut(usize) -> Result<T, Error>,
    ) -> Result<T, Error> {
        loop {
            let count = self.count;
            match self.with(&mut act).await {
                Err(Error::TimedOut { .. }) if count > 1 => {}
                done => return done,
            }
        }
    }

    fn took(&mut self, time: Duration) {
        if time < QUICK {
            self.count = (2 * self.count).min(self.most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timed_out() -> Error {
        Error::TimedOut { address: "127.0.0.1:1".to_owned(), what: "XRANGE", after: Duration::from_secs(5) }
    }

    #[tokio::test]
    async fn what_does_not_come_in_time_is_asked_for_in_fewer_until_it_comes() {
        let (mut at_once, mut asked) = (AtOnce::new(200), Vec::new());

        let came = at_once
            .until_in_time(async |count| {
                asked.push(count);
                if count > 5 { Err(timed_out()) } else { Ok(count) }
            })
            .await;

        assert_eq!(came.unwrap(), 3);
        assert_eq!(asked, [200, 50, 12, 3]);
    }

    #[tokio::test]
    async fn one_that_alone_takes_too_long_is_an_error_and_is_asked_for_again_alone() {
        let mut at_once = AtOnce::new(6);

        let never = at_once.until_in_time(async |_| Err::<(), _>(timed_out())).await;

        assert!(matches!(never, Err(Error::TimedOut { .. })), "{never:?}");
        assert_eq!(at_once.with(async |count| Ok(count)).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn errors_other_than_time_outs_say_nothing_of_the_count() {
        let mut at_once = AtOnce::new(200);

        let gone = at_once.until_in_time(async |_| Err::<(), _>(Error::Late)).await;

        assert!(matches!(gone, Err(Error::Late)), "{gone:?}");
        assert_eq!(at_once.count, 200);
    }

    #[test]
    fn the_count_doubles_after_what_was_quick_up_to_the_most_and_stays_after_what_was_slow() {
        let mut at_once = AtOnce { count: 3, most: 10 };
        let mut counts = Vec::new();

        for seconds in [4, 1, 0, 4, 0, 0] {
            at_once.took(Duration::from_secs(seconds));
            counts.push(at_once.count);
        }

        assert_eq!(counts, [3, 3, 6, 6, 10, 10]);
    }
}
