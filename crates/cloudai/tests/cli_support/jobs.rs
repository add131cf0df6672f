//! Jobs: what is posted and asked, what is printed, how it exits.

use super::server::{ID, JOB, Reply, Request, Server, job, list, problem, task};
use serde_json::{Value, json};

const FILE: &str = "name = \"train\"\n[[tasks]]\nname = \"a\"\nimage = \"busybox\"\n";

/// A master for which a job file lies in the folder.
fn beside_a_file(answer: impl Fn(&Request, usize) -> Reply + Send + 'static) -> Server {
    let server = Server::start(answer);
    std::fs::write(server.dir().join("train.toml"), FILE).unwrap();
    server
}

fn ended(status: &str) -> Value {
    job(json!({"status": status, "finished_at": "2026-01-01T00:00:42.000Z"}))
}

#[test]
fn a_job_file_is_posted_under_one_key_and_its_id_is_printed() {
    let server = beside_a_file(|_, before| match before {
        0 => Reply::Hang,
        1 => problem(503, "unavailable", "busy"),
        _ => Reply::Json(201, job(json!({}))),
    });
    let ran = server.run("job run train.toml --hold --name nightly --max-fails 2");
    assert_eq!((ran.code, ran.out), (0, format!("{JOB}\n")), "{}", ran.err);
    assert_eq!(ran.err, format!("{JOB} accepted: 22 tasks in 3 steps; see: cloudai job info 7K3M9QZD\n"));
    let sent = server.asked("POST /api/v1/jobs");
    let keys: Vec<_> = sent.iter().map(|request| request.key.clone().unwrap()).collect();
    assert!(keys.len() == 3 && keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    let document = sent[2].json();
    assert_eq!(
        [&document["name"], &document["hold"], &document["max_fails"]],
        [&json!("nightly"), &json!(true), &json!(2)]
    );
    assert_eq!(document["tasks"][0]["image"], "busybox");
    let again = beside_a_file(|_, _| Reply::Json(201, job(json!({}))));
    assert_eq!(again.run("job run train.toml -o quiet").out, format!("{JOB}\n"));
    assert_ne!(again.seen()[0].key.as_ref(), Some(&keys[0]), "each invocation has its own key");
    assert_eq!(again.seen()[0].json()["name"], "train");
}

#[test]
fn a_dry_run_of_a_job_prints_its_document_and_asks_nobody() {
    let server = beside_a_file(|_, _| problem(500, "internal", "asked"));
    let ran = server.run("job run train.toml --dry-run --max-fails 0");
    let document: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, &document["name"], &document["max_fails"]), (0, &json!("train"), &json!(0)), "{}", ran.err);
    assert!(server.seen().is_empty(), "a dry run asked the master");
}

#[test]
fn a_job_that_no_worker_could_run_is_told_with_its_task() {
    let refused = json!({
        "type": "about:blank", "title": "X", "status": 422, "code": "unsatisfiable", "detail": "no worker can run this",
        "errors": [{"path": "tasks[0]", "problem": "no worker has a GPU"}]
    });
    let server = beside_a_file(move |_, _| Reply::Json(422, refused.clone()));
    let ran = server.run("job run train.toml");
    assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{}", ran.err);
    assert!(ran.err.contains("tasks[0]: no worker has a GPU"), "{}", ran.err);
}

#[test]
fn a_job_that_is_waited_for_ends_the_command_as_it_ended() {
    for (status, code) in [("completed", 0), ("failed", 3), ("cancelled", 3)] {
        let server = beside_a_file(move |request, before| match (request.method.as_str(), before) {
            ("POST", _) => Reply::Json(201, job(json!({}))),
            (_, 0) => Reply::Json(200, job(json!({}))),
            (_, _) => Reply::Json(200, ended(status)),
        });
        let wait = format!("job wait {JOB}");
        for (line, before) in [("job run train.toml --wait", "accepted: 22 tasks"), (wait.as_str(), "")] {
            let ran = server.run(line);
            let outcome = format!("7K3M9QZD  {status}  nightly  12/22 done  41s\n");
            assert_eq!((ran.code, ran.out), (code, outcome), "{line}: {}", ran.err);
            assert!(ran.err.contains(before), "{line}: {}", ran.err);
        }
        assert_eq!(server.asked(&format!("GET /api/v1/jobs/{JOB}"))[0].query, "wait_s=10");
    }
}

