//! Demands: jobs that ask for the same share one class, so one test answers for all of them.

use super::{Amounts, Seat};
use std::collections::BTreeMap;

/// What a job asks for, as the key of its class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// Cpu, memory, storage, gpu.
    pub amounts: Amounts,
    /// Only devices of this model, by its number.
    pub model: Option<u32>,
    /// What else it needs of a worker, by its number.
    pub needs: Option<u32>,
    /// What it would rather have of one, by the number of these wishes.
    pub wishes: Option<u32>,
    /// What it asks of where its kin run, by the number of that.
    pub kin: Option<u32>,
    /// What it asks for where this fits nowhere, by the number of that class.
    pub or: Option<u32>,
    /// The gang that it is a member of, by its number: its members are a class of their own.
    pub gang: Option<u32>,
}

/// Jobs that ask for the same.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Class {
    /// Cpu, memory, storage, gpu.
    pub amounts: Amounts,
    /// Only devices of this model.
    pub model: Option<u32>,
    /// Only workers that meet this.
    pub needs: Option<u32>,
    /// Rather workers that meet these.
    pub wishes: Option<u32>,
    /// Rather far from these, or never near them.
    pub kin: Option<u32>,
    /// The class of what is taken where this fits nowhere.
    pub or: Option<u32>,
    /// All of them start together or not at all: the number of this gang.
    pub gang: Option<u32>,
    /// The largest part of the whole cluster that it asks for, of any resource; 0 to 1.
    pub share: f64,
    /// Whether some worker could ever run it.
    pub possible: bool,
    users: usize,
}

/// All classes; a number is used again when no job is of its class any more.
#[derive(Clone, Debug, Default)]
pub(super) struct Classes {
    all: Vec<Class>,
    numbers: BTreeMap<Wanted, usize>,
    unused: Vec<usize>,
    capacity: Amounts,
}

impl Classes {
    pub(super) fn all(&self) -> &[Class] {
        &self.all
    }

    pub(super) fn get(&self, number: usize) -> &Class {
        &self.all[number]
    }

    pub(super) const fn capacity(&self) -> &Amounts {
        &self.capacity
    }

    pub(super) fn number(&mut self, wanted: Wanted, seats: &[Seat]) -> usize {
        if let Some(number) = self.numbers.get(&wanted) {
            return *number;
        }
        let Wanted { amounts, model, needs, wishes, kin, or, gang } = wanted;
        let mut class = Class { amounts, model, needs, wishes, kin, or, gang, ..Class::default() };
        class.reshape(&self.capacity, seats);
        // As long as there is this one there are those behind it.
        or.into_iter().for_each(|or| self.hold(or as usize));
        let number = match self.unused.pop() {
            Some(number) => {
                self.all[number] = class;
                number
            }
            None => {
                self.all.push(class);
                self.all.len() - 1
            }
        };
        self.numbers.insert(wanted, number);
        number
    }

    pub(super) fn hold(&mut self, number: usize) {
        self.all[number].users += 1;
    }

    pub(super) fn release(&mut self, number: usize) {
        let mut next = Some(number);
        while let Some(number) = next.take() {
            let class = &mut self.all[number];
            class.users -= 1;
            if class.users == 0 {
                let Class { amounts, model, needs, wishes, kin, or, gang, .. } = *class;
                self.numbers.remove(&Wanted { amounts, model, needs, wishes, kin, or, gang });
                self.unused.push(number);
                next = or.map(|or| or as usize);
            }
        }
    }

    /// A class, and those of what is taken instead, in order.
    pub(super) fn chain(&self, number: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(Some(number), |number| self.all[*number].or.map(|or| or as usize))
    }

    /// Computes what depends on the workers.
    pub(super) fn reshape(&mut self, seats: &[Seat]) {
        self.capacity = [0; 4];
        for seat in seats.iter().filter(|seat| seat.open) {
            (0..4).for_each(|kind| self.capacity[kind] += seat.total[kind]);
        }
        let capacity = self.capacity;
        self.all.iter_mut().for_each(|class| class.reshape(&capacity, seats));
    }
}

impl Class {
    fn reshape(&mut self, capacity: &Amounts, seats: &[Seat]) {
        self.share = share(&self.amounts, capacity);
        self.possible = seats.iter().any(|seat| seat.could_ever(self));
    }
}

/// The largest part of a whole that amounts are; parts of nothing do not count.
#[allow(clippy::cast_precision_loss)] // far below 2^53 of any unit, and only compared
pub(crate) fn share(amounts: &Amounts, whole: &Amounts) -> f64 {
    let part = |kind: usize| if whole[kind] == 0 { 0.0 } else { amounts[kind] as f64 / whole[kind] as f64 };
    (0..4).map(part).fold(0.0, f64::max)
}
