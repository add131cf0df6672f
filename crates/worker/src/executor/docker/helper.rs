//! Programs that keep credentials for Docker: `docker-credential-NAME get`.
//!
//! Such a program is the host's own choice and may do anything; its time and its words are bounded.

use serde::Deserialize;
use std::ffi::OsStr;
use std::fmt;
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::time::timeout;

/// What every helper's name begins with.
pub(super) const PREFIX: &str = "docker-credential-";
/// How long a helper may take: those of clouds ask a server, and renew a token first.
pub(super) const LIMIT: Duration = Duration::from_secs(30);
/// An answer with the longest token is far below this, in bytes.
const MAX_ANSWER: u64 = 64 * 1024;
/// Of a helper's complaint that is passed on, in characters.
const MAX_COMPLAINT: usize = 200;
/// By which a helper tells that the secret is an identity token.
const TOKEN_USER: &str = "<token>";

/// What opens a registry.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Login {
    /// A name and a password.
    Password { user: String, password: String },
    /// A token that a registry's token server takes.
    Identity { user: String, token: String },
    /// A token that the registry takes as it is.
    Registry(String),
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login")
    }
}

/// Asks a helper for a server's login; none when it has none.
/// # Errors
/// What is wrong with the helper, without any secret.
pub(super) async fn get(
    name: &str,
    server: &str,
    path: Option<&OsStr>,
    limit: Duration,
) -> Result<Option<Login>, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.is_empty() || !name.chars().all(plain) {
        return Err(format!("{name:?} is no name of a helper"));
    }
    let program = format!("{PREFIX}{name}");
    let mut command = Command::new(&program);
    command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    if let Some(path) = path {
        command.env("PATH", path);
    }
    let output = match timeout(limit, ask(&mut command, server)).await {
        Ok(Ok(output)) => output,
        Ok(Err(why)) if why.kind() == std::io::ErrorKind::NotFound => {
            return Err(format!("the credential helper {program} is not installed on this worker"));
        }
        Ok(Err(why)) => return Err(format!("the credential helper {program} can not be run: {why}")),
        Err(_) => {
            return Err(format!("the credential helper {program} did not answer within {} s", limit.as_secs_f64()));
        }
    };
    if !output.status.success() {
        return complaint(&program, &output);
    }
    let answer: Answer = serde_json::from_slice(&output.stdout)
        .map_err(|_| format!("the credential helper {program} answered no credentials"))?;
    Ok(Some(if answer.user == TOKEN_USER {
        Login::Identity { user: String::new(), token: answer.secret }
    } else {
        Login::Password { user: answer.user, password: answer.secret }
    }))
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Username")]
    user: String,
    #[serde(rename = "Secret")]
    secret: String,
}

async fn ask(command: &mut Command, server: &str) -> std::io::Result<Output> {
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read what it is asked ends with its own error.
        let _ = stdin.write_all(server.as_bytes()).await;
    }
    let mut stdout = Vec::new();
    if let Some(from) = child.stdout.take() {
        from.take(MAX_ANSWER).read_to_end(&mut stdout).await?;
    }
    Ok(Output { status: child.wait().await?, stdout, stderr: Vec::new() })
}

/// By the protocol a helper that fails prints why; one that prints JSON may have printed a secret.
fn complaint(program: &str, output: &Output) -> Result<Option<Login>, String> {
    let said = String::from_utf8_lossy(&output.stdout);
    let said = said.trim();
    if said.contains("credentials not found") {
        return Ok(None);
    }
    let status = output.status;
    if said.is_empty() || said.contains('{') {
        return Err(format!("the credential helper {program} failed ({status})"));
    }
    let said: String = said.chars().filter(|c| !c.is_control()).take(MAX_COMPLAINT).collect();
    Err(format!("the credential helper {program} failed ({status}): {said}"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::path::Path;

    /// Makes a helper of a shell script. Another process writes it: a file that this one has open
    /// for writing could be inherited by a program that another test starts, and not be run.
    pub(in super::super) fn install(dir: &Path, name: &str, script: &str) {
        let path = dir.join(format!("{PREFIX}{name}"));
        let write = r#"printf '#!/bin/sh\n%s\n' "$1" > "$0" && chmod 755 "$0""#;
        let written = std::process::Command::new("sh").args(["-c", write]).arg(&path).arg(script).status();
        assert!(written.unwrap().success());
    }

    #[tokio::test]
    async fn a_helper_that_hangs_is_ended_in_time() {
        let dir = tempfile::tempdir().unwrap();
        install(dir.path(), "slow", "exec sleep 1000");
        let path = format!("{}:/usr/bin:/bin", dir.path().display());
        let told = get("slow", "a.example", Some(path.as_ref()), Duration::from_millis(50)).await;
        assert_eq!(told, Err("the credential helper docker-credential-slow did not answer within 0.05 s".into()));
    }
}
