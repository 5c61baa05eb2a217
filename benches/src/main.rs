//! Runs the same job on several queue systems and compares what it costs.
//!
//! The driver knows no queue system: each is a program that speaks the protocol of `benches/README.md`. It starts a
//! Redis of its own for every measurement, measures from outside wherever it can, and prints medians.

mod budget;
mod config;
mod figure;
mod monitor;
mod probe;
mod process;
mod redis_server;
mod report;
mod scenario;
mod sheet;
mod size;
mod subject;

use std::time::Instant;

use anyhow::Context;
use clap::Parser;

use crate::{config::Config, scenario::Scenario, sheet::Sheet};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let config = Config::parse();
    let selection = config.selection()?;
    let size = config.size();
    let mut sheet = Sheet::new(config.systems(), config.missing.clone());

    for round in 1..=size.rounds {
        for subject in config.subjects.iter().filter(|subject| selection.has_system(&subject.name)) {
            for (scenario, aof) in Scenario::plan(&selection, &size) {
                let functions = config.functions.iter().find(|program| program.name == subject.name);
                let program = if scenario.is_of_functions() { functions } else { Some(subject) };
                let Some(program) = program else { continue };
                let persistence = if aof { ", append-only file on" } else { "" };
                eprintln!(
                    "round {round}/{}: {}: {}{persistence}",
                    size.rounds,
                    subject.name,
                    scenario.title()
                );
                let clock = Instant::now();
                let mut values = Vec::new();
                let end = scenario.run(&config.redis_server, program, &size, aof, &mut values).await;
                eprintln!("  {:.1} s", clock.elapsed().as_secs_f64());
                sheet.record(&subject.name, aof, values, &selection);
                if let Err(error) = end {
                    eprintln!("  failed: {error:#}");
                    sheet.fail(&subject.name, format!("{}{persistence}", scenario.title()), &error);
                }
            }
        }
    }

    let server = redis_server::version(&config.redis_server)?;
    report::print(&sheet, &selection, &size, &server).context("printing the table")?;
    if let Some(file) = &config.json {
        report::write_json(&sheet, file).with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(())
}
