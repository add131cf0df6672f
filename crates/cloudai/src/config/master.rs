//! The settings of a master, checked: what is still to come is refused, not ignored.

use super::known::{
    DATA_DIR, GRPC, HEARTBEAT, HTTP, INACTIVE, LEASE, LEASE_MARGIN, LOG_LEVEL, MONGO_URI, STORE, STRATEGY, TLS_ENABLED,
};
use super::parse::{duration, listen, truth};
use super::{Resolver, Setting};
use crate::exit::Failure;
use cloudai_core::spec::DEFAULT_KILL_AFTER;
use cloudai_core::strategy::ALL as STRATEGIES;
use cloudai_core::timing::Timing;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// What `cloudai master` was given on its command line.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct MasterFlags {
    /// Where state is kept [env: CLOUDAI_DATA_DIR] [default: /var/lib/cloudai for root, else the user's data folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<String>,
    /// Where workers reach it; port 0 takes a free one [env: CLOUDAI_GRPC, GRPC_PORT] [default: 127.0.0.1:50051]
    #[arg(long, value_name = "ADDR")]
    pub(crate) grpc: Option<String>,
    /// Where clients reach it; port 0 takes a free one [env: CLOUDAI_HTTP, HTTP_PORT] [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    pub(crate) http: Option<String>,
    /// What keeps the state: sqlite, memory (gone at the end) or auto (sqlite) [env: CLOUDAI_STORE]
    #[arg(long, value_name = "KIND")]
    pub(crate) store: Option<String>,
    /// How tasks are placed: greedy or round_robin [env: CLOUDAI_STRATEGY, SCHEDULER_STRATEGY] [default: greedy]
    #[arg(long, value_name = "NAME")]
    pub(crate) strategy: Option<String>,
    /// Do not read commands from this terminal
    #[arg(long)]
    pub(crate) no_shell: bool,
    /// Serve without encryption on addresses that others can reach; needs the next flag as well
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Everyone who reaches those addresses can run containers on your machines
    #[arg(long)]
    pub(crate) i_know_this_is_insecure: bool,
    /// Print the chosen addresses as one line of JSON: {"grpc": "...", "http": "..."}
    #[arg(long)]
    pub(crate) print_addresses: bool,
    /// Print what the first start made as one line of JSON: {"join_token": "..."}
    #[arg(long)]
    pub(crate) print_credentials: bool,
}

/// What keeps a master's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    /// A file in the data directory.
    Sqlite,
    /// Nothing that outlives the process.
    Memory,
}

/// Everything that a master is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MasterSettings {
    /// Where state is kept; may not exist yet.
    pub(crate) data_dir: PathBuf,
    /// Where workers reach it.
    pub(crate) grpc: SocketAddr,
    /// Where clients reach it.
    pub(crate) http: SocketAddr,
    /// What keeps the state.
    pub(crate) store: Store,
    /// One of `core::strategy::ALL`.
    pub(crate) strategy: String,
    /// The times by which workers are judged; checked.
    pub(crate) timing: Timing,
    /// Commands are read from the terminal.
    pub(crate) shell: bool,
    /// Both flags were given: addresses may be reachable by others. One alone changes nothing.
    pub(crate) insecure: bool,
    /// One line of JSON with the addresses goes to stdout.
    pub(crate) print_addresses: bool,
    /// One line of JSON with what the first start made goes to stdout.
    pub(crate) print_credentials: bool,
    /// A filter of `tracing`.
    pub(crate) log: String,
}

impl MasterSettings {
    /// The settings from flags and surroundings.
    /// # Errors
    /// A value that is not allowed, or one of a feature that is still to come.
    pub(crate) fn resolve(resolver: &Resolver<'_>, flags: &MasterFlags) -> Result<Self, Failure> {
        refuse_what_is_to_come(resolver)?;
        let insecure = flags.insecure && flags.i_know_this_is_insecure;
        let anywhere = if insecure { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
        let address = |setting: &'static Setting, flag: &Option<String>| {
            let address = resolver.required(setting, flag.as_deref(), |text| listen(text, anywhere))?;
            if address.ip().is_loopback() || insecure { Ok(address) } else { Err(not_loopback(setting, address)) }
        };
        Ok(Self {
            data_dir: data_dir(resolver, flags.data_dir.as_deref())?,
            grpc: address(&GRPC, &flags.grpc)?,
            http: address(&HTTP, &flags.http)?,
            store: resolver.required(&STORE, flags.store.as_deref(), store)?,
            strategy: resolver.required(&STRATEGY, flags.strategy.as_deref(), strategy)?,
            timing: timing(resolver)?,
            shell: !flags.no_shell,
            insecure,
            print_addresses: flags.print_addresses,
            print_credentials: flags.print_credentials,
            log: resolver.required(&LOG_LEVEL, None, log)?,
        })
    }
}

