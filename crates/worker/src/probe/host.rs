//! The host's resources: what a worker offers, and what of the host is in use.

use super::gpu;
use super::limits::OwnLimits;
use cloudai_core::resources::{Bytes, Capacity, GIB, Gpu, Thousandths};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use sysinfo::System;

/// Kept back for the host, its engine and this worker, in thousandths of a core.
pub const RESERVE_CPU_MILLI: u64 = 500;
/// Kept back of the memory, in bytes.
pub const RESERVE_MEMORY: u64 = GIB;
/// One part in this many of the whole disk is kept back.
pub const RESERVE_STORAGE_PART: u64 = 10;

/// What the host has, within the limits under which this process runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Cores of the machine: what the engine accepts.
    pub cores: u64,
    /// Thousandths of a core that may be used.
    pub cpu_milli: u64,
    /// Bytes of memory.
    pub memory: u64,
    /// Bytes of memory of the machine, also where this process may use less.
    pub memory_total: u64,
    /// Bytes of the data folder's file system.
    pub storage_total: u64,
    /// Bytes of it that are free for this user.
    pub storage_free: u64,
    /// Devices.
    pub gpus: Vec<Gpu>,
    /// How many devices a person may declare.
    pub gpus_present: u32,
}

/// What a person declared instead of what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// `--cpus`, in thousandths.
    pub cpu_milli: Option<u64>,
    /// `--mem`, in bytes.
    pub memory: Option<u64>,
    /// `--disk`, in bytes.
    pub storage: Option<u64>,
    /// `--gpus`, whole devices.
    pub gpus: Option<u32>,
}

/// Why the capacity can not be told.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The host does not tell.
    #[error("{path} can not be read")]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// More was declared than there is: no worker may be given more than its machine has.
    #[error("{flag} {declared} is more than this machine has: {has}; give at most {most}")]
    TooMuch {
        /// How it was declared.
        flag: &'static str,
        /// What was declared.
        declared: String,
        /// What there is.
        has: String,
        /// That, as the flag takes it.
        most: String,
    },
}

impl Host {
    /// Looks at this host; `data` is the folder whose file system holds the outputs.
    /// # Errors
    /// [`ProbeError::Unreadable`].
    pub fn probe(data: &Path) -> Result<Self, ProbeError> {
        Self::below(Path::new("/"), data)
    }

    fn below(root: &Path, data: &Path) -> Result<Self, ProbeError> {
        let limits = OwnLimits::read(root);
        let cores = online(root)?;
        let usable = limits.cores.map_or(cores, |allowed| allowed.min(cores)) * 1000;
        let memory_total = total_memory(root)?;
        let (storage_total, storage_free) = storage(data)?;
        Ok(Self {
            cores,
            cpu_milli: limits.cpu_milli.map_or(usable, |quota| quota.min(usable)),
            memory: limits.memory.map_or(memory_total, |limit| limit.min(memory_total)),
            memory_total,
            storage_total,
            storage_free,
            gpus: gpu::detect(),
            gpus_present: gpu::present(root),
        })
    }

    /// What the worker offers: each resource as declared, else what was found less the reserve.
    ///
    /// The reserve takes at most half, so that the smallest host still runs something. With
    /// `enforced` an engine sets the limits, and more than there is is an error; without
    /// it (the fake executor) a worker may be as large as its tests want.
    /// # Errors
    /// [`ProbeError::TooMuch`].
    pub fn capacity(&self, declared: &Declared, enforced: bool) -> Result<Capacity, ProbeError> {
        if enforced {
            self.has(declared)?;
        }
        let less = |amount: u64, reserve: u64| amount - reserve.min(amount / 2);
        let disk_reserve = self.storage_total / RESERVE_STORAGE_PART;
        Ok(Capacity {
            cpu_milli: declared.cpu_milli.unwrap_or_else(|| less(self.cpu_milli, RESERVE_CPU_MILLI)),
            memory: declared.memory.unwrap_or_else(|| less(self.memory, RESERVE_MEMORY)),
            storage: declared.storage.unwrap_or_else(|| less(self.storage_free, disk_reserve)),
            gpus: declared.gpus.map_or_else(|| self.gpus.clone(), gpu::declared),
        })
    }
}

