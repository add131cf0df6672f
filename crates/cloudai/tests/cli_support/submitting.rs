//! Submissions: which document is posted, and that it is posted once.

use super::server::{ID, Reply, Server, ended, list, problem, task, worker};
use serde_json::{Value, json};

fn accepting() -> Server {
    Server::start(|request, _| match request.method.as_str() {
        "POST" => Reply::Json(201, task(json!({}))),
        _ if request.path.starts_with("/api/v1/workers/w1") => Reply::Json(200, worker("w1")),
        _ if request.path.starts_with("/api/v1/workers/") => problem(404, "not_found", "no such worker"),
        _ => Reply::Json(200, list(vec![worker("w1")])),
    })
}

/// The document that a command line posts.
fn posted(line: &str) -> Value {
    let server = accepting();
    let ran = server.run(line);
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (0, "7K3M9QZD  queued  waiting_capacity  waits for a place\n"),
        "{line}: {}",
        ran.err
    );
    server.asked("POST /api/v1/tasks")[0].json()
}

#[test]
fn every_spelling_of_a_submission_posts_the_same_document() {
    let expected =
        json!({"image": "a:1", "name": "n", "cpu_cores": 2.0, "memory_gb": 4.0, "storage_gb": 10.0, "gpu_cores": 1.0});
    for line in [
        "task submit a:1 --name n --cpus 2 --mem 4g --disk 10g --gpus 1",
        "task a:1 -name n -cpu_cores 2 -mem 4 -storage 10 -gpu_cores 1",
        "task a:1 --name=n --cpu_cores=2.0 --mem=4096m --storage=10 --gpu-cores=1",
        "task -name n -cpu-cores 2 -mem 4 -storage 10 -gpu_cores 1 a:1",
    ] {
        assert_eq!(posted(line), expected, "{line}");
    }
}

#[test]
fn every_field_has_its_flag() {
    let line = "task submit a --env A=1 --env B= --workdir /w --user 1:2 --entrypoint sh --entrypoint -c --label k=v \
                --priority -5 --timeout 1h --pull-timeout 90s --kill-after 0 --queue-timeout 5m --total-timeout 2d \
                --estimate 90m --deadline 2026-01-31T18:00:00Z --not-before 2026-01-31T08:00:00Z --hold --on-disconnect keep \
                --retries 5 --retry-on exit=3,exit=4,oom,worker-lost --retry-on pull --retry-delay 10s --worker w1 --constraint zone=eu --constraint !slow --prefer rack=1=-80 --prefer exists_ssd=x --apart worker.id --apart rack --spread zone --spread disk=7 --allow-pending \
                --idempotency-key k1 --network bridge --pull always --shm-size 64m --tmpfs /c=1g --read-only --collect *.csv --collect /data/x --input task:task-00000000000000000000000007/a:/d/a:rw -v /data:/mnt --volume scratch:/s:rw --secret token --secret key:/etc/key --secret-env DB=db \
                --gpus 0.5 --gpu-model a100 --request gpus=1,mem=8g,gpu-model=t4 --request cpus=8 -- run --cpus -mem 3";
    let mut expected = json!({
        "image": "a", "env": {"A": "1", "B": ""}, "workdir": "/w", "user": "1:2", "entrypoint": ["sh", "-c"],
        "labels": {"k": "v"}, "priority": -5, "timeout_s": 3600, "pull_timeout_s": 90, "kill_after_s": 0,
        "queue_timeout_s": 300, "total_timeout_s": 172_800, "estimate_s": 5400, "deadline": "2026-01-31T18:00:00Z",
        "not_before": "2026-01-31T08:00:00Z", "hold": true, "on_disconnect": "keep",
        "retries": {"max": 5, "on": ["oom", "worker_lost", "image_pull", {"exit_code": [3, 4]}], "initial_s": 10},
        "worker_id": "w1", "constraints": ["zone=eu", "!slow"],
        "affinity": [{"expr": "rack=1", "weight": -80}, {"expr": "exists_ssd=x"}], "anti_affinity": ["worker.id", "rack"],
        "spread": [{"label": "zone"}, {"label": "disk", "weight": 7}], "allow_pending": true, "idempotency_key": "k1", "network": "bridge",
        "pull_policy": "always", "shm_size": "64m", "tmpfs": {"/c": "1g"}, "read_only_root": true, "outputs": ["*.csv", "/data/x"],
        "inputs": [{"from": "task:task-00000000000000000000000007/a", "path": "/d/a", "writable": true}],
        "volumes": [
            {"host_path": "/data", "container_path": "/mnt"},
            {"volume": "scratch", "container_path": "/s", "read_only": false},
        ],
        "secrets": [
            {"name": "token", "file": "/run/secrets/token"}, {"name": "key", "file": "/etc/key"}, {"name": "db", "env": "DB"},
        ],
        "gpu_cores": 0.5, "gpu_model": "a100", "command": ["run", "--cpus", "-mem", "3"]
    });
    expected["requests"] = json!([{"gpu_cores": 1.0, "memory_gb": 8.0, "gpu_model": "t4"}, {"cpu_cores": 8.0}]);
    assert_eq!(posted(line), expected);
    assert_eq!(posted("task submit a --retry-on exit"), json!({"image": "a", "retries": {"on": ["exit_code"]}}));
    assert_eq!(posted("task submit a --not-before 1h30m"), json!({"image": "a", "not_before": 5400}));
    assert_eq!(posted("task submit a --deadline 2h"), json!({"image": "a", "deadline": 7200}));
}

