//! The tasks that a view knows: by id, and by their numbers on the board.

use super::numbers::{NOWHERE, small};
use super::view::Waiting;
use crate::ids::TaskId;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use rustc_hash::FxBuildHasher;
use std::hash::BuildHasher;

/// Tasks that wait for a place or have one. An id is kept in its task's record alone: of a million tasks each
/// further copy of it is felt.
#[derive(Clone, Debug, Default)]
pub(super) struct Tasks {
    /// Places in `slots` by the hash of the id of who is there.
    by_id: HashTable<u32>,
    slots: Vec<Slot>,
    unused: Vec<u32>,
    /// The place in `slots` of each of the board's jobs.
    by_number: Vec<u32>,
}

#[derive(Clone, Debug)]
struct Slot {
    task: Option<Waiting>,
    /// On the board; [`NOWHERE`] for a pinned one that waits.
    number: u32,
}

impl Slot {
    const fn number(&self) -> Option<usize> {
        if self.number == NOWHERE { None } else { Some(self.number as usize) }
    }

    fn is(&self, id: &TaskId) -> bool {
        self.task.as_ref().is_some_and(|task| task.id() == *id)
    }
}

fn hash(id: &TaskId) -> u64 {
    FxBuildHasher.hash_one(id)
}

impl Tasks {
    fn slot(&self, id: &TaskId) -> Option<&Slot> {
        let slot = self.by_id.find(hash(id), |slot| self.slots[*slot as usize].is(id))?;
        self.slots.get(*slot as usize)
    }

    /// A task with its number on the board.
    pub(super) fn known(&self, id: &TaskId) -> Option<(Waiting, Option<usize>)> {
        let slot = self.slot(id)?;
        Some((slot.task.clone()?, slot.number()))
    }

    /// A task.
    pub(super) fn get(&self, id: &TaskId) -> Option<&Waiting> {
        self.slot(id).and_then(|slot| slot.task.as_ref())
    }

    /// Its number on the board; none for a pinned one that waits.
    pub(super) fn number(&self, id: &TaskId) -> Option<usize> {
        self.slot(id).and_then(Slot::number)
    }

    /// The task of a number on the board.
    pub(super) fn of_number(&self, number: usize) -> Option<&Waiting> {
        let slot = self.slots.get(*self.by_number.get(number)? as usize)?;
        slot.task.as_ref().filter(|_| slot.number == small(number))
    }

    /// Up to which number there are tasks on the board.
    pub(super) const fn numbers(&self) -> usize {
        self.by_number.len()
    }

    /// Every task, in no order.
    pub(super) fn each(&self) -> impl Iterator<Item = &Waiting> {
        self.slots.iter().filter_map(|slot| slot.task.as_ref())
    }

    /// Puts a task in, in the place of what was known of it, with its number on the board.
    pub(super) fn put(&mut self, task: Waiting, number: Option<usize>) {
        let (id, number) = (task.id(), number.map_or(NOWHERE, small));
        let Self { by_id, slots, unused, by_number } = self;
        let entry = by_id.entry(
            hash(&id),
            |slot| slots[*slot as usize].is(&id),
            |slot| slots[*slot as usize].task.as_ref().map_or(0, |task| hash(&task.id())),
        );
        let slot = match entry {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(vacant) => *vacant.insert(unused.pop().unwrap_or_else(|| small(slots.len()))).get(),
        };
        if slots.len() <= slot as usize {
            slots.push(Slot { task: None, number });
        }
        slots[slot as usize] = Slot { task: Some(task), number };
        if number != NOWHERE {
            if by_number.len() <= number as usize {
                by_number.resize(number as usize + 1, NOWHERE);
            }
            by_number[number as usize] = slot;
        }
    }

    /// Takes a task out.
    pub(super) fn remove(&mut self, id: &TaskId) {
        let Self { by_id, slots, unused, .. } = self;
        if let Ok(known) = by_id.find_entry(hash(id), |slot| slots[*slot as usize].is(id)) {
            let (slot, _) = known.remove();
            slots[slot as usize] = Slot { task: None, number: NOWHERE };
            unused.push(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{TestCluster, cores};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn tasks_are_found_by_id_and_by_their_present_number(
            steps in prop::collection::vec((0..12usize, prop::option::of(0..20usize), any::<bool>()), 1..80),
        ) {
            let mut cluster = TestCluster::default();
            cluster.worker("w1", cores(1));
            let records: Vec<Waiting> = (1..=12).map(|number| {
                let id = cluster.task(number);
                Waiting::of(&cluster.record(id))
            }).collect();
            let (mut tasks, mut known) = (Tasks::default(), BTreeMap::new());
            for (task, number, goes) in steps {
                let id = records[task].id();
                if goes {
                    tasks.remove(&id);
                    known.remove(&id);
                } else {
                    // A number has one owner at a time.
                    let number = number.filter(|number| known.values().all(|other| *other != Some(*number)));
                    tasks.put(records[task].clone(), number);
                    known.insert(id, number);
                }
                for record in &records {
                    let id = record.id();
                    prop_assert_eq!(tasks.get(&id).map(Waiting::id), known.get(&id).map(|_| id));
                    prop_assert_eq!(tasks.number(&id), known.get(&id).copied().flatten());
                }
                for number in 0..20 {
                    let owner = known.iter().find(|(_, of)| **of == Some(number)).map(|(id, _)| *id);
                    prop_assert_eq!(tasks.of_number(number).map(Waiting::id), owner);
                }
                prop_assert_eq!(tasks.each().count(), known.len());
            }
        }
    }
}
