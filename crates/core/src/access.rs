//! Folders and volumes of a worker's host: what a task needs of them, and what a worker lets it have.

use crate::path::{is_plain, is_within};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The longest path, in bytes.
const LONGEST_PATH: usize = 4096;
/// The longest name of a volume, in bytes.
const LONGEST_NAME: usize = 128;

/// Something that lies on a worker's host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A file or folder of the host: a plain absolute path.
    HostPath(String),
    /// A volume of the container engine, by its name.
    Volume(String),
}

/// An origin, to be read only or written as well: what a task needs of a worker, or a worker offers to tasks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Access {
    /// What.
    pub origin: Origin,
    /// Whether it may be changed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub writable: bool,
}

impl Origin {
    /// A path of a host, without slashes at its end.
    /// # Errors
    /// What a path must be.
    pub fn host_path(path: &str) -> Result<Self, &'static str> {
        let trimmed = path.trim_end_matches('/');
        let plain = trimmed.is_empty() || trimmed.strip_prefix('/').is_some_and(is_plain);
        if !path.starts_with('/') || !plain || path.len() > LONGEST_PATH || path.chars().any(char::is_control) {
            return Err("must be an absolute path without empty parts, . or .., as /data");
        }
        Ok(Self::HostPath(if trimmed.is_empty() { "/".into() } else { trimmed.into() }))
    }

    /// A volume.
    /// # Errors
    /// What a name must be: that of every container engine.
    pub fn volume(name: &str) -> Result<Self, &'static str> {
        let good = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let first = name.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
        if !first || name.len() > LONGEST_NAME || !name.chars().all(good) {
            return Err("must be a name of 1 to 128 of a-z A-Z 0-9 . _ -, beginning with a letter or digit");
        }
        Ok(Self::Volume(name.into()))
    }

    /// Whether the other is this, or lies within it.
    #[must_use]
    pub fn holds(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::HostPath(folder), Self::HostPath(path)) => {
                path == folder || is_within(path, folder.trim_end_matches('/'))
            }
            (Self::Volume(one), Self::Volume(other)) => one == other,
            (Self::HostPath(_), Self::Volume(_)) | (Self::Volume(_), Self::HostPath(_)) => false,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HostPath(path) => write!(f, "host path {path}"),
            Self::Volume(name) => write!(f, "volume {name}"),
        }
    }
}

impl Access {
    /// Whether what is offered is as much as what is needed.
    #[must_use]
    pub fn covers(&self, need: &Self) -> bool {
        self.origin.holds(&need.origin) && (self.writable || !need.writable)
    }

    /// The flag of a worker that offers just this; none offers all of its host.
    #[must_use]
    fn flag(&self) -> Option<String> {
        match &self.origin {
            Origin::HostPath(path) if path == "/" => None,
            Origin::HostPath(_) => Some(format!("--allow-path {self}")),
            Origin::Volume(_) => Some(format!("--allow-volume {self}")),
        }
    }

    /// What to do where it is not offered; `start` is said before the flag of a worker that would.
    #[must_use]
    pub fn advice(&self, start: &str) -> String {
        match self.flag() {
            Some(flag) => format!("{start} {flag}"),
            None => "no worker may offer all of its host: name the folder that is meant, as /data".into(),
        }
    }
}

/// As operators write it: a path or a name, with `:ro` behind where it may only be read.
impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Origin::HostPath(text) | Origin::Volume(text)) = &self.origin;
        write!(f, "{text}{}", if self.writable { "" } else { ":ro" })
    }
}

impl FromStr for Access {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (text, writable) = match text.strip_suffix(":ro") {
            Some(text) => (text, false),
            None => (text.strip_suffix(":rw").unwrap_or(text), true),
        };
        let origin = if text.starts_with('/') { Origin::host_path(text)? } else { Origin::volume(text)? };
        Ok(Self { origin, writable })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_covers_what_lies_within_it_and_no_more_rights_than_its_own() {
        let rows = [
            ("/data", "/data", true),
            ("/data", "/data/a/b:ro", true),
            ("/data:ro", "/data/a:ro", true),
            ("/data:ro", "/data/a", false),
            ("/data", "/database", false),
            ("/data/a", "/data:ro", false),
            ("/", "/etc:ro", true),
            ("scratch", "scratch", true),
            ("scratch:ro", "scratch", false),
            ("scratch", "scratch2:ro", false),
            ("/scratch", "scratch:ro", false),
        ];
        for (offer, need, covered) in rows {
            let (offer, need): (Access, Access) = (offer.parse().unwrap(), need.parse().unwrap());
            assert_eq!(offer.covers(&need), covered, "{offer} {need}");
        }
    }

    #[test]
    fn nobody_is_told_to_offer_all_of_a_host() {
        let advice = |need: &str| need.parse::<Access>().unwrap().advice("start it with");
        assert_eq!(advice("/data/a:ro"), "start it with --allow-path /data/a:ro");
        assert_eq!(advice("scratch"), "start it with --allow-volume scratch");
        for root in ["/", "/:ro"] {
            assert!(advice(root).contains("name the folder") && !advice(root).contains("--allow-path"), "{root}");
        }
    }

    #[test]
    fn an_access_is_written_as_it_is_read_and_nothing_odd_is_read() {
        for text in ["/data", "/data:ro", "/", "scratch", "a.b_c-d:ro"] {
            assert_eq!(text.parse::<Access>().unwrap().to_string(), text);
        }
        assert_eq!("/data/:rw".parse::<Access>().unwrap().to_string(), "/data");
        for bad in ["", ":ro", "/data/../etc", "/data//x", "/data/.", "-x", "a b", "a:b", "/a\nb", &"a".repeat(129)] {
            assert!(bad.parse::<Access>().is_err(), "{bad:?}");
        }
    }
}
