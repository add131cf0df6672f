//! The client of a command: which master, whom it trusts, and how it is known there.

use crate::client::{Client, Credentials, Trust, is_local};
use crate::config::{ADDR, CA, Process, Resolver, TOKEN};
use crate::context::{ContextFile, Entry};
use crate::exit::Failure;
use reqwest::Url;

/// The context of an address, and the file that it stands in.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) file: ContextFile,
    pub(super) name: String,
    pub(super) entry: Entry,
}

impl Known {
    /// The context of an address, if there is one.
    /// # Errors
    /// The file of contexts can not be read.
    pub(super) fn of(base: &Url) -> Result<Option<Self>, Failure> {
        // Where there is no place for contexts there are none.
        let Ok(file) = ContextFile::of(&Process) else { return Ok(None) };
        let contexts = file.load()?;
        Ok(contexts.of(base).map(|(name, entry)| Self { file, name: name.clone(), entry: entry.clone() }))
    }
}

/// The client that settings and contexts describe.
/// # Errors
/// A setting, the contexts or the certificates can not be used, or a key would be sent in the clear.
pub(super) fn connect(resolver: &Resolver<'_>) -> Result<Client, Failure> {
    let base = resolver.required(&ADDR)?;
    let known = Known::of(&base)?;
    let of_context = known.as_ref().and_then(|known| known.entry.ca_pem.clone());
    let trust = given_ca(resolver)?.or(of_context).map_or(Trust::System, Trust::Only);
    let who = match (resolver.value(&TOKEN)?, known) {
        (Some(token), _) => Credentials::Token(token.into()),
        (None, Some(Known { file, name, entry })) => Credentials::of_context(file, name, entry),
        (None, None) => Credentials::Nobody,
    };
    if who.is_somebody() {
        secret(&base)?;
    }
    Client::with(base, &trust, who)
}

/// The certificates that are to be trusted and no others, where somebody says so.
/// # Errors
/// The file can not be read.
pub(super) fn given_ca(resolver: &Resolver<'_>) -> Result<Option<String>, Failure> {
    let Some(path) = resolver.value(&CA)? else { return Ok(None) };
    std::fs::read_to_string(&path).map(Some).map_err(|error| {
        Failure::usage(format!("{} can not be read", path.display()))
            .why(error.to_string())
            .next("--ca FILE, CLOUDAI_CA: a file as `cloudai ca export` writes it")
    })
}

/// Whether what nobody else may know can be sent to an address.
/// # Errors
/// It is not encrypted, and not on this machine.
pub(super) fn secret(base: &Url) -> Result<(), Failure> {
    if base.scheme() == "https" || is_local(base) {
        return Ok(());
    }
    let mut better = base.clone();
    // Every address of http can be one of https.
    let _ = better.set_scheme("https");
    Err(Failure::usage(format!("no password and no key is sent to {base} in the clear"))
        .why("everybody on the way could read it")
        .next(format!("--addr {}, or a tunnel to a port of this machine", better.as_str().trim_end_matches('/'))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_secret_goes_encrypted_or_nowhere_but_to_this_machine() {
        let to = |addr: &str| secret(&addr.parse().unwrap());
        assert!(to("https://m1:8080").is_ok() && to("http://127.0.0.1:8080").is_ok() && to("http://[::1]").is_ok());
        let failure = to("http://10.0.0.1:8080").unwrap_err().to_string();
        assert!(failure.contains("--addr https://10.0.0.1:8080, or a tunnel"), "{failure}");
    }
}
