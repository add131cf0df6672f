//! Whose certificates a client takes for a master's, and what it says of those that it does not.

use super::CONNECT;
use crate::exit::{Exit, Failure};
use reqwest::redirect::Policy;
use reqwest::{Certificate, ClientBuilder, Url};
use rustls::{CertificateError, Error as TlsError};
use std::error::Error;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

/// The word of a failure for want of trust in a certificate.
pub(crate) const UNTRUSTED: &str = "untrusted";

/// Whose certificates are trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Those that the machine trusts.
    System,
    /// Those of these authorities alone, as PEM.
    Only(String),
    /// Everybody's: for a certificate that is compared with what came another way, and nothing else.
    Anyone,
}

impl Trust {
    /// What calls a master at this address.
    /// # Errors
    /// When the library can not start, or the certificates are none.
    pub(super) fn client(&self, base: &Url) -> Result<reqwest::Client, Failure> {
        // Whoever was first decides; it is the same everywhere.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let plain = || {
            reqwest::Client::builder()
                .connect_timeout(CONNECT)
                .tcp_keepalive(Duration::from_secs(15))
                .no_proxy()
                .redirect(Policy::none())
                // WebSockets are asked for by it alone.
                .http1_only()
                .user_agent(concat!("cloudai/", env!("CARGO_PKG_VERSION")))
        };
        let nobody = || plain().tls_certs_only([]);
        let unusable =
            |error: &reqwest::Error| Failure::error("the HTTP client could not start").why(super::chain(error));
        let build = |builder: ClientBuilder| builder.build().map_err(|error| unusable(&error));
        match self {
            // Without encryption no certificates have to be read, or be there.
            Self::System | Self::Only(_) | Self::Anyone if base.scheme() != "https" => build(nobody()),
            // A machine that trusts nobody is told so by the first call.
            Self::System => plain().build().or_else(|_| build(nobody())),
            Self::Only(pem) => build(plain().tls_certs_only(certificates(pem)?)),
            Self::Anyone => build(nobody().tls_danger_accept_invalid_certs(true)),
        }
    }
}

fn certificates(pem: &str) -> Result<Vec<Certificate>, Failure> {
    let read = Certificate::from_pem_bundle(pem.as_bytes()).ok().filter(|read| !read.is_empty());
    read.ok_or_else(|| {
        Failure::usage("the certificates to trust can not be read")
            .why("there is none in PEM form")
            .next("--ca FILE, CLOUDAI_CA: a file as `cloudai ca export` writes it")
    })
}

/// Whether an address is on this machine: what is sent there is seen by nobody on the way.
#[must_use]
pub(crate) fn is_local(base: &Url) -> bool {
    let host = base.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let named = host == "localhost" || host.ends_with(".localhost");
    named || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// What is wrong with the encryption, if that is what is wrong.
pub(super) fn fault<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a TlsError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(fault) = error.downcast_ref::<TlsError>() {
            return Some(fault);
        }
        // An error of the system that holds another does not name it as its source.
        let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match held {
            Some(held) => Some(held as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
}

/// The failure of a call whose encryption was not as it must be.
pub(super) fn told(fault: &TlsError, addr: &str) -> Failure {
    let untrusted = |what: String| Failure::new(Exit::Unreachable, UNTRUSTED, what);
    let unreachable = |what: String| Failure::new(Exit::Unreachable, "unreachable", what);
    let login = format!("cloudai login {addr}, or --ca FILE with the certificate of who signed it");
    match fault {
        TlsError::InvalidCertificate(CertificateError::UnknownIssuer) => {
            untrusted(format!("the certificate of {addr} is signed by nobody who is trusted here"))
                .why("somebody else may answer in its place")
                .next(login)
        }
        TlsError::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => unreachable(format!("the certificate of {addr} is of another name"))
            .why(fault.to_string())
            .next("call it by a name that it has: --addr URL; who runs it gives it more names (docs/security.md)"),
        TlsError::InvalidCertificate(_) => {
            untrusted(format!("the certificate of {addr} can not be trusted")).why(fault.to_string()).next(login)
        }
        TlsError::InvalidMessage(_) => unreachable(format!("{addr} does not speak https"))
            .why(fault.to_string())
            .next("a master on this machine is called by http://, and check the port"),
        _ => unreachable(format!("no encrypted connection to {addr}"))
            .why(fault.to_string())
            .next("check --addr: it names the master's HTTP address"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::InvalidMessage;

    #[test]
    fn a_fault_of_the_encryption_is_found_however_deep_it_is() {
        let deep = |fault: TlsError| io::Error::other(io::Error::new(io::ErrorKind::InvalidData, fault));
        let unknown = deep(TlsError::InvalidCertificate(CertificateError::UnknownIssuer));
        let told_of = |error: &io::Error| told(fault(error).unwrap(), "https://m1").to_string();
        assert!(told_of(&unknown).contains("next: cloudai login https://m1"), "{}", told_of(&unknown));
        let plain = deep(TlsError::InvalidMessage(InvalidMessage::InvalidContentType));
        assert!(told_of(&plain).contains("does not speak https"), "{}", told_of(&plain));
        let name = deep(TlsError::InvalidCertificate(CertificateError::NotValidForName));
        assert!(told_of(&name).contains("of another name"), "{}", told_of(&name));
        assert!(fault(&io::Error::from(io::ErrorKind::ConnectionRefused)).is_none());
    }

    #[test]
    fn only_this_machine_is_local() {
        let rows = [
            ("http://127.0.0.1:8080", true),
            ("http://127.9.9.9", true),
            ("http://[::1]:8080", true),
            ("http://localhost", true),
            ("http://a.localhost", true),
            ("http://10.0.0.1", false),
            ("http://localhost.example.org", false),
            ("http://127.0.0.1.example.org", false),
        ];
        for (addr, local) in rows {
            assert_eq!(is_local(&addr.parse().unwrap()), local, "{addr}");
        }
    }

    #[test]
    fn what_is_no_certificate_is_refused_before_anything_is_sent() {
        let base: Url = "https://m1:8080".parse().unwrap();
        for pem in ["", "no certificate"] {
            let failure = Trust::Only(pem.into()).client(&base).unwrap_err();
            assert!(failure.next.contains("cloudai ca export"), "{failure}");
        }
        for trust in [Trust::System, Trust::Anyone] {
            assert!(trust.client(&base).is_ok(), "{trust:?}");
        }
    }
}
