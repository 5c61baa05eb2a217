//! The shards of the events: what was sent is kept, to come or to be routed, and nothing was passed over.

use std::collections::BTreeSet;

use ergate::EventRecord;
use ergate_shared::{event::SHARDS, key::ShardKeys};

use super::{
    Findings,
    kept::{Kept, Stream, text},
};

pub(super) fn judge(kept: &Kept, findings: &mut Findings) {
    for shard in 0..SHARDS {
        let keys = ShardKeys::new(&kept.namespace, shard);
        let none = Stream::default();
        let stream = kept.stream(&keys.stream).unwrap_or(&none);
        let in_stream = judge_stream(kept, &keys, stream, findings);
        judge_future(kept, &keys, &in_stream, findings);
        judge_kept(kept, &keys, &in_stream, findings);
        judge_own(kept, &keys, findings);
    }
}

/// Returns the keys of the events in the stream.
fn judge_stream(kept: &Kept, keys: &ShardKeys, stream: &Stream, findings: &mut Findings) -> BTreeSet<String> {
    let mut in_stream = BTreeSet::new();
    for (place, fields) in &stream.entries {
        let field = |name: &str| fields.get(name).map(|value| text(value));
        let was_handed_out = stream.handed_out.is_some_and(|last| *place <= last);
        let is_done = was_handed_out && !stream.unacknowledged.contains(place);
        let Some(key) = field("key") else {
            // It announces an event of the future, to whoever reads it.
            let at = format!("{}-{}", place.0, place.1);
            findings.expect(field("due").is_some(), &keys.stream, || format!("entry {at} says nothing"));
            findings
                .expect(!is_done, &keys.stream, || format!("entry {at} was read, and says nothing any more"));
            continue;
        };
        findings.expect(kept.hash(&keys.events).contains_key(&key), &keys.stream, || {
            format!("{key} has no record")
        });
        let is_routed = kept.hash(&keys.started).contains_key(&key);
        findings.expect(is_routed || !is_done, &keys.stream, || {
            format!("{key} was acknowledged, and nothing says what it started")
        });
        findings.expect(in_stream.insert(key.clone()), &keys.stream, || format!("{key} is there twice"));
    }
    in_stream
}

fn judge_future(kept: &Kept, keys: &ShardKeys, in_stream: &BTreeSet<String>, findings: &mut Findings) {
    for member in kept.sorted(&keys.future).keys() {
        let key = member.split(' ').next().unwrap_or(member);
        findings.expect(kept.hash(&keys.events).contains_key(key), &keys.future, || {
            format!("{key} has no record")
        });
        findings.expect(!in_stream.contains(key), &keys.future, || format!("{key} has come already"));
    }
}

fn judge_kept(kept: &Kept, keys: &ShardKeys, in_stream: &BTreeSet<String>, findings: &mut Findings) {
    let to_come: BTreeSet<&str> =
        kept.sorted(&keys.future).keys().filter_map(|member| member.split(' ').next()).collect();
    for (key, record) in kept.hash(&keys.events) {
        findings.expect(in_stream.contains(key) || to_come.contains(key.as_str()), &keys.events, || {
            format!("{key} is neither in the stream nor to come")
        });
        let is_read = serde_json::from_slice::<EventRecord>(record).is_ok();
        findings.expect(is_read, &keys.events, || format!("the record of {key} cannot be read"));
    }
    for key in kept.hash(&keys.started).keys() {
        findings.expect(kept.hash(&keys.events).contains_key(key), &keys.started, || {
            format!("{key} has no record")
        });
    }
}

/// An own id belongs to an event that is kept, or may not be used again yet.
fn judge_own(kept: &Kept, keys: &ShardKeys, findings: &mut Findings) {
    for (id, key) in kept.hash(&keys.own) {
        let key = text(key);
        let is_owned = kept.sorted(&keys.owned).contains_key(id);
        findings.expect(is_owned || kept.hash(&keys.events).contains_key(&key), &keys.own, || {
            format!("{id} is taken by {key}, which is no event, for ever")
        });
    }
    for id in kept.sorted(&keys.owned).keys() {
        findings.expect(kept.hash(&keys.own).contains_key(id), &keys.owned, || format!("{id} is nobody's"));
    }
}