#[test]
fn a_wait_tells_how_far_the_job_is_and_gives_up_when_its_time_is_over() {
    let server = Server::always(200, job(json!({})));
    let ran = server.run(&format!("job wait {JOB} --timeout 0s"));
    assert_eq!((ran.code, ran.out.as_str()), (4, ""), "{}", ran.err);
    assert!(ran.err.starts_with("7K3M9QZD  running  12/22 done  6 running\n"), "{}", ran.err);
    assert!(ran.err.contains("next: cloudai job wait 7K3M9QZD"), "{}", ran.err);
    let ran = server.run(&format!("job wait {JOB} --timeout 0s -o json"));
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, told), (4, job(json!({}))), "{}", ran.err);
}

#[test]
fn a_list_of_jobs_is_of_active_ones_unless_all_is_asked_for() {
    let server = Server::always(200, list(vec![job(json!({}))]));
    let ran = server.run("job list");
    assert!(ran.out.starts_with("ID        STATUS   NAME      DONE  FAILED"), "{}", ran.out);
    assert!(ran.out.contains("\n7K3M9QZD  running  nightly  12/22       0"), "{}", ran.out);
    server.run("job list --all --limit 7");
    server.run("job list --status failed,cancelled --user ann --name ni");
    assert_eq!(server.run("job list -o quiet").out, format!("{JOB}\n"));
    let told: Value = serde_json::from_str(&server.run("job list --json").out).unwrap();
    assert_eq!(told, list(vec![job(json!({}))]));
    let queries: Vec<_> = server.seen().into_iter().take(3).map(|request| request.query).collect();
    let expected = [
        "status=held%2Cqueued%2Crunning%2Ccancelling&limit=50",
        "limit=7",
        "status=failed%2Ccancelled&user=ann&name=ni&limit=50",
    ];
    assert_eq!(queries, expected);
    let ran = server.run("job list --status done");
    assert!(ran.code == 64 && ran.err.contains("cancelling"), "{}", ran.err);
    let none = Server::always(200, list(Vec::new()));
    assert!(none.run("job list").err.contains("No active jobs. Ended ones too: --all"));
}

#[test]
fn the_story_of_a_job_is_found_by_a_part_of_its_id() {
    let counts = json!({"queued": 3, "pending": 0, "running": 6, "completed": 11, "failed": 0, "cancelled": 0});
    let whole = || {
        job(json!({"parts": [{
            "name": "map", "id": ID, "image": "a", "array": "0-19", "at_once": null, "tasks": 20, "status": "running",
            "message": "", "counts": counts, "needs": [], "level": 0
        }]}))
    };
    let answer = whole();
    let server = Server::start(move |request, _| match request.path.as_str() {
        "/api/v1/jobs/resolve" | "/api/v1/jobs" => Reply::Json(200, list(vec![job(json!({}))])),
        _ => Reply::Json(200, answer.clone()),
    });
    for typed in ["9qzd", "job-01JD000000000000007K3M9QZD", "last", "01JD000000000000007K3M9QZD"] {
        let ran = server.run(&format!("job info {typed} -o quiet"));
        assert_eq!((ran.code, ran.out), (0, format!("{JOB}\n")), "{typed}: {}", ran.err);
    }
    assert_eq!(server.asked("GET /api/v1/jobs/resolve")[0].query, "part=9QZD");
    assert_eq!(server.asked("GET /api/v1/jobs")[0].query, "limit=1");
    let ran = server.run("job info last");
    assert!(ran.out.starts_with("nightly  7K3M9QZD  running  by local  runs for "), "{}", ran.out);
    for part in [
        "\n  now       12 of 22 tasks completed, 6 running, 4 waiting\n",
        "\n  next      cloudai job logs 7K3M9QZD --follow\n",
        "\n  running  map   x20  11/20  -      6 running, 3 waiting\n",
    ] {
        assert!(ran.out.contains(part), "{part:?} is not in\n{}", ran.out);
    }
    let told: Value = serde_json::from_str(&server.run("job info last -o json").out).unwrap();
    assert_eq!(told, whole());
}

