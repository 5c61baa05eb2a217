//! All schedules as a table.

use ergate_client::{Client, ScheduleView};

use crate::output::{self, Cell, Clock, Column, DIM, Output, Table, YELLOW, of_state};

pub(super) async fn run(client: &Client, output: Output) -> anyhow::Result<()> {
    let schedules = client.schedules().await?;
    if output.is_json() {
        let schedules: Vec<_> = schedules.iter().map(ScheduleView::to_json).collect();
        return output.json(&schedules);
    }
    if schedules.is_empty() {
        output::note("there is no schedule; set one with `ergate schedule set`, or declare it in a worker");
        return Ok(());
    }
    let mut table = Table::new([
        Column::Word("schedule"),
        Column::Prose("when"),
        Column::Word("starts"),
        Column::Word("next"),
        Column::Word("last"),
        Column::Word("its job"),
    ]);
    for view in &schedules {
        let clock = Clock::new(view.now);
        let next = match view.next() {
            Some(next) => clock.brief(u64::try_from(next.as_millisecond()).unwrap_or(0)).into(),
            None => Cell::styled(view.condition(), YELLOW),
        };
        let last = view.last();
        table.row([
            view.name.as_str().into(),
            view.spec.recurrence.describe().into(),
            view.spec.target.name().into(),
            next,
            Cell::styled(last.map(|last| clock.brief(last.at)).unwrap_or_default(), DIM),
            match (view.last_job, last) {
                (Some(state), _) => Cell::styled(state.as_str(), of_state(state)),
                (None, Some(_)) => Cell::styled("gone", DIM),
                (None, None) => "".into(),
            },
        ]);
    }
    output.line(table.render())
}