#[test]
fn an_array_and_what_is_waited_for_are_typed() {
    let (one, other) = ("task-00000000000000000000000007", "task-00000000000000000000000008");
    let line = format!("task submit a --array 0-9%2 --after {one} --after {other}:any --dry-run");
    let document: Value = serde_json::from_str(&accepting().run(&line).out).unwrap();
    let expected = json!({
        "image": "a", "array": "0-9%2", "depends_on": [{"task": one}, {"task": other, "when": "any"}]
    });
    assert_eq!(document, expected);
    let server = accepting();
    let text = format!("image: a\neach: {{lines: items.txt}}\ndepends_on: {one}\n");
    std::fs::write(server.dir().join("t.yaml"), text).unwrap();
    std::fs::write(server.dir().join("items.txt"), "x\ny\n").unwrap();
    let ran = server.run(&format!("task submit --file t.yaml --after {other} --dry-run"));
    let document: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(document, json!({"image": "a", "each": ["x", "y"], "depends_on": [one, {"task": other}]}));
    for (flags, said) in [
        ("--array 0", "--array (array)"),
        ("--array 3 --follow", "cloudai job logs last --follow"),
        ("--after 9QZD:ok", "success, failure, any"),
    ] {
        let ran = accepting().run(&format!("task submit a {flags}"));
        assert!(ran.code == 64 && ran.err.contains(said), "{flags}: {}", ran.err);
    }
}

#[test]
fn an_array_that_was_submitted_is_told_by_its_job() {
    let job = "job-00000000000000000000000006";
    let counts = json!({
        "total": 3, "queued": 3, "pending": 0, "running": 0, "completed": 0, "failed": 0, "cancelled": 0
    });
    let server = Server::always(201, task(json!({"job_id": job, "array": counts})));
    let ran = server.run("task submit a --array 3");
    assert_eq!((ran.code, ran.out.as_str()), (0, format!("{job}\n").as_str()), "{}", ran.err);
    assert!(ran.err.contains("an array of 3 tasks"), "{}", ran.err);
    assert_eq!(server.asked("POST /api/v1/tasks")[0].json(), json!({"image": "a", "array": 3}));
}

#[test]
fn a_file_that_names_a_template_says_nothing_else() {
    let server = accepting();
    std::fs::write(server.dir().join("t.yaml"), "template: train\nparams: {lr: 1}\n").unwrap();
    let document: Value = serde_json::from_str(&server.run("task submit --file t.yaml --dry-run").out).unwrap();
    assert_eq!(document, json!({"template": "train", "params": {"lr": 1}}));
    let ran = server.run("task submit --file t.yaml --cpus 2");
    assert!(ran.code == 64 && ran.err.contains("--cpus (cpu_cores): can not be beside template"), "{}", ran.err);
}

#[test]
fn constraints_of_flags_are_added_to_those_of_the_file_and_a_preference_takes_the_place_of_its_twin() {
    let server = accepting();
    let text = "image: a\nconstraints: [zone = eu]\naffinity: [{expr: rack=1, weight: 5}, {expr: disk=ssd}]\n";
    std::fs::write(server.dir().join("t.yaml"), text).unwrap();
    let line = "task submit --file t.yaml --constraint !slow --prefer rack=1=9 --dry-run";
    let document: Value = serde_json::from_str(&server.run(line).out).unwrap();
    let expected = json!({
        "image": "a", "constraints": ["zone = eu", "!slow"],
        "affinity": [{"expr": "disk=ssd"}, {"expr": "rack=1", "weight": 9}]
    });
    assert_eq!(document, expected);
}

