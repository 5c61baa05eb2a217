//! Events on their way into their shard.

use ergate_shared::script;

use super::{
    journal::{self, EVENT},
    operation::Cut,
    play::{Done, Play, same},
    worker::Letter,
    world::Event,
};

/// An own id is taken so long, in ms.
const OWN_FOR: u64 = 30_000;

impl Play {
    pub(super) async fn send(&mut self, number: u8, own: Option<u8>, ahead: Option<u64>, cut: Cut) -> Done {
        self.made += 1;
        let now = self.jobs.now;
        let key = format!("e{:04}", self.made);
        let own = own.map(|own| format!("own-{own}")).unwrap_or_default();
        let due = ahead.map(|ms| now + ms);
        let record = journal::event(if own.is_empty() { &key } else { &own }, number, due.unwrap_or(now));
        let event = Event { number, record, due, came: 0, routed: false };
        let letter = Letter::Event { key, own, event };
        match cut {
            Cut::Late => self.bag.push((now, letter)),
            Cut::Twice => {
                self.deliver(&letter).await?;
                self.deliver(&letter).await?;
            }
            Cut::None | Cut::ReplyLost => self.deliver(&letter).await?,
        }
        Ok(())
    }

    pub(super) async fn arrive(&mut self, key: &str, own: &str, event: &Event) -> Done {
        let now = self.jobs.now;
        let call = script::EVENT_SEND
            .on_shard(&self.shard)
            .arg(now.to_string())
            .number(OWN_FOR)
            .arg(key)
            .arg(own)
            .arg(EVENT)
            .arg(&event.record)
            .arg(event.due.map(|due| due.to_string()).unwrap_or_default());
        let (_, outcomes): (u64, Vec<String>) = self.jobs.run(&call).await;
        let expected = self.keep(key, own, event);
        self.meets("event/send", if expected.is_empty() { "kept" } else { expected });
        same("send", outcomes[0].as_str(), expected)
    }

    fn keep(&mut self, key: &str, own: &str, event: &Event) -> &'static str {
        let (now, world) = (self.jobs.now, &mut self.world);
        if !own.is_empty() {
            match world.own.get(own) {
                Some((holder, _)) if holder == key => return "",
                Some((holder, until)) if *until > now || !world.events[holder].routed => return "duplicate",
                _ => world.own.insert(own.to_owned(), (key.to_owned(), now + OWN_FOR)),
            };
        }
        if world.events.contains_key(key) {
            return "";
        }
        let mut event = event.clone();
        event.due = event.due.filter(|due| *due > now);
        if event.due.is_none() {
            event.came = now;
            world.unread.push_back(key.to_owned());
        }
        world.events.insert(key.to_owned(), event);
        ""
    }

    /// Events whose time has come go into the stream, in the order of their times.
    pub(super) fn fall_due(&mut self) {
        let now = self.jobs.now;
        let mut due: Vec<_> = self
            .world
            .events
            .iter_mut()
            .filter_map(|(key, event)| Some((event.due.filter(|due| *due <= now)?, key, event)))
            .collect();
        due.sort_by_key(|(due, key, _)| (*due, (*key).clone()));
        for (_, key, event) in due {
            (event.due, event.came) = (None, now);
            self.world.unread.push_back(key.clone());
        }
    }
}
