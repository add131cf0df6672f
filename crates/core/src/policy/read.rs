//! From a document to a [`Policy`]: every wrong field named at once, by its path.

use super::pattern::{Glob, ImagePattern, VolumePattern};
use super::{CAPABILITIES, Most, PIDS, Policy};
use crate::access::{Access, Origin};
use crate::resources::{GIB, MIB, WHOLE};
use crate::spec::{MAX_DURATION, Network, RegistryName, SpecError, Value, as_number, to_units};
use crate::template::{Fields, Wrong};
use crate::time::millis;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

/// The most entries of a list.
const MOST_ENTRIES: usize = 1000;
/// Fewer processes than this no ordinary program gets by with.
const LEAST_PIDS: u32 = 16;
const TIB: u64 = GIB << 10;

const OF_IMAGES: [&str; 2] = ["allow", "deny"];
const OF_ALLOWED: [&str; 1] = ["allow"];
const OF_CAPABILITIES: [&str; 1] = ["drop"];
const SECTIONS: [&str; 8] =
    ["images", "registries", "host_paths", "volumes", "networks", "capabilities", "max", "containers"];
const OF_MAX: [&str; 6] = ["cpu_cores", "memory_gb", "storage_gb", "gpu_cores", "timeout_s", "pids"];
const OF_CONTAINERS: [&str; 4] = ["forbid_root", "require_user_namespaces", "require_read_only_root", "secrets_as_env"];

pub(super) fn policy(document: &Value) -> Result<Policy, SpecError> {
    let mut reader = Reader { wrong: Wrong::default() };
    let Value::Map(entries) = document else {
        let expected = "expected sections, as [images] with allow = [\"ghcr.io/team/*\"]";
        reader.wrong.add("policy", None, format!("is {}: {expected}", document.kind()));
        return Err(reader.wrong.into_error());
    };
    let sections = reader.wrong.fields("", entries, &SECTIONS, "a policy");
    let images = reader.section(&sections, "images", &OF_IMAGES);
    let containers = reader.section(&sections, "containers", &OF_CONTAINERS);
    let mut flag = |name: &str| reader.truth("containers", &containers, name);
    let (forbids_root, wants_user_namespaces) = (flag("forbid_root"), flag("require_user_namespaces"));
    let (wants_read_only_root, secrets_as_env) = (flag("require_read_only_root"), flag("secrets_as_env"));
    let policy = Policy {
        images: reader.list("images.allow", images.get("allow").copied(), ImagePattern::read),
        denied_images: reader.list("images.deny", images.get("deny").copied(), ImagePattern::read).unwrap_or_default(),
        registries: reader.allowed(&sections, "registries", registry),
        host_paths: reader.allowed(&sections, "host_paths", host_path),
        volumes: reader.allowed(&sections, "volumes", VolumePattern::read),
        networks: reader.allowed(&sections, "networks", network),
        dropped: reader.dropped(&sections),
        most: reader.most(&sections),
        forbids_root: forbids_root == Some(true),
        wants_user_namespaces: wants_user_namespaces == Some(true),
        wants_read_only_root: wants_read_only_root == Some(true),
        forbids_env_secrets: secrets_as_env == Some(false),
    };
    if reader.wrong.is_none() { Ok(policy) } else { Err(reader.wrong.into_error()) }
}

/// The path of every rule.
pub(super) fn rules() -> Vec<String> {
    let of = |section: &str| -> &'static [&'static str] {
        match section {
            "images" => &OF_IMAGES,
            "capabilities" => &OF_CAPABILITIES,
            "max" => &OF_MAX,
            "containers" => &OF_CONTAINERS,
            _ => &OF_ALLOWED,
        }
    };
    SECTIONS.iter().flat_map(|section| of(section).iter().map(move |rule| format!("{section}.{rule}"))).collect()
}

struct Reader {
    wrong: Wrong,
}

