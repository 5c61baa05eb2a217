//! The names of steps in the journal: what the code calls them, and which time that is.
//!
//! When a race is decided only its winner is replayed. So the numbers that were given out while it went on are remembered: the
//! winner is given its own again, and what the others had nobody is.

use std::collections::{HashMap, HashSet, VecDeque};

/// Which time each use of an id was, counted from 1, in the order of use.
pub(crate) type Numbers = HashMap<String, VecDeque<u32>>;

/// How ids are numbered for a way of a race while that is polled.
#[derive(Debug)]
pub(crate) enum Naming {
    /// The race goes on: what is given out is noted here.
    Noted(Numbers),
    /// It is decided, and this way has won: this is what is left of its numbers.
    Remembered(Numbers),
}

impl Default for Naming {
    fn default() -> Self {
        Self::Noted(Numbers::new())
    }
}

impl Naming {
    pub(crate) fn into_numbers(self) -> Numbers {
        match self {
            Self::Noted(numbers) | Self::Remembered(numbers) => numbers,
        }
    }
}

/// All names a run has given out since its code was called.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// The last number given out for each id.
    last: HashMap<String, u32>,
    /// Numbers that belong to decided races.
    kept: HashMap<String, HashSet<u32>>,
    /// Ways of races that are being polled, the innermost last.
    ways: Vec<Naming>,
}

impl Names {
    /// The name of an id that is used now.
    pub(super) fn next(&mut self, id: String) -> String {
        let winner = self.ways.iter().rposition(|way| matches!(way, Naming::Remembered(_)));
        let remembered = winner.and_then(|place| match &mut self.ways[place] {
            Naming::Remembered(numbers) => Some((place, numbers.get_mut(&id)?.pop_front()?)),
            Naming::Noted(_) => None,
        });
        // The ways around the winner of a decided race have its numbers already.
        let (within, number) = remembered.unwrap_or_else(|| (0, self.unused(&id)));
        for way in &mut self.ways[within..] {
            if let Naming::Noted(numbers) = way {
                numbers.entry(id.clone()).or_default().push_back(number);
            }
        }
        name(id, number)
    }

    fn unused(&mut self, id: &str) -> u32 {
        let kept = self.kept.get(id);
        let last = self.last.entry(id.to_owned()).or_insert(0);
        loop {
            *last += 1;
            if kept.is_none_or(|kept| !kept.contains(last)) {
                return *last;
            }
        }
    }

    /// Has these numbers, which belong to a decided race, given to nobody else.
    pub(super) fn keep(&mut self, numbers: &Numbers) {
        for (id, numbers) in numbers {
            self.kept.entry(id.clone()).or_default().extend(numbers);
            for way in &mut self.ways {
                match way {
                    Naming::Noted(noted) => noted.entry(id.clone()).or_default().extend(numbers),
                    Naming::Remembered(left) => {
                        if let Some(left) = left.get_mut(id) {
                            left.retain(|number| !numbers.contains(number));
                        }
                    }
                }
            }
        }
    }

    /// A way of a race is polled from now on.
    pub(super) fn enter(&mut self, way: Naming) {
        self.ways.push(way);
    }

    /// The way entered last is polled no more for now.
    pub(super) fn leave(&mut self) -> Naming {
        self.ways.pop().unwrap_or_default()
    }
}

/// The name of an id used for the `number`th time.
pub(super) fn name(id: String, number: u32) -> String {
    if number == 1 { id } else { format!("{id}#{number}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(of_s: &[u32]) -> Numbers {
        Numbers::from([("s".to_owned(), of_s.iter().copied().collect())])
    }

    fn next(names: &mut Names) -> String {
        names.next("s".to_owned())
    }

    /// The names `times` uses get in a way of a race.
    fn within(names: &mut Names, way: &mut Naming, times: usize) -> Vec<String> {
        names.enter(std::mem::take(way));
        let given = (0..times).map(|_| next(names)).collect();
        *way = names.leave();
        given
    }

    #[test]
    fn the_winner_is_given_its_own_numbers_and_others_are_given_none_of_the_race() {
        let mut names = Names::default();
        assert_eq!(next(&mut names), "s");
        let (won, lost) = (numbers(&[3, 5]), numbers(&[2, 4]));
        names.keep(&won);
        names.keep(&lost);

        let mut way = Naming::Remembered(won);
        let first = within(&mut names, &mut way, 1);
        let beside = next(&mut names);
        let second = within(&mut names, &mut way, 1);

        assert_eq!((first, beside.as_str(), second), (vec!["s#3".to_owned()], "s#6", vec!["s#5".to_owned()]));
    }

    #[test]
    fn a_decided_race_within_another_is_counted_as_if_all_of_it_were_polled() {
        for mut outer in [Naming::default(), Naming::Remembered(numbers(&[1, 2, 3, 4]))] {
            let mut names = Names::default();
            if let Naming::Remembered(known) = &outer {
                names.keep(&known.clone());
            }

            names.enter(std::mem::take(&mut outer));
            let before = next(&mut names);
            names.keep(&numbers(&[2]));
            names.keep(&numbers(&[3]));
            let inner = within(&mut names, &mut Naming::Remembered(numbers(&[3])), 1);
            let after = next(&mut names);
            outer = names.leave();

            assert_eq!((before.as_str(), inner, after.as_str()), ("s", vec!["s#3".to_owned()], "s#4"));
            if let Naming::Noted(noted) = outer {
                assert_eq!(noted, numbers(&[1, 2, 3, 4]));
            }
            assert_eq!(next(&mut names), "s#5");
        }
    }
}
