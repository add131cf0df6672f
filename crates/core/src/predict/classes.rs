//! The classes that are kept: so many at most, the longest unused is forgotten first.

use super::Features;
use super::class::{Class, Key, Level};
use super::points::Kin;
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Classes {
    by_key: BTreeMap<Key, (u64, Class)>,
    /// When each was last learned from, counted in changes; oldest first.
    by_age: BTreeMap<u64, Key>,
    changes: u64,
}

impl Classes {
    /// What is known of tasks like this one.
    pub(super) fn kin(&self, of: &Features) -> Kin<'_> {
        Level::ALL.map(|level| self.by_key.get(&level.key(of)).map(|(_, class)| class))
    }

    /// The class of this key, made when there is none, as the one used last.
    pub(super) fn used(&mut self, key: Key) -> &mut Class {
        self.changes += 1;
        let (at, class) = self.by_key.entry(key).or_default();
        self.by_age.remove(at);
        *at = self.changes;
        self.by_age.insert(self.changes, key);
        class
    }

    /// Forgets the longest unused until there are at most so many.
    pub(super) fn keep(&mut self, most: usize) {
        while self.by_key.len() > most {
            let Some((_, key)) = self.by_age.pop_first() else { return };
            self.by_key.remove(&key);
        }
    }

    /// The longest unused first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Key, &Class)> {
        self.by_age.values().filter_map(|key| Some((key, &self.by_key.get(key)?.1)))
    }
}
