//! Whether everything came out as the story says.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    time::Duration,
};

use ergate::{
    JobState, JobView,
    run::{Journal, Op},
};
use serde_json::Value;

use super::{
    findings::{Findings, Repeats, Row},
    round::Played,
    story::{End, Start},
    workers::Losses,
};
use crate::{
    app::{App, Places},
    ledger::{Line, Moment},
    mail,
};

/// Looks at every run, every line of the ledger, and every effect.
pub(crate) async fn audit(
    app: &App,
    places: &Places,
    played: &[Played],
    ledger: &[Line],
    losses: &Losses,
    took: Duration,
) -> anyhow::Result<Findings> {
    let mut findings = Findings {
        rows: Vec::new(),
        problems: Vec::new(),
        kills: losses.kills.len(),
        lapsed: losses.lapsed.len(),
        repeats: Repeats::default(),
        took,
    };
    let mut of_run: HashMap<&str, Vec<&Line>> = HashMap::new();
    for line in ledger {
        of_run.entry(&line.run).or_default().push(line);
    }
    for played in played {
        let (view, journal) = (played.run.job().get().await?, played.run.journal().await?);
        let lines = of_run.remove(played.run.id().as_str()).unwrap_or_default();
        let mut problems = Vec::new();
        check_end(played, &view, places, &mut problems);
        check_journal(played, &journal, &mut problems);
        let bodies: Vec<_> = played.scene.bodies().collect();
        findings.repeats.add(check_bodies(&bodies, &lines, losses, &mut problems));
        findings.rows.push(Row {
            function: played.scene.function,
            what: played.scene.what,
            started_by: match &played.scene.start {
                Start::Event(name, _) => name,
                Start::Schedule => "schedule",
            },
            steps: journal.steps(),
            bodies: lines.iter().filter(|line| line.what == Moment::Began).count(),
            state: view.state,
        });
        let run = format!("{} ({}), run {}", played.scene.function, played.scene.what, played.run.id());
        findings.problems.extend(problems.into_iter().map(|problem| format!("{run}: {problem}")));
    }
    for (run, lines) in of_run {
        findings.problems.push(format!("nobody started run {run}, which did {}", lines[0].step));
    }
    check_effects(app, places, played, &mut findings.problems).await?;
    Ok(findings)
}

/// The state and the result, or the reason.
fn check_end(played: &Played, view: &JobView, places: &Places, problems: &mut Vec<String>) {
    let files = places.data.join("files").display().to_string();
    let (state, said) = match &view.outcome {
        Some(outcome) => (view.state, outcome.detail.clone()),
        None => {
            (view.state, view.failure.as_ref().map(|failure| failure.message.clone()).unwrap_or_default())
        }
    };
    let right = match &played.scene.end {
        End::Failure(why) => state == JobState::Dead && said == *why,
        End::Result(result) => {
            let wanted =
                result.to_string().replace("{files}", &files).replace("{run}", played.run.id().as_str());
            let read = |text: &str| serde_json::from_str::<Value>(text).ok();
            state == JobState::Completed && read(&said) == read(&wanted)
        }
    };
    if !right {
        problems.push(format!("is {state} with {said}, not as {:?}", played.scene.end));
    }
}

/// Each step once, none tried again, in order.
fn check_journal(played: &Played, journal: &Journal, problems: &mut Vec<String>) {
    let steps: Vec<_> = journal.entries().iter().map(|entry| entry.step.as_str()).collect();
    if steps != played.scene.steps {
        problems.push(format!("has the steps {steps:?} in its journal, not {:?}", played.scene.steps));
    }
    for entry in journal.entries() {
        if !matches!(entry.op, Op::Done { .. } | Op::Failed { .. } | Op::Sleep { .. }) {
            problems.push(format!("has another end of step {} than one: {:?}", entry.step, entry.op));
        }
    }
}

/// Each body once, in order; again only if its worker was killed, or lost its lease, before Ergate heard of it. Returns which
/// did.
fn check_bodies(bodies: &[&str], lines: &[&Line], losses: &Losses, problems: &mut Vec<String>) -> Repeats {
    let mut order = Vec::new();
    for line in lines.iter().filter(|line| line.what == Moment::Began) {
        if order.last() != Some(&line.step.as_str()) {
            order.push(line.step.as_str());
        }
    }
    if order != bodies {
        problems.push(format!("its bodies ran in the order {order:?}, not {bodies:?}"));
    }
    let mut repeats = Repeats::default();
    for &body in bodies {
        let begun: Vec<_> =
            lines.iter().filter(|line| line.step == body && line.what == Moment::Began).collect();
        let Some((last, before)) = begun.split_last() else { continue };
        if !lines.iter().any(|line| line.step == body && line.pid == last.pid && line.what != Moment::Began) {
            problems.push(format!("step {body} is in the journal and its body never came to its end"));
        }
        for (line, next) in before.iter().zip(&begun[1..]) {
            let kill = losses.kills.iter().find(|kill| kill.pid == line.pid && kill.at >= line.at);
            let had_worked =
                |other: &&Line| other.step == body && other.pid == line.pid && other.what == Moment::Worked;
            repeats.add(Repeats {
                bodies: 1,
                after_effect: usize::from(lines.iter().any(had_worked)),
                slowest: kill.and_then(|kill| Duration::try_from(next.at - kill.at).ok()).unwrap_or_default(),
            });
            // What the same worker did later in this run it did after the journal had this step.
            let went_on =
                lines.iter().any(|later| later.pid == line.pid && later.at > line.at && later.step != body);
            // One that lost its lease may have gone on when it had another.
            if !losses.lapsed.contains(&line.pid) && (kill.is_none() || went_on) {
                problems.push(format!(
                    "step {body} ran again though worker {} was not killed between effect and record",
                    line.pid
                ));
            }
        }
    }
    repeats
}