impl Reader {
    /// The known fields of a section; none where it is absent.
    fn section<'a>(&mut self, sections: &Fields<'a>, name: &str, known: &[&str]) -> Fields<'a> {
        match sections.get(name).copied() {
            None => Fields::new(),
            Some(Value::Map(entries)) => self.wrong.fields(name, entries, known, name),
            Some(
                given @ (Value::Null
                | Value::Bool(_)
                | Value::Int(_)
                | Value::Float(_)
                | Value::Text(_)
                | Value::List(_)),
            ) => {
                self.wrong.add(name, Some(given), format!("must be a section with any of {}", known.join(", ")));
                Fields::new()
            }
        }
    }

    /// The list `allow` of a section that has nothing else.
    fn allowed<T>(
        &mut self,
        sections: &Fields<'_>,
        name: &str,
        read: impl Fn(&str) -> Result<T, &'static str>,
    ) -> Option<Vec<T>> {
        let section = self.section(sections, name, &OF_ALLOWED);
        self.list(&format!("{name}.allow"), section.get("allow").copied(), read)
    }

    /// A list of texts, each read by its rule. What is wrong leaves it shorter, never absent: no slip allows anything.
    fn list<T>(
        &mut self,
        path: &str,
        given: Option<&Value>,
        read: impl Fn(&str) -> Result<T, &'static str>,
    ) -> Option<Vec<T>> {
        let Value::List(items) = given? else {
            self.wrong.add(path, given, "must be a list of texts");
            return Some(Vec::new());
        };
        if items.len() > MOST_ENTRIES {
            self.wrong.add(path, given, format!("has more than {MOST_ENTRIES} entries"));
        }
        let mut list = Vec::new();
        for (place, item) in items.iter().enumerate().take(MOST_ENTRIES) {
            let Value::Text(text) = item else {
                self.wrong.add(format!("{path}[{place}]"), Some(item), "must be a text");
                continue;
            };
            match read(text) {
                Ok(entry) => list.push(entry),
                Err(problem) => self.wrong.add(format!("{path}[{place}]"), Some(item), problem),
            }
        }
        Some(list)
    }

    fn dropped(&mut self, sections: &Fields<'_>) -> BTreeSet<&'static str> {
        let section = self.section(sections, "capabilities", &OF_CAPABILITIES);
        let path = "capabilities.drop";
        let Some(names) = self.list(path, section.get("drop").copied(), |text| Ok(text.to_owned())) else {
            return BTreeSet::new();
        };
        let mut dropped = BTreeSet::new();
        for (place, name) in names.iter().enumerate() {
            let plain = name.to_ascii_uppercase();
            let plain = plain.strip_prefix("CAP_").unwrap_or(&plain);
            match CAPABILITIES.into_iter().find(|known| *known == plain) {
                Some(known) => drop(dropped.insert(known)),
                None if plain == "ALL" => dropped.extend(CAPABILITIES),
                None => {
                    let value = Value::Text(name.clone());
                    let kept = CAPABILITIES.join(", ");
                    let problem = format!("is none that a container has: there are {kept}, and ALL of them");
                    self.wrong.add(format!("{path}[{place}]"), Some(&value), problem);
                }
            }
        }
        dropped
    }

    fn most(&mut self, sections: &Fields<'_>) -> Most {
        let max = self.section(sections, "max", &OF_MAX);
        let year = millis(MAX_DURATION);
        Most {
            cpu_milli: self.amount(&max, "cpu_cores", WHOLE, 1..=4096 * WHOLE, "0.001 to 4096 cores"),
            memory: self.amount(&max, "memory_gb", GIB, 6 * MIB..=64 * TIB, "6 MiB to 64 TiB, in GiB"),
            storage: self.amount(&max, "storage_gb", GIB, 0..=1024 * TIB, "0 to 1 PiB, in GiB"),
            gpu_milli: self.amount(&max, "gpu_cores", WHOLE, 0..=1024 * WHOLE, "0 to 1024 devices"),
            run: self
                .amount(&max, "timeout_s", 1000, 1000..=year, "1 second to 1 year, in seconds")
                .map(Duration::from_millis),
            pids: self.pids(&max),
        }
    }

    fn amount(
        &mut self,
        max: &Fields<'_>,
        name: &str,
        unit: u64,
        range: RangeInclusive<u64>,
        allowed: &str,
    ) -> Option<u64> {
        let given = max.get(name).copied()?;
        let amount = as_number(given).and_then(|number| to_units(number, unit)).filter(|amount| range.contains(amount));
        if amount.is_none() {
            self.wrong.add(of_max(name), Some(given), format!("must be a number: allowed are {allowed}"));
        }
        amount
    }

    fn pids(&mut self, max: &Fields<'_>) -> Option<u32> {
        let given = max.get("pids").copied()?;
        let number = if let Value::Int(number) = given { u32::try_from(*number).ok() } else { None };
        let number = number.filter(|number| (LEAST_PIDS..=PIDS).contains(number));
        if number.is_none() {
            let problem = format!("must be a whole number from {LEAST_PIDS} to {PIDS}, which is what containers have");
            self.wrong.add(of_max("pids"), Some(given), problem);
        }
        number
    }

    /// What is said, where it is said.
    fn truth(&mut self, section: &str, fields: &Fields<'_>, name: &str) -> Option<bool> {
        let given = fields.get(name).copied()?;
        if let Value::Bool(value) = given {
            return Some(*value);
        }
        self.wrong.add(format!("{section}.{name}"), Some(given), "must be true or false");
        None
    }
}

fn of_max(name: impl Display) -> String {
    format!("max.{name}")
}

/// A registry as images name it, or a pattern of such.
fn registry(text: &str) -> Result<Glob, &'static str> {
    if text.contains('/') {
        return Err("must be the host that image names begin with, as ghcr.io, host:5000, *.example.com or docker.io");
    }
    // Docker Hub has several names, of which images are known by one.
    let plain = text.to_ascii_lowercase();
    let named = plain.parse::<RegistryName>().ok().filter(|_| !plain.contains(['*', '?']));
    Glob::read(named.as_ref().map_or(plain.as_str(), RegistryName::as_str))
}

fn host_path(text: &str) -> Result<Access, &'static str> {
    const FORM: &str = "must be an absolute path, as /data, with :ro behind what may only be read";
    let access: Access = text.parse().map_err(|_| FORM)?;
    match access.origin {
        Origin::HostPath(_) => Ok(access),
        Origin::Volume(_) => Err(FORM),
    }
}

fn network(text: &str) -> Result<Network, &'static str> {
    match text {
        "none" => Ok(Network::None),
        "bridge" => Ok(Network::Bridge),
        _ => Err("is no network of a container: there are none and bridge"),
    }
}