#[test]
fn a_task_that_is_a_job_and_a_job_that_is_a_task_are_told_so() {
    let server = Server::start(|request, _| match request.path.as_str() {
        "/api/v1/jobs/resolve" if request.query == "part=9QZD" => Reply::Json(200, list(vec![job(json!({}))])),
        "/api/v1/tasks/resolve" if request.query == "part=A001" => {
            let id = "task-01JD000000000000007K3MA001";
            Reply::Json(200, list(vec![task(json!({"id": id, "name": "fit"}))]))
        }
        _ => Reply::Json(200, list(Vec::new())),
    });
    let (of_task, of_job) = (format!("task info {JOB}"), format!("job logs {ID}"));
    let rows = [
        ("task info 9QZD", 5, "that is a job: 7K3M9QZD nightly\n  next: cloudai job info 7K3M9QZD"),
        ("job info A001", 5, "that is a task: 7K3MA001 fit\n  next: cloudai task info 7K3MA001"),
        ("job info XXXX", 5, "no job \"XXXX\"\n  no id begins or ends so"),
        (of_task.as_str(), 64, "is a job, not a task"),
        (of_job.as_str(), 64, "is a task, not a job"),
        ("job info 7K", 64, "is too short"),
        ("job info last", 5, "there is no last job"),
    ];
    for (line, code, said) in rows {
        let ran = server.run(line);
        assert_eq!((ran.code, ran.out.as_str()), (code, ""), "{line}: {}", ran.err);
        assert!(ran.err.contains(said), "{line}: {}", ran.err);
    }
}

#[test]
fn what_is_left_of_a_job_is_cancelled_or_some_of_its_tasks() {
    let server = Server::always(202, job(json!({"status": "cancelling"})));
    let ran = server.run(&format!("job cancel {JOB}"));
    assert_eq!((ran.code, ran.out.as_str()), (0, "7K3M9QZD  cancelling  nightly  12/22 done\n"), "{}", ran.err);
    server.run(&format!("job cancel {JOB} --task map"));
    server.run(&format!("job cancel {JOB} --task map --index 4,7-9"));
    let queries: Vec<_> =
        server.asked(&format!("POST /api/v1/jobs/{JOB}/cancel")).into_iter().map(|one| one.query).collect();
    assert_eq!(queries, ["", "task=map", "task=map&index=4%2C7-9"]);
    let before = server.seen().len();
    for (flags, said) in [("--index 4", "--task"), ("--task map --index 9-4", "no range of indexes")] {
        let ran = server.run(&format!("job cancel {JOB} {flags}"));
        assert!(ran.code == 64 && ran.err.contains(said), "{flags}: {}", ran.err);
    }
    assert_eq!(server.seen().len(), before);
}

#[test]
fn a_dry_run_of_a_cancel_or_a_retry_counts_what_it_touches_and_does_nothing() {
    let going = Server::start(|request, _| match request.path.ends_with("/tasks") {
        true => Reply::Json(200, list(vec![task(json!({"job_task": "map", "index": 7}))])),
        false => Reply::Json(200, job(json!({}))),
    });
    let done = Server::always(200, ended("failed"));
    let whole = Server::always(200, ended("completed"));
    let rows = [
        (&going, "cancel", "", "cancel", "cancel 7K3M9QZD: 10 of its 22 tasks have not ended"),
        (&going, "cancel", "--task map --index 7", "cancel", "cancel 1 task of 7K3M9QZD: map.7"),
        (&done, "cancel", "", "nothing", "leave 7K3M9QZD as it is: it is failed"),
        (&going, "retry", "", "nothing", "be refused: 7K3M9QZD is running"),
        (&done, "retry", "", "retry", "run 10 of the 22 tasks of 7K3M9QZD again"),
        (&whole, "retry", "", "nothing", "be refused: all that was needed of 7K3M9QZD completed"),
    ];
    for (server, verb, flags, would, means) in rows {
        let line = format!("job {verb} {JOB} {flags} --dry-run");
        let ran = server.run(&line);
        assert!(ran.code == 0 && ran.err.contains(&format!("would {means}")), "{line}: {ran:?}");
        let told: Value = serde_json::from_str(&server.run(&format!("{line} -o json")).out).unwrap();
        assert_eq!(
            [&told["would"], &told["id"], &told["dry_run"]],
            [&json!(would), &json!(JOB), &json!(true)],
            "{line}"
        );
        assert!(server.seen().iter().all(|request| request.method == "GET"), "a dry run did something");
    }
    let line = format!("job cancel {JOB} --task map --dry-run -o json");
    let told: Value = serde_json::from_str(&going.run(&line).out).unwrap();
    assert_eq!(told["task_ids"], json!([ID]));
    let asked = going.asked(&format!("GET /api/v1/jobs/{JOB}/tasks"));
    assert_eq!(asked.last().unwrap().query, "task=map&status=queued%2Cpending%2Crunning&limit=1000");
}

