//! Resources as integers: milli-cpu, bytes, milli-gpu on devices. No float gets past the edge.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// One gibibyte; the `GB` of every user-facing field.
pub const GIB: u64 = 1 << 30;
/// One mebibyte.
pub const MIB: u64 = 1 << 20;
/// A whole GPU or CPU core, in thousandths.
pub const WHOLE: u64 = 1000;

/// What a task asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Demand {
    /// Thousandths of a core.
    pub cpu_milli: u64,
    /// Bytes of memory.
    pub memory: u64,
    /// Bytes of disk.
    pub storage: u64,
    /// Thousandths of a GPU: a multiple of 1000 takes whole devices, less than 1000 shares one.
    pub gpu_milli: u64,
    /// Only devices of this model, when given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_model: Option<Arc<str>>,
}

impl Demand {
    /// The amount of a resource that is asked for; of GPUs thousandths.
    #[must_use]
    pub const fn amount(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Cpu => self.cpu_milli,
            Kind::Memory => self.memory,
            Kind::Storage => self.storage,
            Kind::Gpu => self.gpu_milli,
        }
    }
}

/// One GPU of a worker.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Gpu {
    /// The device's id as its driver knows it (`GPU-...` or an index).
    pub id: Arc<str>,
    /// The model's name, as `a100`.
    pub model: Arc<str>,
}

/// All that a worker offers to tasks, its reserve already taken off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capacity {
    /// Thousandths of a core.
    pub cpu_milli: u64,
    /// Bytes of memory.
    pub memory: u64,
    /// Bytes of disk.
    pub storage: u64,
    /// Devices, in the driver's order.
    pub gpus: Vec<Gpu>,
}

impl Capacity {
    /// The amount of one plain resource; GPUs as thousandths of all devices.
    #[must_use]
    pub fn amount(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Cpu => self.cpu_milli,
            Kind::Memory => self.memory,
            Kind::Storage => self.storage,
            Kind::Gpu => self.gpus.len() as u64 * WHOLE,
        }
    }
}

/// What one attempt holds of its worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allocation {
    /// Thousandths of a core.
    pub cpu_milli: u64,
    /// Bytes of memory.
    pub memory: u64,
    /// Bytes of disk.
    pub storage: u64,
    /// Thousandths taken of each device.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<(Arc<str>, u64)>,
}

/// Which resource a sentence is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Cores.
    Cpu,
    /// Memory.
    Memory,
    /// Disk.
    Storage,
    /// GPUs.
    Gpu,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Cpu, Self::Memory, Self::Storage, Self::Gpu];

    /// The word for people: `cpu`, `memory`, `storage`, `gpu`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Storage => "storage",
            Self::Gpu => "gpu",
        }
    }

    /// An amount of this resource for people: `1.5 cpu`, `512 MiB memory`.
    #[must_use]
    pub fn show(self, amount: u64) -> String {
        match self {
            Self::Cpu | Self::Gpu => format!("{} {}", Thousandths(amount), self.name()),
            Self::Memory | Self::Storage => format!("{} {}", Bytes(amount), self.name()),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Thousandths printed as a decimal without needless zeros: `1500` is `1.5`.
#[derive(Clone, Copy, Debug)]
pub struct Thousandths(pub u64);

impl fmt::Display for Thousandths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / WHOLE, self.0 % WHOLE);
        if part == 0 {
            return whole.fmt(f);
        }
        let part = format!("{part:03}");
        write!(f, "{whole}.{}", part.trim_end_matches('0'))
    }
}

/// Bytes printed with the largest binary unit that keeps them short: `1.5 GiB`.
#[derive(Clone, Copy, Debug)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
        let step = (0..5).rev().find(|step| self.0 >> (10 * (step + 1)) > 0).map_or(0, |s| s + 1);
        let tenths = (u128::from(self.0) * 10) >> (10 * step);
        match tenths % 10 {
            0 => write!(f, "{} {}", tenths / 10, UNITS[step]),
            part => write!(f, "{}.{} {}", tenths / 10, part, UNITS[step]),
        }
    }
}

/// What is left of a worker: its capacity less its allocations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Free {
    cpu_milli: u64,
    memory: u64,
    storage: u64,
    /// Thousandths left of each device.
    gpus: Vec<(Gpu, u64)>,
}

