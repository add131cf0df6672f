//! `cloudai ca`: the certificate by which a cluster's https is known.

use super::connect::connect;
use crate::client::{Client, Credentials, Trust};
use crate::config::{ADDR, Resolver};
use crate::exit::{Exit, Failure};
use crate::render::Screen;
use clap::Subcommand;
use reqwest::Url;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

/// Where a master has it.
const PATH: [&str; 1] = ["ca.pem"];

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Prints the certificate of the cluster's authority, or writes it to a file
    #[command(before_help = "  cloudai ca export --out ca.pem\n  \
                             cloudai ca export -o wide                    also its SHA-256, to compare\n  \
                             CLOUDAI_CA=ca.pem cloudai task list          trusts it and nothing else")]
    Export(Export),
    /// Prints how machines and programs are told to trust it
    Trust,
}

#[derive(Debug, clap::Args)]
pub(super) struct Export {
    /// The file; must not be there yet
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Where it is not trusted yet: the SHA-256 that it must have
    #[arg(long, value_name = "HEX", value_parser = hash)]
    ca_hash: Option<String>,
}

/// The certificate of an authority.
#[derive(Debug, Serialize)]
pub(super) struct Authority {
    pub(super) pem: String,
    /// Of the certificate's bytes: what join tokens name it by.
    pub(super) sha256: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
}

impl Authority {
    /// # Errors
    /// It is no certificate.
    fn read(pem: String) -> Result<Self, Failure> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| {
            Failure::error("the master's authority has no certificate that can be read").why(error.to_string())
        })?;
        Ok(Self { sha256: hex::encode(Sha256::digest(&der)), pem, file: None })
    }

    /// Whether it has this hash.
    /// # Errors
    /// It has another one.
    pub(super) fn is(&self, hash: &str, base: &Url) -> Result<(), Failure> {
        if self.sha256 == hash {
            return Ok(());
        }
        Err(Failure::new(
            Exit::NotAllowed,
            "untrusted",
            format!("{base} has another authority than the one of --ca-hash"),
        )
        .why(format!("its SHA-256 is {}, not {hash}", self.sha256))
        .why("somebody else may answer in its place")
        .next("ask who runs it for the hash: nothing was sent there"))
    }
}

/// A SHA-256 as people copy it: with colons, in any case.
pub(super) fn hash(text: &str) -> Result<String, String> {
    let plain: String = text.chars().filter(|c| *c != ':').map(|c| c.to_ascii_lowercase()).collect();
    let right = plain.len() == 64 && plain.chars().all(|c| c.is_ascii_hexdigit());
    if right { Ok(plain) } else { Err(format!("{text:?} is no SHA-256: expected 64 hexadecimal digits")) }
}

/// The authority that a master says it has. Nothing is trusted for it: it is to be compared.
/// # Errors
/// It can not be had.
pub(super) async fn fetch(base: &Url) -> Result<Authority, Failure> {
    let client = Client::with(base.clone(), &Trust::Anyone, Credentials::Nobody)?;
    Authority::read(client.text(&PATH).await?)
}

pub(super) async fn run(command: &Command, resolver: &Resolver<'_>, screen: Screen) -> Result<Exit, Failure> {
    match command {
        Command::Export(args) => export(args, resolver, screen).await,
        Command::Trust => trust(&resolver.required(&ADDR)?, &screen),
    }
}

async fn export(args: &Export, resolver: &Resolver<'_>, screen: Screen) -> Result<Exit, Failure> {
    let base = resolver.required(&ADDR)?;
    let mut found = match &args.ca_hash {
        Some(hash) => {
            let found = fetch(&base).await?;
            found.is(hash, &base)?;
            found
        }
        None => Authority::read(connect(resolver)?.text(&PATH).await?)?,
    };
    if let Some(path) = &args.out {
        let written = OpenOptions::new().write(true).create_new(true).open(path);
        written.and_then(|mut file| file.write_all(found.pem.as_bytes())).map_err(|error| {
            let shown = path.display();
            if error.kind() == ErrorKind::AlreadyExists {
                Failure::new(Exit::Conflict, "conflict", format!("{shown} is there already"))
                    .why("what it has may be trusted by somebody")
                    .next("give another name")
            } else {
                Failure::error(format!("{shown} can not be written")).why(error.to_string())
            }
        })?;
        found.file = Some(path.clone());
    }
    let people = || match &found.file {
        Some(path) => format!("{}  SHA-256 {}", path.display(), found.sha256),
        None if screen.wide() => format!("{}SHA-256 {}", found.pem, found.sha256),
        None => found.pem.clone(),
    };
    screen.one(&found, &found.sha256, people)?;
    Ok(Exit::Ok)
}

/// Tells; changes nothing, for each machine has its own way.
fn trust(base: &Url, screen: &Screen) -> Result<Exit, Failure> {
    let addr = base.as_str().trim_end_matches('/');
    let ways = [
        ("the certificate", "cloudai ca export --out cloudai-ca.pem".to_owned()),
        ("this command line", format!("cloudai login {addr}")),
        ("without a context", "CLOUDAI_CA=cloudai-ca.pem cloudai task list".into()),
        (
            "Debian, Ubuntu",
            "sudo cp cloudai-ca.pem /usr/local/share/ca-certificates/cloudai.crt && sudo update-ca-certificates".into(),
        ),
        ("Fedora, RHEL", "sudo cp cloudai-ca.pem /etc/pki/ca-trust/source/anchors/ && sudo update-ca-trust".into()),
        (
            "macOS",
            "sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain cloudai-ca.pem"
                .into(),
        ),
        ("curl", format!("curl --cacert cloudai-ca.pem {addr}/health")),
        ("Python", "REQUESTS_CA_BUNDLE=cloudai-ca.pem, SSL_CERT_FILE=cloudai-ca.pem".into()),
    ];
    ways.iter().try_for_each(|(whom, how)| screen.line(&format!("{whom:<19}{how}")))?;
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_read_as_people_copy_it_and_another_authority_is_refused() {
        let plain = "0123456789abcdef".repeat(4);
        let upper = plain.to_ascii_uppercase();
        let typed = upper.as_bytes().chunks(2).map(String::from_utf8_lossy).collect::<Vec<_>>();
        assert_eq!(hash(&typed.join(":")), Ok(plain.clone()));
        assert!(hash("abc").is_err() && hash(&"g".repeat(64)).is_err());
        let base: Url = "https://m1:8080".parse().unwrap();
        let authority = Authority { pem: String::new(), sha256: plain.clone(), file: None };
        assert!(authority.is(&plain, &base).is_ok());
        let failure = authority.is(&"0".repeat(64), &base).unwrap_err();
        assert!(failure.exit == Exit::NotAllowed && failure.why[0].contains(&plain), "{failure}");
    }
}
