//! A worker is killed, and so is the one that goes on with its jobs.

use beside::{Line, What, now_us};
use tokio::time::sleep;

use super::super::play::{Play, after, begins, calls, counts, states};

pub(super) const ABOUT: &str = "A worker of 4 slots has 4 jobs of 3 s and is killed (SIGKILL) 0.5 to 1.5 s after they began, while \
    a second one of 4 slots is idle. When the second has begun them it is killed as well, after 0.5 to 1.5 s, while a third is \
    idle. The jobs may be tried 3 times.";

pub(super) async fn acts(play: &mut Play) -> anyhow::Result<()> {
    let (url, patience) = (play.server.url(), play.setting.patience());
    let first = play.worker("first", &url, 4).await?;
    let ids = play.add("job", 4, 30).await?;
    play.insist("4 jobs begin", |lines| (begins(lines, &ids, None).len() == 4).then_some(())).await?;

    let mut idle = play.worker("second", &url, 4).await?;
    let mut busy = first;
    for (next, killed) in [("third", "first"), ("", "second")] {
        let wait = play.between(500, 1500);
        sleep(wait).await;
        let killed_us = now_us();
        busy.process.sigkill();
        play.did(format!("{killed} worker killed"));

        let name = idle.name.clone();
        let (begun, ended) = taken_over(play, &ids, &name).await?;
        play.saw(
            format!("the {name} worker begins the jobs of the {killed}, after SIGKILL"),
            match begun[..] {
                [] if ended => "not: the jobs have ended".to_owned(),
                [] => after(killed_us, None, patience),
                [earliest, .., last] => format!(
                    "{} of 4, {} to {}",
                    begun.len(),
                    after(killed_us, Some(earliest), patience),
                    after(killed_us, Some(last), patience)
                ),
                [only] => format!("1 of 4, {}", after(killed_us, Some(only), patience)),
            },
        );
        let lines = play.lines();
        let told = lines.iter().find_map(|line| match &line.what {
            What::Begin { counts } if line.member == name && ids.contains(&line.id) => Some(counts.clone()),
            _ => None,
        });
        play.saw(
            format!("what the system counted by then, told to the {name} worker"),
            told.map_or("no call".to_owned(), |told| counts(&told)),
        );
        if !next.is_empty() {
            let fresh = play.worker(next, &url, 4).await?;
            busy = std::mem::replace(&mut idle, fresh);
        }
    }

    let (found, _) = play.ended(&ids, patience).await?;
    play.saw("state of the jobs", states(&found));
    play.saw("what the system counted in the end", counts(&found[0].counts));
    play.saw("calls of the handler", calls(&play.lines(), &ids));
    Ok(())
}

/// When the worker began the jobs, once it has begun all of them, or they have ended, or the time is over; and whether they have
/// ended.
async fn taken_over(play: &Play, ids: &[String], member: &str) -> anyhow::Result<(Vec<u64>, bool)> {
    let patience = play.setting.patience();
    let begun = |lines: &[Line]| begins(lines, ids, Some(member));
    let all_begun = play.until(patience, |lines| (begun(lines).len() == ids.len()).then_some(()));
    let ended = tokio::select! {
        _ = all_begun => false,
        ended = play.ended(ids, patience) => ended?.1.is_some(),
    };
    Ok((begun(&play.lines()), ended))
}
