//! What tasks need of their workers, and would rather have, numbered for the board.

use super::board::Meets;
use crate::label::Preference;
use crate::need::{Need, Traits};
use crate::worker::WorkerRecord;
use std::collections::BTreeMap;
use std::sync::Arc;

/// From so many on it is worth to number those anew that are still asked for.
const MANY: usize = 1024;

/// The needs and wishes of tasks, each with its number, and what each worker meets them by.
#[derive(Clone, Debug, Default)]
pub(super) struct Needs {
    numbers: BTreeMap<Vec<Need>, u32>,
    wishes: BTreeMap<Vec<Preference>, u32>,
    /// By the number of the worker.
    workers: Vec<Option<Arc<WorkerRecord>>>,
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
        self.most = MANY.max(2 * self.count());
    }

    /// Whether there are so many that about half are of tasks that ended.
    pub(super) fn are_too_many(&self) -> bool {
        self.count() > self.most.max(MANY)
    }

    fn count(&self) -> usize {
        self.numbers.len() + self.wishes.len()
    }

    /// The number of what a task needs, and whether it is a new one.
    pub(super) fn number(&mut self, needs: Vec<Need>) -> (u32, bool) {
        let next = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        let number = *self.numbers.entry(needs).or_insert(next);
        (number, number == next)
    }

    /// The number of what a task would rather have, where it has one.
    pub(super) fn wishes(&self, wishes: &[Preference]) -> Option<u32> {
        self.wishes.get(wishes).copied()
    }

    /// Notes the number under which the board knows what a task would rather have.
    pub(super) fn set_wishes(&mut self, wishes: &[Preference], number: u32) {
        self.wishes.insert(wishes.to_vec(), number);
    }

    /// This is known of a worker now; answers whether it meets needs by other traits than before.
    pub(super) fn known(&mut self, worker: usize, record: &Arc<WorkerRecord>) -> bool {
        if self.workers.len() <= worker {
            self.workers.resize(worker + 1, None);
        }
        let before = self.workers[worker].replace(Arc::clone(record));
        // Most often the same record: only what runs there changed.
        before.is_none_or(|before| !Arc::ptr_eq(&before, record) && Traits::of(&before) != Traits::of(record))
    }

    /// The needs that a worker meets.
    pub(super) fn met_by(&self, worker: usize) -> Meets {
        let record = self.workers.get(worker).and_then(Option::as_ref);
        let meets = |needs: &[Need]| record.is_some_and(|record| meets(record, needs));
        self.numbers.iter().filter(|(needs, _)| meets(needs)).map(|(_, number)| *number).collect()
    }

    /// The workers that meet a need.
    pub(super) fn meeting<'a>(&'a self, needs: &'a [Need]) -> impl Iterator<Item = usize> + 'a {
        let known = self.workers.iter().enumerate();
        known.filter_map(move |(worker, record)| meets(record.as_ref()?, needs).then_some(worker))
    }
}

fn meets(worker: &WorkerRecord, needs: &[Need]) -> bool {
    let traits = Traits::of(worker);
    needs.iter().all(|need| traits.meet(need))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_of_tasks_that_ended_are_forgotten_in_time() {
        let need = |text: String| vec![Need::Access(text.parse().unwrap())];
        let mut needs = Needs::default();
        for number in 0..10_000 {
            let (_, new) = needs.number(need(format!("/data/{number}")));
            assert!(new);
            if needs.are_too_many() {
                // All but the last are of tasks that ended.
                needs.begin_anew();
                needs.number(need(format!("/data/{number}")));
                needs.are_all();
            }
            assert!(needs.numbers.len() <= MANY + 1);
        }
        needs.begin_anew();
        for number in 0..5000 {
            needs.number(need(format!("/live/{number}")));
        }
        needs.are_all();
        assert!(!needs.are_too_many(), "what is needed now is not numbered anew for ever");
    }
}
