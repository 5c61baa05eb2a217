//! Several events as what a function takes first.

use std::ops::{Deref, DerefMut};

use super::FunctionInput;
use crate::RunInput;

/// All events that started a run, for a function that takes them in batches.
///
/// ```
/// # use ergate_shared::{Event, function::Batch};
/// # #[derive(serde::Serialize, serde::Deserialize)] struct Viewed { page: String }
/// # impl Event for Viewed { const NAME: &str = "web/viewed"; }
/// async fn count(views: Batch<Viewed>) -> usize {
///     views.iter().filter(|view| view.page == "/").count()
/// }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch<E>(pub Vec<E>);

impl<E> Deref for Batch<E> {
    type Target = Vec<E>;

    fn deref(&self) -> &Vec<E> {
        &self.0
    }
}

impl<E> DerefMut for Batch<E> {
    fn deref_mut(&mut self) -> &mut Vec<E> {
        &mut self.0
    }
}

impl<E> IntoIterator for Batch<E> {
    type Item = E;
    type IntoIter = std::vec::IntoIter<E>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// One event that cannot be read fails the run, as it would alone.
impl<E: FunctionInput> FunctionInput for Batch<E> {
    fn event() -> Option<&'static str> {
        E::event()
    }

    fn read(input: &RunInput) -> Result<Self, String> {
        let read = |event: &crate::EventRecord| E::read(&RunInput::of(event.clone()));
        input.events.iter().map(read).collect::<Result<_, _>>().map(Self)
    }
}
