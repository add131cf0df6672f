//! The settings of a worker, checked.

use super::known::{
    ALLOW_PATHS, ALLOW_VOLUMES, COLLECT_IMAGES, CPUS, DATA_DIR, DELIVERY, DISK, DISK_PRESSURE, ENGINE, EXEC, EXECUTOR,
    GPUS, INPUT_CACHE, JOIN_TOKEN, LABELS, LOCAL_INPUTS, LOG_RATE, MASTER, MEM, POLICY, WORKER_ID, WORKER_IP,
    WORKER_LISTEN, WORKER_PORT,
};
use super::log::LogFlags;
use super::{Delivery, Executor, Flags, LogSettings, Resolver, User};
use crate::exit::Failure;
use cloudai_core::ids::WorkerId;
use cloudai_worker::DiskLimits;
use cloudai_worker::volumes::Offers;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// What `cloudai worker start` was given on its command line.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct WorkerFlags {
    /// Where its master is
    #[arg(long, value_name = "ADDR")]
    pub(crate) master: Option<String>,
    /// How commands come to it: subscribe, or push where the master can call it
    #[arg(long, value_name = "HOW")]
    pub(crate) delivery: Option<String>,
    /// Where its master calls it
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<String>,
    /// What `cloudai worker token` prints
    #[arg(long, value_name = "TOKEN")]
    pub(crate) join_token: Option<String>,
    /// Its name
    #[arg(long, value_name = "ID")]
    pub(crate) id: Option<String>,
    /// What runs containers: docker, or fake for tests
    #[arg(long, value_name = "KIND")]
    pub(crate) executor: Option<String>,
    /// The container engine's address, of Docker or Podman
    #[arg(long, value_name = "ADDR")]
    pub(crate) engine: Option<String>,
    /// Cores it offers
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) cpus: Option<String>,
    /// Memory it offers, as 8g
    #[arg(long, value_name = "SIZE", alias = "memory", allow_negative_numbers = true)]
    pub(crate) mem: Option<String>,
    /// Disk it offers, as 100g
    #[arg(long, value_name = "SIZE", alias = "storage", allow_negative_numbers = true)]
    pub(crate) disk: Option<String>,
    /// How full its disk may be, in percent, before it takes no new work
    #[arg(long, value_name = "PERCENT", allow_negative_numbers = true)]
    pub(crate) disk_pressure: Option<String>,
    /// From so many percent of the disk on it removes images that it pulled and nothing uses
    #[arg(long, value_name = "PERCENT", allow_negative_numbers = true)]
    pub(crate) collect_images_at: Option<String>,
    /// Disk for inputs that later attempts may need again, as 20g
    #[arg(long, value_name = "SIZE", allow_negative_numbers = true)]
    pub(crate) input_cache: Option<String>,
    /// Bytes of each task's log that it sends in a second, as 1m; the rest waits, nothing is cut; 0 for any
    #[arg(long, value_name = "SIZE", allow_negative_numbers = true)]
    pub(crate) log_rate: Option<String>,
    /// A folder of its host that tasks may see, as /data or /data:ro; may be repeated
    #[arg(long = "allow-path", value_name = "DIR[:ro]")]
    pub(crate) allow_paths: Vec<String>,
    /// A volume of its engine that tasks may see, as NAME, NAME:ro or NAME=nfs://SERVER/PATH; may be repeated
    #[arg(long = "allow-volume", value_name = "NAME[:ro]")]
    pub(crate) allow_volumes: Vec<String>,
    /// What tasks may ask for there, as a TOML file; read again when it has changed
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<String>,
    /// Devices it offers
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) gpus: Option<String>,
    /// A free word to find it by; may be repeated
    #[arg(long = "label", value_name = "K=V")]
    pub(crate) labels: Vec<String>,
    /// Where its journal is kept
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<String>,
    #[command(flatten)]
    pub(crate) log: LogFlags,
}

