//! How far away Redis is, in round trips and by the clock.

use std::time::{Duration, Instant};

use ergate_client::{Error, Redis};
use ergate_shared::clock;

use super::Finding;

const PINGS: usize = 50;
/// A round trip this long halves what a worker gets done; within one data centre it is below a millisecond.
const SLOW: Duration = Duration::from_millis(5);
/// One slow round trip in fifty is what `fork` for a snapshot or a slow command of somebody else looks like.
const STALL: Duration = Duration::from_millis(100);
/// Deadlines go by Redis' clock, so that a difference only shows in what people read.
const MOST_OFFSET_MS: u64 = 1_000;

pub(super) async fn findings(redis: &Redis) -> Result<Vec<Finding>, Error> {
    let mut times = Vec::with_capacity(PINGS);
    for _ in 0..PINGS {
        let started = Instant::now();
        redis.command::<String>("PING", &redis::cmd("PING")).await?;
        times.push(started.elapsed());
    }
    times.sort_unstable();
    let (median, worst) = (times[PINGS / 2], times[PINGS - 1]);
    Ok(vec![round_trips(median, worst), offset(redis, median).await?])
}

fn round_trips(median: Duration, worst: Duration) -> Finding {
    let text = format!("a round trip takes {}, the slowest of {PINGS} took {}", show(median), show(worst));
    if median > SLOW {
        return Finding::warn(text, "run workers nearer to Redis, in the same data centre and zone");
    }
    if worst > STALL {
        return Finding::warn(
            text,
            "look for slow commands with `redis-cli SLOWLOG GET` and `redis-cli LATENCY LATEST`",
        );
    }
    Finding::ok(text)
}

fn show(time: Duration) -> String {
    match time.as_micros() {
        micros @ 0..1_000 => format!("{micros} µs"),
        micros => format!("{:.1} ms", micros as f64 / 1_000.0),
    }
}

async fn offset(redis: &Redis, round_trip: Duration) -> Result<Finding, Error> {
    let before = clock::unix_ms();
    let (seconds, micros): (u64, u64) = redis.command("TIME", &redis::cmd("TIME")).await?;
    let here = before + u64::try_from(round_trip.as_millis() / 2).unwrap_or(0);
    let there = seconds * 1_000 + micros / 1_000;
    let apart = there.abs_diff(here);
    let text = match apart {
        0..20 => "its clock and this machine's agree".to_owned(),
        apart => format!(
            "its clock is {} {} of this machine's",
            ergate_shared::duration::show(Duration::from_millis(apart)),
            if there > here { "ahead" } else { "behind" }
        ),
    };
    if apart > MOST_OFFSET_MS {
        return Ok(Finding::warn(
            format!("{text}; deadlines go by Redis' clock, times given on the command line by this one"),
            "let both machines follow NTP",
        ));
    }
    Ok(Finding::ok(text))
}

#[cfg(test)]
mod tests {
    use super::{super::Level, *};

    #[test]
    fn distance_and_stalls_are_told_apart() {
        let ms = Duration::from_millis;

        assert_eq!(round_trips(ms(1), ms(3)).level, Level::Ok);
        assert!(round_trips(ms(8), ms(9)).fix.unwrap().contains("nearer"));
        assert!(round_trips(ms(1), ms(300)).fix.unwrap().contains("SLOWLOG"));
    }
}
