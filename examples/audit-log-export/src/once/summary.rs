//! The result of the story for people.

use std::io::{self, Write};

use super::{audit::Findings, order::Ledger, teller::Teller};

pub(crate) fn print(findings: &Findings, ledger: &Ledger, teller: Teller) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let wait = |from, to, part| format!("{:.1} s", findings.wait(from..=to, part).as_secs_f64());
    let recovered = findings.recovered_within.as_secs_f64();
    let megabytes = findings.bytes as f64 / 1e6;
    writeln!(out)?;
    for (what, number, note) in [
        ("asked for", ledger.jobs.len(), "jobs, by three producers".to_owned()),
        ("not doubled", ledger.duplicates, "requests for an export that was under way already".to_owned()),
        ("done", findings.done, format!("{} rows, {megabytes:.1} MB of CSV, a mail each", findings.rows)),
        ("retried", findings.retried, "failed twice, done at the third attempt".to_owned()),
        ("dead", findings.dead, "a range that ends before it starts: not tried again".to_owned()),
        (
            "recovered",
            findings.recovered,
            format!("held by the killed worker, begun again by the other within {recovered:.1} s"),
        ),
    ] {
        writeln!(out, "  {what:<12}{number:>6}  {note}")?;
    }
    writeln!(out, "\n  time in queue       median   99 in 100 within")?;
    for (what, from, to) in
        [("priority 1 to 3", 1, 3), ("priority 4 to 7", 4, 7), ("priority 8 to 10", 8, 10)]
    {
        writeln!(out, "  {what:<17}{:>9}{:>19}", wait(from, to, 0.5), wait(from, to, 0.99))?;
    }
    writeln!(out)?;
    if findings.problems.is_empty() {
        return writeln!(out, "  Everything was right, after {:.1} s.", teller.seconds());
    }
    writeln!(out, "  {} things were wrong:", findings.problems.len())?;
    for problem in &findings.problems {
        writeln!(out, "  - {problem}")?;
    }
    Ok(())
}
