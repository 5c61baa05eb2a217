//! The table for people and the JSON for programs.

use std::{
    fmt::Write as _,
    fs::File,
    io::{self, Write as _},
    path::Path,
};

use serde_json::json;

use crate::{
    budget::{self, Budget},
    config::Selection,
    figure::Measure,
    sheet::{Sheet, Summary},
    size::Size,
};

/// The system that is compared with all others, and the only one that has budgets.
const OURS: &str = "ergate";
/// Above this load average, something else takes a good part of a core.
const BUSY: f64 = 0.5;

/// Prints one row per figure and one column per system.
///
/// # Errors
///
/// Fails if standard output is closed.
pub(crate) fn print(sheet: &Sheet, selection: &Selection, size: &Size, server: &str) -> io::Result<()> {
    let systems: Vec<_> = sheet.systems.iter().filter(|system| selection.has_system(system)).collect();
    let mut head = vec!["figure".to_owned()];
    head.extend(systems.iter().map(|system| system.to_string()));
    head.extend([format!("{OURS} : best peer"), "budget".to_owned(), "met".to_owned()]);

    let rows = Measure::all().filter(|measure| selection.has(*measure)).map(|measure| {
        let mut row = vec![measure.name()];
        row.extend(systems.iter().map(|system| cell(sheet.summary(system, measure), size)));
        row.extend(verdict(sheet, measure));
        row
    });
    let table: Vec<_> = [head].into_iter().chain(rows).collect();

    let mut out = io::stdout().lock();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    writeln!(out, "\n{server}, {cores} cores, {} round(s).", size.rounds)?;
    if let Some(load) = sheet.load.filter(|load| *load > BUSY) {
        writeln!(
            out,
            "The machine was busy with other things: load {load:.1} before the first round. Rates and ratios suffer."
        )?;
    }
    writeln!(out, "Medians, with the range in brackets; – is not kept or could not be measured.\n")?;
    out.write_all(aligned(&table).as_bytes())?;
    for missing in &sheet.missing {
        writeln!(out, "\n{}: not installed: {}", missing.system, missing.reason)?;
    }
    for failure in &sheet.failures {
        writeln!(out, "\n{}: {}: {}", failure.system, failure.scenario, failure.reason)?;
    }
    Ok(())
}

/// Writes every median and range, and what is missing.
///
/// # Errors
///
/// Fails if the file cannot be written.
pub(crate) fn write_json(sheet: &Sheet, file: &Path) -> anyhow::Result<()> {
    let mut figures = Vec::new();
    for measure in Measure::all() {
        for system in &sheet.systems {
            if let Some(Summary { median, min, max }) = sheet.summary(system, measure) {
                let figure = measure.name();
                figures.push(
                    json!({ "figure": figure, "system": system, "median": median, "min": min, "max": max }),
                );
            }
        }
    }
    let missing: Vec<_> =
        sheet.missing.iter().map(|it| json!({ "system": it.system, "reason": it.reason })).collect();
    let failed = sheet.failures.iter();
    let failed: Vec<_> = failed
        .map(|it| json!({ "system": it.system, "scenario": it.scenario, "reason": it.reason }))
        .collect();
    let report = json!({ "figures": figures, "missing": missing, "failed": failed });
    serde_json::to_writer_pretty(File::create(file)?, &report)?;
    Ok(())
}

fn cell(summary: Option<Summary>, size: &Size) -> String {
    match summary {
        None => "–".to_owned(),
        Some(Summary { median, .. }) if size.rounds == 1 => number(median),
        Some(Summary { median, min, max }) => format!("{} ({}–{})", number(median), number(min), number(max)),
    }
}

/// Our ratio to the best peer, our budget, and whether it is met.
fn verdict(sheet: &Sheet, measure: Measure) -> [String; 3] {
    let better = measure.figure.better();
    let ours = sheet.summary(OURS, measure).map(|summary| summary.median);
    let peers: Vec<_> = sheet.systems.iter().filter(|system| *system != OURS).collect();
    let peers: Vec<_> = peers
        .into_iter()
        .filter_map(|peer| Some((peer.as_str(), sheet.summary(peer, measure)?.median)))
        .collect();
    // Budgets were set without an append-only file.
    let budget = Budget::of(measure.figure).filter(|_| !measure.aof);

    // No ratio to nothing, and none to a peer that starts delayed jobs too early.
    let positive: Vec<_> = peers.iter().copied().filter(|(_, value)| *value > 0.0).collect();
    let best = budget::best(&positive, better);
    let ratio = ours.zip(best).map(|(ours, (peer, best))| format!("{:.2} × {peer}", ours / best));
    let bound = budget.and_then(|budget| {
        budget.bound(&peers, better, |peer, figure| {
            Some(sheet.summary(peer, Measure { aof: false, figure })?.median)
        })
    });
    let met =
        ours.zip(bound).map(|(ours, bound)| if budget::is_met(ours, bound, better) { "yes" } else { "no" });
    [
        ratio.unwrap_or_default(),
        budget.map(|it| it.text(better)).unwrap_or_default(),
        met.unwrap_or_default().to_owned(),
    ]
}

/// Three significant digits, thousands divided by commas.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    let (whole, rest) =
        text.split_once('.').map_or((text.as_str(), None), |(whole, rest)| (whole, Some(rest)));
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |whole| ("-", whole));
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}{}", rest.map(|rest| format!(".{rest}")).unwrap_or_default())
}

/// A Markdown table whose columns line up in a terminal; the first row is its head.
fn aligned(table: &[Vec<String>]) -> String {
    let columns = table.first().map_or(0, Vec::len);
    let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (index, row) in table.iter().enumerate() {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!(" {cell:<width$} |"));
        _ = writeln!(text, "|{}", cells.collect::<String>());
        if index == 0 {
            _ = writeln!(
                text,
                "|{}",
                widths.iter().map(|width| format!("{}|", "-".repeat(width + 2))).collect::<String>()
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_that_matter() {
        assert_eq!(number(1_234_567.8), "1,234,568");
        assert_eq!(number(123.4), "123");
        assert_eq!(number(12.34), "12.3");
        assert_eq!(number(-0.123), "-0.12");
        assert_eq!(number(-1_234.0), "-1,234");
    }

    #[test]
    fn columns_line_up() {
        let table = [["a", "bb"], ["ccc", "–"]].map(|row| row.map(str::to_owned).to_vec());

        assert_eq!(aligned(&table), "| a   | bb |\n|-----|----|\n| ccc | –  |\n");
    }
}
