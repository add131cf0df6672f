//! The settings of how a master talks to its users.

use super::known::{TLS_CERT_FILE, TLS_ENABLED, TLS_KEY_FILE};
use super::{Resolver, Setting};
use crate::exit::Failure;
use std::net::SocketAddr;
use std::path::PathBuf;

/// How users are talked to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HttpsSettings {
    /// The operator's certificate and its key, in the place of the cluster's own.
    pub(crate) files: Option<(PathBuf, PathBuf)>,
    /// Encrypted on loopback as well.
    pub(crate) on_loopback: bool,
}

impl HttpsSettings {
    /// The settings of a listener at this address; `insecure` is a master that trusts whoever reaches it.
    /// # Errors
    /// What does not go together.
    pub(super) fn resolve(resolver: &Resolver<'_>, http: SocketAddr, insecure: bool) -> Result<Self, Failure> {
        let files = match (resolver.value(&TLS_CERT_FILE)?, resolver.value(&TLS_KEY_FILE)?) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            (Some(_), None) => return Err(half(&TLS_CERT_FILE, &TLS_KEY_FILE)),
            (None, Some(_)) => return Err(half(&TLS_KEY_FILE, &TLS_CERT_FILE)),
        };
        let enabled = resolver.value(&TLS_ENABLED)?;
        let key = TLS_ENABLED.facts.key;
        if enabled == Some(false) && !http.ip().is_loopback() && !insecure {
            return Err(Failure::usage(format!("{key} is false and users come to {http}, which others can reach"))
                .why("passwords and keys of users would be readable on the way")
                .next(format!(
                    "leave {key} out; behind a proxy that encrypts listen on loopback: --http 127.0.0.1:8080"
                )));
        }
        if enabled == Some(false) && files.is_some() {
            return Err(Failure::usage(format!("{key} is false and {} is given", TLS_CERT_FILE.facts.key))
                .why("a certificate that nobody is shown protects nothing")
                .next("take one of them out"));
        }
        Ok(Self { files, on_loopback: enabled == Some(true) })
    }
}

fn half(given: &Setting<PathBuf>, missing: &Setting<PathBuf>) -> Failure {
    Failure::usage(format!("{} is given without {}", given.facts.key, missing.facts.key))
        .why("a certificate and its key belong together")
        .next(format!("give {} as well", missing.facts.variables.join(" or ")))
}