impl Host {
    /// Whether all that is declared is there: real cores (the engine refuses more), the whole
    /// machine's memory, the whole disk, the driver's devices.
    fn has(&self, declared: &Declared) -> Result<(), ProbeError> {
        let refused = |flag, declared: String, has, most| Err(ProbeError::TooMuch { flag, declared, has, most });
        if let Some(cpus) = declared.cpu_milli.filter(|cpus| *cpus > self.cores * 1000) {
            let has = format!("{} cores", self.cores);
            return refused("--cpus", Thousandths(cpus).to_string(), has, self.cores.to_string());
        }
        if let Some(memory) = declared.memory.filter(|memory| *memory > self.memory_total) {
            let (has, most) = (Bytes(self.memory_total).to_string(), format!("{}m", self.memory_total >> 20));
            return refused("--mem", Bytes(memory).to_string(), has, most);
        }
        if let Some(storage) = declared.storage.filter(|storage| *storage > self.storage_total) {
            let has = format!("{} where its data folder is", Bytes(self.storage_total));
            return refused("--disk", Bytes(storage).to_string(), has, format!("{}m", self.storage_total >> 20));
        }
        if let Some(gpus) = declared.gpus.filter(|gpus| *gpus > self.gpus_present) {
            let has = format!("{} devices of NVIDIA's driver (/dev/nvidia0 and so on)", self.gpus_present);
            return refused("--gpus", gpus.to_string(), has, self.gpus_present.to_string());
        }
        Ok(())
    }
}

fn read(root: &Path, file: &str) -> Result<String, ProbeError> {
    let path = root.join(file);
    fs::read_to_string(&path).map_err(|source| ProbeError::Unreadable { path, source })
}

/// Cores that the kernel runs: the lines `cpu0`, `cpu1`, ... of its statistics.
fn online(root: &Path) -> Result<u64, ProbeError> {
    let stat = read(root, "proc/stat")?;
    let core =
        |line: &&str| line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    Ok((stat.lines().filter(core).count() as u64).max(1))
}

fn total_memory(root: &Path) -> Result<u64, ProbeError> {
    let text = read(root, "proc/meminfo")?;
    let kib = text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse().ok());
    let missing = || io::Error::new(io::ErrorKind::InvalidData, "no MemTotal");
    let kib: u64 = kib.ok_or_else(|| ProbeError::Unreadable { path: "/proc/meminfo".into(), source: missing() })?;
    Ok(kib * 1024)
}

/// All and free bytes of a folder's file system.
fn storage(data: &Path) -> Result<(u64, u64), ProbeError> {
    let disk = rustix::fs::statvfs(data);
    let disk = disk.map_err(|why| ProbeError::Unreadable { path: data.to_owned(), source: why.into() })?;
    let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
    Ok((bytes(disk.f_blocks), bytes(disk.f_bavail)))
}

/// How much of the host is in use.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Of all cores since the sample before, 0 to 100.
    pub cpu_percent: f64,
    /// 0 to 100.
    pub memory_percent: f64,
    /// Bytes.
    pub memory_used: u64,
    /// Bytes.
    pub memory_total: u64,
    /// Of the data folder's file system, 0 to 100.
    pub storage_percent: f64,
    /// Bytes of it that are taken.
    pub storage_used: u64,
    /// Bytes of it.
    pub storage_total: u64,
}

/// Takes samples of the host's use.
#[derive(Debug)]
pub struct Sampler {
    system: Option<System>,
    data: PathBuf,
}

impl Sampler {
    /// A sampler that also watches the file system of `data`; its first sample shows no use of cpu.
    #[must_use]
    pub fn new(data: &Path) -> Self {
        let system = System::new().map_err(|why| tracing::warn!(%why, "host use is not readable")).ok();
        let mut sampler = Self { system, data: data.to_owned() };
        sampler.sample();
        sampler
    }

