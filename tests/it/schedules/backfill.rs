//! Times of the past that are filled in by hand.

use super::*;

#[tokio::test]
async fn a_stretch_of_the_past_is_filled_in_once() {
    let story = Story::begin().await;
    let schedule = story.client.schedule("daily").unwrap();
    schedule.cron("0 3 * * *").zone("Europe/Berlin").job(act(1, Does::Succeed)).await.unwrap();
    let time = |text: &str| text.parse::<Timestamp>().unwrap();
    let (from, to) = (time("2026-03-27T02:00:00Z"), time("2026-03-31T01:00:00Z"));

    let filled = schedule.backfill(from, to).await.unwrap();
    let again = schedule.backfill(from, to).await.unwrap();

    assert_eq!((filled.started, filled.there), (4, 0));
    assert_eq!((again.started, again.there), (0, 4));
    assert_eq!(
        times_started(&story).await,
        // Summer time begins on the 29th; `to` itself is not included.
        ["2026-03-27T02:00:00Z", "2026-03-28T02:00:00Z", "2026-03-29T01:00:00Z", "2026-03-30T01:00:00Z"]
            .map(time)
    );
}

#[tokio::test]
async fn what_is_still_to_come_or_too_much_is_not_filled_in() {
    let story = Story::begin().await;
    let schedule = story.client.schedule("each-second").unwrap();
    schedule.every(Duration::from_secs(1)).job(act(1, Does::Succeed)).await.unwrap();
    let now = Timestamp::from_millisecond(redis_now(&story).await as i64).unwrap();

    let ahead = schedule.backfill(now, now + Duration::from_hours(1)).await;
    let endless = schedule.backfill(now - Duration::from_hours(24), now).await;

    assert!(matches!(ahead, Err(Error::Option(message)) if message.contains("still to come")));
    assert!(matches!(endless, Err(Error::Option(message)) if message.contains("10000 times")));
    assert_eq!(times_started(&story).await, []);
}
