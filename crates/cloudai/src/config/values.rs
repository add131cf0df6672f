//! Reads the texts of settings that are more than a number: names, kinds, lists.
//!
//! What is still to come is refused by name: ignoring it would be a lie.

use super::parse::{connect, key_value};
use cloudai_core::access::{Access, Origin};
use cloudai_core::ids::{IdError, WorkerId};
use cloudai_core::strategy::knobs::Knob;
use cloudai_core::strategy::{ALL as STRATEGIES, EXTERNAL};
use cloudai_master::Registration;
use cloudai_worker::volumes::OfferedVolume;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

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

/// How commands come to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// On a stream that it keeps open.
    Subscribe,
    /// By calls of the master.
    Push,
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

/// A file that must be there.
pub(super) fn present_file(text: &str) -> Result<PathBuf, String> {
    let path = std::path::absolute(text).map_err(|error| error.to_string())?;
    if path.is_file() { Ok(path) } else { Err("there is no such file".into()) }
}

/// What goes behind `Bearer`. The text is never told.
pub(super) fn bearer(text: &str) -> Result<String, String> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    if plain { Ok(text.into()) } else { Err("it is empty, or no key: those have no spaces".into()) }
}

/// Absolute from here on: an engine takes no other path for its mounts. It is made when it is not there.
pub(super) fn folder(text: &str) -> Result<PathBuf, String> {
    let path = std::path::absolute(text).map_err(|error| error.to_string())?;
    if path.is_file() { Err("it is a file".into()) } else { Ok(path) }
}

/// A file; whether it is there is seen by who reads it.
pub(super) fn file(text: &str) -> Result<PathBuf, String> {
    let path = std::path::absolute(text).map_err(|error| error.to_string())?;
    if path.is_dir() { Err("it is a folder".into()) } else { Ok(path) }
}

/// A file that can be made where it is not there; its folder never is.
pub(super) fn log_file(text: &str) -> Result<PathBuf, String> {
    let path = std::path::absolute(text).map_err(|error| error.to_string())?;
    match path.parent() {
        Some(folder) if !folder.is_dir() => Err(format!("there is no folder {}", folder.display())),
        Some(_) if !path.is_dir() && !text.ends_with('/') => Ok(path),
        Some(_) | None => Err("it is a folder".into()),
    }
}

pub(super) fn store(text: &str) -> Result<Store, String> {
    match text {
        "sqlite" | "auto" => Ok(Store::Sqlite),
        "memory" => Ok(Store::Memory),
        "mongodb" => Err("the MongoDB store is still to come".into()),
        _ => Err("there is no such store".into()),
    }
}

/// Every strategy's name, for people.
pub(super) const STRATEGY_NAMES: &str = "greedy, round_robin, balanced, greedy_skip, round_robin_skip, balanced_skip, ai, ai_multi_objective, ai_aggressive, ai_predictive, ai_load_balanced, external";

/// A knob of strategies.
pub(super) fn knob(name: &str, text: &str) -> Result<f64, String> {
    Knob::of(name).ok_or("there is no such knob")?.parse(text).map_err(|error| error.to_string())
}

pub(super) fn strategy(text: &str) -> Result<String, String> {
    let name = text.to_ascii_lowercase().replace('-', "_");
    match name.as_str() {
        known if STRATEGIES.iter().any(|(strategy, _)| *strategy == known) => Ok(name),
        EXTERNAL => Ok(name),
        "roundrobin" => Ok("round_robin".into()),
        _ => Err("there is no such strategy".into()),
    }
}

/// Who places while an external agent is late.
pub(super) fn fallback(text: &str) -> Result<String, String> {
    let name = strategy(text)?;
    if name == EXTERNAL { Err("it is what it would take over from".into()) } else { Ok(name) }
}

/// Long enough for an agent to think, and short enough that nobody waits for one that is gone.
pub(super) fn patience(text: &str) -> Result<Duration, String> {
    let most = 60_000;
    let millis = super::parse::whole(text, most).ok().filter(|millis| *millis >= 100);
    let millis = millis.ok_or_else(|| format!("{text:?} is no whole number from 100 to {most}"))?;
    Ok(Duration::from_millis(millis.into()))
}

/// The engine runs on the worker's own machine: output folders are of it.
pub(super) fn engine(text: &str) -> Result<String, String> {
    let path = text.strip_prefix("unix://").unwrap_or(text);
    if path.starts_with('/') {
        return Ok(format!("unix://{path}"));
    }
    let Some(address) = text.strip_prefix("tcp://") else {
        return Err("it is no address of an engine on this machine".into());
    };
    let (host, port) = address.trim_end_matches('/').rsplit_once(':').unwrap_or((address, ""));
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    if host != "localhost" && !ip.is_ok_and(|ip| ip.is_loopback()) {
        Err("it is an engine of another machine: a worker runs where its engine runs".into())
    } else if port.parse::<u16>().map_or(true, |port| port == 0) {
        Err("it has no port".into())
    } else {
        Ok(format!("tcp://{host}:{port}"))
    }
}