    /// The use now; what can not be read is zero. Reads a few small files: microseconds.
    pub fn sample(&mut self) -> Usage {
        let mut usage = Usage::default();
        if let Some(system) = &mut self.system {
            system.refresh_cpu_usage();
            system.refresh_memory();
            usage.cpu_percent = f64::from(system.global_cpu_usage()).clamp(0.0, 100.0);
            usage.memory_used = system.used_memory();
            usage.memory_total = system.total_memory();
            usage.memory_percent = percent(usage.memory_used, usage.memory_total);
        }
        if let Ok((total, free)) = storage(&self.data) {
            usage.storage_used = total.saturating_sub(free);
            usage.storage_total = total;
            usage.storage_percent = percent(usage.storage_used, total);
        }
        usage
    }
}

#[allow(clippy::cast_precision_loss)] // a share for people
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { (part as f64 * 100.0 / whole as f64).min(100.0) }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (cpu, memory, disk) = (Thousandths(self.cpu_milli), Bytes(self.memory), Bytes(self.storage_free));
        write!(f, "{cpu} cores, {memory} memory, {disk} free disk, {} GPUs", self.gpus.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(cores: u64, memory: u64) -> Host {
        let cpu_milli = cores * 1000;
        let (memory_total, gpus_present) = (memory, 2);
        Host {
            cores,
            cpu_milli,
            memory,
            memory_total,
            storage_total: 1000,
            storage_free: 500,
            gpus: Vec::new(),
            gpus_present,
        }
    }

    #[test]
    fn the_reserve_is_taken_off_but_never_more_than_half() {
        let big = host(4, 8 * GIB).capacity(&Declared::default(), true).unwrap();
        assert_eq!((big.cpu_milli, big.memory, big.storage), (3500, 7 * GIB, 400));
        let small = Host { cpu_milli: 500, ..host(1, GIB) }.capacity(&Declared::default(), true).unwrap();
        assert_eq!((small.cpu_milli, small.memory), (250, GIB / 2));
    }

    #[test]
    fn what_is_declared_is_taken_as_said() {
        let declared = Declared { cpu_milli: Some(4000), memory: Some(GIB), storage: Some(7), gpus: Some(2) };
        let capacity = host(4, GIB).capacity(&declared, true).unwrap();
        assert_eq!((capacity.cpu_milli, capacity.memory, capacity.storage), (4000, GIB, 7));
        let ids: Vec<_> = capacity.gpus.iter().map(|gpu| (&*gpu.id, &*gpu.model)).collect();
        assert_eq!(ids, [("0", "generic"), ("1", "generic")]);
    }

    #[test]
    fn more_than_there_is_is_refused_where_an_engine_sets_the_limits() {
        let nothing = Declared::default;
        let rows = [
            (Declared { cpu_milli: Some(4500), ..nothing() }, "--cpus 4.5 is more than this machine has: 4 cores"),
            (Declared { memory: Some(GIB + 1), ..nothing() }, "; give at most 1024m"),
            (Declared { storage: Some(1001), ..nothing() }, "--disk 1001 B is more than this machine has: 1000 B"),
            (Declared { gpus: Some(3), ..nothing() }, "--gpus 3 is more than this machine has: 2 devices"),
        ];
        for (declared, said) in rows {
            let refused = host(4, GIB).capacity(&declared, true).unwrap_err().to_string();
            assert!(refused.contains(said), "{said}: {refused}");
            assert!(host(4, GIB).capacity(&declared, false).is_ok(), "{said}");
        }
        // A process that may use less than its machine has may offer the machine.
        let within = Host { memory: GIB / 2, ..host(4, GIB) };
        let whole = Declared { memory: Some(GIB), ..nothing() };
        assert_eq!(within.capacity(&whole, true).unwrap().memory, GIB);
    }

    #[test]
    fn this_host_has_something_to_offer_and_its_use_is_within_it() {
        let here = tempfile::tempdir().unwrap();
        let host = Host::probe(here.path()).unwrap();
        let capacity = host.capacity(&Declared::default(), true).unwrap();
        assert!(capacity.cpu_milli > 0 && capacity.memory > 0, "{host}");
        let usage = Sampler::new(here.path()).sample();
        assert!(usage.memory_used > 0 && usage.memory_used <= usage.memory_total, "{usage:?}");
        assert!(usage.storage_used <= usage.storage_total && usage.cpu_percent <= 100.0, "{usage:?}");
    }
}
