//! A worker stands still for longer than its lease, and then goes on with a job that another has by then.

use std::time::Duration;

use beside::{TICK, What, now_us};
use tokio::time::sleep;

use super::super::play::{Play, after, at_once, begins, calls, counts, happened};

pub(super) const ABOUT: &str = "Two workers of 2 slots. The first has a job whose work takes half a lease and 5 s, and is stopped \
    (SIGSTOP) 0.5 to 1.5 s after it began. 0.5 to 1 s after the second worker has begun the job, the first goes on (SIGCONT). The \
    handler notes when it is told to stop and works on to its end. At the end 8 jobs of 1 s are added.";

/// How long the first worker is watched after it goes on, beyond what its work takes.
const SLACK: Duration = Duration::from_secs(30);

pub(super) async fn acts(play: &mut Play) -> anyhow::Result<()> {
    let (url, patience) = (play.server.url(), play.setting.patience());
    let work = play.setting.lease(&play.system) / 2 + Duration::from_secs(5);
    let first = play.worker("first", &url, 2).await?;
    let ids = play.add("job", 1, u32::try_from(work.as_millis() / TICK.as_millis())?).await?;
    play.insist("the job begins", |lines| begins(lines, &ids, None).pop()).await?;
    let second = play.worker("second", &url, 2).await?;

    let stands = play.between(500, 1500);
    sleep(stands).await;
    let stopped_us = now_us();
    first.process.sigstop();
    let taken = play.until(patience, |lines| begins(lines, &ids, Some("second")).pop()).await;
    play.saw("the second worker begins the job, after SIGSTOP", after(stopped_us, taken, patience));

    let late = play.between(500, 1000);
    sleep(late).await;
    let goes_on_us = now_us();
    first.process.sigcont();
    play.did(format!(
        "stopped for {:.1} s, work of {} s",
        Duration::from_micros(goes_on_us - stopped_us).as_secs_f64(),
        work.as_secs_f64()
    ));

    let over = |lines: &[beside::Line]| {
        let [ended, dropped] =
            [What::End, What::Dropped].map(|what| happened(lines, &ids[0], "first", &what));
        ended.map(|at| ("at its end", at)).or(dropped.map(|at| ("dropped by the worker", at)))
    };
    let limit = work + SLACK;
    let end = play.until(limit, over).await;
    let told = happened(&play.lines(), &ids[0], "first", &What::Told);
    play.saw(
        "the first handler is told, after SIGCONT",
        told.map_or_else(|| "no".to_owned(), |at| after(goes_on_us, Some(at), limit)),
    );
    play.saw(
        "the first handler stops, after SIGCONT",
        end.map_or_else(
            || after(goes_on_us, None, limit),
            |(how, at)| format!("{}, {how}", after(goes_on_us, Some(at), limit)),
        ),
    );

    let (found, _) = play.ended(&ids, patience).await?;
    let lines = play.lines();
    let whole = lines.iter().filter(|line| line.id == ids[0] && line.what == What::End).count();
    play.saw("calls of the handler", calls(&lines, &ids));
    play.saw(
        "two calls at work on the job at once, one standing still included",
        at_once(&lines, &ids, now_us()),
    );
    play.saw("calls that came to their end", whole.to_string());
    play.saw("state of the job", found[0].state.clone());
    play.saw(
        "whose outcome is kept",
        found[0].result.as_ref().map_or("none".to_owned(), |by| {
            let member = by.split(':').next().unwrap_or_default();
            format!("the {member} worker's")
        }),
    );
    play.saw("what the system counted", counts(&found[0].counts));

    let more = play.add("more", 8, 10).await?;
    let added_us = now_us();
    let limit = Duration::from_secs(30);
    let again = play.until(limit, |lines| begins(lines, &more, Some("first")).first().copied()).await;
    play.saw("the first worker begins another job, after these were added", after(added_us, again, limit));
    drop((first, second));
    Ok(())
}
