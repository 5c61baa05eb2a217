//! A job's log lines, which begin with the time in ms since the epoch.

use ergate_client::JobHandle;
use serde_json::json;

use crate::output::{self, DIM, Output};

/// Prints what the job's handler wrote.
pub(super) async fn print(job: &JobHandle, output: Output) -> anyhow::Result<()> {
    let lines = job.log().await?;
    if lines.is_empty() {
        // A job without a log is not the same as no job.
        job.get().await?;
    }
    if output.is_json() {
        let lines: Vec<_> =
            lines.iter().map(|line| split(line)).map(|(at, line)| json!({"at": at, "line": line})).collect();
        return output.json(&lines);
    }
    if lines.is_empty() {
        output::note(format!("job {} has no log", job.id()));
    }
    lines.iter().try_for_each(|line| {
        let (at, line) = split(line);
        let line = output::harmless(line);
        match at {
            Some(at) => output.line(format!("{DIM}{}{DIM:#}  {line}", output::moment(at))),
            None => output.line(line),
        }
    })
}

/// The time, and the rest; the whole line if it begins otherwise.
fn split(line: &str) -> (Option<u64>, &str) {
    match line.split_once(' ').map(|(at, rest)| (at.parse(), rest)) {
        Some((Ok(at), rest)) => (Some(at), rest),
        _ => (None, line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_a_time_is_whole() {
        assert_eq!(split("1795310072433 calling x"), (Some(1_795_310_072_433), "calling x"));
        assert_eq!(split("calling x"), (None, "calling x"));
        assert_eq!(split("alone"), (None, "alone"));
    }
}
