//! What a registry is called: by whom its images are named and its credentials are kept.

use super::image::{ImageRef, is_host};
use crate::ids::IdError;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// What Docker Hub is called, whose images are named without a host.
const HUB: &str = "docker.io";
/// Its other names.
const ALSO_HUB: [&str; 2] = ["index.docker.io", "registry-1.docker.io"];
/// The longest name, in bytes.
const LONGEST: usize = 253;
/// What a name may be.
const FORM: &str = "the host that image names begin with, as ghcr.io, localhost or registry.example:5000, at most 253 \
                    characters; docker.io is Docker Hub";

/// A registry: `HOST[:PORT]` in lower case; `docker.io` is Docker Hub.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistryName(Arc<str>);

impl RegistryName {
    /// The registry that an image is pulled from.
    #[must_use]
    pub fn of_image(image: &str) -> Self {
        Self::known(ImageRef::of(image).host.unwrap_or(HUB))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is Docker Hub.
    #[must_use]
    pub fn is_hub(&self) -> bool {
        &*self.0 == HUB
    }

    /// One registry has one name.
    fn known(host: &str) -> Self {
        let host = host.to_ascii_lowercase();
        Self(if is_hub(&host) { HUB.into() } else { host.into() })
    }
}

/// Whether a host is Docker Hub, in lower case.
pub(super) fn is_hub(host: &str) -> bool {
    host == HUB || ALSO_HUB.contains(&host)
}

impl FromStr for RegistryName {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let plain = |part: &str| {
            let word = |c: char| c.is_ascii_alphanumeric();
            part.starts_with(word) && part.ends_with(word)
        };
        let name = text.split_once(':').map_or(text, |(name, _)| name);
        // Any other word before the first slash is a part of a name on Docker Hub.
        let is_registry = text.contains(['.', ':']) || text == "localhost";
        if is_registry && text.len() <= LONGEST && is_host(text) && name.split('.').all(plain) {
            Ok(Self::known(text))
        } else {
            Err(IdError { kind: "registry", value: text.chars().take(80).collect(), allowed: FORM })
        }
    }
}

impl fmt::Display for RegistryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for RegistryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_has_one_name_however_it_is_written() {
        let rows = [
            ("ghcr.io", "ghcr.io"),
            ("GHCR.io", "ghcr.io"),
            ("localhost", "localhost"),
            ("127.0.0.1:5000", "127.0.0.1:5000"),
            ("node-1:5000", "node-1:5000"),
            ("docker.io", "docker.io"),
            ("index.docker.io", "docker.io"),
            ("registry-1.docker.io", "docker.io"),
        ];
        for (text, name) in rows {
            assert_eq!(text.parse::<RegistryName>().unwrap().as_str(), name, "{text}");
        }
        let longest = format!("{}.io", "a".repeat(250));
        assert!(longest.parse::<RegistryName>().is_ok());
    }

    #[test]
    fn the_registry_of_an_image_is_the_one_that_the_engine_asks() {
        let digest = format!("ghcr.io/a@sha256:{}", "0".repeat(64));
        let rows = [
            ("busybox", "docker.io"),
            ("team/train:1", "docker.io"),
            ("docker.io/u/x", "docker.io"),
            ("index.docker.io/library/busybox", "docker.io"),
            ("localhost/a", "localhost"),
            ("127.0.0.1:5000/private:1", "127.0.0.1:5000"),
            (digest.as_str(), "ghcr.io"),
        ];
        for (image, name) in rows {
            let registry = RegistryName::of_image(image);
            assert_eq!(registry.as_str(), name, "{image}");
            assert_eq!(registry.as_str().parse(), Ok(registry.clone()));
            assert_eq!(registry.is_hub(), name == "docker.io");
        }
    }

    #[test]
    fn what_is_no_registry_is_refused_with_what_is_allowed() {
        let long = format!("{}.io", "a".repeat(251));
        let bad = [
            "",
            " ",
            "ghcr",
            "https://ghcr.io",
            "ghcr.io/",
            "ghcr.io/team",
            "a..b",
            ".io",
            "-a.io",
            "a.io:",
            "a.io:99999",
            "a.io:x",
            "[::1]:5000",
            "ü.io",
            "a_b.io",
            "a.io\n",
            &long,
        ];
        for text in bad {
            let told = text.parse::<RegistryName>().unwrap_err().to_string();
            assert!(told.contains("is no registry") && told.contains("docker.io is Docker Hub"), "{text:?}: {told}");
        }
    }
}