/// An amount that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lack {
    /// Which resource.
    pub kind: Kind,
    /// What was asked for.
    pub need: u64,
    /// The most that could be given.
    pub have: u64,
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Cpu | Kind::Gpu => {
                write!(f, "{}: needs {}, has {}", self.kind, Thousandths(self.need), Thousandths(self.have))
            }
            Kind::Memory | Kind::Storage => {
                write!(f, "{}: needs {}, has {}", self.kind, Bytes(self.need), Bytes(self.have))
            }
        }
    }
}

impl Free {
    /// All of a worker that runs nothing.
    #[must_use]
    pub fn all(capacity: &Capacity) -> Self {
        Self {
            cpu_milli: capacity.cpu_milli,
            memory: capacity.memory,
            storage: capacity.storage,
            gpus: capacity.gpus.iter().map(|gpu| (gpu.clone(), WHOLE)).collect(),
        }
    }

    /// What is left of a capacity under the sum of all allocations; nothing where that exceeds it.
    #[must_use]
    pub fn left(capacity: &Capacity, sum: &Allocation) -> Self {
        let device = |gpu: &Gpu| {
            let held = sum.gpus.iter().find(|(id, _)| *id == gpu.id).map_or(0, |(_, milli)| *milli);
            (gpu.clone(), WHOLE.saturating_sub(held))
        };
        Self {
            cpu_milli: capacity.cpu_milli.saturating_sub(sum.cpu_milli),
            memory: capacity.memory.saturating_sub(sum.memory),
            storage: capacity.storage.saturating_sub(sum.storage),
            gpus: capacity.gpus.iter().map(device).collect(),
        }
    }

    /// The amount left of a resource; of GPUs the sum over devices.
    #[must_use]
    pub fn amount(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Cpu => self.cpu_milli,
            Kind::Memory => self.memory,
            Kind::Storage => self.storage,
            Kind::Gpu => self.gpus.iter().map(|(_, left)| left).sum(),
        }
    }

    /// The devices and what is left of each, in thousandths.
    #[must_use]
    pub fn devices(&self) -> &[(Gpu, u64)] {
        &self.gpus
    }

    /// Picks what the demand would take, changing nothing.
    ///
    /// A GPU share goes to the fullest device that still has room (best fit), so that whole
    /// devices stay whole.
    /// # Errors
    /// The first resource that is short, in the order cpu, memory, storage, gpu.
    pub fn pick(&self, demand: &Demand) -> Result<Allocation, Lack> {
        let plain = [
            (Kind::Cpu, demand.cpu_milli, self.cpu_milli),
            (Kind::Memory, demand.memory, self.memory),
            (Kind::Storage, demand.storage, self.storage),
        ];
        if let Some((kind, need, have)) = plain.into_iter().find(|(_, need, have)| need > have) {
            return Err(Lack { kind, need, have });
        }
        Ok(Allocation {
            cpu_milli: demand.cpu_milli,
            memory: demand.memory,
            storage: demand.storage,
            gpus: self.pick_gpus(demand)?,
        })
    }

    fn pick_gpus(&self, demand: &Demand) -> Result<Vec<(Arc<str>, u64)>, Lack> {
        let need = demand.gpu_milli;
        if need == 0 {
            return Ok(Vec::new());
        }
        let fits = |gpu: &Gpu| demand.gpu_model.as_ref().is_none_or(|model| *model == gpu.model);
        let devices = || self.gpus.iter().filter(|(gpu, _)| fits(gpu));
        if need < WHOLE {
            let best = devices().filter(|(_, left)| *left >= need).min_by_key(|(_, left)| *left);
            let most = devices().map(|(_, left)| *left).max().unwrap_or(0);
            let (gpu, _) = best.ok_or(Lack { kind: Kind::Gpu, need, have: most })?;
            return Ok(vec![(gpu.id.clone(), need)]);
        }
        let whole: Vec<_> = devices().filter(|(_, left)| *left == WHOLE).collect();
        let have = whole.len() as u64 * WHOLE;
        if have < need {
            return Err(Lack { kind: Kind::Gpu, need, have });
        }
        let count = usize::try_from(need / WHOLE).unwrap_or(usize::MAX);
        Ok(whole.into_iter().take(count).map(|(gpu, _)| (gpu.id.clone(), WHOLE)).collect())
    }

    /// Takes an allocation off.
    /// # Errors
    /// What is short; then nothing changed.
    pub fn take(&mut self, allocation: &Allocation) -> Result<(), Lack> {
        let short = |kind, need, have| Lack { kind, need, have };
        let plain = |kind, need, have: u64| have.checked_sub(need).ok_or_else(|| short(kind, need, have));
        let cpu_milli = plain(Kind::Cpu, allocation.cpu_milli, self.cpu_milli)?;
        let memory = plain(Kind::Memory, allocation.memory, self.memory)?;
        let storage = plain(Kind::Storage, allocation.storage, self.storage)?;
        let mut gpus = self.gpus.clone();
        for (id, need) in &allocation.gpus {
            let left = gpus.iter_mut().find(|(gpu, _)| gpu.id == *id).map(|(_, left)| left);
            let left = left.ok_or_else(|| short(Kind::Gpu, *need, 0))?;
            *left = plain(Kind::Gpu, *need, *left)?;
        }
        *self = Self { cpu_milli, memory, storage, gpus };
        Ok(())
    }
}

