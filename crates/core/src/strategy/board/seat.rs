//! One worker: what it offers, what is left of it, what runs there.

use super::{Amounts, Class, Lately, Meets, index};

/// A whole GPU.
const WHOLE: u64 = crate::resources::WHOLE;

/// A worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seat {
    /// Whether it takes work.
    pub open: bool,
    /// Whether it takes one job, or gang, only until its seat is set again: it is being tried.
    pub single: bool,
    /// What it offers.
    pub total: Amounts,
    /// What is left of that.
    pub free: Amounts,
    /// What is left of each of its GPUs; empty where GPUs are one amount, as in traces.
    pub devices: Vec<Device>,
    /// What runs there.
    pub runs: Vec<Run>,
    /// Which images and inputs are there: kept by the board, whatever a worker is set to.
    pub lately: Lately,
    /// Which needs it meets: kept by the board, whatever a worker is set to.
    pub meets: Meets,
}

/// What is left of a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its model, by its number.
    pub model: u32,
    /// Thousandths.
    pub left: u64,
}

/// A job that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its number.
    pub job: usize,
    /// Since when.
    pub started: u64,
    /// The class of what it holds: of those that it would take the one that it was given.
    pub class: usize,
    /// The devices that it took here, and how much of each.
    pub(super) devices: Vec<(usize, u64)>,
}

impl Seat {
    /// A worker that runs nothing, whose GPUs are one amount.
    #[must_use]
    pub fn plain(total: Amounts) -> Self {
        Self { open: true, total, free: total, ..Self::default() }
    }

    /// What the index is to know.
    pub(super) fn indexed(&self) -> Amounts {
        if self.open { self.free } else { [0; 4] }
    }

    /// Whether the other offers something else.
    pub(super) fn offers_other(&self, other: &Self) -> bool {
        self.open != other.open || self.total != other.total || !self.models().eq(other.models())
    }

    fn models(&self) -> impl Iterator<Item = u32> {
        self.devices.iter().map(|device| device.model)
    }

    /// Whether a job of the class fits when nothing else runs here.
    pub(super) fn could_ever(&self, class: &Class) -> bool {
        index::covers(&self.total, &class.amounts)
            && self.meets.meets(class.needs)
            && (self.devices.is_empty() || class.amounts[3] == 0 || {
                let of_model = self.devices.iter().filter(|device| device.is_of(class)).count() as u64;
                of_model * WHOLE >= class.amounts[3]
            })
    }

    /// Whether a job of the class fits now.
    pub(super) fn fits(&self, class: &Class) -> bool {
        self.open
            && index::covers(&self.free, &class.amounts)
            && self.meets.meets(class.needs)
            && self.devices_fit(class)
    }

    /// How many jobs of the class have room together now, at most so many.
    pub(super) fn room(&self, class: &Class, most: usize) -> usize {
        if !self.open || !self.meets.meets(class.needs) {
            return 0;
        }
        self.together(class, most, &self.free, |device| device.left)
    }

    /// The same if nothing else ran here.
    pub(super) fn room_ever(&self, class: &Class, most: usize) -> usize {
        if !self.meets.meets(class.needs) {
            return 0;
        }
        self.together(class, most, &self.total, |_| WHOLE)
    }

    fn together(&self, class: &Class, most: usize, free: &Amounts, left: impl Fn(&Device) -> u64) -> usize {
        // A gang goes whole, also to one that is tried: it may have no other place.
        let most = if self.single && class.gang.is_none() { most.min(1) } else { most };
        let room = so_many(free, &class.amounts, most);
        let need = class.amounts[3];
        if need == 0 || self.devices.is_empty() {
            return room;
        }
        let of_model = self.devices.iter().filter(|device| device.is_of(class)).map(left);
        let devices: u64 = if need < WHOLE {
            of_model.map(|left| left / need).sum()
        } else {
            of_model.filter(|left| *left == WHOLE).count() as u64 / (need / WHOLE)
        };
        room.min(usize::try_from(devices).unwrap_or(usize::MAX))
    }

