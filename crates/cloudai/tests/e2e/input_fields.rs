//! Every field of a task that can be given wrongly, by REST and by the command line alike.

use crate::cluster::{Cluster, fake_worker};
use cloudai_core::spec::{LATER, LIVE};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The hash of nothing that is kept.
const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Field, value, path that is named, part of what is said.
type Row = (&'static str, Value, &'static str, &'static str);

/// What the command line takes for paths of its machine.
fn paths() -> Vec<Row> {
    vec![
        ("workdir", json!("data"), "workdir", "absolute path"),
        ("inputs", json!([{"from": "/data/a", "path": "/a"}]), "inputs[0].from", "expected task:ID"),
        ("inputs", json!([{"from": "a", "path": "/a"}]), "inputs[0].from", "expected task:ID"),
    ]
}

fn texts() -> Vec<Row> {
    let long = |length: usize| Value::from("x".repeat(length));
    vec![
        ("image", json!(null), "image", "is missing"),
        ("image", json!(""), "image", "is empty"),
        ("image", json!(7), "image", "must be a text"),
        ("image", json!("A B"), "image", "no image reference"),
        ("image", json!("busybox:.x"), "image", "bad tag"),
        ("image", json!("busybox@sha256:12"), "image", "bad digest"),
        ("image", json!("bad_host:x/y/z"), "image", "bad registry host"),
        ("image", long(513), "image", "longer than 512"),
        ("name", json!(1), "name", "must be a text"),
        ("name", json!(""), "name", "must not be empty"),
        ("name", json!("a\nb"), "name", "control characters"),
        ("name", long(201), "name", "longer than 200"),
        ("workdir", json!(true), "workdir", "must be a text"),
        ("workdir", json!("/a/../b"), "workdir", "absolute path"),
        ("user", json!(0), "user", "must be a text"),
        ("user", json!(""), "user", "must not be empty"),
        ("idempotency_key", json!(1), "idempotency_key", "must be a text"),
        ("idempotency_key", json!(""), "idempotency_key", "must not be empty"),
        ("idempotency_key", long(201), "idempotency_key", "longer than 200"),
        ("worker_id", json!(1), "worker_id", "must be a text"),
        ("worker_id", json!("a b"), "worker_id", ""),
        ("worker_id", json!(""), "worker_id", ""),
        ("network", json!("host"), "network", "none, bridge"),
        ("network", json!(false), "network", "none, bridge"),
        ("pull_policy", json!("sometimes"), "pull_policy", "missing, always, never"),
        ("pull_policy", json!(1), "pull_policy", "missing, always, never"),
        ("allow_pending", json!("yes"), "allow_pending", "true or false"),
        ("allow_pending", json!(1), "allow_pending", "true or false"),
        ("hold", json!("yes"), "hold", "true or false"),
        ("hold", json!(1), "hold", "true or false"),
        ("on_disconnect", json!("run"), "on_disconnect", "stop, keep"),
        ("on_disconnect", json!(true), "on_disconnect", "stop, keep"),
        ("not_before", json!("tomorrow"), "not_before", "a time with its zone"),
        ("not_before", json!("2026-01-31T08:00:00"), "not_before", "a time with its zone"),
        ("not_before", json!("2026-02-30T08:00:00Z"), "not_before", "no calendar has"),
        ("not_before", json!(true), "not_before", "a time with its zone"),
        ("not_before", json!(-1), "not_before", "0 to 31536000 seconds"),
        ("estimate_s", json!("long"), "estimate_s", "must be a number"),
        ("estimate_s", json!(0), "estimate_s", "0.001 to 31536000 seconds"),
        ("estimate_s", json!(31_536_001), "estimate_s", "0.001 to 31536000 seconds"),
        ("deadline", json!("tomorrow"), "deadline", "a time with its zone"),
        ("deadline", json!(0), "deadline", "0.001 to 31536000 seconds"),
        ("read_only_root", json!("no"), "read_only_root", "true or false"),
    ]
}

fn numbers() -> Vec<Row> {
    vec![
        ("cpu_cores", json!("2"), "cpu_cores", "must be a number"),
        ("cpu_cores", json!(0), "cpu_cores", "0.001 to 4096"),
        ("cpu_cores", json!(-1), "cpu_cores", "0.001 to 4096"),
        ("cpu_cores", json!(4096.5), "cpu_cores", "0.001 to 4096"),
        ("cpu_cores", json!(1e300), "cpu_cores", "0.001 to 4096"),
        ("memory_gb", json!("4g"), "memory_gb", "must be a number"),
        ("memory_gb", json!(0.005), "memory_gb", "6 MiB to 64 TiB"),
        ("memory_gb", json!(-0.5), "memory_gb", "6 MiB to 64 TiB"),
        ("memory_gb", json!(65537), "memory_gb", "6 MiB to 64 TiB"),
        ("storage_gb", json!([]), "storage_gb", "must be a number"),
        ("storage_gb", json!(-1), "storage_gb", "0 to 1 PiB"),
        ("storage_gb", json!(1_048_577), "storage_gb", "0 to 1 PiB"),
        ("gpu_cores", json!("1"), "gpu_cores", "must be a number"),
        ("gpu_cores", json!(-1), "gpu_cores", "0 to 1024"),
        ("gpu_cores", json!(1025), "gpu_cores", "0 to 1024"),
        ("gpu_cores", json!(1.5), "gpu_cores", "whole devices above 1"),
        ("gpu_model", json!("a100"), "gpu_model", "needs gpu_cores"),
        ("gpu_model", json!(1), "gpu_model", "must be a text"),
        ("priority", json!(101), "priority", "-100 to 100"),
        ("priority", json!(-101), "priority", "-100 to 100"),
        ("priority", json!(1.5), "priority", "whole number"),
        ("priority", json!("high"), "priority", "whole number"),
        ("timeout_s", json!(0), "timeout_s", "out of range"),
        ("timeout_s", json!(-1), "timeout_s", "out of range"),
        ("timeout_s", json!(31_536_001), "timeout_s", "31536000 seconds"),
        ("timeout_s", json!("1h"), "timeout_s", "must be a number"),
        ("pull_timeout_s", json!(0), "pull_timeout_s", "out of range"),
        ("pull_timeout_s", json!(31_536_001), "pull_timeout_s", "31536000 seconds"),
        ("pull_timeout_s", json!({}), "pull_timeout_s", "must be a number"),
        ("queue_timeout_s", json!(0), "queue_timeout_s", "out of range"),
        ("queue_timeout_s", json!(31_536_001), "queue_timeout_s", "31536000 seconds"),
        ("queue_timeout_s", json!("1h"), "queue_timeout_s", "must be a number"),
        ("total_timeout_s", json!(0), "total_timeout_s", "out of range"),
        ("total_timeout_s", json!(31_536_001), "total_timeout_s", "31536000 seconds"),
        ("total_timeout_s", json!([]), "total_timeout_s", "must be a number"),
        ("kill_after_s", json!(-1), "kill_after_s", "0 to 60"),
        ("kill_after_s", json!(61), "kill_after_s", "0 to 60"),
        ("kill_after_s", json!("10s"), "kill_after_s", "must be a number"),
        ("shm_size", json!(0), "shm_size", "1 byte to 64 TiB"),
        ("shm_size", json!(-1), "shm_size", "1 byte to 64 TiB"),
        ("shm_size", json!(1.5), "shm_size", "1 byte to 64 TiB"),
        ("shm_size", json!("lots"), "shm_size", "1 byte to 64 TiB"),
    ]
}

/// What it is given of its worker's host and of stored secrets.
fn given() -> Vec<Row> {
    vec![
        ("volumes", json!({}), "volumes", "list of volumes"),
        ("volumes", json!(["/data"]), "volumes[0]", "must be a map"),
        ("volumes", json!([{"container_path": "/a"}]), "volumes[0].host_path", "is missing"),
        ("volumes", json!([{"host_path": "data", "container_path": "/a"}]), "volumes[0].host_path", "absolute path"),
        ("volumes", json!([{"host_path": "/a/../b", "container_path": "/a"}]), "volumes[0].host_path", "absolute path"),
        ("volumes", json!([{"volume": "a b", "container_path": "/a"}]), "volumes[0].volume", "beginning with a letter"),
        ("volumes", json!([{"host_path": "/a", "volume": "a", "container_path": "/a"}]), "volumes[0].volume", "beside"),
        ("volumes", json!([{"host_path": "/a"}]), "volumes[0].container_path", "is missing"),
        ("volumes", json!([{"host_path": "/a", "container_path": "a"}]), "volumes[0].container_path", "absolute path"),
        ("volumes", json!([{"host_path": "/a", "container_path": "/dev/shm"}]), "volumes[0].container_path", "/dev"),
        (
            "volumes",
            json!([{"host_path": "/a", "container_path": "/a", "read_only": 1}]),
            "volumes[0].read_only",
            "true or false",
        ),
        (
            "volumes",
            json!([{"host_path": "/a", "container_path": "/a"}, {"volume": "b", "container_path": "/a/b"}]),
            "volumes[1].container_path",
            "in the way of \"/a\" (volumes[0].container_path)",
        ),
        ("volumes", json!([{"host_path": "/a", "container_path": "/a", "mode": 1}]), "volumes[0].mode", "no field"),
        ("secrets", json!({}), "secrets", "list of secrets"),
        ("secrets", json!(["token"]), "secrets[0]", "must be a map"),
        ("secrets", json!([{"file": "/a"}]), "secrets[0].name", "is missing"),
        ("secrets", json!([{"name": "a b"}]), "secrets[0].name", "beginning with a letter"),
        ("secrets", json!([{"name": "a", "file": "b"}]), "secrets[0].file", "absolute path"),
        ("secrets", json!([{"name": "a", "env": "A=B"}]), "secrets[0].env", "name of a variable"),
        ("secrets", json!([{"name": "a", "env": "CLOUDAI_A"}]), "secrets[0].env", "worker sets itself"),
        ("secrets", json!([{"name": "a", "env": "A", "file": "/a"}]), "secrets[0].env", "beside"),
        ("secrets", json!([{"name": "a"}, {"name": "a"}]), "secrets[1].file", "(secrets[0].file)"),
        (
            "secrets",
            json!([{"name": "a", "env": "A"}, {"name": "b", "env": "A"}]),
            "secrets[1].env",
            "(secrets[0].env)",
        ),
        ("secrets", json!([{"name": "a", "value": "x"}]), "secrets[0].value", "no field"),
        ("secrets", json!([{"name": "never-stored"}]), "secrets[0].name", "is not stored"),
    ]
}

fn lists_and_maps() -> Vec<Row> {
    vec![
        ("command", json!("echo hi"), "command", "list of texts"),
        ("command", json!(["echo", 1]), "command[1]", "must be a text"),
        ("command", json!(["a\u{0}b"]), "command[0]", "NUL"),
        ("args", json!({}), "args", "list of texts"),
        ("args", json!([null]), "args[0]", "must be a text"),
        ("args", json!(vec!["x"; 4097]), "args", "more than 4096"),
        ("entrypoint", json!("sh"), "entrypoint", "list of texts"),
        ("entrypoint", json!([["sh"]]), "entrypoint[0]", "must be a text"),
        ("env", json!(["A=1"]), "env", "must be a map"),
        ("env", json!({"A": [1]}), "env.A", "must be a text"),
        ("env", json!({"A": null}), "env.A", "must be a text"),
        ("env", json!({"A": "a\u{0}"}), "env.A", "NUL"),
        ("env", json!({"A=B": "1"}), "env.A=B", "no name of a variable"),
        ("env", json!({"": "1"}), "env.", "no name of a variable"),
        ("env", json!({"CLOUDAI_TASK_ID": "1"}), "env.CLOUDAI_TASK_ID", "worker sets itself"),
        ("labels", json!("a=b"), "labels", "must be a map"),
        ("labels", json!({"a b": "1"}), "labels.a b", "no label name"),
        ("labels", json!({"a": {}}), "labels.a", "must be a text"),
        ("retries", json!(3), "retries", "must be a map with any of max, on, initial_s, factor, max_s"),
        ("retries", json!({"maximum": 3}), "retries.maximum", "is no field of retries"),
        ("retries", json!({"max": 101}), "retries.max", "from 0 to 100"),
        ("retries", json!({"max": -1}), "retries.max", "from 0 to 100"),
        ("retries", json!({"max": 1.5}), "retries.max", "from 0 to 100"),
        ("retries", json!({"on": []}), "retries.on", "list of causes"),
        ("retries", json!({"on": "oom"}), "retries.on", "list of causes"),
        ("retries", json!({"on": ["oom", "timeout"]}), "retries.on[1]", "is no cause"),
        ("retries", json!({"on": [{"exit_code": []}]}), "retries.on[0]", "is no cause"),
        ("retries", json!({"on": [{"exit_code": [1, 0]}]}), "retries.on[0].exit_code[1]", "from 1 to 255"),
        ("retries", json!({"on": [{"exit_code": [256]}]}), "retries.on[0].exit_code[0]", "from 1 to 255"),
        ("retries", json!({"initial_s": -1}), "retries.initial_s", "out of range"),
        ("retries", json!({"initial_s": 10, "max_s": 9}), "retries.max_s", "shorter than initial_s"),
        ("retries", json!({"factor": 0.5}), "retries.factor", "1 to 100"),
        ("tmpfs", json!(["/tmp"]), "tmpfs", "must be a map"),
        ("tmpfs", json!({"/cache": "big"}), "tmpfs./cache", "1 byte to 64 TiB"),
        ("tmpfs", json!({"cache": "1m"}), "tmpfs.cache", "absolute path"),
        ("tmpfs", json!({"/out": "1m"}), "tmpfs./out", "neither / nor /out"),
        ("outputs", json!("*.csv"), "outputs", "list of texts"),
        ("outputs", json!(["*.csv", 1]), "outputs[1]", "must be a text"),
        ("outputs", json!([""]), "outputs[0]", "1 to 1024 bytes"),
        ("outputs", json!(["../x"]), "outputs[0]", ". or .."),
        ("outputs", json!(["/**/*.csv"]), "outputs[0]", "whole image"),
        ("outputs", json!(["a["]), "outputs[0]", "is no pattern"),
        ("outputs", json!(vec!["x"; 65]), "outputs", "more than 64"),
        ("inputs", json!({}), "inputs", "list of inputs"),
        ("inputs", json!(["a"]), "inputs[0]", "must be a map"),
        ("inputs", json!([{"from": "task:x", "path": "/a"}]), "inputs[0].from", "no task"),
        ("inputs", json!([{"from": "https://example.org/a", "path": "/a"}]), "inputs[0].from", "must name its content"),
        ("inputs", json!([{"from": "blob:12", "path": "/a"}]), "inputs[0].from", "64 digits"),
        ("inputs", json!([{"path": "/a"}]), "inputs[0].from", "is missing"),
        ("inputs", json!([{"from": format!("blob:{ZEROS}")}]), "inputs[0].path", "is missing"),
        ("inputs", json!([{"from": format!("blob:{ZEROS}"), "path": "a"}]), "inputs[0].path", "absolute path"),
        ("inputs", json!([{"from": format!("blob:{ZEROS}"), "path": "/a/../b"}]), "inputs[0].path", "absolute path"),
        ("inputs", json!([{"from": format!("blob:{ZEROS}"), "path": "/out/a"}]), "inputs[0].path", "nor lie in /out"),
        (
            "inputs",
            json!([{"from": format!("blob:{ZEROS}"), "path": "/a", "to": 1}]),
            "inputs[0].to",
            "no field of inputs",
        ),
        (
            "inputs",
            json!([{"from": format!("blob:{ZEROS}"), "path": "/a", "writable": 1}]),
            "inputs[0].writable",
            "true or false",
        ),
        ("inputs", json!([{"from": format!("blob:{ZEROS}"), "path": "/a"}]), "inputs[0].from", "is not kept"),
        ("inputs", json!([{"from": format!("tree:{ZEROS}"), "path": "/a"}]), "inputs[0].from", "is not kept"),
        ("env", json!({"A": "x".repeat(262_144)}), "task", "at most 262144"),
    ]
}

/// Which worker it may have, and which it would rather.
fn placement() -> Vec<Row> {
    let missing = json!([{"op": "in", "values": ["eu"]}]);
    let twins = json!([{"gpu_cores": 1}, {"cpu_cores": 8}, {"cpu_cores": 1, "gpu_cores": 1}]);
    vec![
        ("requests", json!({"cpu_cores": 8}), "requests", "list of requests"),
        ("requests", json!([{"cpu_cores": 8}]), "requests", "fewer than 2"),
        ("requests", json!([{}, 8]), "requests[1]", "must be a map"),
        ("requests", json!([{}, {"cpus": 8}]), "requests[1].cpus", "no field of requests"),
        ("requests", json!([{}, {"cpu_cores": 0}]), "requests[1].cpu_cores", "0.001 to 4096"),
        ("requests", json!([{}, {"gpu_model": "t4"}]), "requests[1].gpu_model", "needs gpu_cores"),
        ("requests", twins, "requests[2]", "the same as requests[0]"),
        ("requests", json!(vec![json!({}); 9]), "requests", "more than 8"),
        ("constraints", json!("zone = eu"), "constraints", "list of constraints"),
        ("constraints", json!(["zone = eu", "zone ~ eu"]), "constraints[1]", "expected zone = eu"),
        ("constraints", json!(["zone = eu, us"]), "constraints[0]", "no value of a label"),
        ("constraints", json!([7]), "constraints[0]", "must be a text"),
        ("constraints", missing, "constraints[0].label", "is missing"),
        ("constraints", json!([{"label": "a b", "op": "exists"}]), "constraints[0].label", "no label name"),
        ("constraints", json!([{"label": "zone", "op": "like"}]), "constraints[0].op", "one of ="),
        ("constraints", json!([{"label": "zone", "op": "in"}]), "constraints[0]", "takes values"),
        ("constraints", json!(vec!["exists zone"; 33]), "constraints", "more than 32"),
        ("affinity", json!({}), "affinity", "list of preferences"),
        ("affinity", json!(["zone = eu"]), "affinity[0]", "must be a map"),
        ("affinity", json!([{"weight": 5}]), "affinity[0].expr", "is missing"),
        ("affinity", json!([{"expr": "zone"}]), "affinity[0].expr", "expected zone = eu"),
        ("affinity", json!([{"expr": "zone = eu", "weight": 0}]), "affinity[0].weight", "not 0"),
        ("affinity", json!([{"expr": "zone = eu", "weight": 1.5}]), "affinity[0].weight", "-100 to 100"),
        ("anti_affinity", json!("zone"), "anti_affinity", "list of labels"),
        ("anti_affinity", json!(["zone", 7]), "anti_affinity[1]", "must be a text"),
        ("anti_affinity", json!(["a b"]), "anti_affinity[0]", "no label name"),
        ("anti_affinity", json!(["zone", "zone"]), "anti_affinity[1]", "named before"),
        ("anti_affinity", json!(vec!["zone"; 9]), "anti_affinity", "more than 8"),
        ("spread", json!({}), "spread", "list of labels"),
        ("spread", json!([7]), "spread[0]", "must be a text"),
        ("spread", json!([{"weight": 7}]), "spread[0].label", "is missing"),
        ("spread", json!([{"label": "zone", "weight": 0}]), "spread[0].weight", "1 to 100"),
        ("spread", json!(["zone", "zone"]), "spread[1]", "named before"),
    ]
}

fn document(field: &str, value: Value) -> Value {
    let mut document = json!({"image": "fake:x"});
    document[field] = value;
    document
}

#[tokio::test]
async fn every_wrong_field_is_400_with_its_name_and_what_is_allowed() {
    let cluster = Cluster::of(fake_worker("w1")).await;
    let rows = texts().into_iter().chain(numbers()).chain(lists_and_maps()).chain(given()).chain(placement());
    let rows: Vec<_> = rows.chain(paths()).collect();
    let covered: BTreeSet<_> = rows.iter().map(|(field, ..)| *field).collect();
    assert_eq!(covered, LIVE.iter().copied().collect(), "a field has no row here");
    for (field, value, path, said) in rows {
        let shown: String = value.to_string().chars().take(60).collect();
        let answer = cluster.rest.ask("POST", "/api/v1/tasks", Some(&document(field, value))).await;
        assert_eq!((answer.status, answer.text("code")), (400, "invalid"), "{field} {shown}: {answer:?}");
        let errors = answer.body["errors"].as_array().unwrap();
        let found = errors.iter().find(|error| error["path"] == path).unwrap_or_else(|| panic!("{field}: {answer:?}"));
        assert!(found["problem"].as_str().unwrap().contains(said), "{field} {shown}: {found}");
        assert!(answer.text("detail").contains(path), "{field} {shown}: {answer:?}");
    }
    assert_eq!(cluster.rest.all_tasks().await, [] as [Value; 0], "nothing was accepted");
    cluster.rest.completed(&cluster.rest.submit(json!({"image": "fake:x"})).await).await;
}

#[tokio::test]
async fn the_command_line_says_the_same_before_it_asks_anyone() {
    let cluster = Cluster::start().await;
    let rows: [(&[&str], &str); 52] = [
        (&["--cpus", "0"], "--cpus (cpu_cores): 0 is"),
        (&["--cpus", "5000"], "0.001 to 4096"),
        (&["--cpus", "two"], "--cpus"),
        (&["--mem", "1m"], "6 MiB to 64 TiB"),
        (&["--mem", "lots"], "--mem"),
        (&["--disk", "2000000g"], "storage_gb"),
        (&["--gpus", "1.5"], "whole devices"),
        (&["--gpu-model", "a100"], "needs gpu_cores"),
        (&["--priority", "101"], "-100 to 100"),
        (&["--timeout", "0s"], "timeout_s"),
        (&["--pull-timeout", "2y"], "--pull-timeout"),
        (&["--kill-after", "61s"], "0 to 60"),
        (&["--queue-timeout", "0s"], "queue_timeout_s"),
        (&["--total-timeout", "366d"], "total_timeout_s"),
        (&["--not-before", "2026-01-31"], "a time with its zone"),
        (&["--not-before", "2026-13-31T08:00:00Z"], "--not-before (not_before): \"2026-13-31T08:00:00Z\" names a day"),
        (&["--not-before", "2026-01-31T08:00:00"], "its zone at the end"),
        (&["--not-before", "soon"], "or a time with its zone"),
        (&["--estimate", "0s"], "--estimate (estimate_s): 0 is out of range"),
        (&["--deadline", "soon"], "or a time with its zone"),
        (&["--retries", "101"], "from 0 to 100"),
        (&["--retry-on", "timeout"], "--retry-on <CAUSES>': it is no cause: there are exit, exit=CODE"),
        (&["--retry-on", "exit=x"], "from 1 to 255"),
        (&["--network", "host"], "none, bridge"),
        (&["--pull", "now"], "missing, always, never"),
        (&["--workdir", "/a/../b"], "absolute path"),
        (&["--workdir", "here"], "/here can not be sent"),
        (&["--input", "here:/a"], "/here can not be sent"),
        (&["--input", "."], "needs a place"),
        (&["--input", "task:x/a"], "--input (inputs[0].from)"),
        (&["--volume", "data:/a:/b"], "expected /FOLDER"),
        (&["--volume", "/a/../b:/a"], "--volume (volumes[0].host_path)"),
        (&["--secret", "a b"], "--secret (secrets[0].name)"),
        (&["--secret-env", "token"], "expected VARIABLE=NAME"),
        (&["--secret-env", "CLOUDAI_A=token"], "--secret-env (secrets[0].env)"),
        (&["--secret-env", "A=a b"], "--secret-env (secrets[0].name)"),
        (&["--secret-env", "A=a", "-e", "A=1"], "in the way of \"A\" (env.A)"),
        (&["--volume", "./data:/x:ro"], "--input ./data:/x"),
        (&["--volume", "/a:/c", "--tmpfs", "/c=1m"], "in the way of \"/c\" (tmpfs./c)"),
        (&["--volume", "/a:/c", "--secret", "a:/c/k"], "(volumes[0].container_path)"),
        (&["--collect", "../x"], "--collect (outputs[0])"),
        (&["--label", "a b=1"], "no label name"),
        (&["--constraint", "zone ~ eu"], "--constraint (constraints[0]): \"zone ~ eu\" is no constraint"),
        (&["--constraint", "zone = eu, us"], "no value of a label"),
        (&["--prefer", "zone"], "--prefer (affinity[0].expr)"),
        (&["--prefer", "zone = eu=101"], "-100 to 100"),
        (&["--apart", "a b"], "--apart (anti_affinity[0])"),
        (&["--spread", "zone=eu"], "expected LABEL or LABEL=WEIGHT"),
        (&["--spread", "zone=101"], "--spread (spread[0].weight)"),
        (&["--env", "CLOUDAI_X=1"], "worker sets itself"),
        (&["--request", "gpus=1"], "--request (requests)"),
        (&["--request", "gpus=1", "--request", "cores=8"], "\"cores=8\" is no amount"),
    ];
    for (flags, said) in rows {
        let words: Vec<_> = ["task", "submit", "fake:x"].iter().chain(flags).copied().collect();
        let ran = cluster.run(&words).await;
        assert_eq!((ran.code, ran.out.as_str()), (64, ""), "{words:?}: {}", ran.err);
        assert!(ran.err.contains(said), "{words:?}: {}", ran.err);
    }
    let file = cluster.dir().join("task.json");
    let rows = texts().into_iter().chain(numbers()).chain(lists_and_maps()).chain(given()).chain(placement());
    for (field, value, path, said) in rows {
        std::fs::write(&file, document(field, value).to_string()).unwrap();
        let ran = cluster.run(&["task", "submit", "--file", "task.json"]).await;
        assert_eq!(ran.code, 64, "{field}: {}", ran.err);
        assert!(ran.err.contains(&format!("{path}: ")) && ran.err.contains(said), "{field} {said}: {}", ran.err);
    }
    assert_eq!(cluster.rest.all_tasks().await, [] as [Value; 0]);
}

#[test]
fn every_field_that_is_live_stands_in_the_documentation_and_no_other() {
    let text = include_str!("../../../../docs/task-file.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    assert_eq!(rows.collect::<Vec<_>>(), LIVE);
}

#[tokio::test]
async fn fields_that_are_still_to_come_are_refused_and_say_so() {
    let cluster = Cluster::start().await;
    for (field, feature) in LATER {
        let answer = cluster.rest.ask("POST", "/api/v1/tasks", Some(&document(field, json!(1)))).await;
        assert_eq!((answer.status, &answer.body["errors"][0]["path"]), (400, &json!(field)), "{answer:?}");
        let problem = answer.body["errors"][0]["problem"].as_str().unwrap();
        assert!(problem.contains("not supported by this version yet") && problem.contains(feature), "{problem}");
    }
}

#[tokio::test]
async fn unknown_fields_are_refused_with_the_nearest_name_and_all_at_once() {
    let cluster = Cluster::start().await;
    let rows = [
        ("cpu_core", "cpu_cores"),
        ("Image", "image"),
        ("cpu-cores", "cpu_cores"),
        ("memory", "memory_gb"),
        ("cpus", "cpu_cores"),
        ("kill_after", "kill_after_s"),
        ("label", "labels"),
        ("depend_on", "depends_on"),
    ];
    for (field, near) in rows {
        let answer = cluster.rest.ask("POST", "/api/v1/tasks", Some(&document(field, json!(1)))).await;
        assert_eq!((answer.status, &answer.body["errors"][0]["path"]), (400, &json!(field)), "{answer:?}");
        let problem = answer.body["errors"][0]["problem"].as_str().unwrap();
        assert!(problem.ends_with(&format!("did you mean {near}?")), "{field}: {problem}");
        std::fs::write(cluster.dir().join("task.json"), document(field, json!(1)).to_string()).unwrap();
        let ran = cluster.run(&["task", "submit", "-f", "task.json"]).await;
        assert!(ran.code == 64 && ran.err.contains(&format!("did you mean {near}?")), "{}", ran.err);
    }
    let several = json!({"image": "fake:x", "cpu_cores": 0, "zzzzzzzz": 1, "array": {}, "priority": 500});
    let answer = cluster.rest.ask("POST", "/api/v1/tasks", Some(&several)).await;
    let errors = answer.body["errors"].as_array().unwrap().iter();
    let paths: BTreeSet<_> = errors.map(|error| error["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["array", "cpu_cores", "priority", "zzzzzzzz"].into());
}
