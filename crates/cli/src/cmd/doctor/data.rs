//! Whether the data can be read, and whether every queue is well.

use ergate_client::{Client, Error, QueueStats};
use ergate_shared::{FORMAT, QueueName};

use super::Finding;
use crate::{
    connection::Connection,
    exit,
    output::{about, counted},
};

/// Share of the dead letters a queue keeps from which the oldest are soon trimmed.
const NEARLY_TRIMMED: f64 = 0.9;
const KEEP_DEAD: f64 = 10_000.0;

pub(super) async fn findings(connection: &Connection) -> anyhow::Result<Vec<Finding>> {
    match look(connection).await {
        Ok(findings) => Ok(findings),
        Err(error) if matches!(error, Error::Unreachable { .. } | Error::TimedOut { .. }) => {
            Err(error.into())
        }
        Err(error) => {
            let chain = exit::chain(&error.into()).join(": ");
            let fix = "mend what is said above; until then not every command works";
            Ok(vec![Finding::loses_work(format!("Ergate cannot use it: {chain}"), fix)])
        }
    }
}

async fn look(connection: &Connection) -> Result<Vec<Finding>, Error> {
    // Eviction has been judged above and must not keep the queues from being looked at.
    let client = connection.builder().allow_eviction(true).connect(&connection.url()).await?;
    let namespace = client.namespace();
    let mut findings = vec![Finding::ok(format!("namespace {namespace} has data format {FORMAT}"))];
    let mut well = 0;
    for name in client.queues().await? {
        let stats = client.queue(name.as_str())?.stats().await?;
        let problems = of_queue(&name, &stats);
        well += u64::from(problems.is_empty());
        findings.extend(problems);
    }
    if well > 0 {
        findings.push(Finding::ok(format!(
            "{} well",
            if well == 1 { "1 queue is".to_owned() } else { format!("{} are", counted(well, "queue")) }
        )));
    }
    findings.extend(workers(&client).await?);
    Ok(findings)
}

fn of_queue(name: &QueueName, stats: &QueueStats) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !stats.adds_up() {
        let states =
            stats.ready + stats.scheduled + stats.leased + stats.completed + stats.cancelled + stats.dead;
        findings.push(Finding::loses_work(
            format!(
                "queue {name} does not add up: {} kept and {states} in a state, {} running and {} held by workers",
                counted(stats.records, "job"),
                stats.leased,
                stats.held
            ),
            "start a worker on it: it finds and repairs such jobs by itself",
        ));
    }
    if stats.paused && stats.ready > 0 {
        findings.push(Finding::warn(
            format!("queue {name} is paused with {} ready", counted(stats.ready, "job")),
            format!("`ergate queue resume {name}`"),
        ));
    } else if stats.workers == 0 && stats.ready > 0 {
        let waited = stats.oldest_ready_ms.map(|ms| about(std::time::Duration::from_millis(ms)));
        let since = waited.map(|time| format!(", the first for {time}")).unwrap_or_default();
        findings.push(Finding::warn(
            format!("queue {name} has {} ready{since}, and no worker", counted(stats.ready, "job")),
            "start a worker that has it among its queues",
        ));
    }
    let keep: f64 = stats.settings.get("keep_dead").and_then(|keep| keep.parse().ok()).unwrap_or(KEEP_DEAD);
    if stats.dead > 0 && stats.dead as f64 >= keep * NEARLY_TRIMMED {
        findings.push(Finding::loses_work(
            format!("queue {name} has {} and keeps {keep}: the oldest will soon be forgotten", counted(stats.dead, "dead letter")),
            format!("`ergate dead list {name} --group`, then redrive or purge them; or `ergate queue limit {name} --keep-dead N`"),
        ));
    }
    findings
}

async fn workers(client: &Client) -> Result<Vec<Finding>, Error> {
    /// Several heartbeats long.
    const SILENT_MS: u64 = 30_000;
    let workers = client.workers().await?;
    let now = client.redis().now_ms();
    let (silent, heard): (Vec<_>, Vec<_>) =
        workers.iter().partition(|worker| now.saturating_sub(worker.seen_at) > SILENT_MS);
    let mut findings: Vec<_> = silent
        .into_iter()
        .map(|worker| {
            let ago = about(std::time::Duration::from_millis(now.saturating_sub(worker.seen_at)));
            Finding::warn(
                format!(
                    "worker {} (process {} on {}) was last heard of {ago} ago",
                    worker.id, worker.pid, worker.host
                ),
                "if it was not stopped on purpose, look at its log; its jobs have gone back to their queues",
            )
        })
        .collect();
    if !heard.is_empty() {
        findings.push(Finding::ok(
            format!("{} at work", counted(heard.len() as u64, "worker process"))
                .replace("processs", "processes"),
        ));
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::{super::Level, *};

    fn name() -> QueueName {
        QueueName::new("mail").unwrap()
    }

    fn stats(change: impl FnOnce(&mut QueueStats)) -> QueueStats {
        let mut stats = QueueStats::default();
        change(&mut stats);
        stats
    }

    #[test]
    fn jobs_in_no_state_lose_work() {
        let findings = of_queue(&name(), &stats(|stats| stats.records = 1));

        assert_eq!(findings[0].level, Level::LosesWork);
        assert!(findings[0].what.contains("1 job kept and 0 in a state"), "{}", findings[0].what);
    }

    #[test]
    fn ready_jobs_that_nobody_takes_are_a_warning() {
        let waiting = |stats: &mut QueueStats| {
            (stats.records, stats.ready, stats.oldest_ready_ms) = (2, 2, Some(90_000));
        };
        let findings = of_queue(&name(), &stats(waiting));

        assert_eq!(findings[0].level, Level::Warn);
        assert_eq!(findings[0].what, "queue mail has 2 jobs ready, the first for 1 minute, and no worker");
    }

    #[test]
    fn dead_letters_about_to_be_trimmed_lose_work() {
        let full = |stats: &mut QueueStats| {
            (stats.records, stats.dead) = (95, 95);
            stats.settings.insert("keep_dead".to_owned(), "100".to_owned());
        };

        assert_eq!(of_queue(&name(), &stats(full))[0].level, Level::LosesWork);
        assert!(of_queue(&name(), &QueueStats::default()).is_empty());
    }
}