/// Mails, files and rows: no more and no fewer than foreseen.
async fn check_effects(
    app: &App,
    places: &Places,
    played: &[Played],
    problems: &mut Vec<String>,
) -> anyhow::Result<()> {
    // How many invoices there must be is counted below.
    let invoices = app.database.invoices().await?;
    let wanted: BTreeSet<String> = played
        .iter()
        .flat_map(|played| played.scene.mails().map(|step| format!("{}.{step}", played.run.id())))
        .chain(invoices.iter().map(|(subscription, period)| format!("invoice-{subscription}-{period}")))
        .collect();
    let sent: BTreeSet<String> = mail::messages(&places.mail())?.into_iter().map(|(name, _)| name).collect();
    for name in wanted.symmetric_difference(&sent) {
        problems.push(format!(
            "mail {name} was {}",
            if sent.contains(name) { "not foreseen" } else { "not sent" }
        ));
    }
    for played in played.iter().filter(|played| played.scene.function == "generate-report") {
        let path = places.data.join("files").join(format!("{}.pdf", played.run.id()));
        if !fs::read(&path).is_ok_and(|bytes| bytes.starts_with(b"%PDF-")) {
            problems.push(format!("{} is no PDF", path.display()));
        }
    }
    for (what, count) in [
        ("select count(*) from entities where id = 'order-1' and status = 'completed' and result = '42'", 1),
        ("select count(*) from entities where id = 'order-2' and status = 'failed' and error is not null", 1),
        ("select count(*) from invoices", 3),
        ("select count(*) from contacts", 9),
        ("select count(*) from notifications", 1),
        ("select count(*) from sessions", 2),
        ("select count(*) from uploads", 1),
    ] {
        let found = app.database.count(what).await?;
        if found != count {
            problems.push(format!("{what}: {found}, not {count}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::{super::workers::Kill, *};

    /// Lines of one run: step, worker, second, moment.
    fn ledger(lines: &[(&str, u32, i64, Moment)]) -> Vec<Line> {
        let line = |&(step, pid, second, what): &(&str, u32, i64, Moment)| Line {
            run: "r".to_owned(),
            step: step.to_owned(),
            attempt: 1,
            pid,
            at: Timestamp::from_second(second).unwrap(),
            what,
        };
        lines.iter().map(line).collect()
    }

    fn check(lines: &[(&str, u32, i64, Moment)], kills: &[(u32, i64)]) -> (Repeats, Vec<String>) {
        let (lines, mut problems) = (ledger(lines), Vec::new());
        let kill = |&(pid, at): &(u32, i64)| Kill { pid, at: Timestamp::from_second(at).unwrap() };
        let losses = Losses { kills: kills.iter().map(kill).collect(), ..Losses::default() };
        let lines: Vec<_> = lines.iter().collect();
        let repeats = check_bodies(&["a", "b"], &lines, &losses, &mut problems);
        (repeats, problems)
    }

    #[test]
    fn a_body_may_run_again_after_its_worker_was_killed_in_it_and_not_otherwise() {
        use Moment::{Began, Worked};
        let twice = [
            ("a", 1, 1, Began),
            ("a", 2, 5, Began),
            ("a", 2, 6, Worked),
            ("b", 2, 7, Began),
            ("b", 2, 8, Worked),
        ];
        let went_on = [
            ("a", 1, 1, Began),
            ("a", 1, 2, Worked),
            ("b", 1, 3, Began),
            ("a", 2, 5, Began),
            ("a", 2, 6, Worked),
            ("b", 2, 7, Began),
            ("b", 2, 8, Worked),
        ];

        let repeats = Repeats { bodies: 1, after_effect: 0, slowest: Duration::from_secs(2) };
        assert_eq!(check(&twice, &[(1, 3)]), (repeats, Vec::new()));
        assert_eq!(check(&twice, &[]).1.len(), 1, "nobody was killed");
        assert_eq!(check(&twice, &[(1, 0)]).1.len(), 1, "it was killed before");
        let problems = check(&went_on, &[(1, 4)]).1;
        assert!(problems.iter().any(|problem| problem.starts_with("step a ran again")), "{problems:?}");
    }

    #[test]
    fn a_body_that_is_missing_or_out_of_order_or_never_ended_is_found() {
        use Moment::{Began, Worked};

        assert!(!check(&[("a", 1, 1, Began), ("a", 1, 2, Worked)], &[]).1.is_empty());
        let swapped = [("b", 1, 1, Began), ("b", 1, 2, Worked), ("a", 1, 3, Began), ("a", 1, 4, Worked)];
        assert!(!check(&swapped, &[]).1.is_empty());
        let unended = [("a", 1, 1, Began), ("a", 1, 2, Worked), ("b", 1, 3, Began)];
        assert!(!check(&unended, &[]).1.is_empty());
    }
}
