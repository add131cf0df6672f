//! A master that is talked to by https, with the operator's own certificate: what its clients see. That addresses other than
//! loopback are encrypted by themselves is shown in the master's own tests.

use crate::process::{Process, Ran, run, until};
use std::path::Path;
use tempfile::TempDir;

/// A certificate of a test, which is its own authority, for this machine's names.
struct Pair {
    cert: String,
    key: String,
}

fn pair() -> Pair {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    Pair { cert: made.cert.pem(), key: made.signing_key.serialize_pem() }
}

/// Puts a pair where the master looks for it.
fn put(dir: &Path, pair: &Pair) {
    for (name, text) in [("cert.pem", &pair.cert), ("key.pem", &pair.key)] {
        let fresh = dir.join("fresh");
        std::fs::write(&fresh, text).unwrap();
        std::fs::rename(fresh, dir.join(name)).unwrap();
    }
}

struct Secret {
    dir: TempDir,
    master: Process,
    http: String,
    grpc: String,
    token: String,
}

impl Secret {
    async fn start(pair: &Pair) -> Self {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), pair);
        let variables = [("TLS_ENABLED", "true"), ("TLS_CERT_FILE", "cert.pem"), ("TLS_KEY_FILE", "key.pem")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let words = ["master", "--data-dir", "state", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--insecure"];
        let words = words.into_iter().chain(["--no-shell", "--print-addresses", "--print-credentials"]);
        let words: Vec<_> = words.map(ToOwned::to_owned).collect();
        let mut master = Process::start(dir.path(), "master", &variables, &words);
        let addresses = master.printed("grpc").await;
        let token = master.printed("join_token").await["join_token"].as_str().unwrap().to_owned();
        let address = |which: &str| addresses[which].as_str().unwrap().to_owned();
        Self { http: address("http"), grpc: address("grpc"), token, dir, master }
    }

    /// Runs a command that trusts the certificate in this file.
    async fn trusting(&self, ca: &str, words: &[&str]) -> Ran {
        let addr = format!("https://{}", self.http);
        let variables = [("CLOUDAI_ADDR".to_owned(), addr), ("CLOUDAI_CA".to_owned(), ca.to_owned())];
        run(self.dir.path(), &variables, words).await
    }

    async fn at(&self, addr: &str, words: &[&str]) -> Ran {
        run(self.dir.path(), &[("CLOUDAI_ADDR".to_owned(), addr.to_owned())], words).await
    }
}

#[tokio::test]
async fn a_client_talks_to_who_it_trusts_and_says_what_to_do_about_the_others() {
    let first = pair();
    let mut secret = Secret::start(&first).await;
    std::fs::write(secret.dir.path().join("ca.pem"), &first.cert).unwrap();
    let listed = secret.trusting("ca.pem", &["task", "list"]).await;
    assert_eq!(listed.code, 0, "{listed:?}");
    let unknown = secret.at(&format!("https://{}", secret.http), &["task", "list"]).await;
    assert!(unknown.code == 8 && unknown.err.contains("cloudai login https://"), "{unknown:?}");
    let plain = secret.at(&format!("http://{}", secret.http), &["task", "submit", "fake:x"]).await;
    assert!(plain.code == 1 && plain.err.contains("is spoken to by https only"), "{plain:?}");
    std::fs::write(secret.dir.path().join("other.pem"), pair().cert).unwrap();
    let other = secret.trusting("other.pem", &["task", "list"]).await;
    let told = ["can not be trusted", "trusted here"].iter().any(|told| other.err.contains(told));
    assert!(other.code == 8 && told, "{other:?}");
    let none = secret.trusting("absent.pem", &["task", "list"]).await;
    assert!(none.code == 64 && none.err.contains("there is no such file"), "{none:?}");
    secret.master.signal(rustix::process::Signal::TERM);
    assert_eq!(secret.master.ended().await, 0);
}

#[tokio::test]
async fn logs_and_programs_go_over_https_as_well() {
    let pair = pair();
    let secret = Secret::start(&pair).await;
    std::fs::write(secret.dir.path().join("ca.pem"), &pair.cert).unwrap();
    let words =
        ["worker", "start", "--master", &secret.grpc, "--join-token", &secret.token, "--id", "w1", "--executor"];
    let words = words.into_iter().chain(["fake", "--cpus", "2", "--mem", "8g", "--disk", "10g", "--data-dir", "state"]);
    let words: Vec<_> = words.map(ToOwned::to_owned).collect();
    let _worker = Process::start(secret.dir.path(), "w1", &[], &words);
    let submit =
        ["task", "submit", "fake:x", "-e", "FAKE_DURATION_MS=forever", "-e", "FAKE_STDOUT=hello", "-o", "quiet"];
    let submitted = secret.trusting("ca.pem", &submit).await;
    assert_eq!(submitted.code, 0, "{submitted:?}");
    let id = submitted.out.trim().to_owned();
    until("the program runs", async || {
        let ran = secret.trusting("ca.pem", &["task", "exec", &id, "--", "echo", "a", "b"]).await;
        (ran.code == 0 && ran.out == "a b\n").then_some(())
    })
    .await;
    let logs = secret.trusting("ca.pem", &["task", "logs", &id]).await;
    assert!(logs.code == 0 && logs.out.contains("hello"), "{logs:?}");
    assert_eq!(secret.trusting("ca.pem", &["task", "cancel", &id]).await.code, 0);
}

#[tokio::test]
async fn another_certificate_is_shown_without_a_restart_and_a_broken_one_never() {
    let (first, second) = (pair(), pair());
    let secret = Secret::start(&first).await;
    for (name, pair) in [("first.pem", &first), ("second.pem", &second)] {
        std::fs::write(secret.dir.path().join(name), &pair.cert).unwrap();
    }
    std::fs::write(secret.dir.path().join("cert.pem"), "no certificate").unwrap();
    until("the broken certificate is told of", async || {
        secret.master.err().contains("changed certificate can not be used").then_some(())
    })
    .await;
    assert_eq!(secret.trusting("first.pem", &["task", "list"]).await.code, 0);
    put(secret.dir.path(), &second);
    until("the second certificate is shown", async || {
        (secret.trusting("second.pem", &["task", "list"]).await.code == 0).then_some(())
    })
    .await;
    assert_eq!(secret.trusting("first.pem", &["task", "list"]).await.code, 8);
}
