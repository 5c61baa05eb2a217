//! Dead letters by what they died of: counted page by page, so that none of them has to be kept.

use std::collections::{BTreeSet, HashMap};

use ergate_client::JobView;
use serde_json::{Value, json};

use crate::{
    listing,
    output::{Cell, Clock, Column, DIM, RED, Table},
};

/// How many died of what, by kind and message of the failure.
#[derive(Debug, Default)]
pub(super) struct Groups {
    groups: HashMap<(String, String), Group>,
}

#[derive(Debug, PartialEq)]
struct Group {
    names: BTreeSet<String>,
    count: u64,
    first: u64,
    last: u64,
}

impl Groups {
    /// Counts these too.
    pub(super) fn add(&mut self, views: &[JobView]) {
        for view in views {
            let failure = view.failure.as_ref();
            let kind = failure.map_or("", |failure| failure.kind.as_str());
            let message = failure.map_or("", |failure| failure.message.as_str());
            self.count(kind, message, view.name(), view.at.unwrap_or(0));
        }
    }

    fn count(&mut self, kind: &str, message: &str, name: &str, at: u64) {
        let new = Group { names: BTreeSet::new(), count: 0, first: at, last: at };
        let group = self.groups.entry((kind.to_owned(), message.to_owned())).or_insert(new);
        group.count += 1;
        group.first = group.first.min(at);
        group.last = group.last.max(at);
        if !group.names.contains(name) {
            group.names.insert(name.to_owned());
        }
    }

    /// Whether there was none to count.
    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Kind and message of each, the most first.
    fn sorted(&self) -> Vec<(&str, &str, &Group)> {
        let groups = self.groups.iter();
        let mut sorted: Vec<_> =
            groups.map(|((kind, message), group)| (kind.as_str(), message.as_str(), group)).collect();
        sorted.sort_by(|(.., a), (.., b)| b.count.cmp(&a.count).then(b.last.cmp(&a.last)));
        sorted
    }

    /// For programs.
    pub(super) fn to_json(&self) -> Vec<Value> {
        let json = |(kind, message, group): (&str, &str, &Group)| {
            json!({
                "count": group.count, "kind": kind, "message": message, "names": group.names,
                "first_at": group.first, "last_at": group.last,
            })
        };
        self.sorted().into_iter().map(json).collect()
    }

    /// For people.
    pub(super) fn table(&self, clock: Clock) -> String {
        let mut table = Table::new([
            Column::Number("count"),
            Column::Word("kind"),
            Column::Word("last died"),
            Column::Prose("jobs"),
            Column::Prose("message"),
        ]);
        for (kind, message, group) in self.sorted() {
            let names: Vec<_> = group.names.iter().map(String::as_str).collect();
            table.row([
                Cell::count(group.count, RED),
                kind.into(),
                Cell::styled(clock.brief(group.last), DIM),
                names.join(", ").into(),
                listing::shortened(message).into(),
            ]);
        }
        table.render()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_died_of_the_same_is_counted_together_the_most_first() {
        let mut groups = Groups::default();
        groups.count("error", "no such user", "welcome", 5);
        groups.count("timeout", "", "render", 7);
        groups.count("timeout", "", "welcome", 3);

        let json = groups.to_json();

        assert_eq!(
            json[0],
            json!({
                "count": 2, "kind": "timeout", "message": "", "names": ["render", "welcome"],
                "first_at": 3, "last_at": 7,
            })
        );
        assert_eq!((json.len(), &json[1]["kind"]), (2, &json!("error")));
    }
}
