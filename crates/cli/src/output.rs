//! What people see: lines, tables and progress; and what scripts see: JSON.
//!
//! Results go to stdout, everything about how it goes to stderr. Colours are written always and taken out by `anstream`
//! where they do not belong: no terminal, `NO_COLOR`, `--color never`.

mod indented;
mod table;
mod time;

use std::{
    borrow::Cow,
    fmt::Display,
    io::{IsTerminal, Write as _},
    time::Duration,
};

use anstyle::{AnsiColor, Style};
use clap::{Args, ColorChoice};
use ergate_shared::JobState;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use serde::Serialize;

pub(crate) use indented::indented;
pub(crate) use table::{Cell, Column, Table};
pub(crate) use time::{Clock, about, moment, short};

pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const RED: Style = AnsiColor::Red.on_default();
pub(crate) const GREEN: Style = AnsiColor::Green.on_default();
pub(crate) const YELLOW: Style = AnsiColor::Yellow.on_default();
pub(crate) const BLUE: Style = AnsiColor::Blue.on_default();
pub(crate) const CYAN: Style = AnsiColor::Cyan.on_default();

/// How to write results.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Output {
    /// Write JSON for programs to stdout, times in ms since the epoch
    #[arg(long, global = true)]
    json: bool,

    /// Whether to use colours; `auto` heeds NO_COLOR and uses none outside terminals
    #[arg(long, value_name = "WHEN", global = true, default_value = "auto")]
    color: ColorChoice,
}

impl Output {
    /// Applies `--color` to everything written from now on.
    pub(crate) fn choose_colors(self) {
        match self.color {
            ColorChoice::Auto => anstream::ColorChoice::Auto,
            ColorChoice::Always => anstream::ColorChoice::Always,
            ColorChoice::Never => anstream::ColorChoice::Never,
        }
        .write_global();
    }

    /// Whether programs read the results.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Writes one line for people; nothing with `--json`.
    pub(crate) fn line(self, line: impl Display) -> anyhow::Result<()> {
        if !self.json {
            writeln!(anstream::stdout(), "{line}")?;
        }
        Ok(())
    }

    /// Writes one line, whoever reads it.
    pub(crate) fn raw(self, line: impl Display) -> anyhow::Result<()> {
        Ok(writeln!(anstream::stdout(), "{line}")?)
    }

    /// Writes a value for programs: on one line, or over several if a terminal shows it.
    pub(crate) fn json(self, value: &impl Serialize) -> anyhow::Result<()> {
        let text = if std::io::stdout().is_terminal() {
            serde_json::to_string_pretty(value)?
        } else {
            serde_json::to_string(value)?
        };
        Ok(writeln!(std::io::stdout(), "{text}")?)
    }

    /// Writes a value for programs, or a line for people.
    pub(crate) fn either(self, value: &impl Serialize, line: impl Display) -> anyhow::Result<()> {
        if self.json { self.json(value) } else { self.line(line) }
    }
}

/// Says something beside the result, on stderr.
pub(crate) fn note(text: impl Display) {
    anstream::eprintln!("{DIM}note:{DIM:#} {text}");
}

/// Says on stderr that something is not as it was asked for.
pub(crate) fn warn(text: impl Display) {
    anstream::eprintln!("{YELLOW}{BOLD}warning:{YELLOW:#}{BOLD:#} {text}");
}

/// The style of a state's name.
pub(crate) const fn of_state(state: JobState) -> Style {
    match state {
        JobState::Scheduled => CYAN,
        JobState::Ready => BLUE,
        JobState::Leased => YELLOW,
        JobState::Completed => GREEN,
        JobState::Cancelled => DIM,
        JobState::Dead => RED,
    }
}

/// A number with its thousands apart: `12,345`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 job`, `12,345 jobs`.
pub(crate) fn counted(number: u64, what: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{} {what}{s}", grouped(number))
}

/// A size in bytes as people read it.
pub(crate) fn bytes(number: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match UNITS.into_iter().find(|(size, _)| number >= *size) {
        Some((size, unit)) => format!("{:.1} {unit}", number as f64 / size as f64),
        None => counted(number, "byte"),
    }
}

