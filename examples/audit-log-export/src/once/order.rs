//! What is asked for: by three producers at once, each with a connection of its own.

use std::{collections::HashSet, time::Duration};

use anyhow::ensure;
use ergate::{JobId, Priority};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::{
    app::{App, Places},
    database::{
        Organization,
        seed::{ACTIONS, Chance, DAYS},
    },
    job::{AuditLogExport, Filters},
    producer::Producer,
};

const PRODUCERS: usize = 3;
/// Time enough to break the storage between the last request and the start of the job that is to find it broken.
const BEFORE_TROUBLE: Duration = Duration::from_secs(1);

/// Everything that was asked for, each job once.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) jobs: Vec<Asked>,
    /// Requests that were told that the same export is under way.
    pub(crate) duplicates: usize,
}

/// A job, and what should become of it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) id: JobId,
    pub(crate) export: AuditLogExport,
    pub(crate) priority: Priority,
    pub(crate) delay: Duration,
    pub(crate) fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Completes,
    FailsTwice,
    Dies,
}

/// What a producer is to ask for.
#[derive(Debug)]
struct Request {
    export: AuditLogExport,
    priority: Priority,
    delay: Duration,
    fate: Fate,
}

/// Has `exports` exports asked for, and besides: one that all three producers ask for, one that is to fail twice, and one
/// that is to fail for good.
pub(crate) async fn ask(
    places: &Places,
    app: &App,
    exports: usize,
    until: Timestamp,
) -> anyhow::Result<Ledger> {
    let organizations = app.database.organizations().await?;
    let mut chance = Chance::new(2);
    let mut requests: Vec<Vec<Request>> = (0..PRODUCERS).map(|_| Vec::new()).collect();
    for number in 0..exports {
        requests[number % PRODUCERS].push(ordinary(&mut chance, &organizations, until)?);
    }

    let shared = ordinary(&mut chance, &organizations, until)?;
    for mine in &mut requests {
        // Delayed, so that it is still under way when the last producer asks.
        let delay = Duration::from_secs(2);
        mine.insert(
            0,
            Request {
                export: shared.export.clone(),
                priority: Priority::Normal,
                delay,
                fate: Fate::Completes,
            },
        );
    }

    let plain = ordinary(&mut chance, &organizations, until)?;
    // The last to be asked for, so that its delay begins when all else is said.
    requests[1].push(Request {
        delay: BEFORE_TROUBLE,
        fate: Fate::FailsTwice,
        priority: Priority::Highest,
        ..plain
    });

    let mut reversed = ordinary(&mut chance, &organizations, until)?;
    std::mem::swap(&mut reversed.export.start_date, &mut reversed.export.end_date);
    requests[2].insert(0, Request { fate: Fate::Dies, ..reversed });

    let mut producers = tokio::task::JoinSet::new();
    for mine in requests {
        let producer = Producer::new(places.client().await?);
        producers.spawn(async move { produce(&producer, mine).await });
    }
    let (mut jobs, mut duplicates, mut known) = (Vec::new(), 0, HashSet::new());
    while let Some(asked) = producers.join_next().await {
        for (asked, duplicate) in asked?? {
            duplicates += usize::from(duplicate);
            if known.insert(asked.id.clone()) {
                jobs.push(asked);
            }
        }
    }
    ensure!(jobs.len() == exports + 3, "{} jobs were enqueued, {} were expected", jobs.len(), exports + 3);
    Ok(Ledger { jobs, duplicates })
}

async fn produce(producer: &Producer, requests: Vec<Request>) -> anyhow::Result<Vec<(Asked, bool)>> {
    let mut asked = Vec::new();
    for Request { export, priority, delay, fate } in requests {
        let receipt = producer.audit_log_export(export.clone()).priority(priority).delay(delay).await?;
        asked.push((Asked { id: receipt.id, export, priority, delay, fate }, receipt.duplicate));
    }
    Ok(asked)
}

fn ordinary(
    chance: &mut Chance,
    organizations: &[Organization],
    until: Timestamp,
) -> anyhow::Result<Request> {
    let day = |days: i64| until - SignedDuration::from_hours(24 * (DAYS - days));
    let start = chance.below(DAYS as u64 - 10).cast_signed();
    let end = (start + 10 + chance.below(60).cast_signed()).min(DAYS);
    let organization = &organizations[chance.below(organizations.len() as u64) as usize];
    let filters = (chance.below(4) == 0)
        .then(|| Filters { action: Some(chance.pick(&ACTIONS).to_owned()), ..Filters::default() });
    let export = AuditLogExport {
        org_id: organization.id,
        // Each user asks once, so that no two of these requests are the same.
        user_id: Uuid::from_u64_pair(chance.next(), chance.next()),
        user_email: format!("user-{}@example.com", chance.below(1_000_000)),
        start_date: day(start),
        end_date: day(end),
        filters,
    };
    let priority = Priority::new(chance.below(10).cast_signed() + 1)?;
    let delay =
        if chance.below(3) == 0 { Duration::from_millis(500 + chance.below(2_500)) } else { Duration::ZERO };
    Ok(Request { export, priority, delay, fate: Fate::Completes })
}
