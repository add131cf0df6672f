//! What people read of tasks.

use super::*;

fn task(json: serde_json::Value) -> Task {
    let mut task = serde_json::json!({
        "id": "task-01JD0000000000000007K3M9QZD", "name": null, "image": "busybox", "user_id": "local",
        "job_id": null, "status": "queued", "phase": "waiting_capacity", "reason": null, "message": "",
        "attempt": 0, "exit_code": null, "oom_killed": false, "warnings": [], "worker_id": null, "priority": 0,
        "resources": {"cpu_cores": 1.0, "memory_gb": 0.5, "storage_gb": 1.0, "gpu_cores": 0.0},
        "labels": {}, "created_at": "2026-01-01T00:00:00.000Z", "started_at": null, "finished_at": null,
        "version": 1, "attempts": []
    });
    for (name, value) in json.as_object().unwrap() {
        task[name] = value.clone();
    }
    serde_json::from_value(task).unwrap()
}

fn screen(terminal: bool, format: Format) -> Screen {
    Screen { format, format_given: true, terminal, messages_terminal: false, width: None, colour: false }
}

fn now() -> Timestamp {
    "2026-01-01T00:06:12Z".parse().unwrap()
}

#[test]
fn a_list_has_the_columns_of_the_guide() {
    let tasks = [task(serde_json::json!({"name": "fit"}))];
    let expected = "\
ID        STATUS  NAME  REASON            WORKER  CPU   MEM    AGE
7K3M9QZD  queued  fit   waiting_capacity  -         1  512M  6m12s";
    assert_eq!(list(&tasks, now(), &screen(false, Format::Table)), expected);
    assert!(list(&tasks, now(), &screen(true, Format::Table)).contains("7K3M9QZD  o queued  fit"));
    assert!(list(&tasks, now(), &screen(false, Format::Wide)).contains("IMAGE"));
}

#[test]
fn a_queue_of_80_columns_says_why_each_task_waits() {
    let message = "no worker has room; w1 comes nearest (need 4 cpu, 2 free)";
    let queued = |place: Option<u64>, fields| Queued { task: task(fields), place };
    let tasks = [
        queued(Some(1), serde_json::json!({"name": "a-task-with-a-name", "message": message})),
        queued(None, serde_json::json!({"phase": "unsatisfiable", "message": "no worker can run this: gpu"})),
        queued(None, serde_json::json!({"phase": "held", "reason": null, "message": "held by local"})),
        queued(
            None,
            serde_json::json!({"phase": "backoff", "reason": "exit_code", "message": "exit code 1; tried again",
                "next_try_at": "2026-01-01T00:06:24.000Z"}),
        ),
    ];
    let narrow = Screen { width: Some(80), ..screen(true, Format::Table) };
    let shown = queue(&tasks, now(), &narrow);
    let expected = "\
PLACE  ID        REASON            START   WHY
    1  7K3M9QZD  waiting_capacity  -       no worker has room; w1 comes neares..
    -  7K3M9QZD  unsatisfiable     -       no worker can run this: gpu
    -  7K3M9QZD  held              -       held by local
    -  7K3M9QZD  exit_code         in 12s  exit code 1; tried again";
    assert_eq!(shown, expected);
    assert!(queue(&tasks, now(), &screen(false, Format::Table)).contains(message), "cut without a width");
    let shown = queue(&tasks[..1], now(), &narrow);
    let expected = "\
PLACE  ID        REASON              AGE  WHY
    1  7K3M9QZD  waiting_capacity  6m12s  no worker has room; w1 comes nearest..";
    assert_eq!(shown, expected);
}

#[test]
fn an_outcome_says_why_and_how_long() {
    let ended = |status: &str, reason: Option<&str>, code: Option<i32>| {
        task(serde_json::json!({"status": status, "phase": null, "reason": reason, "exit_code": code,
                "message": "it ended", "started_at": "2026-01-01T00:00:00.000Z",
                "finished_at": "2026-01-01T00:12:04.000Z"}))
    };
    let rows = [
        (ended("completed", None, Some(0)), "7K3M9QZD  completed  exit code 0  12m04s"),
        (ended("failed", Some("exit_code"), Some(1)), "7K3M9QZD  failed  exit_code 1  12m04s  it ended"),
        (
            ended("failed", Some("oom_killed"), Some(137)),
            "7K3M9QZD  failed  oom_killed (exit code 137)  12m04s  it ended",
        ),
        (ended("cancelled", Some("user"), None), "7K3M9QZD  cancelled  user  12m04s  it ended"),
    ];
    for (task, line) in rows {
        assert_eq!(outcome(&task, &screen(false, Format::Table)), line);
    }
}

