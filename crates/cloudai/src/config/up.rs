//! The settings of `cloudai up`: a master and its workers in one process.

use super::known::{
    ALLOW_PATHS, ALLOW_VOLUMES, COLLECT_IMAGES, DATA_DIR, DISK_PRESSURE, ENGINE, EXECUTOR, GRPC, HTTP, INPUT_CACHE,
    LOCAL_INPUTS, LOG_RATE, POLICY, STRATEGY, UP_WORKERS,
};
use super::log::LogFlags;
use super::worker::list;
use super::{Executor, Flags, MasterFlags, MasterSettings, Resolver, User, worker};
use crate::exit::Failure;
use cloudai_worker::DiskLimits;
use cloudai_worker::volumes::Offers;

/// What `cloudai up` was given on its command line.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct UpFlags {
    /// How many workers it starts; they share this machine
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) workers: Option<String>,
    /// What runs containers: docker, or fake for tests, which runs only images named fake:*
    #[arg(long, value_name = "KIND")]
    pub(crate) executor: Option<String>,
    /// The container engine's address, of Docker or Podman
    #[arg(long, value_name = "ADDR")]
    pub(crate) engine: Option<String>,
    /// How full its disk may be, in percent, before its workers take no new work
    #[arg(long, value_name = "PERCENT", allow_negative_numbers = true)]
    pub(crate) disk_pressure: Option<String>,
    /// From so many percent of the disk on they remove images that they pulled and nothing uses
    #[arg(long, value_name = "PERCENT", allow_negative_numbers = true)]
    pub(crate) collect_images_at: Option<String>,
    /// Disk for inputs that later attempts may need again, as 20g
    #[arg(long, value_name = "SIZE", allow_negative_numbers = true)]
    pub(crate) input_cache: Option<String>,
    /// Bytes of each task's log that a worker sends in a second, as 1m; the rest waits, nothing is cut; 0 for any
    #[arg(long, value_name = "SIZE", allow_negative_numbers = true)]
    pub(crate) log_rate: Option<String>,
    /// A folder of this machine that tasks may see, as /data or /data:ro; may be repeated
    #[arg(long = "allow-path", value_name = "DIR[:ro]")]
    pub(crate) allow_paths: Vec<String>,
    /// A volume of the engine that tasks may see, as NAME, NAME:ro or NAME=nfs://SERVER/PATH; may be repeated
    #[arg(long = "allow-volume", value_name = "NAME[:ro]")]
    pub(crate) allow_volumes: Vec<String>,
    /// What tasks may ask for, as a TOML file; read again when it has changed
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<String>,
    /// Master and workers keep their state here
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<String>,
    /// Where clients reach the master; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    pub(crate) http: Option<String>,
    /// Where workers reach the master; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    pub(crate) grpc: Option<String>,
    /// How tasks are placed: `cloudai strategy list` shows all
    #[arg(long, value_name = "NAME")]
    pub(crate) strategy: Option<String>,
    /// No users and no encryption, for this machine alone
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Print the chosen addresses as one line of JSON: {"grpc": "...", "http": "..."}
    #[arg(long)]
    pub(crate) print_addresses: bool,
    #[command(flatten)]
    pub(crate) log: LogFlags,
}

impl UpFlags {
    fn given(&self) -> Flags {
        let flags = Flags::default()
            .with(&UP_WORKERS, self.workers.as_ref())
            .with(&EXECUTOR, self.executor.as_ref())
            .with(&ENGINE, self.engine.as_ref())
            .with(&DISK_PRESSURE, self.disk_pressure.as_ref())
            .with(&COLLECT_IMAGES, self.collect_images_at.as_ref())
            .with(&INPUT_CACHE, self.input_cache.as_ref())
            .with(&LOG_RATE, self.log_rate.as_ref())
            .with(&ALLOW_PATHS, list(&self.allow_paths).as_ref())
            .with(&ALLOW_VOLUMES, list(&self.allow_volumes).as_ref())
            .with(&POLICY, self.policy.as_ref())
            .with(&DATA_DIR, self.data_dir.as_ref())
            .with(&GRPC, self.grpc.as_ref())
            .with(&HTTP, self.http.as_ref())
            .with(&STRATEGY, self.strategy.as_ref());
        self.log.add_to(flags)
    }
}

/// Everything that `up` starts from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct UpSettings {
    /// The master; loopback only, without a shell.
    pub(crate) master: MasterSettings,
    /// How many workers; they are named `local-1`, `local-2` and so on.
    pub(crate) workers: u32,
    /// What runs their containers.
    pub(crate) executor: Executor,
    /// Whether inputs may be fetched from loopback and link-local addresses.
    pub(crate) local_inputs: bool,
    /// Where the engine is; none looks in the usual places.
    pub(crate) engine: Option<String>,
    /// When workers do something about a full disk.
    pub(crate) disk: DiskLimits,
    /// What of the host tasks may see.
    pub(crate) offers: Offers,
    /// Bytes a second of each attempt's log that a worker sends; 0 for any number.
    pub(crate) log_rate: u64,
}

impl UpSettings {
    /// The settings from flags and surroundings.
    /// # Errors
    /// Every value that is not allowed, or is of a feature that is still to come.
    pub(crate) fn resolve(resolver: &Resolver<'_>, flags: &UpFlags) -> Result<Self, Failure> {
        let resolver = resolver.given(flags.given());
        resolver.check(User::Up)?;
        let switches = MasterFlags {
            no_shell: true,
            insecure: flags.insecure,
            print_addresses: flags.print_addresses,
            ..MasterFlags::default()
        };
        let executor = resolver.required(&EXECUTOR)?;
        Ok(Self {
            master: MasterSettings::resolve_checked(&resolver, &switches, User::Up)?,
            workers: resolver.required(&UP_WORKERS)?,
            executor,
            local_inputs: resolver.required(&LOCAL_INPUTS)?,
            engine: worker::engine(&resolver, executor)?,
            disk: worker::disk_limits(&resolver)?,
            offers: worker::offers(&resolver)?,
            log_rate: resolver.required(&LOG_RATE)?,
        })
    }
}
