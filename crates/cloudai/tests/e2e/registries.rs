//! Stored credentials of registries on the command line: they go in, are listed without their password, and stand nowhere.

use crate::cluster::{Cluster, fake_worker};
use serde_json::json;
use std::path::Path;

const PASSWORD: &str = "correct-horse-battery";

/// Whether a file below a folder holds this text.
fn holds(dir: &Path, text: &str) -> bool {
    std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok).any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return holds(&path, text);
        }
        std::fs::read(path).is_ok_and(|bytes| bytes.windows(text.len()).any(|part| part == text.as_bytes()))
    })
}

#[tokio::test]
async fn credentials_are_kept_from_stdin_listed_without_their_password_and_removed() {
    let cluster = Cluster::start().await;
    let words = ["registry", "login", "ghcr.io", "--username", "ann"];
    let kept = cluster.run_with(&words, format!("{PASSWORD}\n")).await;
    assert!(kept.code == 0 && kept.out.contains("ghcr.io  kept for you, as ann"), "{kept:?}");
    let kept = cluster.run_with(&["registry", "login", "docker.io", "-u", "all", "--cluster"], PASSWORD).await;
    assert!(kept.code == 0 && kept.out.contains("docker.io  kept for the cluster, as all"), "{kept:?}");
    let list = cluster.run(&["registry", "list"]).await;
    for part in ["ghcr.io", "ann", "you", "docker.io", "all", "everybody"] {
        assert!(list.out.contains(part), "{part}: {list:?}");
    }
    let told = cluster.run(&["registry", "list", "-o", "json"]).await;
    assert!(!told.out.contains(PASSWORD) && told.out.contains(r#""scope": "cluster""#), "{told:?}");
    assert_eq!(cluster.run(&["registry", "list", "-o", "quiet"]).await.out, "ghcr.io\ndocker.io\n");
    let other = cluster.run(&["registry", "logout", "docker.io"]).await;
    assert!(other.code == 5 && other.err.contains("cloudai registry list"), "{other:?}");
    let would = cluster.run(&["registry", "logout", "Docker.io", "--cluster", "--dry-run"]).await;
    assert!(would.code == 0 && would.err.contains("docker.io") | would.out.contains("docker.io"), "{would:?}");
    assert_eq!(cluster.run(&["registry", "logout", "ghcr.example", "--dry-run"]).await.code, 5);
    assert_eq!(cluster.run(&["registry", "logout", "docker.io", "--cluster"]).await.code, 0);
    assert_eq!(cluster.run(&["registry", "logout", "ghcr.io"]).await.code, 0);
    assert_eq!(cluster.rest.get("/api/v1/registries").await["items"], json!([]));
}

#[tokio::test]
async fn what_can_be_no_credentials_is_refused_with_the_next_command() {
    let cluster = Cluster::start().await;
    let login = ["registry", "login", "ghcr.io", "--username", "ann"];
    for (words, input, said) in [
        (&login[..], Vec::new(), "the password is empty"),
        (&login[..], b"\r\n".to_vec(), "the password is empty"),
        (&login[..], vec![0xff, 0xfe], "the password is no text"),
        (&login[..], vec![b'x'; (16 << 10) + 1], "larger than 16 KiB"),
        (&["registry", "login", "https://ghcr.io", "--username", "ann"][..], b"x".to_vec(), "docker.io is Docker Hub"),
        (&["registry", "login", "ghcr.io", "--username", "a:b"][..], b"x".to_vec(), "without colons"),
        (
            &["registry", "login", "ghcr.io", "-u", "ann", "--password-file", "absent"][..],
            Vec::new(),
            "can not be read",
        ),
    ] {
        let ran = cluster.run_with(words, input).await;
        assert!(ran.code == 64 && ran.err.contains(said), "{words:?}: {ran:?}");
    }
    assert_eq!(cluster.rest.get("/api/v1/registries").await["items"], json!([]));
}

#[tokio::test]
async fn a_password_stands_in_no_log_answer_or_file_of_master_and_worker() {
    let mut cluster = Cluster::of(fake_worker("w1")).await;
    let kept = cluster.run_with(&["registry", "login", "docker.io", "--username", "ann"], PASSWORD).await;
    assert_eq!(kept.code, 0, "{kept:?}");
    assert_eq!(cluster.run_with(&["secret", "put", "token"], "some-value").await.code, 0);
    // Its worker asks for what is stored, and is told of the registry as well.
    let id = cluster.rest.submit(json!({"image": "fake:x", "secrets": [{"name": "token"}]})).await;
    cluster.rest.completed(&id).await;
    let rotated = cluster.run(&["secret", "rotate"]).await;
    assert!(rotated.out.contains("2 secrets and credentials of registries sealed with a new key"), "{rotated:?}");
    assert!(!cluster.rest.get("/api/v1/debug/state").await.to_string().contains(PASSWORD));
    cluster.stop_worker("w1").await;
    cluster.stop_master().await;
    assert!(!holds(cluster.dir(), PASSWORD));
    cluster.restart_master().await;
    let listed = cluster.rest.get("/api/v1/registries").await;
    assert_eq!((&listed["items"][0]["host"], &listed["items"][0]["username"]), (&json!("docker.io"), &json!("ann")));
}