#[test]
fn the_next_commands_fit_the_state() {
    let of = |json: serde_json::Value| {
        let next: Vec<_> = next(&task(json), false).into_iter().collect();
        next.join(" | ").replace("cloudai ", "").replace("7K3M9QZD", "ID")
    };
    let json = |status: &str, phase: &str| serde_json::json!({"status": status, "phase": phase, "worker_id": "w1"});
    let ended = |reason: &str| {
        serde_json::json!({"status": "failed", "phase": null, "reason": reason, "attempt": 1,
                "finished_at": "2026-01-01T00:59:59.999Z",
                "spec": {"timeout_s": 60.0, "queue_timeout_s": 30.0, "total_timeout_s": 3600.0}})
    };
    let mut overdue = ended("timed_out");
    overdue["finished_at"] = "2026-01-01T01:00:00.000Z".into();
    let mut dead = ended("exit_code");
    dead["dead"] = true.into();
    let mut again = ended("oom_killed");
    again["retried_by"] = "task-01JD0000000000000007K3MA001".into();
    let rows = [
        (json("queued", "held"), "task release ID | task cancel ID"),
        (json("queued", "waiting_capacity"), "task explain ID | task cancel ID"),
        (json("queued", "backoff"), "queue | task cancel ID"),
        (json("queued", "unsatisfiable"), "task explain ID | task cancel ID"),
        (json("pending", "pulling"), "task logs ID --follow | task cancel ID"),
        (json("running", "running"), "task logs ID --follow | task cancel ID"),
        (json("running", "cancelling"), "task wait ID | task logs ID --follow"),
        (json("running", "worker_unreachable"), "worker info w1 | task cancel ID"),
        (ended("exit_code"), "task logs ID | task retry ID"),
        (ended("oom_killed"), "task logs ID | task retry ID --mem 1g"),
        (ended("timed_out"), "task logs ID | task retry ID --timeout 2m"),
        (ended("storage_exceeded"), "task logs ID | task retry ID --disk 2g"),
        (ended("queue_timeout"), "task logs ID | task retry ID --queue-timeout 1m"),
        (overdue, "task logs ID | task retry ID --total-timeout 2h"),
        (dead, "task retry ID | task logs ID"),
        (again, "task logs ID | task info 7K3MA001"),
        (serde_json::json!({"status": "failed", "phase": null, "reason": "queue_timeout"}), "task retry ID"),
        (serde_json::json!({"status": "completed", "phase": null, "attempt": 1}), "task logs ID"),
    ];
    for (json, expected) in rows {
        assert_eq!(of(json.clone()), expected, "{json}");
    }
}

#[test]
fn a_download_is_offered_where_there_are_files() {
    for status in ["completed", "failed"] {
        let task = task(serde_json::json!({ "status": status }));
        let download = "cloudai task download 7K3M9QZD".to_owned();
        assert!(next(&task, true).contains(&download) && !next(&task, false).contains(&download), "{status}");
    }
}

#[test]
fn a_card_tells_times_attempts_and_the_next_command() {
    let task = task(serde_json::json!({
        "status": "running", "phase": "running", "attempt": 2, "worker_id": "w1", "message": "on its way",
        "started_at": "2026-01-01T00:05:00.000Z", "spec": {"command": ["sh", "-c", "a b"],
            "inputs": [{"from": "blob:ab", "path": "/in/a"}],
            "volumes": [{"host_path": "/data", "container_path": "/mnt"},
                {"volume": "scratch", "container_path": "/s", "read_only": false}],
            "requests": [{"cpu_cores": 1.0, "memory_gb": 0.5, "storage_gb": 1.0, "gpu_cores": 2.0, "gpu_model": "t4"},
                {"cpu_cores": 8.0, "memory_gb": 0.5, "storage_gb": 1.0, "gpu_cores": 0.0}],
            "constraints": ["zone in (eu, us)"], "affinity": [{"expr": "disk = ssd", "weight": -5}],
            "anti_affinity": ["worker.id"], "spread": [{"label": "zone", "weight": 50}],
            "secrets": [{"name": "token", "file": "/run/secrets/token"}, {"name": "key", "env": "API_KEY"}]},
        "requests": 2, "attempts": [{"attempt": 1, "worker_id": "w0", "request": 2, "status": "failed", "reason": "worker_lost",
            "message": "on its way", "exit_code": null, "accepted": false, "assigned_at": "2026-01-01T00:00:00.000Z",
            "started_at": null, "ended_at": null, "log_records": 3, "log_bytes": 9,
            "log_cut": {"records": 12000, "bytes": 2048}}]
    }));
    let said = "the log was cut after 9 B (logs.max_bytes): 12.0k records, 2 KiB were not kept";
    assert_eq!(log_cut(&task.attempts[0], &task).as_deref(), Some(said));
    let card = card(&task, false, now(), &screen(false, Format::Table));
    for line in [
        "busybox  7K3M9QZD  running  attempt 2 on w1",
        "  message   on its way",
        "  command   sh -c 'a b'",
        "  asks for  1 cpu, 512 MiB memory, 1 GiB disk, 2 gpu, or 8 cpu, 512 MiB memory, 1 GiB disk",
        "  finds     /in/a from blob:ab",
        "  sees      /mnt from host path /data (read-only)",
        "  sees      /s from volume scratch (may be changed)",
        "  secret    token at /run/secrets/token",
        "  secret    key as the variable API_KEY",
        "  needs     zone in (eu, us)",
        "  prefers   disk = ssd (weight -5)",
        "  apart by  worker.id",
        "  spread    zone (weight 50)",
        "  started   2026-01-01 00:05:00Z (1m12s ago)",
        "    #1  w0  failed  request 2 of 2  worker_lost  3 log records  12.0k records cut (logs.max_bytes)",
        "  next      cloudai task logs 7K3M9QZD --follow",
    ] {
        assert!(card.lines().any(|found| found == line), "{line:?} is not in\n{card}");
    }
}
