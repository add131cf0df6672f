//! The settings of a worker, checked.

use super::Resolver;
use super::known::{
    CPUS, DISK, EXECUTOR, GPUS, JOIN_TOKEN, LABELS, LOG_LEVEL, MASTER, MEM, WORKER_ID, WORKER_IP, WORKER_PORT,
};
use super::master::{data_dir, log, refuse_what_is_to_come};
use super::parse::{bytes, connect, key_value, thousandths, whole};
use crate::exit::Failure;
use cloudai_core::ids::WorkerId;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// What `cloudai worker start` was given on its command line.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct WorkerFlags {
    /// Where its masters are, several with commas [env: CLOUDAI_MASTER, MASTER_ADDR] [default: 127.0.0.1:50051]
    #[arg(long, value_name = "ADDR[,ADDR...]")]
    pub(crate) master: Option<String>,
    /// What `cloudai worker token` prints [env: CLOUDAI_JOIN_TOKEN, where `ps` does not show it]
    #[arg(long, value_name = "TOKEN")]
    pub(crate) join_token: Option<String>,
    /// Its name [env: CLOUDAI_WORKER_ID, WORKER_ID] [default: the host's name]
    #[arg(long, value_name = "ID")]
    pub(crate) id: Option<String>,
    /// What runs containers: docker, or fake for tests [env: CLOUDAI_EXECUTOR] [default: docker]
    #[arg(long, value_name = "KIND")]
    pub(crate) executor: Option<String>,
    /// Cores it offers [default: all but a reserve]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) cpus: Option<String>,
    /// Memory it offers, as 8g [default: all but a reserve]
    #[arg(long, value_name = "SIZE", alias = "memory", allow_negative_numbers = true)]
    pub(crate) mem: Option<String>,
    /// Disk it offers, as 100g [default: all but a reserve]
    #[arg(long, value_name = "SIZE", alias = "storage", allow_negative_numbers = true)]
    pub(crate) disk: Option<String>,
    /// Devices it offers [default: those found]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) gpus: Option<String>,
    /// A free word to find it by; may be repeated
    #[arg(long = "label", value_name = "K=V")]
    pub(crate) labels: Vec<String>,
    /// Where its journal is kept [env: CLOUDAI_DATA_DIR] [default: /var/lib/cloudai for root, else the user's data folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<String>,
}

/// What runs a worker's containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Executor {
    /// The Docker engine of its host.
    Docker,
    /// Nothing: tasks are acted.
    Fake,
}

/// Everything that a worker is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WorkerSettings {
    /// `host:port` of its masters, at least one.
    pub(crate) masters: Vec<String>,
    /// What it shows to join.
    pub(crate) join_token: String,
    /// Its name.
    pub(crate) id: WorkerId,
    /// The address that it tells (`WORKER_IP`, `WORKER_PORT`).
    pub(crate) address: Option<SocketAddr>,
    /// What runs its containers.
    pub(crate) executor: Executor,
    /// What it offers, where that is not to be found out.
    pub(crate) offer: Offer,
    /// Free words.
    pub(crate) labels: BTreeMap<String, String>,
    /// Where its journal is kept; may not exist yet.
    pub(crate) data_dir: PathBuf,
    /// A filter of `tracing`.
    pub(crate) log: String,
}

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
    /// A value that is not allowed, or one of a feature that is still to come.
    pub(crate) fn resolve(resolver: &Resolver<'_>, flags: &WorkerFlags) -> Result<Self, Failure> {
        refuse_what_is_to_come(resolver)?;
        let token = |text: &str| if text.is_empty() { Err("it is empty".to_owned()) } else { Ok(text.to_owned()) };
        Ok(Self {
            masters: resolver.required(&MASTER, flags.master.as_deref(), masters)?,
            join_token: resolver.value(&JOIN_TOKEN, flags.join_token.as_deref(), token)?.ok_or_else(no_token)?,
            id: resolver.required(&WORKER_ID, flags.id.as_deref(), |text| {
                text.parse().map_err(|_: cloudai_core::ids::IdError| "it is no worker id".to_owned())
            })?,
            address: address(resolver)?,
            executor: executor(resolver, flags.executor.as_deref())?,
            offer: Offer {
                cpu_milli: resolver.value(&CPUS, flags.cpus.as_deref(), thousandths)?,
                memory: resolver.value(&MEM, flags.mem.as_deref(), bytes)?,
                storage: resolver.value(&DISK, flags.disk.as_deref(), bytes)?,
                gpus: resolver.value(&GPUS, flags.gpus.as_deref(), |text| whole(text, 1024))?,
            },
            labels: labels(resolver, &flags.labels)?,
            data_dir: data_dir(resolver, flags.data_dir.as_deref())?,
            log: resolver.required(&LOG_LEVEL, None, log)?,
        })
    }
}

fn no_token() -> Failure {
    Failure::usage("a worker needs the join token of its cluster")
        .why("neither --join-token nor CLOUDAI_JOIN_TOKEN is set")
        .next("on the master: cloudai worker token")
}

fn masters(text: &str) -> Result<Vec<String>, String> {
    text.split(',').map(|one| connect(one.trim())).collect()
}

fn address(resolver: &Resolver<'_>) -> Result<Option<SocketAddr>, Failure> {
    let ip = resolver.value(&WORKER_IP, None, |text| {
        let text = if text == "localhost" { "127.0.0.1" } else { text };
        text.parse::<IpAddr>().map_err(|_| format!("{text:?} is no IP address"))
    })?;
    let port = resolver.value(&WORKER_PORT, None, |text| {
        let text = text.trim_start_matches(':');
        text.parse::<u16>().map_err(|_| format!("{text:?} is no port"))
    })?;
    // The reference's port, when only the address is given.
    Ok(ip.map(|ip| SocketAddr::new(ip, port.unwrap_or(50052))))
}

pub(super) fn executor(resolver: &Resolver<'_>, flag: Option<&str>) -> Result<Executor, Failure> {
    resolver.required(&EXECUTOR, flag, |text| match text {
        "docker" => Ok(Executor::Docker),
        "fake" => Ok(Executor::Fake),
        "oci" => Err("the oci executor is still to come".into()),
        _ => Err("there is no such executor".into()),
    })
}

fn labels(resolver: &Resolver<'_>, flags: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let flag = (!flags.is_empty()).then(|| flags.join(","));
    let pairs = |text: &str| text.split(',').map(|pair| key_value(pair.trim())).collect();
    Ok(resolver.value(&LABELS, flag.as_deref(), pairs)?.unwrap_or_default())
}
