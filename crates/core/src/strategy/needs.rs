//! What tasks need of their workers, and would rather have, numbered for the board.

use super::board::Meets;
use super::kindred::Kindred;
use super::numbers::small;
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
    kindred: Kindred,
    /// By the number of the worker.
    workers: Vec<Option<Arc<WorkerRecord>>>,
    /// Beyond so many they are to be numbered anew.
    most: usize,
    /// Whether any of them is about images: if not, those may change as they will.
    of_images: bool,
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
        self.numbers.len() + self.wishes.len() + self.kindred.len()
    }

    /// The number of what a task needs, and whether it is a new one.
    pub(super) fn number(&mut self, needs: Vec<Need>) -> (u32, bool) {
        self.of_images |= needs.iter().any(Need::is_of_images);
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

    /// Kin and what they ask.
    pub(super) const fn kindred(&self) -> &Kindred {
        &self.kindred
    }

    /// The same, to be added to.
    pub(super) const fn kindred_mut(&mut self) -> &mut Kindred {
        &mut self.kindred
    }

    /// The domain of each worker under a label: the number of the first that has the same value, its own where it has
    /// no such label.
    pub(super) fn domains(&self, label: &str) -> Vec<u32> {
        let mut firsts: BTreeMap<&str, u32> = BTreeMap::new();
        let mut domains = Vec::with_capacity(self.workers.len());
        for (worker, record) in self.workers.iter().enumerate() {
            let own = small(worker);
            let value = record.as_deref().and_then(|record| Traits::of(record).values(label).next());
            domains.push(value.map_or(own, |value| *firsts.entry(value).or_insert(own)));
        }
        domains
    }

    /// This is known of a worker now; answers whether it meets needs by other traits than before.
    pub(super) fn known(&mut self, worker: usize, record: &Arc<WorkerRecord>) -> bool {
        if self.workers.len() <= worker {
            self.workers.resize(worker + 1, None);
        }
        let before = self.workers[worker].replace(Arc::clone(record));
        // Most often the same record: only what runs there changed.
        before.is_none_or(|before| !Arc::ptr_eq(&before, record) && self.asked_of(&before) != self.asked_of(record))
    }

    /// What of a worker any need is about.
    fn asked_of<'a>(&self, worker: &'a WorkerRecord) -> Traits<'a> {
        let traits = Traits::of(worker);
        if self.of_images { traits } else { traits.without_images() }
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
    use crate::images::Images;
    use crate::testing::{TestCluster, cores};

    #[test]
    fn images_that_change_matter_only_where_some_need_is_about_them() {
        let mut c = TestCluster::default();
        c.worker("w1", cores(1));
        let with = |images: &[&str]| {
            let mut record = WorkerRecord::clone(&c.worker_record("w1"));
            record.about.images = Images::of(images);
            Arc::new(record)
        };
        let mut needs = Needs::default();
        let need = |text: &str| vec![Need::Label(text.parse().unwrap())];
        needs.number(need("zone = eu"));
        assert!(needs.known(0, &with(&[])), "it is new");
        assert!(!needs.known(0, &with(&["a"])), "nobody asks");
        let (number, _) = needs.number(need("image = a:latest"));
        assert_eq!(needs.meeting(&need("image = a")).count(), 1, "what it told meanwhile is known");
        assert!(needs.known(0, &with(&["b"])) && !needs.met_by(0).meets(Some(number)));
        assert!(needs.known(0, &with(&["a", "b"])) && needs.met_by(0).meets(Some(number)));
        assert!(!needs.known(0, &with(&["a", "b"])));
        needs.begin_anew();
        needs.number(need("zone = eu"));
        needs.known(0, &with(&["a"]));
        assert!(!needs.known(0, &with(&["c"])), "nobody asks any more");
    }

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
