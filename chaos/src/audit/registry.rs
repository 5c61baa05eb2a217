//! What is kept about the namespace as a whole: queues, worker processes, functions, names of events.

use ergate::FunctionSpec;
use ergate_shared::key::{NameKeys, QueueKey, RegistryKeys};

use super::{
    Findings,
    kept::{Kept, text},
};

pub(super) fn judge(kept: &Kept, findings: &mut Findings) {
    let keys = RegistryKeys::new(&kept.namespace);
    for queue in kept.queues() {
        let has_jobs = kept.has(kept.keys_of(&queue).get(QueueKey::jobs));
        let is_known = kept.set(&keys.queues).contains(queue.as_str());
        findings
            .expect(is_known || !has_jobs, &keys.queues, || format!("{queue} has jobs and is not listed"));
    }
    judge_processes(kept, &keys, findings);
    judge_functions(kept, &keys, findings);
    for name in kept.event_names() {
        let of_name = NameKeys::new(&kept.namespace, &name);
        let in_use = kept.has(&of_name.recent) || kept.has(&of_name.waits);
        let is_known = kept.hash(&keys.event_names).contains_key(name.as_str());
        findings
            .expect(is_known || !in_use, &keys.event_names, || format!("{name} is in use and not listed"));
    }
    for key in [&keys.epoch, &keys.format] {
        findings.expect(kept.has(key), key, || "is missing".to_owned());
    }
}

fn judge_processes(kept: &Kept, keys: &RegistryKeys, findings: &mut Findings) {
    for process in kept.sorted(&keys.seen).keys() {
        let is_told = kept.hash(&keys.about).contains_key(process);
        findings.expect(is_told, &keys.about, || format!("nothing is said about {process}"));
    }
    for (process, about) in kept.hash(&keys.about) {
        let is_seen = kept.sorted(&keys.seen).contains_key(process);
        findings.expect(is_seen, &keys.seen, || format!("{process} was never seen"));
        let is_json = serde_json::from_slice::<serde_json::Value>(about).is_ok();
        findings.expect(is_json, &keys.about, || format!("what is said about {process} cannot be read"));
    }
}

fn judge_functions(kept: &Kept, keys: &RegistryKeys, findings: &mut Findings) {
    for (function, spec) in kept.hash(&keys.functions) {
        let is_declared = kept.sorted(&keys.functions_declared).contains_key(function);
        findings.expect(is_declared, &keys.functions_declared, || format!("{function} was never declared"));
        let is_read = serde_json::from_str::<FunctionSpec>(&text(spec)).is_ok();
        findings.expect(is_read, &keys.functions, || format!("what {function} is cannot be read"));
    }
    for function in kept.sorted(&keys.functions_declared).keys() {
        let is_known = kept.hash(&keys.functions).contains_key(function);
        findings.expect(is_known, &keys.functions, || format!("{function} was declared and is not known"));
    }
    findings.expect(
        kept.hash(&keys.functions).is_empty() || kept.has(&keys.functions_version),
        &keys.functions_version,
        || "there are functions and no version of them".to_owned(),
    );
}
