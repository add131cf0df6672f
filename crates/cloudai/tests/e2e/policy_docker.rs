//! What a policy makes of real containers, looked at from inside, and what no flag of a worker gives them.

mod docker {
    use crate::cluster::{Cluster, docker_worker};
    use crate::engine::{IMAGE, docker};
    use serde_json::json;

    /// SPEC 9: "no-new-privileges, all capabilities dropped but a short list, pids limit, network none by default, ...
    /// read-only root by option". A policy wants more of it than the task asks for.
    #[tokio::test]
    async fn a_container_has_the_fences_of_its_workers_policy() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("policy.toml");
        let rules = "[containers]\nrequire_read_only_root = true\n[max]\npids = 64\n\
                     [capabilities]\ndrop = ['KILL', 'NET_BIND_SERVICE']\n[networks]\nallow = ['none']\n";
        std::fs::write(&file, rules).unwrap();
        let cluster = Cluster::of(docker_worker("w1").flags(&["--policy", file.to_str().unwrap()])).await;
        let script = "grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/self/status | tr -d '\\t'; ls /sys/class/net; \
                      cat /sys/fs/cgroup/pids.max 2>/dev/null || cat /sys/fs/cgroup/pids/pids.max; \
                      touch /x 2>/dev/null || echo read-only; echo ok > /tmp/f && cat /tmp/f";
        let task = |read_only: bool, network: &str| {
            json!({"image": IMAGE, "pull_policy": "never", "user": "0", "command": ["sh", "-c", script],
                   "read_only_root": read_only, "network": network})
        };
        let id = cluster.rest.submit(task(true, "none")).await;
        cluster.rest.completed(&id).await;
        // CHOWN 0, DAC_OVERRIDE 1, FOWNER 3, SETGID 6, SETUID 7
        let mask = "00000000000000cb";
        let expected = ["CapEff", "CapBnd"].map(|name| format!("{name}:{mask}\n")).concat();
        let expected = format!("{expected}NoNewPrivs:1\nlo\n64\nread-only\nok\n");
        let log = cluster.rest.log(&id, "").await;
        let sorted = |text: &str| {
            let mut lines: Vec<_> = text.lines().map(ToOwned::to_owned).collect();
            lines.sort_unstable();
            lines
        };
        assert_eq!(sorted(&log), sorted(&expected));
        for (document, rule) in
            [(task(false, "none"), "require_read_only_root"), (task(true, "bridge"), "networks.allow")]
        {
            let id = cluster.rest.submit(document).await;
            let task = cluster.rest.ended(&id).await;
            assert_eq!(task["reason"], "policy_denied", "{task:#}");
            assert!(task["message"].as_str().unwrap().contains(rule), "{task:#}");
            let made = docker(&["ps", "-aq", "--filter", &format!("label=cloudai.task={id}")]);
            assert_eq!(made, "", "no container was made for it");
        }
    }

    /// SPEC 9: "no docker socket".
    #[tokio::test]
    async fn the_engines_socket_is_given_to_no_task_though_its_folder_is_offered() {
        let links = tempfile::tempdir().unwrap();
        let link = links.path().join("run");
        std::os::unix::fs::symlink("/var/run", &link).unwrap();
        let folder = links.path().to_str().unwrap();
        let flags = ["--allow-path", "/var/run", "--allow-path", "/run", "--allow-path", folder];
        let cluster = Cluster::of(docker_worker("w1").flags(&flags)).await;
        let link = link.to_str().unwrap();
        for path in ["/var/run", "/run", "/var/run/docker.sock", link, &format!("{link}/docker.sock")] {
            let volumes = json!([{"host_path": path, "container_path": "/x"}]);
            let task = json!({"image": IMAGE, "pull_policy": "never", "command": ["true"], "volumes": volumes});
            let id = cluster.rest.submit(task).await;
            let task = cluster.rest.ended(&id).await;
            assert_eq!(task["reason"], "input_error", "{path}: {task:#}");
            assert!(task["message"].as_str().unwrap().contains("socket of a container engine"), "{path}: {task:#}");
        }
    }

    /// SPEC 9: "user namespaces where the engine has them".
    #[tokio::test]
    async fn a_worker_whose_policy_wants_user_namespaces_is_not_started_on_an_engine_without() {
        let options = docker(&["info", "--format", "{{.SecurityOptions}}"]);
        assert!(!options.contains("name=userns") && !options.contains("name=rootless"), "{options}");
        let cluster = Cluster::start().await;
        let rules = "[containers]\nrequire_user_namespaces = true\n";
        std::fs::write(cluster.dir().join("policy.toml"), rules).unwrap();
        let words = ["worker", "start", "--id", "w1", "--data-dir", "w1", "--policy", "policy.toml"];
        let words = [&words[..], &["--master", cluster.grpc(), "--join-token", cluster.token()]].concat();
        let refused = cluster.run(&words).await;
        assert_eq!(refused.code, 1, "{refused:?}");
        for part in ["worker w1 is not started", "containers.require_user_namespaces", "userns-remap"] {
            assert!(refused.err.contains(part), "{part}: {refused:?}");
        }
    }
}
