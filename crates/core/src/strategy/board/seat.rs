//! One worker: what it offers, what is left of it, what runs there.

use super::{Amounts, Class, Lately, Meets, index};

/// A whole GPU.
const WHOLE: u64 = crate::resources::WHOLE;

/// A worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seat {
    /// Whether it takes work.
    pub open: bool,
    /// Whether it takes one job only until its seat is set again: it is being tried.
    pub single: bool,
    /// What it offers.
    pub total: Amounts,
    /// What is left of that.
    pub free: Amounts,
    /// What is left of each of its GPUs; empty where GPUs are one amount, as in traces.
    pub devices: Vec<Device>,
    /// What runs there.
    pub runs: Vec<Run>,
    /// What was fetched there lately: kept by the board, whatever a worker is set to.
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
        if self.single {
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

impl Device {
    fn is_of(&self, class: &Class) -> bool {
        class.model.is_none_or(|model| model == self.model)
    }
}
