//! The audit log of a real master: what stands in it, that no change of it goes unseen, and what attempts are said to
//! have taken.

use crate::cluster::{Cluster, Plan, fake_worker};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::path::Path;

/// Rows of an action, the latest first.
async fn rows(cluster: &Cluster, query: &str) -> Vec<Value> {
    cluster.rest.get(&format!("/api/v1/audit?limit=1000&{query}")).await["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn what_was_done_and_refused_is_told_with_who_from_where_and_how_it_went() {
    let cluster = Cluster::of(fake_worker("w1")).await;
    let lasting = json!({"image": "fake:x", "env": {"FAKE_DURATION_MS": "forever", "SECRET": "marker-of-a-body"}});
    let id = cluster.rest.submit(lasting).await;
    cluster.rest.running(&id).await;
    assert_eq!(cluster.run(&["task", "exec", "-e", "TOKEN=marker", &id, "--", "echo", "a b"]).await.code, 0);
    cluster.rest.ask("POST", &format!("/api/v1/tasks/{id}/cancel"), None).await;
    cluster.rest.ask("POST", "/api/v1/tasks/task-00000000000000000000000001/hold", None).await;
    cluster.rest.submit_all(vec![json!({"image": "fake:x"}), json!({"image": "fake:x"})]).await;

    let made = rows(&cluster, "action=POST%20/api/v1/tasks").await;
    let of = |action: &str| made.iter().find(|row| row["action"] == action).unwrap_or_else(|| panic!("no {action}"));
    let first = of("POST /api/v1/tasks");
    for (field, value) in [
        ("user", json!("local")),
        ("role", json!("admin")),
        ("from", json!("127.0.0.1")),
        ("object", json!(id)),
        ("outcome", json!("ok")),
        ("status", json!(201)),
    ] {
        assert_eq!(first[field], value, "{field}: {first}");
    }
    assert!(first["request"].as_str().is_some_and(|id| !id.is_empty()), "{first}");
    assert_eq!(of("POST /api/v1/tasks/{id}/cancel")["object"], json!(id));
    assert_eq!(of("POST /api/v1/tasks/batch")["details"]["tasks"], 2);
    let exec = rows(&cluster, &format!("object={id}&since=2020-01-01T00:00:00Z")).await;
    let exec = exec.iter().find(|row| row["action"] == "GET /api/v1/tasks/{id}/exec").expect("the exec");
    assert_eq!(exec["details"], json!({"command": ["echo", "a b"]}));
    crate::process::until("the refusal is written", async || {
        let refused = rows(&cluster, "action=POST%20/api/v1/tasks/%7Bid%7D/hold").await;
        refused.first().is_some_and(|row| row["outcome"] == "not_found" && row["status"] == 404).then_some(())
    })
    .await;
    assert!(rows(&cluster, "user=nobody").await.is_empty());
    let all = rows(&cluster, "").await;
    assert!(!json!(all).to_string().contains("marker"), "neither bodies nor variables");
    assert!(all.iter().all(|row| !row["action"].as_str().unwrap().starts_with("GET /api/v1/tasks/{id}/logs")));

    let list =
        cluster.run(&["audit", "list", "--since", "1h", "--user", "local", "--action", "POST", "-o", "wide"]).await;
    assert!(list.code == 0 && list.out.contains("/cancel") && list.out.contains("not_found"), "{list:?}");
    let listed = cluster.run(&["audit", "list", "--limit", "2", "--json"]).await;
    let listed: Value = serde_json::from_str(&listed.out).unwrap();
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    let exported = cluster.run(&["audit", "export"]).await;
    assert!(exported.code == 0 && exported.out.lines().count() >= all.len(), "{exported:?}");
    let verified = cluster.run(&["audit", "verify"]).await;
    assert!(verified.code == 0 && verified.out.contains("is whole"), "{verified:?}");
    let wrong = cluster.run(&["audit", "list", "--object", &id, "--user", "local"]).await;
    assert_eq!(wrong.code, 64, "{wrong:?}");
}

/// Changes the stored log behind its master's back.
fn tamper(database: &Path, sql: &str) {
    let conn = Connection::open(database).unwrap();
    conn.execute_batch(sql).unwrap();
}

#[tokio::test]
async fn whatever_is_done_to_the_stored_log_is_found_and_its_row_is_named() {
    let mut cluster = Cluster::start().await;
    for _ in 0..8 {
        cluster.rest.submit(json!({"image": "fake:x"})).await;
    }
    cluster.stop_master().await;
    let database = cluster.database();
    let whole = cluster.dir().join("whole.db");
    std::fs::copy(&database, &whole).unwrap();
    let copy =
        "INSERT INTO audit SELECT (SELECT max(seq) FROM audit) + 1, at, who, action, object, body, mac FROM audit
        WHERE seq = 2";
    let swap = "UPDATE audit SET seq = 1000 WHERE seq = 3; UPDATE audit SET seq = 3 WHERE seq = 4;
        UPDATE audit SET seq = 4 WHERE seq = 1000";
    let ways = [
        ("UPDATE audit SET who = 'eve' WHERE seq = 3", "row 3 was changed"),
        ("DELETE FROM audit WHERE seq = 4", "row 4 is missing"),
        (swap, "row 3 was changed"),
        (copy, "was changed, or is not the one that was written in its place"),
        ("DELETE FROM audit WHERE seq > 5", "row 6 is missing"),
        ("UPDATE audit SET at = at + 1 WHERE seq = 2", "row 2 was changed"),
        ("DELETE FROM facts WHERE name = 'audit/head'", "is missing"),
        ("DELETE FROM audit; DELETE FROM facts WHERE name = 'audit/head'", "row 1 is missing"),
        ("DELETE FROM facts WHERE name LIKE 'audit/key/%'", "can not be checked"),
    ];
    for (sql, told) in ways {
        tamper(&database, sql);
        cluster.restart_master().await;
        let verified = cluster.run(&["audit", "verify"]).await;
        assert!(verified.code == 1 && verified.err.contains(told), "{sql}: {verified:?}");
        // The log goes on: nobody stops a cluster by breaking it.
        cluster.rest.submit(json!({"image": "fake:x"})).await;
        assert_eq!(cluster.run(&["audit", "verify"]).await.code, 1, "{sql}: it does not heal");
        cluster.stop_master().await;
        put_back(&whole, &database);
    }
    cluster.restart_master().await;
    let verified = cluster.run(&["audit", "verify", "-o", "quiet"]).await;
    assert_eq!(verified.code, 0, "{verified:?}");
    // Cut off together with its head: the file alone does not tell, a head that was kept does.
    let kept = verified.out.trim().to_owned();
    assert_eq!(cluster.run(&["audit", "verify", "--expect-head", &kept]).await.code, 0);
    cluster.stop_master().await;
    put_back(&whole, &database);
    cluster.restart_master().await;
    let json = cluster.run(&["audit", "verify", "--json"]).await;
    assert_eq!(json.code, 0, "{json:?}");
    let told = cluster.run(&["audit", "verify", "--expect-head", &kept]).await;
    assert!(told.code == 1 && told.err.contains("that you kept"), "{told:?}");
}

fn put_back(whole: &Path, database: &Path) {
    for end in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{end}", database.display()));
    }
    std::fs::copy(whole, database).unwrap();
}

