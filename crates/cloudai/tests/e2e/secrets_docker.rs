//! What real containers find of secrets, and who reads them.

mod docker {
    use crate::cluster::{Cluster, Plan, docker_worker};
    use crate::engine::{IMAGE, docker};
    use crate::process::until;
    use serde_json::{Value, json};

    const VALUE: &str = "correct-horse-battery";

    async fn with_secret() -> Cluster {
        let allow = [("CLOUDAI_SECRETS_ALLOW_ENV".to_owned(), "true".to_owned())];
        let cluster = Plan::new().variables(&allow).worker(docker_worker("w1")).start().await;
        std::fs::write(cluster.dir().join("value"), VALUE).unwrap();
        assert_eq!(cluster.run(&["secret", "put", "token", "--from-file", "value"]).await.code, 0);
        cluster
    }

    fn task(script: &str) -> Value {
        json!({"image": IMAGE, "pull_policy": "never", "command": ["sh", "-c", script], "secrets": [{"name": "token"}]})
    }

    #[tokio::test]
    async fn a_secret_is_a_file_in_memory_for_the_containers_user_alone() {
        let cluster = with_secret().await;
        let look = "stat -c '%a %u' /run/secrets/token; grep -c ' /run/secrets/token tmpfs ' /proc/mounts; \
                    sha256sum < /run/secrets/token; cat /run/secrets/token; echo; echo x 2>/dev/null > /run/secrets/token || echo no";
        let sum = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(VALUE));
        for (user, uid) in [("0", "0"), ("1234", "1234"), ("nobody", "65534")] {
            let mut document = task(look);
            document["user"] = json!(user);
            let id = cluster.rest.submit(document).await;
            let told = cluster.rest.completed(&id).await;
            let log = cluster.rest.log(&id, "").await;
            let expected = format!("400 {uid}\n1\n{sum}  -\n***\n");
            assert!(log.starts_with(&expected) && log.contains("no\n"), "{user}: {log} {told:#}");
            assert!(!log.contains(VALUE));
        }
    }

    #[tokio::test]
    async fn a_variable_has_it_and_the_container_that_is_gone_took_it_along() {
        let cluster = with_secret().await;
        let mut document = task("[ \"$TOKEN\" = \"$(cat /run/secrets/token)\" ] && printf '%s' \"$TOKEN\" | rev");
        document["secrets"] = json!([{"name": "token"}, {"name": "token", "env": "TOKEN"}]);
        let id = cluster.rest.submit(document).await;
        cluster.rest.completed(&id).await;
        let reversed: String = VALUE.chars().rev().collect();
        assert_eq!(cluster.rest.log(&id, "").await, reversed, "what is no more the secret is not masked");
        // Nothing of it is left on the host: neither the container nor its files in memory.
        let left = format!("label=cloudai.task={id}");
        until("the container is gone", async || docker(&["ps", "-aq", "--filter", &left]).is_empty().then_some(()))
            .await;
        let folders = || ["/run", "/dev/shm"].into_iter().flat_map(std::fs::read_dir).flatten().flatten();
        let of_task = || folders().filter(|entry| entry.path().join(format!("{id}-a1-i1")).exists()).count();
        until("its files are gone", async || (of_task() == 0).then_some(())).await;
    }

    #[tokio::test]
    async fn a_secret_is_never_kept_as_an_output() {
        let cluster = with_secret().await;
        let mut document = task("mkdir -p /run/mine; echo kept > /run/mine/a; echo too > /out/b");
        document["outputs"] = json!(["/run/**", "/run/secrets/token", "**"]);
        let id = cluster.rest.submit(document).await;
        cluster.rest.completed(&id).await;
        let files = cluster.rest.get(&format!("/api/v1/tasks/{id}/files")).await;
        let paths: Vec<_> = files["items"].as_array().unwrap().iter().map(|file| file["path"].clone()).collect();
        assert_eq!(paths, [json!("b"), json!("run/mine/a")], "{files}");
    }

    #[tokio::test]
    async fn a_long_line_that_the_engine_cuts_is_masked_across_the_cut() {
        let cluster = with_secret().await;
        // The engine cuts at 16 KiB: the secret begins 5 bytes before, and the whole line is longer than three pieces.
        let script = "a() { head -c $1 /dev/zero | tr '\\0' a; }; (a 16379; cat /run/secrets/token; a 40000) > /tmp/x; cat /tmp/x";
        let id = cluster.rest.submit(task(script)).await;
        cluster.rest.completed(&id).await;
        let log = cluster.rest.log(&id, "").await;
        assert_eq!(log.len(), 16_379 + 3 + 40_000);
        assert_eq!(log.matches("***").count(), 1);
    }

    #[tokio::test]
    async fn a_worker_that_is_killed_goes_on_masking_what_its_container_prints_later() {
        let mut cluster = with_secret().await;
        let script = "cat /run/secrets/token; echo; until [ -e /out/go ]; do sleep 0.1; done; echo again $(cat /run/secrets/token)";
        let id = cluster.rest.submit(task(script)).await;
        until("its output is there", async || (cluster.rest.log(&id, "").await == "***\n").then_some(())).await;
        cluster.kill_worker("w1");
        // What it would fetch from now on is another value: it must know the one that it gave.
        std::fs::write(cluster.dir().join("value"), "something else").unwrap();
        assert_eq!(cluster.run(&["secret", "put", "token", "--from-file", "value"]).await.code, 0);
        cluster.restart_worker("w1").await;
        let container = docker(&["ps", "-q", "--filter", &format!("label=cloudai.task={id}")]);
        docker(&["exec", &container, "touch", "/out/go"]);
        let told = cluster.rest.completed(&id).await;
        assert_eq!((&told["attempt"], cluster.rest.log(&id, "").await.as_str()), (&json!(1), "***\nagain ***\n"));
    }
}