/// Settings whose features do not exist yet: starting without them would be a lie.
pub(super) fn refuse_what_is_to_come(resolver: &Resolver<'_>) -> Result<(), Failure> {
    let mongo = |_: &str| Err("the MongoDB store is still to come, and tasks must not land elsewhere".to_owned());
    resolver.value::<()>(&MONGO_URI, None, mongo)?;
    let tls = |text: &str| match truth(text) {
        Ok(true) => Err("TLS is still to come, and nothing must be sent in the clear where it is asked for".to_owned()),
        other => other,
    };
    resolver.value(&TLS_ENABLED, None, tls).map(drop)
}

fn not_loopback(setting: &Setting, address: SocketAddr) -> Failure {
    Failure::usage(format!("{} {address} can be reached by others", setting.flag))
        .why("there are no users and no encryption yet: everyone who reaches it can run containers on your machines")
        .next(format!("{} 127.0.0.1:{}, or --insecure --i-know-this-is-insecure", setting.flag, address.port()))
}

pub(super) fn data_dir(resolver: &Resolver<'_>, flag: Option<&str>) -> Result<PathBuf, Failure> {
    // Absolute from here on: an engine takes no other path for its mounts.
    let path = |text: &str| std::path::absolute(text).map_err(|error| error.to_string());
    resolver.required(&DATA_DIR, flag, path)
}

fn store(text: &str) -> Result<Store, String> {
    match text {
        "sqlite" | "auto" => Ok(Store::Sqlite),
        "memory" => Ok(Store::Memory),
        "mongodb" => Err("the MongoDB store is still to come".into()),
        _ => Err("there is no such store".into()),
    }
}

/// Strategies that the reference has and this version has not.
const LATER: [&str; 7] =
    ["ai", "balanced", "ai_multi_objective", "ai_aggressive", "ai_predictive", "ai_load_balanced", "external"];

pub(super) fn strategy(text: &str) -> Result<String, String> {
    let name = text.to_ascii_lowercase().replace('-', "_");
    match name.as_str() {
        known if STRATEGIES.iter().any(|(strategy, _)| *strategy == known) => Ok(name),
        "roundrobin" => Ok("round_robin".into()),
        later if LATER.contains(&later) => Err(format!("the strategy {later} is still to come")),
        _ => Err("there is no such strategy".into()),
    }
}

pub(super) fn timing(resolver: &Resolver<'_>) -> Result<Timing, Failure> {
    let timing = Timing {
        heartbeat: resolver.required(&HEARTBEAT, None, duration)?,
        inactive: resolver.required(&INACTIVE, None, duration)?,
        lease: resolver.required(&LEASE, None, duration)?,
        margin: resolver.required(&LEASE_MARGIN, None, duration)?,
    };
    timing.check(DEFAULT_KILL_AFTER).map_err(|error| {
        Failure::usage("the times do not go together").why(error.to_string()).next(
            "CLOUDAI_HEARTBEAT_S, CLOUDAI_WORKER_INACTIVE_S, CLOUDAI_WORKER_LEASE_S, CLOUDAI_WORKER_LEASE_MARGIN_S",
        )
    })?;
    Ok(timing)
}

pub(super) fn log(text: &str) -> Result<String, String> {
    let filter = text.to_ascii_lowercase();
    let filter = if filter == "warning" { "warn".to_owned() } else { filter };
    match tracing_subscriber::EnvFilter::builder().parse(&filter) {
        // A single word that is no level would be read as a target and hide everything else.
        Ok(_) if filter.contains(['=', ',']) || LEVELS.contains(&filter.as_str()) => Ok(filter),
        Ok(_) => Err("there is no such level".into()),
        Err(error) => Err(error.to_string()),
    }
}

const LEVELS: [&str; 6] = ["trace", "debug", "info", "warn", "error", "off"];