#[tokio::test]
async fn what_two_tasks_took_adds_up_to_their_times_and_stays_when_they_go() {
    let cluster = Plan::new().worker(fake_worker("w1")).start().await;
    let mut core_hours = 0.0;
    for (cpu, team) in [(0.5, "blue"), (1.0, "red")] {
        let document = json!({"image": "fake:x", "name": "job", "cpu_cores": cpu, "memory_gb": 0.5,
            "labels": {"team": team}, "env": {"FAKE_DURATION_MS": "700"}});
        let id = cluster.rest.submit(document).await;
        let attempt = cluster.rest.completed(&id).await["attempts"][0].clone();
        let time = |field: &str| attempt[field].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond();
        let ran = time("ended_at") - time("started_at");
        assert!(ran > 0, "{attempt}");
        core_hours += ran as f64 * cpu / 3_600_000.0;
    }
    let near = |value: &Value, expected: f64| (value.as_f64().unwrap() - expected).abs() < 1e-5;
    let report = cluster.rest.get("/api/v1/usage").await;
    let row = &report["items"][0];
    assert_eq!((&row["key"], &row["tasks"], &row["attempts"]), (&json!("local"), &json!(2), &json!(2)), "{report}");
    assert!(near(&row["cpu_core_hours"], core_hours), "{report}: {core_hours}");
    let by_label = cluster.rest.get("/api/v1/usage?by=label:team").await;
    let keys: Vec<_> = by_label["items"].as_array().unwrap().iter().map(|row| row["key"].clone()).collect();
    assert_eq!((keys, &by_label["cut"]), (vec![json!("blue"), json!("red")], &json!(false)));
    let sum: f64 =
        by_label["items"].as_array().unwrap().iter().map(|row| row["cpu_core_hours"].as_f64().unwrap()).sum();
    assert!(near(&row["cpu_core_hours"], sum), "{by_label}");
    assert_eq!(cluster.rest.get("/api/v1/usage?by=name").await["items"][0]["key"], "job");
    let table = cluster.run(&["cluster", "usage", "--since", "30d", "--by", "user", "--csv"]).await;
    assert!(table.code == 0 && table.out.starts_with("user,tasks,attempts,cpu_core_hours"), "{table:?}");
    assert!(table.out.lines().nth(1).is_some_and(|line| line.starts_with("local,2,2,")), "{table:?}");
    let shown = cluster.run(&["cluster", "usage"]).await;
    assert!(shown.code == 0 && shown.out.contains("CORE-HOURS") && shown.out.contains("local"), "{shown:?}");
}
