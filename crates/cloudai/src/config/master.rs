//! The settings of a master, checked: what is still to come is refused, not ignored.

use super::files::{self, Sourced};
use super::https::HttpsSettings;
use super::known::{
    ACCESS_MINUTES, DATA_DIR, EXEC, EXTERNAL_FALLBACK, EXTERNAL_TIMEOUT, GRPC, HEARTBEAT, HTTP, INACTIVE, INPUT_URLS,
    JWT_SECRET, KNOB_SETTINGS, LEASE, LEASE_MARGIN, LOGS_MAX, POLICY, REFRESH_DAYS, REGISTRATION, SECRETS_ALLOW_ENV,
    SECRETS_KEY_FILE, SELF_REGISTER, STORE, STRATEGY, TASKS_DAYS, TASKS_MAX, TLS_NAMES, WORKER_DAYS,
};
use super::log::LogFlags;
use super::parse::Listen;
use super::{Flags, Layer, LogSettings, Problem, Resolver, Setting, Severity, Source, Store, User};
use crate::exit::Failure;
use cloudai_core::spec::DEFAULT_KILL_AFTER;
use cloudai_core::strategy::knobs::KNOBS;
use cloudai_core::timing::{Timing, TimingError};
use cloudai_master::choice::Configured;
use cloudai_master::{
    AuthRules, Fallback, FileLimits, Registration, Retention, SecretRules, Secured, Security, UrlPrefix,
};
use cloudai_store::bulk::s3::S3Settings;
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
    /// How tasks are placed: `cloudai strategy list` shows all
    #[arg(long, value_name = "NAME")]
    pub(crate) strategy: Option<String>,
    /// What tasks may ask for, as a TOML file; read again when it has changed
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<String>,
    /// Do not read commands from this terminal
    #[arg(long)]
    pub(crate) no_shell: bool,
    /// No users and no encryption, for this machine alone; on addresses that others can reach it needs the next flag as well
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Everyone who reaches those addresses can run containers on your machines
    #[arg(long)]
    pub(crate) i_know_this_is_insecure: bool,
    /// Print the chosen addresses as one line of JSON: {"grpc": "...", "http": "..."}
    #[arg(long)]
    pub(crate) print_addresses: bool,
    /// Print what the first start made as one line of JSON: {"join_token": "...", "admin_password": "..."}
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
            .with(&STRATEGY, self.strategy.as_ref())
            .with(&POLICY, self.policy.as_ref());
        self.log.add_to(flags)
    }
}

/// Everything that a master is started with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MasterSettings {
    /// Where state is kept; may not exist yet.
    pub(crate) data_dir: PathBuf,
    /// Where workers reach it.
    pub(crate) grpc: SocketAddr,
    /// Where clients reach it.
    pub(crate) http: SocketAddr,
    /// What keeps the state.
    pub(crate) store: Store,
    /// One of `core::strategy::ALL`, or `external`, with its knobs.
    pub(crate) strategy: Configured,
    /// Who places while that is `external` and the agent is late.
    pub(crate) fallback: Fallback,
    /// The times by which workers are judged; checked.
    pub(crate) timing: Timing,
    /// How long ended tasks are kept.
    pub(crate) retention: Retention,
    /// Bytes of output at most of the log of one attempt; 0 for any number.
    pub(crate) max_log_bytes: u64,
    /// What tasks may leave.
    pub(crate) files: FileLimits,
    /// Where contents are kept when it is not the data folder.
    pub(crate) bucket: Option<S3Settings>,
    /// Where it stands what tasks may ask for.
    pub(crate) policy: Option<PathBuf>,
    /// What is said of stored secrets.
    pub(crate) secrets: SecretRules,
    /// What addresses of inputs may begin with.
    pub(crate) input_urls: Vec<UrlPrefix>,
    /// The buckets that inputs may come from.
    pub(crate) input_buckets: Sourced,
    /// Whether users may run programs in containers.
    pub(crate) exec: bool,
    /// How users come in.
    pub(crate) auth: AuthRules,
    /// Commands are read from the terminal.
    pub(crate) shell: bool,
    /// Whether callers say who they are.
    pub(crate) security: Security,
    /// How users are talked to.
    pub(crate) https: HttpsSettings,
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
        Self::resolve_checked(&resolver, flags, User::Master)
    }

    /// The settings of a resolver that has been checked; of the flags the mere switches count.
    pub(super) fn resolve_checked(resolver: &Resolver<'_>, flags: &MasterFlags, user: User) -> Result<Self, Failure> {
        let sure = flags.insecure && flags.i_know_this_is_insecure;
        let anywhere = if sure { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
        let address = |setting: &'static Setting<Listen>| {
            let address = resolver.required(setting)?.at(anywhere);
            let allowed = address.ip().is_loopback() || sure || !flags.insecure;
            if allowed { Ok(address) } else { Err(not_loopback(resolver, setting, address, user)) }
        };
        if let Some(problem) = shared_port(resolver) {
            return Err(Failure::usage(problem.problem).why("workers and users need a port each").next(problem.next));
        }
        let http = address(&HTTP)?;
        Ok(Self {
            data_dir: resolver.required(&DATA_DIR)?,
            security: security(resolver, flags.insecure, address(&GRPC)?)?,
            grpc: address(&GRPC)?,
            http,
            https: HttpsSettings::resolve(resolver, http, flags.insecure)?,
            store: resolver.required(&STORE)?,
            strategy: strategy(resolver)?,
            fallback: Fallback {
                strategy: resolver.required(&EXTERNAL_FALLBACK)?,
                patience: resolver.required(&EXTERNAL_TIMEOUT)?,
            },
            timing: checked_timing(resolver)?,
            retention: retention(resolver)?,
            max_log_bytes: resolver.required(&LOGS_MAX)?,
            files: files::limits(resolver)?,
            bucket: files::bucket(resolver)?,
            policy: resolver.value(&POLICY)?,
            secrets: secrets(resolver)?,
            input_urls: resolver.required(&INPUT_URLS)?,
            input_buckets: files::sources(resolver)?,
            exec: resolver.required(&EXEC)?,
            auth: auth(resolver)?,
            shell: !flags.no_shell,
            print_addresses: flags.print_addresses,
            print_credentials: flags.print_credentials,
            log: LogSettings::resolve(resolver)?,
        })
    }
}

