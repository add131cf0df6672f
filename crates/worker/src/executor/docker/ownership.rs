//! Whose the files of a container's secrets are: its user's, as the engine will understand that name.

use super::Engine;
use super::error::Fault;
use super::outcome::{engine_failed, without_run};
use super::pull;
use crate::executor::Job;
use bollard::query_parameters::DownloadFromContainerOptionsBuilder;
use cloudai_core::spec::SecretPlace;
use cloudai_core::task::{Cause, Outcome};
use futures::StreamExt;
use std::io::Read;

/// The largest list of users that is read.
const MAX_LIST: usize = 1 << 20;
/// Where an image lists its users.
const USERS: &str = "/etc/passwd";

/// Gives the files of a created container's secrets to its user, who alone reads them.
/// # Errors
/// The user is not known, or the worker may not give files away.
pub(super) async fn give(engine: &Engine, job: &Job, container: &str) -> Result<(), Outcome> {
    let files = || job.secrets.iter().filter(|secret| matches!(secret.place, SecretPlace::File(_)));
    if files().next().is_none() {
        return Ok(());
    }
    let user = match &job.spec.container.user {
        Some(user) => user.clone(),
        None => {
            let found = pull::user(&engine.docker, &job.spec.image, engine.patience).await;
            found.map_err(|fault| engine_failed("look at the image", &fault))?
        }
    };
    let name = user.split(':').next().unwrap_or_default();
    let uid = match (name, name.parse::<u32>()) {
        ("" | "root", _) => 0,
        (_, Ok(uid)) => uid,
        (name, Err(_)) => {
            let list =
                list(engine, container).await.map_err(|fault| engine_failed("give the image's users", &fault))?;
            uid_of(&list, name).ok_or_else(|| {
                let why =
                    format!("its user {name} is not in the image's {USERS}, so its secrets can not be given to it");
                without_run(Cause::StartError, why)
            })?
        }
    };
    for secret in files() {
        std::os::unix::fs::chown(&secret.host, Some(uid), None).map_err(|why| {
            let why = format!("the worker can not give a secret to the user {uid} of the container: {why}");
            without_run(Cause::EngineError, why)
        })?;
    }
    Ok(())
}

/// The image's list of users; empty where it has none.
async fn list(engine: &Engine, container: &str) -> Result<String, Fault> {
    let options = DownloadFromContainerOptionsBuilder::new().path(USERS).build();
    let mut parts = std::pin::pin!(engine.docker.download_from_container(container, Some(options)));
    let mut archive = Vec::new();
    while let Some(part) = parts.next().await {
        match part.map_err(Fault::from) {
            Ok(part) => archive.extend_from_slice(&part),
            Err(Fault::Gone(_)) => return Ok(String::new()),
            Err(fault) => return Err(fault),
        }
        if archive.len() > MAX_LIST {
            break;
        }
    }
    Ok(first_file(&archive))
}

/// The text of the first file of an archive.
fn first_file(archive: &[u8]) -> String {
    let mut archive = tar::Archive::new(archive);
    let mut text = Vec::new();
    if let Ok(mut entries) = archive.entries()
        && let Some(Ok(entry)) = entries.next()
    {
        let _ = entry.take(MAX_LIST as u64).read_to_end(&mut text);
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// The number of a user in a list of lines as `name:x:1000:1000:...`.
fn uid_of(list: &str, name: &str) -> Option<u32> {
    let mut lines = list.lines().map(|line| line.split(':'));
    lines.find_map(|mut fields| if fields.next() == Some(name) { fields.nth(1)?.parse().ok() } else { None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_name_in_the_images_list() {
        let list = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\nbroken\napp:x:1000:1000::/:\n";
        for (name, uid) in [("root", Some(0)), ("app", Some(1000)), ("broken", None), ("other", None), ("x", None)] {
            assert_eq!(uid_of(list, name), uid, "{name}");
        }
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(list.len() as u64);
        archive.append_data(&mut header, "passwd", list.as_bytes()).unwrap();
        assert_eq!(first_file(&archive.into_inner().unwrap()), list);
        assert_eq!(first_file(b"no archive"), "");
    }
}
