//! What is enqueued.

use super::*;

/// A job to enqueue. By default it is plain: priority 5, at once.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) name: &'static str,
    pub(crate) payload: Vec<u8>,
    pub(crate) priority: i64,
    /// `""` now, `+ms` or `@ms`.
    pub(crate) when: String,
    pub(crate) own_id: bool,
    pub(crate) unique: Option<(UniqueScope, String)>,
    pub(crate) keys: Vec<Key>,
    pub(crate) order_at: Option<u64>,
    /// What options of a function say about the start of a run.
    pub(crate) rules: String,
    /// Whether a router enqueues it.
    pub(crate) routed: bool,
    /// Until when the router owns what it does; default: ten seconds from now.
    pub(crate) owned_until: Option<u64>,
    pub(crate) window: Option<u64>,
    pub(crate) on_conflict: &'static str,
    pub(crate) expiry: Option<u64>,
    /// Whether somebody outside the queue is to be told of its end.
    pub(crate) tells: bool,
}

impl Entry {
    pub(crate) fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            name: "act",
            payload: b"{}".to_vec(),
            priority: 5,
            when: String::new(),
            own_id: false,
            unique: None,
            keys: Vec::new(),
            order_at: None,
            rules: String::new(),
            routed: false,
            owned_until: None,
            window: None,
            on_conflict: "keep",
            expiry: None,
            tells: false,
        }
    }

    pub(crate) fn priority(mut self, priority: i64) -> Self {
        self.priority = priority;
        self
    }

    /// Due this many ms from now.
    pub(crate) fn delay(mut self, ms: u64) -> Self {
        self.when = format!("+{ms}");
        self
    }

    pub(crate) fn expires_in(mut self, ms: u64) -> Self {
        self.expiry = Some(ms);
        self
    }

    pub(crate) fn unique(mut self, scope: UniqueScope, key: &str) -> Self {
        self.unique = Some((scope, key.to_owned()));
        self
    }

    pub(crate) fn unique_within(mut self, key: &str, ms: u64) -> Self {
        self.window = Some(ms);
        self.unique(UniqueScope::Window, key)
    }

    pub(crate) fn key(mut self, name: &str, value: impl ToString) -> Self {
        self.keys.push(Key::new(name, value.to_string()).unwrap());
        self
    }

    /// With a rule of a function's options, as `lua/lib/start.lua` reads it.
    pub(crate) fn rule(mut self, rule: &str) -> Self {
        self.rules.push_str(&format!("\n{rule}"));
        self
    }

    /// As a router enqueues it: its id stays taken until its event is acknowledged.
    pub(crate) fn routed(mut self) -> Self {
        self.routed = true;
        self
    }

    pub(crate) fn replace(mut self) -> Self {
        self.on_conflict = "replace";
        self
    }

    pub(crate) fn is_plain(&self) -> bool {
        self.when.is_empty()
            && !self.own_id
            && self.unique.is_none()
            && self.keys.is_empty()
            && self.order_at.is_none()
            && self.rules.is_empty()
            && !self.routed
            && self.expiry.is_none()
            && self.priority == 5
    }

    /// The record as a producer writes it at `now`.
    pub(crate) fn record(&self, now: u64) -> Vec<u8> {
        JobRecord {
            name: JobName::new(self.name).unwrap(),
            priority: Priority::new(self.priority).unwrap(),
            unique: self.unique.clone(),
            lane: Lane::of_run(self.keys.clone()).unwrap(),
            order_at: self.order_at,
            expires: self.expiry.is_some(),
            tells: self.tells,
            enqueued_at: now,
            due_at: now,
            version: 1,
            options: ergate::JobOptions::default(),
            payload: self.payload.clone(),
        }
        .encode()
    }
}

/// Entries with these ids, all plain.
pub(crate) fn plain(ids: &[&str]) -> Vec<Entry> {
    ids.iter().map(|id| Entry::new(*id)).collect()
}