#[test]
fn dispatch_and_the_old_two_words_pin_the_worker() {
    let expected = json!({"image": "a", "cpu_cores": 2.0, "worker_id": "w1"});
    assert_eq!(posted("dispatch w1 a -cpu_cores 2"), expected);
    assert_eq!(posted("task w1 a -cpu_cores 2"), expected);
    let ran = accepting().run("task w1 a");
    assert!(ran.err.contains("cloudai dispatch w1 a"), "{}", ran.err);
    let server = accepting();
    let ran = server.run("task busybox date");
    assert_eq!((ran.code, server.asked("POST /api/v1/tasks").len()), (64, 0));
    assert!(ran.err.contains("cloudai task submit busybox -- date"), "{}", ran.err);
}

#[test]
fn a_file_of_each_format_is_read_and_flags_win() {
    let server = accepting();
    let files = [
        ("t.json", "{\"image\": \"a\", \"env\": {\"A\": \"1\"}, \"priority\": 3}"),
        ("t.yaml", "image: a\nenv: {A: \"1\"}\npriority: 3\n"),
        ("t.toml", "image = \"a\"\npriority = 3\n[env]\nA = \"1\"\n"),
    ];
    for (name, text) in files {
        std::fs::write(server.dir().join(name), text).unwrap();
        let ran = server.run(&format!("task submit --file {name} --env B=2 --priority 4 --dry-run"));
        let document: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(document, json!({"image": "a", "env": {"A": "1", "B": "2"}, "priority": 4}), "{name}");
    }
    assert!(server.seen().is_empty(), "a dry run asked the master");
}

#[test]
fn a_time_in_toml_needs_no_quotes() {
    let server = accepting();
    std::fs::write(server.dir().join("t.toml"), "image = \"a\"\nnot_before = 2026-01-31T08:00:00Z\n").unwrap();
    let ran = server.run("task submit --file t.toml --dry-run");
    let document: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(document, json!({"image": "a", "not_before": "2026-01-31T08:00:00Z"}), "{}", ran.err);
}

#[test]
fn every_wrong_field_is_told_before_anything_is_sent() {
    let server = accepting();
    std::fs::write(server.dir().join("t.yaml"), "image: a\nmemroy_gb: 1\nttl_after_finish_s: 1\n").unwrap();
    let ran = server.run("task submit --file t.yaml --cpus 0 --priority 101");
    assert_eq!((ran.code, server.seen().len()), (64, 0));
    for said in [
        "memroy_gb: is no field of a task: did you mean memory_gb?",
        "ttl_after_finish_s: is not supported by this version yet",
        "--cpus (cpu_cores): 0 is out of range",
        "--priority (priority): 101 must be a whole number from -100 to 100",
    ] {
        assert!(ran.err.contains(said), "{said}: {}", ran.err);
    }
}

#[test]
fn a_lost_connection_repeats_the_submission_under_one_key() {
    let server = Server::start(|_, before| match before {
        0 => Reply::Hang,
        1 => problem(503, "unavailable", "busy"),
        _ => Reply::Json(200, task(json!({}))),
    });
    let ran = server.run("task submit busybox -o quiet");
    assert_eq!((ran.code, ran.out), (0, format!("{ID}\n")), "{}", ran.err);
    let keys: Vec<_> = server.seen().into_iter().map(|request| request.key.unwrap()).collect();
    assert!(keys.len() == 3 && keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    let again = Server::always(201, task(json!({})));
    again.run("task submit busybox");
    assert_ne!(again.seen()[0].key.as_ref(), Some(&keys[0]), "each invocation has its own key");
}

#[test]
fn a_submission_that_waits_ends_as_its_task() {
    let rows = [
        (ended("completed", None, Some(0)), "", 0),
        (ended("failed", Some("exit_code"), Some(9)), "", 3),
        (ended("failed", Some("exit_code"), Some(9)), "--propagate-exit", 9),
        (task(json!({})), "--wait-timeout 0", 4),
    ];
    for (outcome, flags, code) in rows {
        let server = Server::start(move |request, _| match request.method.as_str() {
            "POST" => Reply::Json(201, task(json!({}))),
            _ => Reply::Json(200, outcome.clone()),
        });
        let ran = server.run(&format!("task submit busybox --wait {flags}"));
        assert_eq!(ran.code, code, "{flags}: {}", ran.err);
    }
}
