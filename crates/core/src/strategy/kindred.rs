//! Kin of tasks, and what they ask of where these run, numbered for the board.

use crate::kin::{Kin, Spread};
use crate::spec::TaskSpec;
use std::collections::BTreeMap;

/// The numbers of labels, of kin, and of what these ask.
#[derive(Clone, Debug, Default)]
pub(super) struct Kindred {
    keys: BTreeMap<String, u32>,
    kin: BTreeMap<Kin, u32>,
    asked: BTreeMap<(u32, Vec<String>, Vec<Spread>), u32>,
}

impl Kindred {
    /// How many numbers there are of what is asked: the others are no more.
    pub(super) fn len(&self) -> usize {
        self.asked.len()
    }

    /// The number of a label, and whether it is a new one.
    pub(super) fn key(&mut self, label: &str) -> (u32, bool) {
        if let Some(number) = self.keys.get(label) {
            return (*number, false);
        }
        let next = next(&self.keys);
        self.keys.insert(label.to_owned(), next);
        (next, true)
    }

    /// The labels with their numbers.
    pub(super) fn keys(&self) -> impl Iterator<Item = (&str, u32)> {
        self.keys.iter().map(|(label, number)| (label.as_str(), *number))
    }

    /// The number of kin.
    pub(super) fn kin(&mut self, kin: Kin) -> u32 {
        let next = next(&self.kin);
        *self.kin.entry(kin).or_insert(next)
    }

    /// The number under which the board knows what a task asks of kin, where it has one.
    pub(super) fn asked(&self, kin: u32, spec: &TaskSpec) -> Option<u32> {
        self.asked.get(&asked(kin, spec)).copied()
    }

    /// Notes that number.
    pub(super) fn set_asked(&mut self, kin: u32, spec: &TaskSpec, number: u32) {
        self.asked.insert(asked(kin, spec), number);
    }
}

fn asked(kin: u32, spec: &TaskSpec) -> (u32, Vec<String>, Vec<Spread>) {
    (kin, spec.anti_affinity.clone(), spec.spread.clone())
}

fn next<K>(numbers: &BTreeMap<K, u32>) -> u32 {
    u32::try_from(numbers.len()).unwrap_or(u32::MAX)
}
