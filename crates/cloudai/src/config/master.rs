//! The settings of a master, checked: what is still to come is refused, not ignored.

use super::known::{DATA_DIR, GRPC, HEARTBEAT, HTTP, INACTIVE, LEASE, LEASE_MARGIN, STORE, STRATEGY};
use super::log::LogFlags;
use super::parse::Listen;
use super::{Flags, LogSettings, Resolver, Setting, Store, User};
use crate::exit::Failure;
use cloudai_core::spec::DEFAULT_KILL_AFTER;
use cloudai_core::timing::Timing;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// What `cloudai master` was given on its command line.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct MasterFlags {
    /// Where state is kept
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<String>,
    /// Where workers reach it; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    pub(crate) grpc: Option<String>,
    /// Where clients reach it; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    pub(crate) http: Option<String>,
    /// What keeps the state: sqlite, memory (gone at the end) or auto (sqlite)
    #[arg(long, value_name = "KIND")]
    pub(crate) store: Option<String>,
    /// How tasks are placed: greedy or round_robin
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
    #[command(flatten)]
    pub(crate) log: LogFlags,
}

impl MasterFlags {
    fn given(&self) -> Flags {
        let flags = Flags::default()
            .with(&DATA_DIR, self.data_dir.as_ref())
            .with(&GRPC, self.grpc.as_ref())
            .with(&HTTP, self.http.as_ref())
            .with(&STORE, self.store.as_ref())
            .with(&STRATEGY, self.strategy.as_ref());
        self.log.add_to(flags)
    }
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
    /// How it logs.
    pub(crate) log: LogSettings,
}

impl MasterSettings {
    /// The settings from flags and surroundings.
    /// # Errors
    /// Every value that is not allowed, or is of a feature that is still to come.
    pub(crate) fn resolve(resolver: &Resolver<'_>, flags: &MasterFlags) -> Result<Self, Failure> {
        let resolver = resolver.given(flags.given());
        resolver.check(User::Master)?;
        Self::resolve_checked(&resolver, flags)
    }

    /// The settings of a resolver that has been checked; of the flags the mere switches count.
    pub(super) fn resolve_checked(resolver: &Resolver<'_>, flags: &MasterFlags) -> Result<Self, Failure> {
        let insecure = flags.insecure && flags.i_know_this_is_insecure;
        let anywhere = if insecure { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
        let address = |setting: &'static Setting<Listen>| {
            let address = resolver.required(setting)?.at(anywhere);
            if address.ip().is_loopback() || insecure { Ok(address) } else { Err(not_loopback(setting, address)) }
        };
        Ok(Self {
            data_dir: resolver.required(&DATA_DIR)?,
            grpc: address(&GRPC)?,
            http: address(&HTTP)?,
            store: resolver.required(&STORE)?,
            strategy: resolver.required(&STRATEGY)?,
            timing: checked_timing(resolver)?,
            shell: !flags.no_shell,
            insecure,
            print_addresses: flags.print_addresses,
            print_credentials: flags.print_credentials,
            log: LogSettings::resolve(resolver)?,
        })
    }
}

fn not_loopback(setting: &Setting<Listen>, address: SocketAddr) -> Failure {
    let flag = setting.facts.name();
    Failure::usage(format!("{flag} {address} can be reached by others"))
        .why("there are no users and no encryption yet: everyone who reaches it can run containers on your machines")
        .next(format!("{flag} 127.0.0.1:{}, or --insecure --i-know-this-is-insecure", address.port()))
}

/// The settings of the times by which workers are judged.
pub(super) static TIMES: [&Setting<Duration>; 4] = [&HEARTBEAT, &INACTIVE, &LEASE, &LEASE_MARGIN];

/// The times as they are given; whether they go together is another question.
pub(super) fn timing(resolver: &Resolver<'_>) -> Result<Timing, Failure> {
    Ok(Timing {
        heartbeat: resolver.required(&HEARTBEAT)?,
        inactive: resolver.required(&INACTIVE)?,
        lease: resolver.required(&LEASE)?,
        margin: resolver.required(&LEASE_MARGIN)?,
    })
}

fn checked_timing(resolver: &Resolver<'_>) -> Result<Timing, Failure> {
    let timing = timing(resolver)?;
    timing.check(DEFAULT_KILL_AFTER).map_err(|error| {
        let names = TIMES.iter().map(|setting| setting.facts.name());
        let names = names.collect::<Vec<_>>().join(", ");
        Failure::usage("the times do not go together").why(error.to_string()).next(names)
    })?;
    Ok(timing)
}
