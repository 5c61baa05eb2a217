//! What was seen, side by side: JSON for programs, Markdown for people.

use std::fmt::Write as _;

use serde::Serialize;

use super::{Played, Scene, Setting, System};

/// What the page says before any number.
const PAGE: &str = include_str!("page.md");

/// All that was played, and on what.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The server's version.
    pub server: String,
    /// How many plays went on at a time.
    pub at_once: usize,
    /// The systems: version, build and set-up.
    pub systems: Vec<beside::About>,
    /// What was played.
    pub plays: Vec<Played>,
    /// What could not be played to its end, and why.
    pub broken: Vec<String>,
}

impl Report {
    /// As JSON.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    pub fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }

    /// A table for each scene: a line for each thing that was looked for, a column for each system and set-up. What differed from
    /// run to run is divided by slashes, in the order of the seeds.
    pub fn markdown(&self, scenes: &[Scene], systems: &[System], settings: &[Setting]) -> String {
        let mut text = PAGE.to_owned();
        let mut seeds: Vec<_> = self.plays.iter().map(|play| play.seed.to_string()).collect();
        seeds.sort_unstable();
        seeds.dedup();
        let _ = writeln!(
            text,
            "\n## What was played\n\nServer: {}. Seeds: {}. At most {} plays at a time.\n",
            self.server,
            seeds.join(", "),
            self.at_once
        );
        let _ = writeln!(text, "| system | build | set up by default | with a lease |\n|---|---|---|---|");
        for about in &self.systems {
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} |",
                about.version, about.build, about.defaults, about.with_lease
            );
        }
        for scene in scenes {
            let _ = writeln!(text, "\n## {}\n\n{}\n", capital(scene.name), scene.about);
            self.table(&mut text, scene, systems, settings);
        }
        if !self.broken.is_empty() {
            let _ = writeln!(text, "\n## Not played to the end\n");
            for broken in &self.broken {
                let _ = writeln!(text, "- {broken}");
            }
        }
        text
    }

    fn table(&self, text: &mut String, scene: &Scene, systems: &[System], settings: &[Setting]) {
        let columns: Vec<_> = settings
            .iter()
            .flat_map(|setting| systems.iter().map(move |system| (system, setting.name())))
            .collect();
        let heads: Vec<_> =
            columns.iter().map(|(system, setting)| format!("{}, {setting}", system.name)).collect();
        let _ = writeln!(text, "| | {} |\n|---|{}", heads.join(" | "), "---|".repeat(columns.len()));
        let plays_of = |system: &System, setting: &str| {
            let mut plays: Vec<_> = self
                .plays
                .iter()
                .filter(|play| {
                    play.scene == scene.name && play.system == system.name && play.setting == setting
                })
                .collect();
            plays.sort_by_key(|play| play.seed);
            plays
        };
        let cells = |read: &dyn Fn(&Played) -> Option<String>| -> Vec<String> {
            columns
                .iter()
                .map(|(system, setting)| {
                    merge(&plays_of(system, setting).into_iter().filter_map(read).collect::<Vec<_>>())
                })
                .collect()
        };

        let done = cells(&|play| Some(play.done.join("; ")));
        let _ = writeln!(text, "| what was done | {} |", done.join(" | "));
        let mut asked: Vec<&str> = Vec::new();
        for fact in self.plays.iter().filter(|play| play.scene == scene.name).flat_map(|play| &play.facts) {
            if !asked.contains(&fact.of.as_str()) {
                asked.push(&fact.of);
            }
        }
        for of in asked {
            let seen =
                cells(&|play| play.facts.iter().find(|fact| fact.of == of).map(|fact| fact.seen.clone()));
            let _ = writeln!(text, "| {of} | {} |", seen.join(" | "));
        }
        let stalls = cells(&|play| Some(format!("{} ms", play.stall_ms)));
        let _ = writeln!(text, "| the machine stood still for, at most | {} |", stalls.join(" | "));
    }
}

/// What all runs have in common, or what each has.
fn merge(seen: &[String]) -> String {
    match seen.first() {
        None => "not played".to_owned(),
        Some(first) if seen.iter().all(|one| one == first) => first.clone(),
        Some(_) => seen.join(" / "),
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_runs_have_in_common_is_said_once() {
        let seen = |all: &[&str]| merge(&all.iter().map(|&one| one.to_owned()).collect::<Vec<_>>());

        assert_eq!(seen(&["8 completed", "8 completed"]), "8 completed");
        assert_eq!(seen(&["1.2 s", "1.4 s"]), "1.2 s / 1.4 s");
        assert_eq!(seen(&[]), "not played");
    }
}
