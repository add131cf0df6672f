//! Templates on the command line: what is asked, and what a dry run fills by itself.

use super::server::{ID, Reply, Server, ended, job, list, problem, task};
use serde_json::{Value, json};

const TRAIN: &str = "description = \"Trains one model.\"\n\
    [params.lr]\ntype = \"number\"\nmin = 0\ndescription = \"learning rate\"\n\
    [params.epochs]\ntype = \"integer\"\ndefault = 3\n\
    [task]\nimage = \"train\"\ncpu_cores = \"${param.epochs}\"\nargs = [\"--lr=${param.lr}\"]\n";

fn document() -> Value {
    json!({
        "description": "Trains one model.",
        "params": {
            "lr": {"type": "number", "min": 0, "description": "learning rate"},
            "epochs": {"type": "integer", "default": 3},
        },
        "task": {"image": "train", "cpu_cores": "${param.epochs}", "args": ["--lr=${param.lr}"]},
    })
}

fn template(version: u32) -> Value {
    json!({
        "name": "train", "version": version, "kind": "task", "description": "Trains one model.",
        "params": ["lr", "epochs"], "created_at": "2026-01-01T00:00:00.000Z",
    })
}

fn whole(version: u32) -> Value {
    let mut template = template(version);
    let versions =
        [1, 2].map(|version| json!({"version": version, "created_at": "2026-01-01T00:00:00.000Z", "bytes": 7}));
    template["versions"] = json!(versions);
    template["document"] = document();
    template
}

fn keeping() -> Server {
    Server::start(|request, _| match (request.method.as_str(), request.path.as_str()) {
        ("PUT", _) => Reply::Json(201, template(2)),
        ("DELETE", "/api/v1/templates/absent") => problem(404, "not_found", "no template absent is stored"),
        ("DELETE", _) => Reply::Json(204, Value::Null),
        ("GET", "/api/v1/templates") => Reply::Json(200, list(vec![template(2)])),
        ("GET", _) => Reply::Json(200, whole(2)),
        _ => Reply::Json(201, task(json!({}))),
    })
}

#[test]
fn a_template_is_kept_from_a_file_listed_shown_and_removed() {
    let server = keeping();
    std::fs::write(server.dir().join("train.toml"), TRAIN).unwrap();
    let ran = server.run("template put train train.toml");
    assert_eq!((ran.code, ran.out.as_str()), (0, "train  kept as version 2\n"), "{}", ran.err);
    assert_eq!(server.asked("PUT /api/v1/templates/train")[0].json(), document());
    let ran = server.run("template list");
    assert!(ran.out.starts_with("TEMPLATE  VERSION") && ran.out.contains("lr epochs"), "{}", ran.out);
    assert_eq!(server.run("template list -o quiet").out, "train\n");
    let ran = server.run("template show train --version 2");
    assert_eq!(server.asked("GET /api/v1/templates/train")[0].query, "version=2");
    for part in
        ["train  version 2  makes a task", "a number of at least 0", "must be given", "learning rate", "others    1"]
    {
        assert!(ran.out.contains(part), "{part}: {}", ran.out);
    }
    assert!(ran.out.contains("cloudai template run train -p lr=... -p epochs=..."), "{}", ran.out);
    let shown: Value = serde_json::from_str(&server.run("template show train --json").out).unwrap();
    assert_eq!(shown, whole(2));
    let ran = server.run("template remove train absent train");
    assert_eq!((ran.code, server.asked("DELETE /api/v1/templates/train").len()), (5, 1), "{}", ran.err);
    assert!(ran.err.contains("train  removed") && ran.err.contains("no template absent is stored"), "{}", ran.err);
    let ran = server.run("template remove train --dry-run");
    assert!(ran.code == 0 && ran.err.contains("would remove train with all of its versions"), "{}", ran.err);
    assert_eq!(server.asked("DELETE /api/v1/templates/train").len(), 1);
}

#[test]
fn what_is_wrong_with_a_template_is_told_before_anything_is_sent() {
    let server = keeping();
    std::fs::write(server.dir().join("t.yaml"), "params: {a: {type: int}}\ntask: {image: \"${param.b}\"}\n").unwrap();
    let ran = server.run("template put t t.yaml");
    assert_eq!((ran.code, server.seen().len()), (64, 0));
    for part in ["params.a.type: \"int\" is no type", "task.image: ${param.b} is no parameter of the template"] {
        assert!(ran.err.contains(part), "{part}: {}", ran.err);
    }
    assert_eq!(server.run("template put a/b t.yaml").code, 64);
}

