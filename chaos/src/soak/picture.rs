//! A soak as a picture: memory and lateness minute by minute, with the deploys marked. The oldest worker is the one that no
//! deploy replaced.

use std::fmt::Write as _;

use super::Sample;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 120.0;
const GAP: f64 = 40.0;
const LEFT: f64 = 150.0;

/// Draws all samples.
pub fn svg(samples: &[Sample]) -> String {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let rows: [(&str, Vec<f64>); 5] = [
        ("Redis, MiB", samples.iter().map(|sample| mib(sample.redis)).collect()),
        (
            "without events, MiB",
            samples.iter().map(|sample| mib(sample.redis.saturating_sub(sample.events))).collect(),
        ),
        ("oldest worker, MiB", samples.iter().map(|sample| mib(sample.worker)).collect()),
        ("late, p99, ms", samples.iter().map(|sample| sample.late_p99_ms).collect()),
        ("stolen, most of 5 s, %", samples.iter().map(|sample| sample.stolen_percent).collect()),
    ];
    let (width, height) = (LEFT + WIDTH + 20.0, (HEIGHT + GAP) * rows.len() as f64 + GAP);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    let across = |place: usize| LEFT + WIDTH * place as f64 / samples.len().saturating_sub(1).max(1) as f64;
    for (number, (name, values)) in rows.iter().enumerate() {
        let bottom = (HEIGHT + GAP) * (number + 1) as f64;
        let most = values.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let points: Vec<_> = values
            .iter()
            .enumerate()
            .map(|(place, value)| format!("{:.1},{:.1}", across(place), bottom - HEIGHT * value / most))
            .collect();
        let _ = writeln!(
            text,
            "<text x=\"5\" y=\"{:.0}\">{name}</text><text x=\"5\" y=\"{:.0}\" fill=\"#777\">0 to {most:.1}</text>\n\
             <line x1=\"{LEFT}\" y1=\"{bottom:.0}\" x2=\"{:.0}\" y2=\"{bottom:.0}\" stroke=\"#999\"/>\n\
             <polyline fill=\"none\" stroke=\"#06c\" stroke-width=\"1.5\" points=\"{}\"/>",
            bottom - HEIGHT / 2.0,
            bottom - HEIGHT / 2.0 + 18.0,
            LEFT + WIDTH,
            points.join(" "),
        );
    }
    for (place, sample) in samples.iter().enumerate().filter(|(_, sample)| sample.deploy) {
        let at = across(place);
        let _ = writeln!(
            text,
            "<line x1=\"{at:.1}\" y1=\"{GAP}\" x2=\"{at:.1}\" y2=\"{:.0}\" stroke=\"#c60\" stroke-dasharray=\"2 4\"><title>deploy, \
             minute {}</title></line>",
            height - GAP,
            sample.minute,
        );
    }
    let last = samples.last().map_or(0, |sample| sample.minute);
    let _ = writeln!(
        text,
        "<text x=\"{LEFT}\" y=\"{:.0}\">minutes 1 to {last}; dashed: a rolling deploy</text>\n</svg>",
        height - 12.0
    );
    text
}