impl Allocation {
    /// The amount held of a resource; of GPUs the sum over devices.
    #[must_use]
    pub fn amount(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Cpu => self.cpu_milli,
            Kind::Memory => self.memory,
            Kind::Storage => self.storage,
            Kind::Gpu => self.gpus.iter().map(|(_, milli)| milli).sum(),
        }
    }

    /// Makes this the sum of both, device by device.
    pub fn add(&mut self, other: &Self) {
        self.cpu_milli = self.cpu_milli.saturating_add(other.cpu_milli);
        self.memory = self.memory.saturating_add(other.memory);
        self.storage = self.storage.saturating_add(other.storage);
        for (id, milli) in &other.gpus {
            match self.gpus.iter_mut().find(|(known, _)| known == id) {
                Some((_, sum)) => *sum = sum.saturating_add(*milli),
                None => self.gpus.push((id.clone(), *milli)),
            }
        }
    }

    /// Takes off what was added before.
    pub fn subtract(&mut self, other: &Self) {
        self.cpu_milli = self.cpu_milli.saturating_sub(other.cpu_milli);
        self.memory = self.memory.saturating_sub(other.memory);
        self.storage = self.storage.saturating_sub(other.storage);
        for (id, milli) in &other.gpus {
            if let Some((_, sum)) = self.gpus.iter_mut().find(|(known, _)| known == id) {
                *sum = sum.saturating_sub(*milli);
            }
        }
        self.gpus.retain(|(_, sum)| *sum > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpus(n: usize) -> Capacity {
        let gpu = |i: usize| Gpu { id: i.to_string().into(), model: "a100".into() };
        Capacity { cpu_milli: 8000, memory: GIB, storage: GIB, gpus: (0..n).map(gpu).collect() }
    }

    fn share(milli: u64) -> Demand {
        Demand { gpu_milli: milli, ..Demand::default() }
    }

    #[test]
    fn a_gpu_share_goes_to_the_fullest_device_that_has_room() {
        let mut free = Free::all(&gpus(2));
        for expected in ["0", "0", "1"] {
            let allocation = free.pick(&share(400)).unwrap();
            assert_eq!(&*allocation.gpus[0].0, expected);
            free.take(&allocation).unwrap();
        }
    }

    #[test]
    fn whole_gpus_take_only_untouched_devices() {
        let mut free = Free::all(&gpus(2));
        let half = free.pick(&share(500)).unwrap();
        free.take(&half).unwrap();
        assert_eq!(free.pick(&share(2000)), Err(Lack { kind: Kind::Gpu, need: 2000, have: 1000 }));
        assert_eq!(free.pick(&share(1000)).unwrap().gpus, vec![("1".into(), 1000)]);
    }

    #[test]
    fn a_model_that_is_not_there_is_a_lack() {
        let demand = Demand { gpu_model: Some("h100".into()), ..share(1000) };
        assert_eq!(Free::all(&gpus(2)).pick(&demand).unwrap_err().have, 0);
    }

    #[test]
    fn a_take_that_does_not_fit_changes_nothing() {
        let mut free = Free::all(&gpus(1));
        let before = free.clone();
        let more = Allocation { cpu_milli: 1, memory: 2 * GIB, ..Allocation::default() };
        assert_eq!(free.take(&more).unwrap_err().kind, Kind::Memory);
        assert_eq!(free, before);
    }

    #[test]
    fn amounts_are_printed_short() {
        let rows = [(0, "0"), (1, "0.001"), (1500, "1.5"), (2000, "2")];
        for (milli, text) in rows {
            assert_eq!(Thousandths(milli).to_string(), text);
        }
        let rows = [(0, "0 B"), (1023, "1023 B"), (512 * MIB, "512 MiB"), (3 * GIB / 2, "1.5 GiB"), (1 << 50, "1 PiB")];
        for (bytes, text) in rows {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
    }
}