impl WorkerFlags {
    fn given(&self) -> Flags {
        let labels = list(&self.labels);
        let flags = Flags::default()
            .with(&MASTER, self.master.as_ref())
            .with(&DELIVERY, self.delivery.as_ref())
            .with(&WORKER_LISTEN, self.listen.as_ref())
            .with(&JOIN_TOKEN, self.join_token.as_ref())
            .with(&WORKER_ID, self.id.as_ref())
            .with(&EXECUTOR, self.executor.as_ref())
            .with(&ENGINE, self.engine.as_ref())
            .with(&CPUS, self.cpus.as_ref())
            .with(&MEM, self.mem.as_ref())
            .with(&DISK, self.disk.as_ref())
            .with(&DISK_PRESSURE, self.disk_pressure.as_ref())
            .with(&COLLECT_IMAGES, self.collect_images_at.as_ref())
            .with(&INPUT_CACHE, self.input_cache.as_ref())
            .with(&LOG_RATE, self.log_rate.as_ref())
            .with(&ALLOW_PATHS, list(&self.allow_paths).as_ref())
            .with(&ALLOW_VOLUMES, list(&self.allow_volumes).as_ref())
            .with(&POLICY, self.policy.as_ref())
            .with(&GPUS, self.gpus.as_ref())
            .with(&LABELS, labels.as_ref())
            .with(&DATA_DIR, self.data_dir.as_ref());
        self.log.add_to(flags)
    }
}

/// Everything that a worker is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WorkerSettings {
    /// `host:port` of its master; none waits to be called.
    pub(crate) master: Option<String>,
    /// How commands come to it.
    pub(crate) delivery: Delivery,
    /// Where its master calls it; none for one that nobody calls.
    pub(crate) listen: Option<ListenAt>,
    /// What it shows to join; empty for one that has a certificate.
    pub(crate) join_token: String,
    /// Its name.
    pub(crate) id: WorkerId,
    /// The address that it tells (`WORKER_IP`, `WORKER_PORT`).
    pub(crate) ip: Option<IpAddr>,
    /// The port of it; none for the one that it listens on.
    pub(crate) port: Option<u16>,
    /// What runs its containers.
    pub(crate) executor: Executor,
    /// Where the engine is; none looks in the usual places.
    pub(crate) engine: Option<String>,
    /// What it offers, where that is not to be found out.
    pub(crate) offer: Offer,
    /// When something is done about a full disk.
    pub(crate) disk: DiskLimits,
    /// What of the host tasks may see.
    pub(crate) offers: Offers,
    /// Where it stands what tasks may ask for there.
    pub(crate) policy: Option<PathBuf>,
    /// Whether users may run programs in its containers.
    pub(crate) exec: bool,
    /// Whether inputs may be fetched from loopback and link-local addresses.
    pub(crate) local_inputs: bool,
    /// Bytes a second of each attempt's log that it sends; 0 for any number.
    pub(crate) log_rate: u64,
    /// Free words.
    pub(crate) labels: BTreeMap<String, String>,
    /// Where its journal is kept; may not exist yet.
    pub(crate) data_dir: PathBuf,
    /// How it logs.
    pub(crate) log: LogSettings,
}

/// Where a worker listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListenAt {
    /// The address.
    pub(crate) address: SocketAddr,
    /// Whether it was asked for: the usual port gives way to the next one that is free.
    pub(crate) exact: bool,
}

/// The port of a worker.
pub(crate) const USUAL_PORT: u16 = 50_052;

/// Given amounts; what is absent is detected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Offer {
    /// Thousandths of a core.
    pub(crate) cpu_milli: Option<u64>,
    /// Bytes.
    pub(crate) memory: Option<u64>,
    /// Bytes.
    pub(crate) storage: Option<u64>,
    /// Devices.
    pub(crate) gpus: Option<u32>,
}

