//! Requests and commands that can not be followed: each has its status, its exit code and its sentence.

use crate::cluster::{Cluster, fake_worker};
use crate::process;
use crate::rest::end;
use serde_json::{Value, json};

#[tokio::test]
async fn what_no_worker_could_ever_run_is_422_or_exit_2_with_the_numbers() {
    let cluster = Cluster::of(fake_worker("w1").cpus(2.0).mem("4g")).await;
    let rows = [
        (json!({"cpu_cores": 8}), ["8", "2"], ["--cpus", "8"]),
        (json!({"memory_gb": 16}), ["16 GiB", "4 GiB"], ["--mem", "16g"]),
        (json!({"storage_gb": 4096}), ["4 TiB", "100 GiB"], ["--disk", "4096g"]),
        (json!({"gpu_cores": 1}), ["1", "0"], ["--gpus", "1"]),
        (json!({"worker_id": "w9"}), ["w9", "not known"], ["--worker", "w9"]),
    ];
    for (fields, numbers, flags) in rows {
        let mut document = fields.clone();
        document["image"] = "fake:x".into();
        let answer = cluster.rest.ask("POST", "/api/v1/tasks", Some(&document)).await;
        assert_eq!((answer.status, answer.text("code")), (422, "unsatisfiable"), "{fields}: {answer:?}");
        let words: Vec<_> = ["task", "submit", "fake:x"].into_iter().chain(flags).collect();
        let ran = cluster.run(&words).await;
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{words:?}: {}", ran.err);
        for told in [answer.text("detail"), ran.err.as_str()] {
            assert!(numbers.iter().all(|number| told.contains(number)), "{fields}: {told}");
        }
    }
    assert_eq!(cluster.rest.all_tasks().await, [] as [Value; 0], "nothing was accepted");
}

#[tokio::test]
async fn allow_pending_waits_for_a_worker_that_is_large_enough() {
    let mut cluster = Cluster::of(fake_worker("w1").cpus(2.0)).await;
    let ran = cluster.run(&["task", "submit", "fake:x", "--cpus", "8", "--allow-pending", "-o", "quiet"]).await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    let id = ran.out.trim();
    let task = cluster.rest.task(id).await;
    assert_eq!((end(&task).0, task["phase"].as_str()), ("queued", Some("unsatisfiable")), "{task:#}");
    let message = task["message"].as_str().unwrap();
    assert!(message.contains('8') && message.contains('2'), "{message}");
    cluster.rest.completed(&cluster.rest.submit(json!({"image": "fake:x"})).await).await;
    cluster.add(fake_worker("w2").cpus(16.0)).await;
    assert_eq!(cluster.rest.completed(id).await["worker_id"], "w2");
}

#[tokio::test]
async fn without_a_worker_tasks_wait_and_say_so_then_run() {
    let mut cluster = Cluster::start().await;
    let id = cluster.rest.submit(json!({"image": "fake:x", "cpu_cores": 64})).await;
    let task = cluster.rest.task(&id).await;
    assert_eq!((end(&task).0, task["phase"].as_str()), ("queued", Some("waiting_capacity")), "{task:#}");
    let message = task["message"].as_str().unwrap();
    assert!(message.contains("no worker") && message.contains("cloudai worker start"), "{message}");
    let listed = cluster.run(&["task", "list"]).await;
    assert!(listed.out.contains("queued") && listed.out.contains("waiting_capacity"), "{}", listed.out);
    cluster.add(fake_worker("w1").cpus(64.0)).await;
    cluster.rest.completed(&id).await;
}