    fn devices_fit(&self, class: &Class) -> bool {
        let need = class.amounts[3];
        if need == 0 || self.devices.is_empty() {
            return true;
        }
        let of_model = self.devices.iter().filter(|device| device.is_of(class));
        if need < WHOLE {
            return of_model.into_iter().any(|device| device.left >= need);
        }
        of_model.filter(|device| device.left == WHOLE).count() as u64 * WHOLE >= need
    }

    /// Takes what the class asks for; the devices that were taken, none when it does not fit. A share
    /// goes to the fullest device that has room, as `resources::Free::pick` does.
    pub(super) fn take(&mut self, class: &Class) -> Option<Vec<(usize, u64)>> {
        if !self.fits(class) {
            return None;
        }
        let devices = self.pick(class);
        for (device, milli) in &devices {
            self.devices[*device].left -= milli;
        }
        (0..4).for_each(|kind| self.free[kind] -= class.amounts[kind]);
        if self.single && class.gang.is_none() {
            self.open = false;
        }
        Some(devices)
    }

    fn pick(&self, class: &Class) -> Vec<(usize, u64)> {
        let need = class.amounts[3];
        if need == 0 || self.devices.is_empty() {
            return Vec::new();
        }
        let of_model = self.devices.iter().enumerate().filter(|(_, device)| device.is_of(class));
        if need < WHOLE {
            let room = of_model.filter(|(_, device)| device.left >= need);
            return room.min_by_key(|(_, device)| device.left).map(|(number, _)| (number, need)).into_iter().collect();
        }
        let whole = of_model.filter(|(_, device)| device.left == WHOLE);
        let count = usize::try_from(need / WHOLE).unwrap_or(usize::MAX);
        whole.take(count).map(|(number, _)| (number, WHOLE)).collect()
    }

    /// Gives back what was taken.
    pub(super) fn give_back(&mut self, class: &Class, devices: &[(usize, u64)]) {
        (0..4).for_each(|kind| self.free[kind] = (self.free[kind] + class.amounts[kind]).min(self.total[kind]));
        for (device, milli) in devices {
            if let Some(device) = self.devices.get_mut(*device) {
                device.left = (device.left + milli).min(WHOLE);
            }
        }
        if self.single {
            self.open = true;
        }
    }
}

/// How often a demand fits into amounts, at most so often.
pub(in crate::strategy) fn so_many(free: &Amounts, demand: &Amounts, most: usize) -> usize {
    let times = (0..4).filter(|kind| demand[*kind] > 0).map(|kind| free[kind] / demand[kind]).min();
    times.map_or(most, |times| usize::try_from(times).unwrap_or(usize::MAX).min(most))
}

impl Device {
    fn is_of(&self, class: &Class) -> bool {
        class.model.is_none_or(|model| model == self.model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::board::{Board, Job, Wanted};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn as_many_have_room_together_as_can_be_started_one_after_the_other(
            cores in 0..9u64,
            demand in 1..4u64,
            left in prop::collection::vec((0..2u32, prop::sample::select(vec![0, 100, 250, 500, 990, 1000u64])), 0..5),
            gpus in prop::sample::select(vec![0, 1, 100, 250, 300, 999, 1000, 2000u64]),
            model in prop::option::of(0..2u32),
            single in any::<bool>(),
        ) {
            let devices: Vec<Device> = left.iter().map(|(model, left)| Device { model: *model, left: *left }).collect();
            let sum = devices.iter().map(|device| device.left).sum();
            let total = [9, 99, 99, devices.len() as u64 * WHOLE];
            let free = [cores, 99, 99, sum];
            let mut board = Board::default();
            board.set_seat(0, Seat { open: true, single, total, free, devices, ..Seat::default() });
            let class = board.class(Wanted { amounts: [demand, 1, 1, gpus], model, ..Wanted::default() });
            board.keep_class(class);
            let (room, two) = (board.room(class, 0, 99), board.room_together(class, 2, |_, most| most));
            let mut started = 0;
            while board.start_new(Job::plain(class, 1), 0).is_some() {
                started += 1;
            }
            prop_assert_eq!((room, two), (started, started.min(2)));
        }
    }
}
