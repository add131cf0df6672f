//! What tasks need of the hosts of their workers, numbered for the board.

use super::board::Meets;
use crate::access::{self, Access};
use std::collections::BTreeMap;

/// From so many on it is worth to number those anew that are still asked for.
const MANY: usize = 1024;

/// The needs of tasks, each with its number, and what each worker offers.
#[derive(Clone, Debug, Default)]
pub(super) struct Needs {
    numbers: BTreeMap<Vec<Access>, u32>,
    /// By the number of the worker.
    offers: Vec<Vec<Access>>,
    /// Beyond so many they are to be numbered anew.
    most: usize,
}

impl Needs {
    /// Forgets all: what is still needed is put in anew, until [`Needs::are_all`].
    pub(super) fn begin_anew(&mut self) {
        *self = Self { most: usize::MAX, ..Self::default() };
    }

    /// These are all that are needed now.
    pub(super) fn are_all(&mut self) {
        self.most = MANY.max(2 * self.numbers.len());
    }

    /// Whether there are so many that about half are of tasks that ended.
    pub(super) fn are_too_many(&self) -> bool {
        self.numbers.len() > self.most.max(MANY)
    }

    /// The number of what a task needs, and whether it is a new one.
    pub(super) fn number(&mut self, needs: Vec<Access>) -> (u32, bool) {
        let next = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        let number = *self.numbers.entry(needs).or_insert(next);
        (number, number == next)
    }

    /// A worker offers this; answers whether that is other than before.
    pub(super) fn offered(&mut self, worker: usize, offers: &[Access]) -> bool {
        if self.offers.len() <= worker {
            self.offers.resize(worker + 1, Vec::new());
        }
        let other = self.offers[worker] != offers;
        if other {
            self.offers[worker] = offers.to_vec();
        }
        other
    }

    /// The needs that a worker meets.
    pub(super) fn met_by(&self, worker: usize) -> Meets {
        let offers = &self.offers[worker];
        let met = self.numbers.iter().filter(|(needs, _)| access::first_missing(needs, offers).is_none());
        met.map(|(_, number)| *number).collect()
    }

    /// The workers that meet a need.
    pub(super) fn meeting<'a>(&'a self, needs: &'a [Access]) -> impl Iterator<Item = usize> + 'a {
        let meets = |offers: &Vec<Access>| access::first_missing(needs, offers).is_none();
        self.offers.iter().enumerate().filter(move |(_, offers)| meets(offers)).map(|(worker, _)| worker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_of_tasks_that_ended_are_forgotten_in_time() {
        let mut needs = Needs::default();
        for number in 0..10_000 {
            let (_, new) = needs.number(vec![format!("/data/{number}").parse().unwrap()]);
            assert!(new);
            if needs.are_too_many() {
                // All but the last are of tasks that ended.
                needs.begin_anew();
                needs.number(vec![format!("/data/{number}").parse().unwrap()]);
                needs.are_all();
            }
            assert!(needs.numbers.len() <= MANY + 1);
        }
        needs.begin_anew();
        for number in 0..5000 {
            needs.number(vec![format!("/live/{number}").parse().unwrap()]);
        }
        needs.are_all();
        assert!(!needs.are_too_many(), "what is needed now is not numbered anew for ever");
    }
}