#[tokio::test]
async fn bodies_that_are_no_task_are_refused_and_the_master_goes_on() {
    let cluster = Cluster::start().await;
    let tasks = |count: usize| json!({"tasks": vec![json!({"image": "fake:x"}); count]}).to_string().into_bytes();
    let nested = "[".repeat(100_000).into_bytes();
    let rows: [(&str, Vec<u8>, u16, &str); 15] = [
        ("/api/v1/tasks", b"{\n\"image\": busybox}".to_vec(), 400, "line 2, column"),
        ("/api/v1/tasks", b"{\"image\": \"a\"".to_vec(), 400, "no valid JSON"),
        ("/api/v1/tasks", b"\xff\xfe".to_vec(), 400, "no valid JSON"),
        ("/api/v1/tasks", Vec::new(), 400, "empty"),
        ("/api/v1/tasks", b"[]".to_vec(), 400, "expected a map"),
        ("/api/v1/tasks", b"null".to_vec(), 400, "expected a map"),
        ("/api/v1/tasks", b"{\"image\":\"a\",\"image\":\"b\"}".to_vec(), 400, "given twice"),
        ("/api/v1/tasks", nested, 400, "recursion limit"),
        ("/api/v1/tasks", vec![b' '; 16_777_217], 413, "16 MiB"),
        ("/api/v1/tasks/batch", vec![b' '; 16 * 1_048_576 + 1], 413, "16 MiB"),
        ("/api/v1/tasks/batch", tasks(1001), 400, "1 to 1,000"),
        ("/api/v1/tasks/batch", tasks(0), 400, "tasks"),
        ("/api/v1/tasks/batch", b"{\"tasks\":{}}".to_vec(), 400, "tasks"),
        ("/api/v1/tasks/batch", b"{\"tasks\":[{\"image\":\"a\"},{\"image\":\"A\"}]}".to_vec(), 400, "tasks[1].image"),
        ("/api/v1/workers", b"{\"id\":\"a b\"}".to_vec(), 400, "id"),
    ];
    for (path, body, status, said) in rows {
        let answer = cluster.rest.post_bytes(path, body).await;
        assert_eq!(answer.status, status, "{path} {said}: {answer:?}");
        assert!(answer.text("detail").contains(said), "{path} {said}: {answer:?}");
    }
    assert_eq!(cluster.rest.all_tasks().await, [] as [Value; 0], "all or none: nothing was accepted");
    cluster.rest.submit_all(vec![json!({"image": "fake:x"}); 1000]).await;
}

#[tokio::test]
async fn one_impossible_task_refuses_its_whole_batch() {
    let cluster = Cluster::of(fake_worker("w1").cpus(2.0)).await;
    let batch = json!({"tasks": [{"image": "fake:x"}, {"image": "fake:x", "cpu_cores": 3}]});
    let answer = cluster.rest.ask("POST", "/api/v1/tasks/batch", Some(&batch)).await;
    assert_eq!((answer.status, &answer.body["errors"][0]["path"]), (422, &json!("tasks[1]")), "{answer:?}");
    assert_eq!(cluster.rest.all_tasks().await, [] as [Value; 0]);
}