#[test]
fn a_run_posts_its_parameters_once_and_tells_the_task_or_the_job() {
    let server = keeping();
    let ran = server.run("template run train -p lr=0.1 --param epochs=5 --version 2");
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (0, "7K3M9QZD  queued  waiting_capacity  waits for a place\n"),
        "{}",
        ran.err
    );
    let asked = &server.asked("POST /api/v1/templates/train/run")[0];
    assert_eq!((asked.query.as_str(), asked.json()), ("version=2", json!({"params": {"lr": "0.1", "epochs": "5"}})));
    assert!(asked.key.as_ref().is_some_and(|key| key.starts_with("cli-")), "{asked:?}");
    assert_eq!(server.run("template run train -p lr=1 -p lr=2").code, 64);
    assert_eq!(server.run("template run train -p lr").code, 64);
    let of_job = Server::always(201, job(json!({})));
    let ran = of_job.run("template run sweep -o quiet");
    assert!(ran.code == 0 && ran.out.starts_with("job-"), "{ran:?}");
}

#[test]
fn a_run_that_is_waited_for_exits_as_its_task_does() {
    for (end, code) in [(ended("completed", None, Some(0)), 0), (ended("failed", Some("exit_code"), Some(7)), 3)] {
        let server = Server::start(move |request, _| match request.method.as_str() {
            "POST" => Reply::Json(201, task(json!({}))),
            _ => Reply::Json(200, end.clone()),
        });
        let ran = server.run("template run train --wait -o quiet");
        assert_eq!((ran.code, ran.out.as_str()), (code, format!("{ID}\n").as_str()), "{}", ran.err);
    }
}

#[test]
fn files_that_a_template_names_are_brought_from_where_it_is_run() {
    let text = "task:\n  image: train\n  each: {lines: seeds.txt}\n  args: ['${item}']\n  \
                inputs: [{from: ./data.csv, path: /in/data.csv}]\n";
    let document = json!({"task": {
        "image": "train", "each": {"lines": "seeds.txt"}, "args": ["${item}"],
        "inputs": [{"from": "./data.csv", "path": "/in/data.csv"}],
    }});
    let mut stored = template(3);
    stored["document"] = document.clone();
    let server = Server::start(move |request, _| match (request.method.as_str(), request.path.as_str()) {
        ("PUT" | "GET", _) => Reply::Json(200, stored.clone()),
        (_, "/api/v1/blobs/kept") => {
            let hashes = request.json()["sha256"].clone();
            let kept = |hash: &Value| json!({"sha256": hash, "bytes": 4, "whole": true});
            Reply::Json(200, list(hashes.as_array().unwrap().iter().map(kept).collect()))
        }
        _ => Reply::Json(201, task(json!({}))),
    });
    std::fs::write(server.dir().join("t.yaml"), text).unwrap();
    let ran = server.run("template put train t.yaml");
    assert_eq!((ran.code, server.asked("PUT /api/v1/templates/train")[0].json()), (0, document), "{}", ran.err);
    let ran = server.run("template run train");
    assert!(ran.code == 64 && ran.err.contains("seeds.txt can not be read"), "{}", ran.err);
    std::fs::write(server.dir().join("seeds.txt"), "7\n8\n").unwrap();
    std::fs::write(server.dir().join("data.csv"), "a,b\n").unwrap();
    let ran = server.run("template run train");
    assert_eq!(ran.code, 0, "{}", ran.err);
    let posted = &server.asked("POST /api/v1/tasks")[0];
    let body = posted.json();
    assert_eq!((&body["each"], &body["labels"]["cloudai.template.version"]), (&json!(["7", "8"]), &json!("3")));
    assert!(body["inputs"][0]["from"].as_str().unwrap().starts_with("blob:"), "{body:#}");
    assert!(posted.key.as_ref().is_some_and(|key| key.starts_with("cli-")), "{posted:?}");
    assert!(server.asked("POST /api/v1/templates/train/run").is_empty());
    let shown: Value = serde_json::from_str(&server.run("template run train --dry-run").out).unwrap();
    assert_eq!(shown["each"], json!(["7", "8"]));
}

#[test]
fn a_dry_run_prints_the_filled_document_and_submits_nothing() {
    let server = keeping();
    let ran = server.run("template run train -p lr=0.1 --dry-run");
    let filled: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(filled, json!({"image": "train", "cpu_cores": 3, "args": ["--lr=0.1"]}), "{}", ran.err);
    let ran = server.run("template run train -p lr=-1 -p epoch=1 --dry-run");
    assert_eq!(ran.code, 64);
    for part in
        ["params.lr: \"-1\" must be a number of at least 0", "params.epoch: is no parameter", "did you mean epochs?"]
    {
        assert!(ran.err.contains(part), "{part}: {}", ran.err);
    }
    // What it makes is checked as well.
    let ran = server.run("template run train -p lr=1 -p epochs=0 --dry-run");
    assert!(ran.code == 64 && ran.err.contains("cpu_cores: 0 is out of range"), "{}", ran.err);
    assert!(server.asked("POST /api/v1/templates/train/run").is_empty());
}
