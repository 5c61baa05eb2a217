//! Made-up organizations with made-up audit logs: the same ones every time, for a given end.

use jiff::{SignedDuration, Timestamp};
use rusqlite::params;
use uuid::Uuid;

use super::Database;

/// How far back the logs reach.
pub(crate) const DAYS: i64 = 90;

/// What happens in these organizations.
pub(crate) const ACTIONS: [&str; 8] = [
    "user.signed_in",
    "document.viewed",
    "document.edited",
    "document.shared",
    "member.invited",
    "member.removed",
    "api_key.created",
    "billing.updated",
];
const NAMES: [&str; 20] = [
    "Acacia", "Birch", "Cedar", "Dogwood", "Elm", "Fir", "Ginkgo", "Hazel", "Ironwood", "Juniper", "Kapok",
    "Larch", "Maple", "Nutmeg", "Oak", "Pine", "Quince", "Rowan", "Spruce", "Teak",
];

impl Database {
    /// Fills an empty database with `organizations` (at most 20) of `rows` audit logs each, over the last 90 days before
    /// `until`; does nothing if there are organizations already.
    pub(crate) async fn seed(&self, organizations: usize, rows: u32, until: Timestamp) -> anyhow::Result<()> {
        self.call(move |connection| {
            let transaction = connection.transaction()?;
            let known: bool =
                transaction.query_row("select exists (select 1 from organizations)", [], |row| row.get(0))?;
            if known {
                return Ok(());
            }
            let mut chance = Chance::new(1);
            let span = SignedDuration::from_hours(24 * DAYS).as_millis();
            let begin = until.as_millisecond() - span as i64;
            {
                let mut organization = transaction.prepare("insert into organizations (id, name) values (?, ?)")?;
                let mut log = transaction.prepare(
                    "insert into audit_logs (org_id, at, actor, action, target, ip) values (?, ?, ?, ?, ?, ?)",
                )?;
                for name in NAMES.into_iter().take(organizations) {
                    let org_id = Uuid::from_u64_pair(chance.next(), chance.next()).to_string();
                    organization.execute([&org_id, &format!("{name} & Co")])?;
                    let domain = name.to_lowercase();
                    for _ in 0..rows {
                        let at = begin + chance.below(span as u64).cast_signed();
                        let actor = format!("{}@{domain}.example", chance.pick(&["ada", "ben", "cleo", "dan", "eve"]));
                        let action = chance.pick(&ACTIONS);
                        // Commas and quotes, so that whoever writes CSV by hand is found out.
                        let target = format!("Plan \"{}\", page {}", chance.below(500), chance.below(40));
                        let ip = format!("203.0.113.{}", chance.below(256));
                        log.execute(params![org_id, at, actor, action, target, ip])?;
                    }
                }
            }
            transaction.commit()
        })
        .await
    }
}

/// Numbers that look like chance and are the same every time (SplitMix64).
#[derive(Debug, Clone)]
pub(crate) struct Chance {
    state: u64,
}

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 up to and not including `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}