/// Whether callers say who they are, and how workers are let in.
fn security(resolver: &Resolver<'_>, insecure: bool, grpc: SocketAddr) -> Result<Security, Failure> {
    if insecure {
        return Ok(Security::Insecure);
    }
    let registration = resolver.required(&REGISTRATION)?;
    if registration == Registration::Open && !grpc.ip().is_loopback() {
        return Err(Failure::usage(format!(
            "workers.registration is open, and --grpc {grpc} can be reached by others"
        ))
        .why("everyone who reaches it could give your tasks a worker, and be told their secrets")
        .next(format!("workers.registration = \"token\", or --grpc 127.0.0.1:{}", grpc.port())));
    }
    let days = u64::from(resolver.required(&WORKER_DAYS)?);
    Ok(Security::Secured(Secured {
        names: resolver.value(&TLS_NAMES)?.unwrap_or_default(),
        addresses: Vec::new(),
        registration,
        worker_life: Duration::from_secs(days * 24 * 60 * 60),
    }))
}

fn not_loopback(resolver: &Resolver<'_>, setting: &Setting<Listen>, address: SocketAddr, user: User) -> Failure {
    let flag = setting.facts.name();
    let place = resolver.find(&setting.facts).map_or_else(|| flag.into(), |found| found.source.place());
    let (here, sure) = (format!("{flag} 127.0.0.1:{}", address.port()), "--i-know-this-is-insecure as well");
    let next = match user {
        // It is for one machine: it has no such flag.
        User::Up => format!("{here}, or leave --insecure out"),
        User::Master | User::Worker | User::Client | User::Bench => {
            format!("{here}, or leave --insecure out; {sure} where everyone may do everything")
        }
    };
    Failure::usage(format!("{place} {address} can be reached by others"))
        .why("with --insecure there are no users and no encryption: everyone who reaches it can run containers on your machines")
        .next(next)
}

/// The two addresses of a master at one port, of which it can take only one.
pub(super) fn shared_port(resolver: &Resolver<'_>) -> Option<Problem> {
    let (grpc, http) = (resolver.required(&GRPC).ok()?, resolver.required(&HTTP).ok()?);
    let (grpc, http) = (grpc.at(Ipv4Addr::LOCALHOST), http.at(Ipv4Addr::LOCALHOST));
    let meet = grpc.ip() == http.ip() || grpc.ip().is_unspecified() || http.ip().is_unspecified();
    if http.port() == 0 || http.port() != grpc.port() || !meet {
        return None;
    }
    let sources = [&HTTP, &GRPC].into_iter().filter_map(|setting| Some(resolver.find(&setting.facts)?.source));
    Some(Problem {
        severity: Severity::Error,
        key: None,
        at: sources.into_iter().find(|source| source.source != Layer::Default)?,
        value: None,
        problem: format!("--http {http} and --grpc {grpc} are one port"),
        next: "give one of them another port, or port 0 for a free one".into(),
    })
}