#[test]
fn a_job_is_held_and_let_go() {
    let server = Server::always(200, job(json!({"status": "held", "message": "held by local"})));
    for verb in ["hold", "release"] {
        let ran = server.run(&format!("job {verb} {JOB}"));
        assert_eq!((ran.code, ran.out.as_str()), (0, "7K3M9QZD  held  nightly  12/22 done  held by local\n"), "{verb}");
        assert_eq!(server.asked(&format!("POST /api/v1/jobs/{JOB}/{verb}")).len(), 1);
    }
    let server = Server::start(|_, _| problem(409, "conflict", "it has ended: it is completed"));
    let ran = server.run(&format!("job hold {JOB}"));
    assert!(ran.code == 7 && ran.err.contains("it has ended"), "{}", ran.err);
}

#[test]
fn what_did_not_complete_is_run_again_once() {
    const NEW: &str = "job-01JD000000000000007K3MA001";
    let new = || job(json!({"id": NEW, "retry_of": JOB, "tasks": 10}));
    let server = Server::start(move |_, before| Reply::Json(if before == 0 { 201 } else { 200 }, new()));
    let ran = server.run(&format!("job retry {JOB}"));
    assert_eq!((ran.code, ran.out), (0, format!("{NEW}\n")), "{}", ran.err);
    assert!(ran.err.contains("accepted: 10 tasks in 3 steps; see: cloudai job info 7K3MA001"), "{}", ran.err);
    let ran = server.run(&format!("job retry {JOB}"));
    assert_eq!((ran.code, ran.out), (0, format!("{NEW}\n")), "{}", ran.err);
    assert!(ran.err.contains("7K3M9QZD was submitted again before, as 7K3MA001"), "{}", ran.err);
    assert_eq!(server.asked(&format!("POST /api/v1/jobs/{JOB}/retry")).len(), 2);
    let server = Server::start(|_, _| problem(409, "conflict", "it goes on"));
    assert_eq!(server.run(&format!("job retry {JOB}")).code, 7);
}

#[test]
fn tasks_of_a_job_are_listed_by_name_and_index() {
    let answer =
        || list(vec![task(json!({"id": format!("{ID}.7"), "job_task": "map", "index": 7, "status": "failed"}))]);
    let server = Server::always(200, answer());
    let ran = server.run(&format!("job tasks {JOB} --task map --index 0-99 --status failed,cancelled --limit 7"));
    assert!(ran.out.starts_with("ID          STATUS  TASK  INDEX  REASON"), "{}", ran.out);
    assert!(ran.out.contains("\n7K3M9QZD.7  failed  map       7  "), "{}", ran.out);
    let asked = server.asked(&format!("GET /api/v1/jobs/{JOB}/tasks"));
    assert_eq!(asked[0].query, "task=map&index=0-99&status=failed%2Ccancelled&limit=7");
    assert_eq!(server.run(&format!("job tasks {JOB} -o quiet")).out, format!("{ID}.7\n"));
    let told: Value = serde_json::from_str(&server.run(&format!("job tasks {JOB} -o json")).out).unwrap();
    assert_eq!(told, answer());
    let none = Server::always(200, list(Vec::new()));
    assert!(none.run(&format!("job tasks {JOB}")).err.contains("No such tasks."));
}

#[test]
fn every_command_about_jobs_has_an_example() {
    let server = Server::always(200, json!({}));
    for verb in ["run", "list", "info", "tasks", "logs", "wait", "cancel", "hold", "release", "retry"] {
        let help = server.run(&format!("job {verb} --help"));
        assert!(help.code == 0 && help.out.contains(&format!("  cloudai job {verb} ")), "{verb}: {}", help.out);
    }
    assert!(server.seen().is_empty());
}