#[tokio::test]
async fn what_is_not_there_is_404_or_exit_5() {
    let cluster = Cluster::start().await;
    let id = "task-01JD000000000000007K3M9QZD";
    for path in ["", "/logs", "/files", "/files/x", "/cancel"] {
        let method = if path == "/cancel" { "POST" } else { "GET" };
        let answer = cluster.rest.ask(method, &format!("/api/v1/tasks/{id}{path}"), None).await;
        assert_eq!((answer.status, answer.text("code")), (404, "not_found"), "{path}: {answer:?}");
        assert!(answer.text("detail").contains(id), "{path}: {answer:?}");
    }
    for verb in ["info", "logs", "wait", "cancel", "download"] {
        for typed in [id, "7K3M9QZD"] {
            let ran = cluster.run(&["task", verb, typed]).await;
            assert_eq!((ran.code, ran.out.as_str()), (5, ""), "{verb} {typed}: {}", ran.err);
        }
    }
    for words in [["worker", "remove", "w9"], ["task", "info", "last"]] {
        let ran = cluster.run(&words).await;
        assert_eq!(ran.code, 5, "{words:?}: {}", ran.err);
    }
    for (path, status) in [("/api/v1/workers/w9", 404), ("/api/v1/nothing", 404), ("/api/v1/tasks/x", 404)] {
        assert_eq!(cluster.rest.ask("GET", path, None).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn parameters_that_are_wrong_are_refused_with_what_is_allowed() {
    let cluster = Cluster::start().await;
    let rows = [
        ("/api/v1/tasks?status=done", "status"),
        ("/api/v1/tasks?limit=0", "limit"),
        ("/api/v1/tasks?limit=1001", "limit"),
        ("/api/v1/tasks?sort=colour", "sort"),
        ("/api/v1/tasks?cursor=xyz", "cursor"),
        ("/api/v1/tasks?statsu=queued", "did you mean status"),
        ("/api/v1/queue?limit=x", "limit"),
    ];
    for (path, said) in rows {
        let answer = cluster.rest.ask("GET", path, None).await;
        assert_eq!((answer.status, answer.text("code")), (400, "invalid"), "{path}: {answer:?}");
        assert!(answer.text("detail").contains(said), "{path}: {answer:?}");
    }
}

#[tokio::test]
async fn a_master_that_went_away_is_exit_8_for_every_command() {
    let mut cluster = Cluster::start().await;
    let id = cluster.rest.submit(json!({"image": "fake:x"})).await;
    cluster.stop_master().await;
    let rows: [&[&str]; 7] = [
        &["task", "submit", "fake:x"],
        &["task", "list"],
        &["task", "info", &id],
        &["task", "logs", &id, "--follow"],
        &["task", "cancel", &id],
        &["worker", "list"],
        &["cluster", "status"],
    ];
    for words in rows {
        let ran = cluster.run(words).await;
        assert_eq!((ran.code, ran.out.as_str()), (8, ""), "{words:?}: {}", ran.err);
        assert!(ran.err.contains("no master at") && ran.err.contains(cluster.http()), "{words:?}: {}", ran.err);
    }
    // What was accepted is there when it comes back.
    cluster.restart_master().await;
    assert_eq!(end(&cluster.rest.task(&id).await).0, "queued");
}

#[tokio::test]
async fn mistakes_on_the_command_line_exit_64() {
    let dir = tempfile::tempdir().unwrap();
    let rows: [(&[&str], &str); 20] = [
        (&["master", "--port", "1"], "--port"),
        (&["master", "--grpc", "here"], "--grpc"),
        (&["master", "--strategy", "best"], "round_robin"),
        (&["master", "--store", "paper"], "sqlite"),
        (&["master", "--insecure", "--http", "0.0.0.0:0"], "can be reached by others"),
        (&["worker", "start"], "join token"),
        (&["worker", "start", "--join-token", "t", "--id", "a b"], "no worker id"),
        (&["worker", "start", "--join-token", "t", "--cpus", "-1"], "--cpus"),
        (&["worker", "start", "--join-token", "t", "--executor", "podman"], "docker or fake"),
        (&["worker", "start", "--join-token", "t", "--master", "nowhere"], "--master"),
        (&["worker", "start", "--join-token", "t", "--engine", "tcp://10.0.0.1:2375"], "another machine"),
        (&["worker", "start", "--join-token", "t", "--engine", "http://10.0.0.1"], "unix://PATH"),
        (&["worker", "start", "--join-token", "t", "--cpus", "4000"], "--cpus 4000 is more than this machine has"),
        (&["worker", "start", "--join-token", "t", "--mem", "60000g"], "is more than this machine has"),
        (&["worker", "start", "--join-token", "t", "--disk", "900000t"], "is more than this machine has"),
        (&["worker", "start", "--join-token", "t", "--gpus", "1000"], "is more than this machine has"),
        (&["master", "--log-level", "info,cloudai_mastr=debug"], "no module cloudai_mastr"),
        (&["up", "--insecure", "--http", "0.0.0.0:1"], "or leave --insecure out"),
        (&["up", "--workers", "x"], "--workers"),
        (&["task", "wait"], "<ID>"),
    ];
    for (words, said) in rows {
        let ran = process::run(dir.path(), &[], words).await;
        assert_eq!((ran.code, ran.out.as_str()), (64, ""), "{words:?}: {}", ran.err);
        assert!(ran.err.contains(said), "{words:?}: {}", ran.err);
    }
}