/// The times as they are given; whether they go together is another question.
fn timing(resolver: &Resolver<'_>) -> Result<Timing, Failure> {
    Ok(Timing {
        heartbeat: resolver.required(&HEARTBEAT)?,
        inactive: resolver.required(&INACTIVE)?,
        lease: resolver.required(&LEASE)?,
        margin: resolver.required(&LEASE_MARGIN)?,
    })
}

/// What is written anywhere holds against what was set at run time.
fn strategy(resolver: &Resolver<'_>) -> Result<Configured, Failure> {
    let mut configured = Configured::from(resolver.required(&STRATEGY)?.as_str());
    configured.explicit = !resolver.all(&STRATEGY.facts).is_empty();
    for (setting, knob) in KNOB_SETTINGS.into_iter().zip(&KNOBS) {
        knob.put(&mut configured.knobs, resolver.required(setting)?);
        configured.explicit |= !resolver.all(&setting.facts).is_empty();
    }
    Ok(configured)
}

/// What is said of stored secrets. What lives in memory only is sealed with a key that does so too.
fn secrets(resolver: &Resolver<'_>) -> Result<SecretRules, Failure> {
    let in_data = || Ok::<_, Failure>(resolver.required(&DATA_DIR)?.join("secrets.key"));
    let key_file = match (resolver.value(&SECRETS_KEY_FILE)?, resolver.required(&STORE)?) {
        (Some(file), _) => Some(file),
        (None, Store::Sqlite) => Some(in_data()?),
        (None, Store::Memory) => None,
    };
    Ok(SecretRules { key_file, allow_env: resolver.required(&SECRETS_ALLOW_ENV)? })
}

/// How users come in.
fn auth(resolver: &Resolver<'_>) -> Result<AuthRules, Failure> {
    let minutes = u64::from(resolver.required(&ACCESS_MINUTES)?);
    let days = u64::from(resolver.required(&REFRESH_DAYS)?);
    Ok(AuthRules {
        jwt_secret: resolver.value(&JWT_SECRET)?.map(Into::into),
        self_register: resolver.required(&SELF_REGISTER)?,
        access: Duration::from_secs(minutes * 60),
        refresh: Duration::from_secs(days * 24 * 60 * 60),
        ..AuthRules::default()
    })
}

/// 0 keeps for ever.
fn retention(resolver: &Resolver<'_>) -> Result<Retention, Failure> {
    let (days, most) = (resolver.required(&TASKS_DAYS)?, resolver.required(&TASKS_MAX)?);
    let days = Duration::from_secs(u64::from(days) * 24 * 60 * 60);
    Ok(Retention {
        age: Some(days).filter(|age| !age.is_zero()),
        count: Some(u64::from(most)).filter(|most| *most > 0),
    })
}

fn checked_timing(resolver: &Resolver<'_>) -> Result<Timing, Failure> {
    let timing = timing(resolver)?;
    match discord(resolver) {
        Some(wrong) => Err(Failure::usage("the times do not go together").why(wrong.problem).next(wrong.next)),
        None => Ok(timing),
    }
}

/// Times that are right each and wrong together, with where each of them stands.
pub(super) fn discord(resolver: &Resolver<'_>) -> Option<Problem> {
    let wrong = timing(resolver).ok()?.check(DEFAULT_KILL_AFTER).err()?;
    // The one that the rule is about comes first.
    let involved: Vec<&Setting<Duration>> = match wrong {
        TimingError::Zero(_) => vec![&HEARTBEAT],
        TimingError::LeaseTooShort { .. } => vec![&LEASE, &LEASE_MARGIN, &HEARTBEAT],
        TimingError::InactiveOutOfRange { .. } => vec![&INACTIVE, &HEARTBEAT, &LEASE],
    };
    let stand: Vec<_> = involved.iter().filter_map(|setting| Some((setting, resolver.find(&setting.facts)?))).collect();
    let given = stand.iter().map(|(_, found)| &found.source).find(|source| source.source != Layer::Default);
    let told = stand
        .iter()
        .map(|(setting, found)| format!("{} = {} ({})", setting.facts.key, found.text, found.source.beside_key()));
    Some(Problem {
        severity: Severity::Error,
        key: None,
        at: given.cloned().unwrap_or_else(|| Source::plain(Layer::Default, None)),
        value: None,
        problem: wrong.to_string(),
        next: format!("change one of {}", told.collect::<Vec<_>>().join(", ")),
    })
}
