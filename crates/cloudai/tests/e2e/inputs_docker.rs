//! What real containers find, and what becomes of it.

pub(crate) mod docker {
    use crate::cluster::{Cluster, docker_worker};
    use crate::engine::IMAGE;
    use crate::path_docker::sh;
    use crate::process::until;
    use std::fs;
    use std::path::Path;

    /// Submits a script with these flags, and waits for it; answers its id and what it printed.
    async fn run(cluster: &Cluster, flags: &[&str], script: &str) -> (String, String) {
        let words = ["task", "submit", IMAGE, "--pull", "never", "-o", "quiet", "--wait"];
        let words = [&words[..], flags, &["--", "sh", "-c", script]].concat();
        let ran = cluster.run(&words).await;
        assert_eq!(ran.code, 0, "{words:?}: {}", ran.err);
        let id = ran.out.trim().to_owned();
        let log = cluster.rest.log(&id, "").await;
        (id, log)
    }

    #[tokio::test]
    async fn split_map_and_reduce_by_the_command_line_alone() {
        split_map_and_reduce(&Cluster::of(docker_worker("w1")).await).await;
    }

    /// Parts of one file, a sum of each, the sum of all: what one task leaves the next one finds.
    pub(crate) async fn split_map_and_reduce(cluster: &Cluster) {
        let numbers: String = (1..=3000).map(|n| format!("{n}\n")).collect();
        fs::write(cluster.dir().join("numbers.txt"), numbers).unwrap();
        let split = "mkdir /out/parts; awk '{print > (\"/out/parts/\" int((NR-1)/1000))}' /in/numbers.txt";
        let (split, _) = run(cluster, &["--input", "numbers.txt"], split).await;
        let sum = "awk '{s+=$1} END {print s}'";
        let mut sums = Vec::new();
        for part in 0..3 {
            let input = format!("task:{split}/parts/{part}:/in/part");
            let map = format!("{sum} /in/part > /out/sum");
            sums.push(run(cluster, &["--input", &input], &map).await.0);
        }
        let inputs: Vec<_> = sums.iter().enumerate().map(|(n, id)| format!("task:{id}/sum:/in/{n}")).collect();
        let flags: Vec<_> = inputs.iter().flat_map(|input| ["--input", input.as_str()]).collect();
        let (_, printed) = run(cluster, &flags, &format!("cat /in/* | {sum}")).await;
        assert_eq!(printed, "4501500\n");
        // All that the first one left, as a folder that nobody can write to.
        let look = "ls /all/parts; echo x >> /all/parts/0 || echo no; rm -r /all/parts 2>/dev/null || echo no";
        let (_, printed) = run(cluster, &["--input", &format!("task:{}:/all", &split[split.len() - 8..])], look).await;
        let out: Vec<_> = printed.lines().filter(|line| !line.contains("Read-only")).collect();
        assert_eq!(out, ["0", "1", "2", "no", "no"]);
    }

    #[tokio::test]
    async fn a_working_directory_is_sent_once_and_worked_in_as_a_copy() {
        let cluster = Cluster::of(docker_worker("w1")).await;
        let here = cluster.dir().join("project");
        fs::create_dir_all(here.join("src/empty")).unwrap();
        fs::write(here.join("run.sh"), "#!/bin/sh\npwd; cat src/a; ls; touch new; echo changed > src/a; cat src/a\n")
            .unwrap();
        fs::write(here.join("src/a"), "one\n").unwrap();
        fs::write(here.join("secret.key"), "s").unwrap();
        fs::write(here.join(".cloudaiignore"), "*.key\n").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", here.join("out")).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(here.join("run.sh"), mode).unwrap();
        let words =
            ["task", "submit", IMAGE, "--pull", "never", "--follow", "--user", "1234", "--workdir", "./project"];
        let words = [&words[..], &["--", "./run.sh"]].concat();
        let first = cluster.run(&words).await;
        assert_eq!((first.code, first.out.as_str()), (0, "/workspace\none\nrun.sh\nsrc\nchanged\n"), "{}", first.err);
        assert!(first.err.contains("sending ") && first.err.contains("out is left out: it is a link"), "{}", first.err);
        let second = cluster.run(&words).await;
        assert_eq!((second.code, second.out), (0, first.out), "each has a copy of its own: {}", second.err);
        assert!(!second.err.contains("sending "), "{}", second.err);
        fs::write(here.join("src/a"), "two\n").unwrap();
        let third = cluster.run(&words).await;
        assert!(third.out.contains("two\n") && third.err.contains("2 of 4 contents"), "{} {}", third.out, third.err);
    }

    /// SIGKILL for worker and master while a file is sent: it is whole in the end.
    #[tokio::test]
    async fn a_large_file_arrives_whole_though_worker_and_master_die_while_it_is_sent() {
        let mut cluster = Cluster::of(docker_worker("w1")).await;
        let mut task = sh("head -c 250000000 /dev/urandom > /out/big; sha256sum /out/big | cut -d' ' -f1");
        task["storage_gb"] = serde_json::json!(1);
        task["cpu_cores"] = serde_json::json!(1);
        let id = cluster.rest.submit(task).await;
        let files = cluster.dir().join("state/bulk/files");
        let sent = |over: u64| {
            let files = files.clone();
            async move || part(&files).filter(|sent| *sent > over)
        };
        let first = until("some of it was sent", sent(1_000_000)).await;
        cluster.kill_worker("w1");
        assert!(part(&files).is_some(), "it is not whole yet");
        cluster.begin_worker("w1");
        until("more of it was sent", sent(first.max(part(&files).unwrap_or_default()))).await;
        cluster.kill_master();
        cluster.restart_master().await;
        cluster.rest.completed(&id).await;
        let hash = cluster.rest.log(&id, "").await;
        let listed = cluster.rest.get(&format!("/api/v1/tasks/{id}/files")).await;
        assert_eq!(listed["items"][0]["sha256"], hash.trim(), "{listed}");
        assert_eq!(cluster.run(&["task", "download", &id, "got"]).await.code, 0, "a download checks the hash");
    }

    /// Bytes of the file that is being sent.
    fn part(dir: &Path) -> Option<u64> {
        for entry in fs::read_dir(dir).ok()?.filter_map(Result::ok) {
            let path = entry.path();
            if path.is_dir()
                && let Some(found) = part(&path)
            {
                return Some(found);
            }
            if path.extension().is_some_and(|end| end == "part") {
                return path.metadata().ok().map(|part| part.len());
            }
        }
        None
    }
}
