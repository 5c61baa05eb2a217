//! Names, ids, keys and patterns: what is taken reads back as itself, and may stand in a Redis key, a lane or a word.
#![no_main]

use std::{fmt::Display, str::FromStr};

use ergate_shared::{
    EventId, EventName, EventPattern, FunctionName, JobId, JobName, Key, KeyName, Lane, Namespace, QueueName,
    ScheduleName, Tries, WaitRef,
    key::{NameKeys, QueueKey, QueueKeys},
    lane::keys_of,
    run::RunState,
};
use libfuzzer_sys::fuzz_target;

fn reads_back<T: FromStr + Display>(text: &str) -> Option<T> {
    let value = text.parse::<T>().ok()?;
    let shown = value.to_string();
    let again = shown.parse::<T>().unwrap_or_else(|_| panic!("{text:?} is shown as {shown:?}"));
    assert_eq!(again.to_string(), shown);
    Some(value)
}

fn has_no_brace_or_space(text: &str) {
    assert!(!text.contains(['{', '}', ' ', '\n', '\0', '=']), "{text:?}");
}

fuzz_target!(|text: &str| {
    let namespace = Namespace::default();
    if let Some(queue) = reads_back::<QueueName>(text) {
        has_no_brace_or_space(queue.as_str());
        assert!(QueueKeys::new(&namespace, &queue).get(QueueKey::jobs).contains(&format!("{{{queue}}}")));
        if let Some(function) = FunctionName::of_queue(&queue) {
            assert_eq!(FunctionName::of_queue(&function.queue()), Some(function));
        }
    }
    if let Some(name) = reads_back::<EventName>(text) {
        has_no_brace_or_space(name.as_str());
        NameKeys::new(&namespace, &name);
        let pattern = EventPattern::new(name.as_str()).expect("a name is a pattern");
        assert!(pattern.matches(&name));
    }
    for name in [
        reads_back::<JobName>(text).map(String::from),
        reads_back::<FunctionName>(text).map(String::from),
        reads_back::<Namespace>(text).map(String::from),
        reads_back::<ScheduleName>(text).map(String::from),
        reads_back::<KeyName>(text).map(String::from),
    ]
    .into_iter()
    .flatten()
    {
        has_no_brace_or_space(&name);
    }
    reads_back::<EventPattern>(text);
    reads_back::<WaitRef>(text);
    if let Ok(id) = JobId::new(text) {
        assert!(!id.as_str().contains([' ', '\n']), "{id:?}");
    }
    if let Ok(id) = EventId::new(text) {
        let _ = (id.time_ms(), id.shard());
        if let Ok(function) = FunctionName::new("onboard") {
            let run = id.run_id(1_795_316_400_000, &function);
            assert_eq!(JobId::new(run.as_str()).expect("it is an id"), run);
        }
    }
    if let Some((name, value)) = text.split_once('=')
        && let Ok(key) = Key::new(name, value)
        && let Ok(Some(lane)) = Lane::of_run(vec![key.clone()])
    {
        assert_eq!(lane.keys().collect::<Vec<_>>(), [key]);
    }
    let _ = keys_of(text).count();
    if let Ok(tries) = Tries::parse(text) {
        assert_eq!(Tries::parse(&tries.to_text()).expect("it reads back"), tries);
        let _ = tries.attempt();
    }
    let _ = serde_json::from_value::<RunState>(text.into());
});
