//! Reads the texts of settings that are more than a number: names, kinds, lists.
//!
//! What is still to come is refused by name: ignoring it would be a lie.

use super::parse::{connect, key_value};
use cloudai_core::ids::{IdError, WorkerId};
use cloudai_core::strategy::ALL as STRATEGIES;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

/// What keeps a master's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    /// A file in the data directory.
    Sqlite,
    /// Nothing that outlives the process.
    Memory,
}

/// What runs a worker's containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Executor {
    /// The Docker engine of its host.
    Docker,
    /// Nothing: tasks are acted.
    Fake,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// For programs: one object a line.
    Json,
}

pub(super) fn mongo_to_come(_: &str) -> Result<(), String> {
    Err("the MongoDB store is still to come, and tasks must not land elsewhere".into())
}

pub(super) fn users_to_come(_: &str) -> Result<(), String> {
    Err("users and their tokens are still to come, and nothing must seem to be checked that is not".into())
}

pub(super) fn tls_to_come(_: &str) -> Result<(), String> {
    Err("TLS is still to come, and nothing must be sent in the clear where it is asked for".into())
}

/// Absolute from here on: an engine takes no other path for its mounts.
pub(super) fn folder(text: &str) -> Result<PathBuf, String> {
    std::path::absolute(text).map_err(|error| error.to_string())
}

pub(super) fn store(text: &str) -> Result<Store, String> {
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

/// The engine runs on the worker's own machine: output folders are of it.
pub(super) fn engine(text: &str) -> Result<String, String> {
    if ["unix://", "tcp://", "http://"].iter().any(|scheme| text.starts_with(scheme)) {
        Ok(text.to_owned())
    } else if text.starts_with('/') {
        Ok(format!("unix://{text}"))
    } else {
        Err("it is no address of an engine on this machine".into())
    }
}

pub(super) fn executor(text: &str) -> Result<Executor, String> {
    match text {
        "docker" => Ok(Executor::Docker),
        "fake" => Ok(Executor::Fake),
        "oci" => Err("the oci executor is still to come".into()),
        _ => Err("there is no such executor".into()),
    }
}

const LEVELS: [&str; 6] = ["trace", "debug", "info", "warn", "error", "off"];

pub(super) fn log_filter(text: &str) -> Result<String, String> {
    let filter = text.to_ascii_lowercase();
    let filter = if filter == "warning" { "warn".to_owned() } else { filter };
    match tracing_subscriber::EnvFilter::builder().parse(&filter) {
        // A single word that is no level would be read as a target and hide everything else.
        Ok(_) if filter.contains(['=', ',']) || LEVELS.contains(&filter.as_str()) => Ok(filter),
        Ok(_) => Err("there is no such level".into()),
        Err(error) => Err(error.to_string()),
    }
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("there is no such form".into()),
    }
}

pub(super) fn masters(text: &str) -> Result<Vec<String>, String> {
    text.split(',').map(|one| connect(one.trim())).collect()
}

pub(super) fn token(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("it is empty".into()) } else { Ok(text.into()) }
}

pub(super) fn worker_id(text: &str) -> Result<WorkerId, String> {
    text.parse().map_err(|_: IdError| "it is no worker id".into())
}

pub(super) fn ip(text: &str) -> Result<IpAddr, String> {
    let text = if text == "localhost" { "127.0.0.1" } else { text };
    text.parse().map_err(|_| format!("{text:?} is no IP address"))
}

pub(super) fn labels(text: &str) -> Result<BTreeMap<String, String>, String> {
    text.split(',').map(|pair| key_value(pair.trim())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_strategy_of_the_core_is_a_setting_and_named_as_allowed() {
        for (name, _) in STRATEGIES {
            assert_eq!(strategy(&name.replace('_', "-").to_ascii_uppercase()).as_deref(), Ok(*name));
            assert!(super::super::known::STRATEGY.facts.allowed.contains(name), "{name}");
        }
    }

    #[test]
    fn a_log_filter_is_a_level_or_directives() {
        for (text, read) in
            [("INFO", "info"), ("warning", "warn"), ("off", "off"), ("info,a::b=trace", "info,a::b=trace")]
        {
            assert_eq!(log_filter(text).as_deref(), Ok(read), "{text}");
        }
        for bad in ["loud", "cloudai_master", "a=loud", "=,="] {
            assert!(log_filter(bad).is_err(), "{bad}");
        }
    }
}
