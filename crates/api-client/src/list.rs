//! Listing jobs of a queue by state, page by page.

use std::collections::HashSet;

use ergate_shared::{JobId, JobState, key::QueueKey};
use redis::Cmd;

use crate::{Error, JobView, Queue};

/// Some of a list, and where to go on.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// What is on this page.
    pub items: Vec<T>,
    /// What to pass for the next page; `None` at the end.
    pub next: Option<String>,
}

/// The states' places in Redis, in the order their jobs are listed.
enum Place {
    /// A list read from its head.
    List(QueueKey),
    /// A list read from its tail: the newest first.
    Reversed(QueueKey),
    /// A sorted set from its lowest score, or from its highest.
    Sorted(QueueKey, bool),
    /// The part of a sorted set from one score to another, from its lowest.
    Part(QueueKey, &'static str, &'static str),
    /// A hash, in no order.
    Hash(QueueKey),
    /// Jobs in lanes, lane by lane.
    Lanes,
}

/// The score in `ranked` that all sooner priorities than the plain one are below, and all later ones above; see
/// `lua/lib/ready.lua`.
const PLAIN_RANK: &str = "50000000000000";
const AFTER_PLAIN_RANK: &str = "(50000000000000";
/// The farthest a cursor may lead: more than any list has, and a number Redis can count from.
const FARTHEST: u64 = 1 << 53;

impl Queue {
    /// Jobs in a state: those to run next first, those that ended last first.
    ///
    /// Jobs that move while a list is read may be missed or seen twice. `cursor` is what the page before said.
    ///
    /// # Errors
    /// [`Error::Option`] for a cursor that no page gave.
    pub async fn list(
        &self,
        state: JobState,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<JobView>, Error> {
        let page = self.ids(state, cursor, limit).await?;
        let found = if page.items.is_empty() { Vec::new() } else { self.inspect(&page.items, false).await? };
        let mut items: Vec<JobView> =
            found.into_iter().flatten().filter(|view| view.state == state).collect();
        // A job made ready once more has its withdrawn entry before the one that counts.
        let mut seen = HashSet::new();
        items.reverse();
        items.retain(|view| seen.insert(view.id.clone()));
        items.reverse();
        Ok(Page { items, next: page.next })
    }

    pub(crate) async fn ids(
        &self,
        state: JobState,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<JobId>, Error> {
        let places: &[Place] = match state {
            JobState::Ready => &[
                Place::Part(QueueKey::ranked, "-inf", PLAIN_RANK),
                Place::List(QueueKey::ready),
                Place::Part(QueueKey::ranked, AFTER_PLAIN_RANK, "+inf"),
                Place::Lanes,
            ],
            JobState::Scheduled => &[Place::Sorted(QueueKey::scheduled, false)],
            JobState::Leased => &[Place::Hash(QueueKey::leased)],
            JobState::Completed => &[Place::Reversed(QueueKey::completed)],
            JobState::Cancelled => &[Place::Reversed(QueueKey::cancelled)],
            JobState::Dead => &[Place::Sorted(QueueKey::dead, true)],
        };
        let (index, offset) = match cursor {
            None => (0, 0_u64),
            Some(cursor) => cursor
                .split_once('-')
                .and_then(|(index, offset)| Some((index.parse::<usize>().ok()?, offset.parse().ok()?)))
                .filter(|(index, offset)| *index < places.len() && *offset <= FARTHEST)
                .ok_or_else(|| Error::Option(format!("cursor {cursor:?} is not one that a page gave")))?,
        };
        let (ids, next) = self.read(&places[index], offset, limit.clamp(1, 1000)).await?;
        let next = match next {
            Some(offset) => Some(format!("{index}-{offset}")),
            None if index + 1 < places.len() => Some(format!("{}-0", index + 1)),
            None => None,
        };
        if ids.is_empty() && next.is_some() {
            return Box::pin(self.ids(state, next.as_deref(), limit)).await;
        }
        let items = ids.into_iter().map(JobId::stored).collect();
        Ok(Page { items, next })
    }

    async fn read(
        &self,
        place: &Place,
        offset: u64,
        limit: usize,
    ) -> Result<(Vec<String>, Option<u64>), Error> {
        let redis = self.client().redis();
        let last = offset + limit as u64 - 1;
        let range = |verb: &str, key: QueueKey, from: i64, to: i64| {
            let mut command = Cmd::new();
            command.arg(verb).arg(self.keys().get(key)).arg(from).arg(to);
            command
        };
        let (start, end) = (offset as i64, last as i64);
        let ids: Vec<String> = match place {
            Place::List(key) => redis.command("LRANGE", &range("LRANGE", *key, start, end)).await?,
            Place::Reversed(key) => {
                let mut ids: Vec<String> =
                    redis.command("LRANGE", &range("LRANGE", *key, -end - 1, -start - 1)).await?;
                ids.reverse();
                ids
            }
            Place::Sorted(key, false) => redis.command("ZRANGE", &range("ZRANGE", *key, start, end)).await?,
            Place::Part(key, from, to) => {
                let mut command = Cmd::new();
                command.arg("ZRANGEBYSCORE").arg(self.keys().get(*key)).arg(*from).arg(*to);
                command.arg("LIMIT").arg(offset).arg(limit);
                redis.command("ZRANGEBYSCORE", &command).await?
            }
            Place::Lanes => {
                let members: Vec<Vec<u8>> =
                    redis.command("ZRANGE", &range("ZRANGE", QueueKey::laned, start, end)).await?;
                members.iter().map(|member| id_in_lane(member)).collect()
            }
            Place::Sorted(key, true) => {
                redis.command("ZREVRANGE", &range("ZREVRANGE", *key, start, end)).await?
            }
            Place::Hash(key) => {
                let mut scan = Cmd::new();
                scan.arg("HSCAN").arg(self.keys().get(*key)).arg(offset).arg("COUNT").arg(limit);
                let (next, entries): (u64, Vec<(String, String)>) = redis.command("HSCAN", &scan).await?;
                let ids = entries.into_iter().map(|(id, _)| id).collect();
                return Ok((ids, (next != 0).then_some(next)));
            }
        };
        let next = (ids.len() == limit).then_some(last + 1);
        Ok((ids, next))
    }
}

/// The id in a member of `laned`, which begins with the lane, a NUL, and fifteen digits for priority and order.
fn id_in_lane(member: &[u8]) -> String {
    let lane_ends = member.iter().position(|byte| *byte == 0).unwrap_or(0);
    String::from_utf8_lossy(member.get(lane_ends + 16..).unwrap_or_default()).into_owned()
}
