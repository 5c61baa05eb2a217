//! A soak, and what is told and written of it.

use std::{io, process::ExitCode, time::Duration};

use ergate_chaos::{
    report,
    soak::{self, Sample, Soak},
};

use super::{Options, ReportFile};

/// A soak has a thread and a runtime of its own, as a play has.
pub(super) fn soak(
    options: &Options,
    lasts: Duration,
    out: &mut (impl io::Write + Send),
) -> anyhow::Result<ExitCode> {
    let minutes = lasts.as_secs().div_ceil(60);
    let json = options.json.as_deref().map(ReportFile::open).transpose()?;
    let markdown = options
        .markdown
        .as_deref()
        .map(|file| anyhow::Ok((ReportFile::open(file)?, ReportFile::open(&file.with_extension("svg"))?)));
    let markdown = markdown.transpose()?;

    let tell = |sample: &Sample| {
        let _ = tell(out, sample);
    };
    let soaked = std::thread::scope(|scope| {
        let handle = scope.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(soak::soak(minutes, options.seed, tell))
        });
        handle.join().map_err(|_| anyhow::anyhow!("the soak broke off"))?
    })?;

    // Told before files are written, which may fail; and these are written though nobody may read what is told.
    let told = tell_end(out, &soaked);
    if let Some(file) = &json {
        file.write(&serde_json::to_string_pretty(&soaked)?)?;
    }
    if let Some((file, picture)) = &markdown {
        picture.write(&soak::svg(&soaked.samples))?;
        file.write(&report::soaked(&soaked, &picture.path))?;
    }
    told?;
    Ok(if soaked.breaches.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn tell(out: &mut impl io::Write, sample: &Sample) -> io::Result<()> {
    writeln!(
        out,
        "minute {:>4}: redis {:.1} MiB ({:.1} for events), the worker that no deploy replaces {:.1} MiB, p99 late {:.0} ms, \
         stood still {} ms, {:.0} % stolen, {} acknowledged{}",
        sample.minute,
        sample.redis as f64 / f64::from(1 << 20),
        sample.events as f64 / f64::from(1 << 20),
        sample.worker as f64 / f64::from(1 << 20),
        sample.late_p99_ms,
        sample.stall_ms,
        sample.stolen_percent,
        sample.acknowledged,
        if sample.deploy { ", deploy" } else { "" },
    )
}

fn tell_end(out: &mut impl io::Write, soaked: &Soak) -> io::Result<()> {
    for breach in &soaked.breaches {
        writeln!(out, "{breach}")?;
    }
    let (rate, breaches) = (soaked.rate, soaked.breaches.len());
    writeln!(out, "{} acknowledged at {rate:.0} a second, {breaches} breaches", soaked.acknowledged)
}
