//! Whose key it is: the way back from a key's text to what made it.

use super::{NameKeys, QueueKey, QueueKeys, RegistryKeys, ScheduleKeys, ShardKeys};
use crate::{EventName, Namespace, QueueName, WorkerId, event::SHARDS};

/// Whose key a key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// A queue's.
    Queue(QueueName, QueueKey),
    /// The list a worker of a queue is called by.
    Call(QueueName, WorkerId),
    /// The namespace's own, by the name scripts know it by.
    Registry(String),
    /// Of a shard of the events, likewise.
    Shard(usize, String),
    /// Of an event name, likewise.
    Name(EventName, String),
    /// The schedules', likewise.
    Schedules(String),
}

impl Owner {
    /// Whose key `key` is; `None` if this release makes no such key in `namespace`.
    pub fn of(namespace: &Namespace, key: &str) -> Option<Self> {
        let (slot, name) = key.strip_prefix(&format!("{namespace}:{{"))?.split_once("}:")?;
        let is = |made: Option<&str>| made == Some(key);
        if slot == namespace.as_str() && is(Some(RegistryKeys::new(namespace).named(name))) {
            return Some(Self::Registry(name.to_owned()));
        }
        if is(ScheduleKeys::new(namespace).named(name)) {
            return Some(Self::Schedules(name.to_owned()));
        }
        let shard = (0..SHARDS).find(|shard| is(ShardKeys::new(namespace, *shard).named(name)));
        if let Some(shard) = shard {
            return Some(Self::Shard(shard, name.to_owned()));
        }
        let event = slot.strip_prefix("event/").and_then(|event| event.parse::<EventName>().ok());
        if let Some(event) = event.filter(|event| is(NameKeys::new(namespace, event).named(name))) {
            return Some(Self::Name(event, name.to_owned()));
        }
        let queue: QueueName = slot.parse().ok()?;
        let keys = QueueKeys::new(namespace, &queue);
        if let Some(worker) = name.strip_prefix("call:") {
            let worker = WorkerId::of_token(worker);
            return (keys.call(&worker) == key).then_some(Self::Call(queue, worker));
        }
        let of_queue = QueueKey::all().find(|known| keys.get(*known) == key)?;
        Some(Self::Queue(queue, of_queue))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_tells_whose_it_is() {
        let namespace: Namespace = "a:b".parse().unwrap();
        let queue: QueueName = "schedules".parse().unwrap();
        let event: EventName = "app/x".parse().unwrap();
        let worker = WorkerId::generate();
        let keys = QueueKeys::new(&namespace, &queue);
        let of = |key: &str| Owner::of(&namespace, key);

        for key in QueueKey::all() {
            assert_eq!(of(keys.get(key)), Some(Owner::Queue(queue.clone(), key)));
        }
        assert_eq!(of(&keys.call(&worker)), Some(Owner::Call(queue, worker)));
        let registry = RegistryKeys::new(&namespace);
        assert_eq!(of(&registry.format), Some(Owner::Registry("format".to_owned())));
        let schedules = ScheduleKeys::new(&namespace);
        assert_eq!(of(&schedules.due), Some(Owner::Schedules("due".to_owned())));
        assert_eq!(of(&ShardKeys::new(&namespace, 3).own), Some(Owner::Shard(3, "own".to_owned())));
        assert_eq!(of(&NameKeys::new(&namespace, &event).seen), Some(Owner::Name(event, "seen".to_owned())));
    }

    #[test]
    fn what_nobody_makes_is_nobodys() {
        let namespace = Namespace::default();

        for key in [
            "ergate:{mail}:letters",
            "other:{mail}:jobs",
            "ergate:mail:jobs",
            "ergate:{ma il}:jobs",
            "ergate:{ergate}:seens",
        ] {
            assert_eq!(Owner::of(&namespace, key), None, "{key}");
        }
    }
}
