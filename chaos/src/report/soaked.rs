//! A soak for people.

use std::{fmt::Write as _, path::Path};

use crate::soak::{Soak, ours};

/// A soak as Markdown, with the picture that was drawn of it.
pub fn soaked(soak: &Soak, picture: &Path) -> String {
    let minutes = soak.samples.len();
    let mut late: Vec<f64> = ours(&soak.samples).map(|sample| sample.late_p99_ms).collect();
    late.sort_by(f64::total_cmp);
    let stolen = minutes - late.len();
    let mut text = format!(
        "{minutes} minutes, seed {}: {} jobs and events acknowledged at {:.0} jobs a second, half of the most that began in time, {:.0}; a \
         rolling deploy of all workers but one every ten minutes. From acknowledged to begun, p99 of a minute: {:.0} ms at the \
         median, {:.0} ms at most.\n",
        soak.seed,
        soak.acknowledged,
        soak.rate,
        soak.capacity,
        late.get(late.len() / 2).copied().unwrap_or(0.0),
        late.last().copied().unwrap_or(0.0),
    );
    if stolen > 0 {
        let _ = writeln!(
            text,
            "\nIn {stolen} other minutes, or just before them, the host gave more than 40 % of the processors' time to others for five \
             seconds or longer: how late jobs began in these is in the picture and is not judged."
        );
    }
    if let [first, .., last] = &soak.samples[..] {
        let _ = writeln!(
            text,
            "\nRedis had {:.1} MiB in minute {} and {:.1} in minute {}; the worker that no deploy replaced had {:.1} and {:.1}.",
            mib(first.redis),
            first.minute,
            mib(last.redis),
            last.minute,
            mib(first.worker),
            mib(last.worker),
        );
    }
    let _ = writeln!(
        text,
        "\n![memory, lateness and stolen time]({})",
        picture.file_name().unwrap_or_default().display()
    );
    let _ =
        writeln!(text, "\n{}", if soak.breaches.is_empty() { "All held." } else { "What did not hold:\n" });
    for breach in &soak.breaches {
        let _ = writeln!(text, "- {breach}");
    }
    text
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