impl WorkerSettings {
    /// The settings from flags and surroundings.
    /// # Errors
    /// Every value that is not allowed, or is of a feature that is still to come.
    pub(crate) fn resolve(resolver: &Resolver<'_>, flags: &WorkerFlags) -> Result<Self, Failure> {
        let resolver = resolver.given(flags.given());
        resolver.check(User::Worker)?;
        let executor = resolver.required(&EXECUTOR)?;
        let (id, data_dir) = (resolver.required(&WORKER_ID)?, resolver.required(&DATA_DIR)?);
        let (master, delivery) = (resolver.value(&MASTER)?, resolver.required(&DELIVERY)?);
        let listen = listen(&resolver, master.is_none() || delivery == Delivery::Push)?;
        Ok(Self {
            master,
            delivery,
            listen,
            join_token: match resolver.value(&JOIN_TOKEN)? {
                Some(token) => token,
                None if certificate(&data_dir, &id).exists() => String::new(),
                None => return Err(no_token()),
            },
            id,
            ip: resolver.value(&WORKER_IP)?,
            port: resolver.value(&WORKER_PORT)?,
            executor,
            engine: engine(&resolver, executor)?,
            offer: Offer {
                cpu_milli: resolver.value(&CPUS)?,
                memory: resolver.value(&MEM)?,
                storage: resolver.value(&DISK)?,
                gpus: resolver.value(&GPUS)?,
            },
            disk: disk_limits(&resolver)?,
            offers: offers(&resolver)?,
            policy: resolver.value(&POLICY)?,
            exec: resolver.required(&EXEC)?,
            local_inputs: resolver.required(&LOCAL_INPUTS)?,
            log_rate: resolver.required(&LOG_RATE)?,
            labels: resolver.value(&LABELS)?.unwrap_or_default(),
            data_dir,
            log: LogSettings::resolve(&resolver)?,
        })
    }
}

/// Where a worker listens that its master `calls`, or that was told to.
fn listen(resolver: &Resolver<'_>, calls: bool) -> Result<Option<ListenAt>, Failure> {
    let given = resolver.value(&WORKER_LISTEN)?.map(|listen| listen.at(Ipv4Addr::UNSPECIFIED));
    let usual = || calls.then(|| ListenAt { address: (Ipv4Addr::UNSPECIFIED, USUAL_PORT).into(), exact: false });
    Ok(given.map(|address| ListenAt { address, exact: true }).or_else(usual))
}

/// When something is done about a full disk.
pub(super) fn disk_limits(resolver: &Resolver<'_>) -> Result<DiskLimits, Failure> {
    let percent = |value: u32| u8::try_from(value).unwrap_or(100);
    let (collect, pressure) = (resolver.required(&COLLECT_IMAGES)?, resolver.required(&DISK_PRESSURE)?);
    let inputs = resolver.required(&INPUT_CACHE)?;
    Ok(DiskLimits { collect: percent(collect), pressure: percent(pressure), inputs })
}

/// What of the host tasks may see.
pub(super) fn offers(resolver: &Resolver<'_>) -> Result<Offers, Failure> {
    let (paths, volumes) = (resolver.value(&ALLOW_PATHS)?, resolver.value(&ALLOW_VOLUMES)?);
    Ok(Offers { paths: paths.unwrap_or_default(), volumes: volumes.unwrap_or_default() })
}

/// A flag that may be repeated, as its setting is written.
pub(super) fn list(given: &[String]) -> Option<String> {
    (!given.is_empty()).then(|| given.join(","))
}

/// Where the engine is, for what needs one.
pub(super) fn engine(resolver: &Resolver<'_>, executor: Executor) -> Result<Option<String>, Failure> {
    match executor {
        Executor::Docker => resolver.value(&ENGINE),
        Executor::Fake => Ok(None),
    }
}

/// What lets a worker in once it has joined.
fn certificate(data_dir: &Path, id: &WorkerId) -> PathBuf {
    crate::serve::worker_folder(data_dir, id).join("worker.crt")
}

fn no_token() -> Failure {
    Failure::usage("a worker that has not joined yet needs the join token of its cluster")
        .why("neither --join-token nor CLOUDAI_JOIN_TOKEN is set")
        .next("on the master: cloudai worker token")
}
