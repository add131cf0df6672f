//! Contexts: the masters that a person works with, and how that person is known there. One file, `contexts.toml`, which
//! nobody else can read; `file.rs` reads and writes it.

mod file;

pub(crate) use file::{ContextFile, Contexts, Entry, Writer};

use crate::client::{DEFAULT_ADDR, parse_addr};
use crate::config::Surroundings;
use reqwest::Url;
use std::path::PathBuf;

/// The variable that names the folder of contexts.
pub(crate) const FOLDER: &str = "CLOUDAI_CONFIG_DIR";
/// The file in it.
const FILE: &str = "contexts.toml";

/// Where contexts are kept; none where nothing says where a user's settings are.
#[must_use]
pub(crate) fn place(from: &dyn Surroundings) -> Option<PathBuf> {
    let own = || from.var("XDG_CONFIG_HOME").map(PathBuf::from);
    let home = || from.var("HOME").map(|home| PathBuf::from(home).join(".config"));
    let folder = from.var(FOLDER).map(PathBuf::from).or_else(|| Some(own().or_else(home)?.join("cloudai")))?;
    Some(folder.join(FILE))
}

/// The address that a client calls when nobody names one. A file that can not be read is told by who reads the rest of it.
#[must_use]
pub(crate) fn current_addr(from: &dyn Surroundings) -> Option<String> {
    let text = place(from).and_then(|path| from.read(&path).ok().flatten());
    let contexts = text.and_then(|text| toml::from_str::<Contexts>(&text).ok()).unwrap_or_default();
    let current = contexts.current.as_ref().and_then(|name| contexts.contexts.get(name));
    Some(current.map_or_else(|| DEFAULT_ADDR.to_owned(), |entry| entry.addr.clone()))
}

impl Contexts {
    /// The context of an address: the current one before others.
    #[must_use]
    pub(crate) fn of(&self, base: &Url) -> Option<(&String, &Entry)> {
        let mut of = self.contexts.iter().filter(|(_, entry)| parse_addr(&entry.addr).is_ok_and(|addr| addr == *base));
        let current = of.clone().find(|(name, _)| self.current.as_ref() == Some(*name));
        current.or_else(|| of.next())
    }

    /// A name for the context of an address: the one it has, else its host, with its port where another has that.
    #[must_use]
    pub(crate) fn name_for(&self, base: &Url) -> String {
        if let Some((name, _)) = self.of(base) {
            return name.clone();
        }
        let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
        let host: String = base.host_str().unwrap_or_default().trim_matches(['[', ']']).chars().map(plain).collect();
        let host: String = host.trim_start_matches(['.', '_', '-']).chars().take(50).collect();
        let host = if host.is_empty() { "master".to_owned() } else { host };
        let with_port = || format!("{host}-{}", base.port_or_known_default().unwrap_or_default());
        let free = |name: &String| !self.contexts.contains_key(name);
        let numbered = (2_u32..).map(|number| format!("{host}-{number}"));
        [host.clone(), with_port()].into_iter().chain(numbered).find(free).unwrap_or_default()
    }
}

/// A context's name as it is typed.
/// # Errors
/// What is allowed.
pub(crate) fn name(text: &str) -> Result<String, String> {
    let inner = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let right = (1..=63).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(inner);
    if right {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is no name: 1 to 63 of a-z A-Z 0-9 . _ -, beginning with a letter or digit"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(addr: &str) -> Entry {
        Entry { addr: addr.into(), ..Entry::default() }
    }

    #[test]
    fn the_context_of_an_address_is_the_current_one_before_others() {
        let mut contexts = Contexts::default();
        for (name, addr) in [("a", "https://m1:8080"), ("b", "https://m1:8080/"), ("c", "https://m2:8080")] {
            contexts.contexts.insert(name.into(), entry(addr));
        }
        let of = |contexts: &Contexts, addr| contexts.of(&parse_addr(addr).unwrap()).map(|(name, _)| name.clone());
        assert_eq!(of(&contexts, "https://m1:8080").as_deref(), Some("a"));
        contexts.current = Some("b".into());
        assert_eq!(of(&contexts, "https://m1:8080").as_deref(), Some("b"));
        assert_eq!(of(&contexts, "https://m2:8080").as_deref(), Some("c"));
        // Another scheme or port is another master.
        assert_eq!((of(&contexts, "http://m1:8080"), of(&contexts, "https://m1:8081")), (None, None));
    }

    #[test]
    fn a_context_is_called_as_its_host_and_no_name_means_two_masters() {
        let mut contexts = Contexts::default();
        let mut named = |addr: &str| {
            let name = contexts.name_for(&parse_addr(addr).unwrap());
            assert_eq!(super::name(&name).as_ref(), Ok(&name));
            contexts.contexts.insert(name.clone(), entry(addr));
            name
        };
        assert_eq!(named("https://gpu-01.example.org:8080"), "gpu-01.example.org");
        assert_eq!(named("https://gpu-01.example.org:8080"), "gpu-01.example.org");
        assert_eq!(named("https://gpu-01.example.org:9090"), "gpu-01.example.org-9090");
        assert_eq!(named("http://gpu-01.example.org:9090"), "gpu-01.example.org-2");
        assert_eq!(named("https://[::1]:8080"), "1");
    }

    #[test]
    fn a_name_is_plain() {
        assert!(["a", "prod", "m1.example-2_x"].iter().all(|good| name(good).is_ok()));
        assert!(["", ".a", "a b", "a/b", "ä", &"a".repeat(64)].iter().all(|bad| name(bad).is_err()));
    }
}
