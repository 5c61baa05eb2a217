//! Jobs of one state as a table, with the columns that matter in that state.

use std::time::Duration;

use ergate_client::JobView;
use ergate_shared::JobState;

use crate::output::{Cell, Clock, Column, DIM, RED, Table, YELLOW};

/// What a column of prose shows of a long text.
const LONGEST_TEXT: usize = 200;

/// A table of jobs, all in `state`.
pub(crate) fn jobs(state: JobState, views: &[JobView], clock: Clock) -> String {
    let columns: &[Column] = match state {
        JobState::Scheduled => &[Column::Word("due"), Column::Number("tried")],
        JobState::Ready => &[Column::Number("priority"), Column::Word("enqueued"), Column::Number("tried")],
        JobState::Leased => &[Column::Number("attempt"), Column::Word("worker"), Column::Prose("progress")],
        JobState::Completed => &[Column::Word("ended"), Column::Prose("result")],
        JobState::Cancelled => &[Column::Word("ended"), Column::Prose("reason")],
        JobState::Dead => &[Column::Word("died"), Column::Word("kind"), Column::Prose("message")],
    };
    let mut table =
        Table::new([Column::Word("id"), Column::Word("name")].into_iter().chain(columns.iter().copied()));
    for view in views {
        let name = if view.name().is_empty() { Cell::styled("unreadable", RED) } else { view.name().into() };
        table.row([view.id.as_str().into(), name].into_iter().chain(details(state, view, clock)));
    }
    table.render()
}

fn details(state: JobState, view: &JobView, clock: Clock) -> Vec<Cell> {
    let failures = Cell::count(view.tries.failures.into(), YELLOW);
    let ended = view.outcome.as_ref();
    let ended_at = || Cell::styled(ended.map(|outcome| clock.brief(outcome.at)).unwrap_or_default(), DIM);
    let detail = || Cell::from(shortened(ended.map(|outcome| outcome.detail.as_str()).unwrap_or_default()));
    let record = view.record.as_ref().ok();
    match state {
        JobState::Scheduled => {
            vec![view.at.map(|at| clock.brief(at)).unwrap_or_default().into(), failures]
        }
        JobState::Ready => vec![
            record.map(|record| record.priority.to_string()).unwrap_or_default().into(),
            Cell::styled(record.map(|record| clock.brief(record.enqueued_at)).unwrap_or_default(), DIM),
            failures,
        ],
        JobState::Leased => vec![
            view.tries.attempt().to_string().into(),
            view.worker.clone().unwrap_or_default().into(),
            shortened(view.progress.as_deref().unwrap_or_default()).into(),
        ],
        JobState::Completed | JobState::Cancelled => vec![ended_at(), detail()],
        JobState::Dead => {
            let failure = view.failure.as_ref();
            vec![
                Cell::styled(view.at.map(|at| clock.brief(at)).unwrap_or_default(), DIM),
                Cell::styled(failure.map_or("", |failure| failure.kind.as_str()), RED),
                shortened(failure.map_or("", |failure| &failure.message)).into(),
            ]
        }
    }
}

/// One line of bounded length.
pub(crate) fn shortened(text: &str) -> String {
    let line = text.replace('\n', " ");
    match line.char_indices().nth(LONGEST_TEXT) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// How long the first ready job has waited, for a column.
pub(crate) fn waited(ms: Option<u64>) -> String {
    ms.map(|ms| crate::output::short(Duration::from_millis(ms))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_at_a_character() {
        let text = shortened(&"é\n".repeat(300));

        assert_eq!(text.chars().count(), LONGEST_TEXT + 1);
        assert!(text.ends_with('…') && !text.contains('\n'));
    }
}
