//! A piece of an id's text, as people type it.

use cloudai_core::ids::TaskId;

/// Characters of a ulid, and bits of each.
const LENGTH: usize = 26;
const BITS: usize = 5;
/// The characters of Crockford's base 32 in the order of their values.
const DIGITS: &str = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A part of an id, in upper case and without `task-`, made ready to be held against a million.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    text: &'a str,
    /// Its digits as a number, and how many bits they have; none when no ulid holds them.
    digits: Option<(u128, usize)>,
}

impl<'a> Part<'a> {
    /// Of a text.
    #[must_use]
    pub fn of(text: &'a str) -> Self {
        let digit = |c: char| DIGITS.find(c).map(|digit| digit as u128);
        let number = || text.chars().map(digit).try_fold(0_u128, |sum, digit| Some((sum << BITS) | digit?));
        let digits = (1..LENGTH).contains(&text.len()).then(number).flatten().map(|number| (number, text.len() * BITS));
        Self { text, digits }
    }

    /// Whether the id begins or ends so.
    #[must_use]
    pub fn is_of(&self, id: TaskId) -> bool {
        self.begins(id) || self.ends(id)
    }

    /// Whether the id begins so.
    #[must_use]
    pub fn begins(&self, id: TaskId) -> bool {
        match (self.digits, id.index()) {
            (Some((number, bits)), None) => id.ulid() >> (LENGTH * BITS - bits) == number,
            (None, _) | (Some(_), Some(_)) => short(id).starts_with(self.text),
        }
    }

    /// Whether the id ends so.
    #[must_use]
    pub fn ends(&self, id: TaskId) -> bool {
        match (self.digits, id.index()) {
            (Some((number, bits)), None) => id.ulid() & ((1 << bits) - 1) == number,
            (None, _) | (Some(_), Some(_)) => short(id).ends_with(self.text),
        }
    }
}

/// What people type and search of an id: everything after `task-`.
pub(crate) fn short(id: TaskId) -> String {
    id.to_string().split_off(TaskId::PREFIX.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_held_against_numbers_as_against_texts() {
        let ids = [0, 1, 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef, u128::MAX].map(TaskId::new);
        for id in ids.into_iter().chain(ids.map(|id| id.element(70))) {
            let text = &short(id)[..];
            for length in 1..=text.len() {
                let parts = [&text[..length], &text[text.len() - length..]];
                for part in parts.into_iter().chain(["ZZZZ", "0.7", "ILOU"]) {
                    assert_eq!(Part::of(part).begins(id), text.starts_with(part), "{part} of {text}");
                    assert_eq!(Part::of(part).ends(id), text.ends_with(part), "{part} of {text}");
                }
            }
        }
    }
}
