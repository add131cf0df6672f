//! A registry of Debian's package `docker-registry` that wants a password, on loopback.

use super::{IMAGE, docker};
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

pub const USER: &str = "alice";
/// Its bits need the two characters in which the base64 alphabets differ.
pub const PASSWORD: &str = "open???sesame";
/// What `htpasswd -B` makes of them.
const HTPASSWD: &str = "alice:$2y$04$N4wJXBO0.xiZeDCzrb/MSutH/t3QqafMCiZ2Xy1oVkFhrul/Kkapm\n";
const PATIENCE: Duration = Duration::from_secs(30);

/// A registry that says to every pull that there were too many: `127.0.0.1:PORT`. It goes with the test's runtime.
pub async fn limiting() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let body = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#;
            let head = "HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nConnection: close";
            let answer = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            // Whoever went away wants no answer.
            let _ = client.read(&mut [0; 4096]).await;
            let _ = client.write_all(answer.as_bytes()).await;
        }
    });
    host
}

/// A running registry with one image; both go with it.
pub struct Registry {
    /// `127.0.0.1:PORT`, which engines take for one without TLS.
    pub host: String,
    /// An image that it has, and the engine as well until it is dropped.
    pub image: String,
    child: Child,
    dir: TempDir,
}

impl Registry {
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().display();
        std::fs::write(dir.path().join("htpasswd"), HTPASSWD).unwrap();
        let config = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {at}/data}}}}\nhttp: {{addr: \"127.0.0.1:0\"}}\n\
             auth: {{htpasswd: {{realm: test, path: {at}/htpasswd}}}}\n"
        );
        std::fs::write(dir.path().join("config.yml"), config).unwrap();
        let log = File::create(dir.path().join("log")).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(dir.path().join("config.yml")).stdin(Stdio::null());
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn();
        let child = child.expect("this test needs the package docker-registry: run scripts/doctor.sh --install");
        let mut registry = Self { host: String::new(), image: String::new(), child, dir };
        registry.host = registry.address();
        registry.image = format!("{}/private:1", registry.host);
        registry.fill();
        registry
    }

    /// The port that it chose, from its log.
    fn address(&mut self) -> String {
        let begin = Instant::now();
        loop {
            let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap();
            if let Some((_, rest)) = log.split_once("listening on ") {
                return rest.split(['"', ' ', ',']).next().unwrap().to_owned();
            }
            let gone = self.child.try_wait().unwrap();
            assert!(gone.is_none() && begin.elapsed() < PATIENCE, "the registry did not start: {log}");
            std::thread::yield_now();
        }
    }

    fn fill(&self) {
        let config = self.dir.path().join("login").display().to_string();
        let login = format!("docker --config {config} login --username {USER} --password-stdin {}", self.host);
        let login = format!("printf %s '{PASSWORD}' | {login}");
        let done = Command::new("sh").args(["-c", &login]).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        docker(&["tag", IMAGE, &self.image]);
        docker(&["--config", &config, "push", "--quiet", &self.image]);
    }

    /// An image of its own that only the registry has.
    pub fn offer(&self, name: &str) -> String {
        let config = self.dir.path().join("login").display().to_string();
        let image = format!("{}/{name}", self.host);
        let recipe = tempfile::tempdir().unwrap();
        std::fs::write(recipe.path().join("Dockerfile"), format!("FROM {IMAGE}\nLABEL of={image}\n")).unwrap();
        docker(&["build", "--quiet", "--tag", &image, recipe.path().to_str().unwrap()]);
        docker(&["--config", &config, "push", "--quiet", &image]);
        docker(&["image", "rm", &image]);
        image
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // Either may be gone already when a test failed.
        let _ = Command::new("docker").args(["image", "rm", &self.image]).output();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes a program of a shell script. Another process writes it: a file that this one has open for
/// writing could be inherited by a program that another test starts, and not be run.
pub fn program(path: &Path, script: &str) {
    let write = r#"printf '#!/bin/sh\n%s\n' "$1" > "$0" && chmod 755 "$0""#;
    assert!(Command::new("sh").args(["-c", write]).arg(path).arg(script).status().unwrap().success());
}