pub(super) fn delivery(text: &str) -> Result<Delivery, String> {
    match text {
        "subscribe" => Ok(Delivery::Subscribe),
        "push" => Ok(Delivery::Push),
        _ => Err("there is no such delivery".into()),
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

/// Our crates, as the log calls them.
const CRATES: [&str; 6] =
    ["cloudai", "cloudai_core", "cloudai_master", "cloudai_proto", "cloudai_store", "cloudai_worker"];

/// A module in a log filter that looks like one of ours and is none: what it was to show stays hidden.
fn unknown_module(filter: &str) -> Option<&str> {
    let targets = filter.split(',').map(|directive| directive.split(['=', '[']).next().unwrap_or_default().trim());
    let mut crates = targets.map(|target| target.split("::").next().unwrap_or_default());
    crates.find(|name| name.starts_with("cloudai") && !CRATES.contains(name))
}

pub(super) fn log_filter(text: &str) -> Result<String, String> {
    let filter = text.to_ascii_lowercase();
    let filter = if filter == "warning" { "warn".to_owned() } else { filter };
    if let Some(module) = unknown_module(&filter) {
        return Err(format!("there is no module {module}; ours are {}", CRATES.join(", ")));
    }
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

pub(super) fn master(text: &str) -> Result<String, String> {
    let masters: Vec<_> = text.split(',').map(|one| connect(one.trim())).collect::<Result<_, _>>()?;
    match <[String; 1]>::try_from(masters) {
        Ok([master]) => Ok(master),
        Err(given) => Err(format!("it names {} masters: several for one cluster are still to come", given.len())),
    }
}

pub(super) fn token(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("it is empty".into()) } else { Ok(text.into()) }
}

/// Names that a certificate can have.
pub(super) fn tls_names(text: &str) -> Result<Vec<String>, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-*".contains(c);
    let one = |name: &str| match name.trim() {
        "" => Err("a name is empty".into()),
        name if name.parse::<IpAddr>().is_ok() || name.chars().all(plain) => Ok(name.to_owned()),
        name => Err(format!("{name:?} is neither a name nor an IP address")),
    };
    text.split(',').map(one).collect()
}

pub(super) fn worker_days(text: &str) -> Result<u32, String> {
    match super::parse::whole(text, 365)? {
        0 => Err("0 days: a certificate has to be valid for a while".into()),
        days => Ok(days),
    }
}

pub(super) fn registration(text: &str) -> Result<Registration, String> {
    match text {
        "token" => Ok(Registration::Token),
        "preregistered" => Ok(Registration::Preregistered),
        "open" => Ok(Registration::Open),
        _ => Err("it is no way to let workers in".into()),
    }
}

/// A key that signs: one that can be guessed would let everybody in.
pub(super) fn signing_key(text: &str) -> Result<String, String> {
    const LEAST: usize = 32;
    if text.len() < LEAST {
        return Err(format!("it has {} bytes, and {LEAST} are the least: openssl rand -hex 32 makes one", text.len()));
    }
    Ok(text.into())
}

/// A whole number from 1 on.
pub(super) fn from_one(text: &str, most: u32) -> Result<u32, String> {
    let number = text.parse::<u32>().ok().filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| format!("{text:?} is no whole number from 1 to {most}"))
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

/// Paths that are offered to tasks. The whole of a host is not: its engine's socket and every secret are among it.
pub(super) fn allowed_paths(text: &str) -> Result<Vec<Access>, String> {
    let one = |text: &str| match text.trim().parse::<Access>() {
        Ok(Access { origin: Origin::HostPath(path), .. }) if path == "/" => Err(format!("{text:?} is the whole host")),
        Ok(Access { origin: Origin::HostPath(path), .. }) if path.contains(':') => {
            Err(format!("{text:?} has another ending than :ro, or a path with a colon, which engines do not take"))
        }
        Ok(access @ Access { origin: Origin::HostPath(_), .. }) => Ok(access),
        Ok(Access { origin: Origin::Volume(name), .. }) => {
            Err(format!("{name:?} is no absolute path: volumes are allowed with --allow-volume (worker.allow_volumes)"))
        }
        Err(problem) => Err(format!("{text:?} {problem}")),
    };
    text.split(',').map(one).collect()
}

/// Volumes of a container engine that are offered to tasks.
pub(super) fn allowed_volumes(text: &str) -> Result<Vec<OfferedVolume>, String> {
    let one = |text: &str| text.trim().parse().map_err(|problem| format!("{text:?} {problem}"));
    text.split(',').map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudai_core::strategy::knobs::KNOBS;

    #[test]
    fn every_strategy_of_the_core_is_a_setting_and_named_as_allowed() {
        for (name, _) in STRATEGIES {
            assert_eq!(strategy(&name.replace('_', "-").to_ascii_uppercase()).as_deref(), Ok(*name));
            let allowed = super::super::known::STRATEGY.facts.allowed;
            assert!(allowed.split(", ").any(|allowed| allowed == *name), "{name}");
        }
    }

    #[test]
    fn every_knob_of_the_core_is_a_setting_with_its_range_and_default() {
        let settings = super::super::known::KNOB_SETTINGS;
        assert_eq!(settings.len(), KNOBS.len());
        for (setting, knob) in settings.into_iter().zip(&KNOBS) {
            let facts = &setting.facts;
            assert_eq!(facts.key, format!("strategy.{}", knob.name));
            assert_eq!((facts.about, facts.allowed), (knob.about, knob.allowed().as_str()), "{}", knob.name);
            assert_eq!(facts.fallback.words(), knob.default.to_string(), "{}", knob.name);
            assert_eq!((setting.parse)(facts.fallback.words()), Ok(knob.default));
            assert!((setting.parse)("-1").unwrap_err().contains(knob.name));
        }
    }

    #[test]
    fn an_agent_is_waited_for_between_a_tenth_of_a_second_and_a_minute() {
        let millis = |text| patience(text).map(|time| time.as_millis()).map_err(|_| ());
        assert_eq!(["100", "60000"].map(millis), [Ok(100), Ok(60_000)]);
        assert_eq!(["99", "60001", "2s", "-1", ""].map(millis), [Err(()); 5]);
        assert_eq!((strategy("External"), fallback("greedy")), (Ok("external".into()), Ok("greedy".into())));
        assert!(fallback("external").is_err() && fallback("best").is_err());
    }

    #[test]
    fn an_engine_is_of_this_machine() {
        let rows = [
            ("unix:///var/run/docker.sock", "unix:///var/run/docker.sock"),
            ("/run/podman/podman.sock", "unix:///run/podman/podman.sock"),
            ("tcp://127.0.0.1:2375", "tcp://127.0.0.1:2375"),
            ("tcp://localhost:2375/", "tcp://localhost:2375"),
            ("tcp://[::1]:2375", "tcp://[::1]:2375"),
        ];
        for (text, read) in rows {
            assert_eq!(engine(text).as_deref(), Ok(read), "{text}");
        }
        let far = ["tcp://10.0.0.1:2375", "tcp://127.evil.org:1", "http://10.0.0.1:2375", "ssh://host"];
        for bad in far.into_iter().chain(["unix://x", "", "x", "tcp://127.0.0.1", "tcp://127.0.0.1:0"]) {
            assert!(engine(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_log_file_needs_its_folder_and_a_data_folder_is_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        std::fs::write(at("file"), "").unwrap();
        assert_eq!(log_file(&at("file")), Ok(dir.path().join("file")));
        assert_eq!(log_file(&at("new.log")), Ok(dir.path().join("new.log")));
        assert!(log_file(&at("no/new.log")).unwrap_err().contains("there is no folder"));
        for bad in [at(""), at("new/"), "/".into()] {
            assert_eq!(log_file(&bad), Err("it is a folder".into()), "{bad}");
        }
        assert!(folder(&at("new/deep")).is_ok() && folder(&at("file")).is_err());
    }

    #[test]
    fn a_file_that_is_read_is_there_and_a_key_is_one_word() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        std::fs::write(at("ca.pem"), "").unwrap();
        assert_eq!(present_file(&at("ca.pem")), Ok(dir.path().join("ca.pem")));
        assert!(present_file(&at("other")).is_err() && present_file(&at("")).is_err());
        assert_eq!(bearer("caik_A-b_9").as_deref(), Ok("caik_A-b_9"));
        for bad in ["", "a b", "a\nb", "ä"] {
            assert!(bearer(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn several_masters_are_still_to_come() {
        assert_eq!(master("m1:50051").as_deref(), Ok("m1:50051"));
        assert!(master("m1:50051, :50052").unwrap_err().contains("still to come"));
    }

    #[test]
    fn a_log_filter_is_a_level_or_directives() {
        for (text, read) in
            [("INFO", "info"), ("warning", "warn"), ("off", "off"), ("info,a::b=trace", "info,a::b=trace")]
        {
            assert_eq!(log_filter(text).as_deref(), Ok(read), "{text}");
        }
        for good in ["info,cloudai_master::engine=debug", "cloudai=trace", "warn,cloudai_worker[attempt]=info"] {
            assert!(log_filter(good).is_ok(), "{good}");
        }
        for bad in ["loud", "cloudai_master", "a=loud", "=,=", "info,cloudai_mastr=debug", "cloudai-master=debug"] {
            assert!(log_filter(bad).is_err(), "{bad}");
        }
    }
}
