//! What every script can do, and which model makes it do that.

use std::collections::BTreeSet;

use ergate_shared::script::Script;

use super::{Met, setting};
use crate::story::Story;

/// From so many sequences on, every script is called and every transition met; of few it is chance what they come to.
const MANY: u64 = 1000;

/// Model, script, and the transitions told apart: what it answers, or what it was asked to do. The tests of the repairs make
/// faults by hand, which no operation can.
const TRANSITIONS: &[(&str, &str, &[&str])] = &[
    ("jobs", "job/cancel", &["ok", "asked", "gone", "ended"]),
    ("jobs", "job/enqueue", &["ok", "repeated", "", "exists", "held", "dropped", "asked"]),
    ("jobs", "job/inspect", &[]),
    ("jobs", "job/remove", &["ok", "gone", "leased"]),
    ("jobs", "job/reschedule", &["ok", "gone", "leased", "completed", "cancelled", "dead"]),
    ("jobs", "job/retry", &["ok", "gone", "held", "ready", "scheduled", "leased", "completed", "cancelled"]),
    ("jobs", "job/update", &["ok", "gone", "leased", "completed", "cancelled", "changed"]),
    ("jobs", "queue/configure", &[]),
    ("jobs", "queue/limit", &[]),
    ("jobs", "queue/pause_key", &[]),
    ("jobs", "queue/repair", &[]),
    ("jobs", "queue/stats", &[]),
    ("jobs", "queue/sweep", &["ok"]),
    ("jobs", "waiter/call", &[]),
    ("jobs", "worker/heartbeat", &["ok", "lapsed"]),
    ("jobs", "worker/join", &["taken"]),
    ("jobs", "worker/leave", &["ok", "holding"]),
    ("jobs", "worker/note", &["progress", "log", "lost"]),
    ("jobs", "worker/reap", &["ok", "alive"]),
    (
        "jobs",
        "worker/turn",
        &[
            "ok",
            "paused",
            "lapsed",
            "stale",
            "together",
            "complete",
            "tell",
            "retry",
            "snooze",
            "hand_back",
            "dead",
            "discard",
            "cancel",
        ],
    ),
    ("registry", "registry/announce", &["none", "order", "forgotten"]),
    ("registry", "registry/declare", &["changed", "as it was", "taken off"]),
    ("registry", "registry/remove", &["ok", "gone", "declared"]),
    ("runs", "event/clean", &["ok", "empty"]),
    ("runs", "event/finish", &["ok", "late"]),
    ("runs", "event/route", &["ok", "fields"]),
    ("runs", "event/send", &["kept", "duplicate"]),
    ("runs", "event/tend", &["taken", "had again", "none taken"]),
    ("runs", "event/unwait", &[]),
    ("runs", "event/wait", &["kept", "look", "check"]),
    ("runs", "event/waits", &[]),
    ("runs", "job/enqueue", &["ok", "exists", "late"]),
    ("runs", "job/retry", &["again"]),
    ("runs", "run/deliver", &["ok", "closed", "gone"]),
    ("runs", "run/fork", &["ok", "exists", "gone"]),
    ("runs", "run/record", &["ok", "lost", "closed", "written before"]),
    ("runs", "run/tail", &[]),
    ("runs", "worker/turn", &["suspend", "retry", "tell", "dead", "stale"]),
    ("schedules", "job/enqueue", &["ok", "repeated"]),
    ("schedules", "schedule/read", &[]),
    ("schedules", "schedule/remove", &[]),
    ("schedules", "schedule/set", &["ok", "stale"]),
    ("schedules", "schedule/step", &["planned", "carried out", "paused", "resumed", "stale"]),
    ("schedules", "schedule/tick", &["handed out", "forgotten"]),
];

/// The scripts that the story's server was called with since it started: it forgets them when it ends.
pub(super) async fn called(story: &Story) -> BTreeSet<&'static str> {
    let all: Vec<_> = Script::all().collect();
    let mut exists = redis::cmd("SCRIPT");
    exists.arg("EXISTS");
    for script in &all {
        exists.arg(&script.sha);
    }
    let known: Vec<bool> = story.client.redis().command("SCRIPT", &exists).await.unwrap();
    all.iter().zip(known).filter(|(_, known)| *known).map(|(script, _)| script.name).collect()
}

/// Fails if a model has met what is not in its list; and after many sequences, if it has not called one of its scripts or not met
/// something in the list.
pub(super) fn all_were_met(model: &str, called: &BTreeSet<&'static str>, met: &Met) {
    let rows = || TRANSITIONS.iter().filter(|(of, ..)| *of == model);
    let listed: Met = rows()
        .flat_map(|(_, script, codes)| codes.iter().map(|code| (*script, (*code).to_owned())))
        .collect();
    let unlisted: Vec<_> = met.difference(&listed).collect();
    assert!(unlisted.is_empty(), "not in the list of transitions: {unlisted:?}");
    if setting("ERGATE_MODEL_CASES").is_none_or(|cases| cases < MANY) {
        return;
    }
    let uncalled: Vec<_> = rows().map(|(_, name, _)| name).filter(|name| !called.contains(*name)).collect();
    assert!(uncalled.is_empty(), "never called: {uncalled:?}");
    let unmet: Vec<_> = listed.difference(met).collect();
    assert!(unmet.is_empty(), "never met: {unmet:?}");
}

#[test]
fn every_script_is_called_by_a_model() {
    let all: BTreeSet<_> = Script::all().map(|script| script.name).collect();

    assert_eq!(TRANSITIONS.iter().map(|(_, script, _)| *script).collect::<BTreeSet<_>>(), all);
}
