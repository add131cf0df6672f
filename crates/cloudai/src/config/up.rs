//! The settings of `cloudai up`: a master and its workers in one process.

use super::known::UP_WORKERS;
use super::parse::whole;
use super::worker::executor;
use super::{Executor, MasterFlags, MasterSettings, Resolver};
use crate::exit::Failure;

/// What `cloudai up` was given on its command line.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct UpFlags {
    /// How many workers it starts; they share this machine [env: CLOUDAI_WORKERS] [default: 1]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) workers: Option<String>,
    /// What runs containers: docker, or fake for tests [env: CLOUDAI_EXECUTOR] [default: docker]
    #[arg(long, value_name = "KIND")]
    pub(crate) executor: Option<String>,
    /// Master and workers keep their state here [env: CLOUDAI_DATA_DIR]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<String>,
    /// Where clients reach the master; port 0 takes a free one [env: CLOUDAI_HTTP, HTTP_PORT]
    #[arg(long, value_name = "ADDR")]
    pub(crate) http: Option<String>,
    /// Where workers reach the master; port 0 takes a free one [env: CLOUDAI_GRPC, GRPC_PORT]
    #[arg(long, value_name = "ADDR")]
    pub(crate) grpc: Option<String>,
    /// How tasks are placed: greedy or round_robin [env: CLOUDAI_STRATEGY, SCHEDULER_STRATEGY] [default: greedy]
    #[arg(long, value_name = "NAME")]
    pub(crate) strategy: Option<String>,
    /// Print the chosen addresses as one line of JSON: {"grpc": "...", "http": "..."}
    #[arg(long)]
    pub(crate) print_addresses: bool,
}

/// Everything that `up` starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UpSettings {
    /// The master; loopback only, without a shell.
    pub(crate) master: MasterSettings,
    /// How many workers; they are named `local-1`, `local-2` and so on.
    pub(crate) workers: u32,
    /// What runs their containers.
    pub(crate) executor: Executor,
}

impl UpSettings {
    /// The settings from flags and surroundings.
    /// # Errors
    /// A value that is not allowed, or one of a feature that is still to come.
    pub(crate) fn resolve(resolver: &Resolver<'_>, flags: &UpFlags) -> Result<Self, Failure> {
        let master = MasterFlags {
            data_dir: flags.data_dir.clone(),
            grpc: flags.grpc.clone(),
            http: flags.http.clone(),
            strategy: flags.strategy.clone(),
            no_shell: true,
            print_addresses: flags.print_addresses,
            ..MasterFlags::default()
        };
        Ok(Self {
            master: MasterSettings::resolve(resolver, &master)?,
            workers: resolver.required(&UP_WORKERS, flags.workers.as_deref(), |text| whole(text, 1000))?,
            executor: executor(resolver, flags.executor.as_deref())?,
        })
    }
}