/// How wide the terminal is; `None` where stdout is none.
pub(crate) fn width() -> Option<usize> {
    comfy_table::Table::new().width().map(usize::from)
}

/// Prose behind a mark, wrapped to the terminal, with its further lines `indent` columns in.
pub(crate) fn hanging(before: &str, indent: usize, prose: &str, after: &str) -> String {
    let room = width().map_or(usize::MAX, |width| width.saturating_sub(indent).max(20));
    format!("{before}{}{after}", wrapped(prose, room).join(&format!("\n{:indent$}", "")))
}

fn wrapped(prose: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in prose.split(' ') {
        let line = lines.last_mut().expect("there is always one");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= room {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// Text from outside that must not move the cursor or change colours: control characters are shown as what they are.
pub(crate) fn harmless(text: &str) -> Cow<'_, str> {
    let harmful = |c: char| c.is_control() && c != '\n' && c != '\t';
    if !text.contains(harmful) {
        return Cow::Borrowed(text);
    }
    text.chars()
        .map(|c| if harmful(c) { c.escape_default().to_string() } else { c.to_string() })
        .collect::<String>()
        .into()
}

/// A bar on stderr for work of known length; nothing is drawn outside terminals.
pub(crate) fn bar(length: u64, doing: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {bar:30.cyan/dim} {human_pos}/{human_len} {rate} {eta}")
        .expect("the template is constant")
        .with_key("rate", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            let _ = write!(out, "{}/s", grouped(state.per_sec() as u64));
        })
        .progress_chars("━━╌");
    let bar = ProgressBar::new(length).with_style(style).with_message(doing.to_owned());
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// Ends the bar of work that was done bit by bit; an error then tells how much of it had been done.
pub(crate) fn finish<T>(
    bar: &ProgressBar,
    outcome: Result<T, ergate_client::Error>,
    what: &str,
    done: &str,
) -> anyhow::Result<T> {
    // Clearing it moves it to its end.
    let so_far = bar.position();
    bar.finish_and_clear();
    match (outcome, so_far) {
        (Ok(value), _) => Ok(value),
        (Err(error), 0) => Err(error.into()),
        (Err(error), so_far) => {
            let before = format!("{} had been {done} before this", counted(so_far, what));
            Err(anyhow::Error::from(error).context(before))
        }
    }
}

/// A spinner on stderr for work of unknown length; nothing is drawn outside terminals.
pub(crate) fn spinner(doing: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner:.cyan} {msg} {elapsed:.dim}")
        .expect("the template is constant");
    let spinner = ProgressBar::new_spinner().with_style(style).with_message(doing.to_owned());
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}

/// Awaits something, with a spinner if it takes longer than `patience`.
pub(crate) async fn patiently<T>(doing: &str, patience: Duration, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    tokio::select! {
        done = &mut work => done,
        () = tokio::time::sleep(patience) => {
            let spinner = spinner(doing);
            let done = work.await;
            spinner.finish_and_clear();
            done
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000), "1,000");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }

    #[test]
    fn one_is_not_many() {
        assert_eq!(counted(1, "job"), "1 job");
        assert_eq!(counted(2_000, "job"), "2,000 jobs");
    }

    #[test]
    fn what_fails_midway_tells_how_far_it_came_and_keeps_its_exit_code() {
        let after = |count| {
            let bar = ProgressBar::hidden();
            bar.set_position(count);
            let refused = Err::<(), _>(ergate_client::Error::Option("no".to_owned()));
            finish(&bar, refused, "job", "deleted").unwrap_err()
        };

        let (at_once, midway) = (after(0), after(4_000));

        assert_eq!(at_once.to_string(), "no");
        assert_eq!(midway.to_string(), "4,000 jobs had been deleted before this");
        assert_eq!(exit::code(&midway), exit::Code::Usage);
    }

    #[test]
    fn prose_wraps_between_words() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("overlong", 3), ["overlong"]);
    }

    #[test]
    fn escape_sequences_of_others_do_not_reach_the_terminal() {
        assert_eq!(harmless("plain\n\ttext"), "plain\n\ttext");
        assert_eq!(harmless("\u{1b}[31mred\u{7}"), "\\u{1b}[31mred\\u{7}");
    }
}
