//! Worker processes as a table.

use std::collections::HashSet;

use ergate_client::{Client, WorkerProcess};

use crate::output::{self, Cell, Clock, Column, DIM, GREEN, Output, Table, YELLOW};

/// A process says that it lives every few seconds; one silent for this long is likely gone.
const SILENT_MS: u64 = 15_000;

/// Prints the processes heard of lately.
pub(super) async fn run(client: &Client, output: Output) -> anyhow::Result<()> {
    let workers = client.workers().await?;
    if output.is_json() {
        return output.json(&workers);
    }
    if workers.is_empty() {
        output::note("no worker has been heard of lately; start one with `ergate worker`");
        return Ok(());
    }
    let clock = Clock::new(client.redis().now_ms());
    let mut table = Table::new([
        Column::Word("id"),
        Column::Word("host"),
        Column::Number("pid"),
        Column::Word("phase"),
        Column::Number("up"),
        Column::Word("seen"),
        Column::Number("version"),
        Column::Prose("running of slots"),
    ]);
    let shown = unambiguous(&workers);
    for worker in &workers {
        let silent = client.redis().now_ms().saturating_sub(worker.seen_at) > SILENT_MS;
        table.row([
            worker.id.get(..shown).unwrap_or(&worker.id).into(),
            worker.host.as_str().into(),
            worker.pid.to_string().into(),
            if silent { Cell::styled("silent", YELLOW) } else { phase(worker) },
            clock.age(worker.started_at).into(),
            Cell::styled(clock.brief(worker.seen_at), if silent { YELLOW } else { DIM }),
            worker.version.as_str().into(),
            queues(worker).into(),
        ]);
    }
    output.line(table.render())
}

/// How much of the ids tells them apart; `quiet` and `stop` take that much.
fn unambiguous(workers: &[WorkerProcess]) -> usize {
    /// The part of an id that is the time it was made.
    const TIME: usize = 12;
    let tells_apart = |length: &usize| {
        let starts: HashSet<_> = workers.iter().map(|worker| worker.id.get(..*length)).collect();
        starts.len() == workers.len()
    };
    (TIME..).take(32).find(tells_apart).unwrap_or(usize::MAX)
}

fn phase(worker: &WorkerProcess) -> Cell {
    match &worker.order {
        Some(order) if !worker.phase.starts_with(order.as_str()) => {
            Cell::styled(format!("{}, to {order}", worker.phase), YELLOW)
        }
        _ if worker.phase == "running" => Cell::styled("running", GREEN),
        _ => Cell::styled(worker.phase.as_str(), YELLOW),
    }
}

fn queues(worker: &WorkerProcess) -> String {
    let each = worker.queues.iter().map(|queue| format!("{} {}/{}", queue.queue, queue.running, queue.slots));
    each.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(id: &str) -> WorkerProcess {
        WorkerProcess::new(id.to_owned(), "host".to_owned(), Vec::new(), 0)
    }

    #[test]
    fn ids_are_shown_as_far_as_they_differ() {
        let alone = [process("0123456789abcdef")];
        let alike = [process("0123456789abcdef"), process("0123456789abcd00"), process("short")];

        assert_eq!(unambiguous(&alone), 12);
        assert_eq!(unambiguous(&alike), 15);
    }
}
