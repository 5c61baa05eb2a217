//! What was read of texts, each once: expressions come again with every event.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::Error;

/// Texts kept as read; all are forgotten when there is one more.
const MOST: usize = 1000;

/// What texts were read as.
pub(super) struct Cache<T>(Mutex<Option<HashMap<String, Arc<T>>>>);

impl<T> Cache<T> {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// What the text is, read by `read` if it is new.
    pub(super) fn get(
        &self,
        text: &str,
        read: impl FnOnce(&str) -> Result<T, Error>,
    ) -> Result<Arc<T>, Error> {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().as_ref().and_then(|known| known.get(text)) {
            return Ok(Arc::clone(known));
        }
        let new = Arc::new(read(text)?);
        let mut known = lock();
        let known = known.get_or_insert_default();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(text.to_owned(), Arc::clone(&new));
        Ok(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_once_and_a_wrong_one_each_time() {
        let cache = Cache::new();
        let wrong = |text: &str| Err::<usize, _>(super::super::wrong(text, "is wrong".to_owned()));

        assert!(cache.get("a", wrong).is_err());
        let first = cache.get("a", |text| Ok(text.len())).unwrap();
        let again = cache.get("a", wrong).unwrap();

        assert!(Arc::ptr_eq(&first, &again));
    }

    #[test]
    fn texts_are_forgotten_before_they_fill_the_memory() {
        let cache = Cache::new();
        for number in 0..=2 * MOST {
            cache.get(&number.to_string(), |text| Ok(text.len())).unwrap();
        }

        assert!(cache.0.lock().unwrap().as_ref().unwrap().len() <= MOST);
    }
}
