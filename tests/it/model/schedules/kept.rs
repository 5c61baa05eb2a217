//! What is kept of schedules, as the scripts should keep it.

use std::collections::BTreeMap;

/// Of an ask for what is due: how long what is handed out is claimed, without a word for how long a schedule is retired, and how
/// long a retired one is remembered, in ms.
pub(super) const CLAIM: u64 = 2000;
pub(super) const SILENCE: u64 = 120_000;
pub(super) const MEMORY: u64 = 300_000;

#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Kept {
    pub(super) definitions: BTreeMap<String, String>,
    pub(super) states: BTreeMap<String, String>,
    pub(super) due: BTreeMap<String, u64>,
    pub(super) declared: BTreeMap<String, u64>,
    pub(super) retired: BTreeMap<String, u64>,
}

/// A change from one state to the next.
#[derive(Debug, Clone)]
pub(super) struct Next {
    pub(super) name: String,
    pub(super) as_read: String,
    pub(super) following: String,
    pub(super) look_at: Option<u64>,
}

impl Kept {
    /// Names that are handed out, and when the first of the others is due.
    pub(super) fn tick(&mut self, now: u64, retires: bool, declares: &[&str]) -> (Vec<String>, Option<u64>) {
        for name in declares {
            if self.retired.remove(*name).is_some() {
                self.declared.insert((*name).to_owned(), now);
                self.due.insert((*name).to_owned(), now);
            } else if let Some(at) = self.declared.get_mut(*name) {
                *at = now;
            }
        }
        if retires {
            let silent = self.declared.extract_if(.., |_, at| *at + SILENCE <= now);
            for (name, _) in silent.collect::<Vec<_>>() {
                self.due.remove(&name);
                self.retired.insert(name, now);
            }
            for (name, _) in self.retired.extract_if(.., |_, at| *at + MEMORY <= now) {
                self.definitions.remove(&name);
                self.states.remove(&name);
            }
        }
        let mut due: Vec<_> =
            self.due.iter().filter(|(_, at)| **at <= now).map(|(name, at)| (*at, name)).collect();
        due.sort();
        let due: Vec<_> = due.into_iter().map(|(_, name)| name.clone()).collect();
        for name in &due {
            self.due.insert(name.clone(), now + CLAIM);
        }
        (due, self.due.values().min().copied())
    }

    pub(super) fn step(&mut self, next: &Next) -> &'static str {
        let state = self.states.get(&next.name);
        if state != Some(&next.as_read) && state != Some(&next.following) {
            return "stale";
        }
        self.states.insert(next.name.clone(), next.following.clone());
        let look_at = next.look_at.filter(|_| !self.retired.contains_key(&next.name));
        self.look_at(&next.name, look_at);
        "ok"
    }

    pub(super) fn set(&mut self, next: &Next, definition: &str, by_code: bool, now: u64) -> &'static str {
        let state = self.states.get(&next.name).map(String::as_str).unwrap_or_default();
        if state == next.following && self.definitions.get(&next.name).is_some_and(|is| is == definition) {
            return "ok";
        }
        if state != next.as_read {
            return "stale";
        }
        self.definitions.insert(next.name.clone(), definition.to_owned());
        self.states.insert(next.name.clone(), next.following.clone());
        self.retired.remove(&next.name);
        if by_code {
            self.declared.insert(next.name.clone(), now);
        } else {
            self.declared.remove(&next.name);
        }
        self.look_at(&next.name, next.look_at);
        "ok"
    }

    fn look_at(&mut self, name: &str, at: Option<u64>) {
        match at {
            Some(at) => self.due.insert(name.to_owned(), at),
            None => self.due.remove(name),
        };
    }

    pub(super) fn remove(&mut self, name: &str) -> u64 {
        self.states.remove(name);
        for times in [&mut self.due, &mut self.declared, &mut self.retired] {
            times.remove(name);
        }
        u64::from(self.definitions.remove(name).is_some())
    }
}
