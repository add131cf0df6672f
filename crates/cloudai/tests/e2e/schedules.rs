//! Schedules over real processes. No test waits for a time: what comes when is proved where the time is told to the code.

use crate::cluster::{Cluster, fake_worker};
use serde_json::json;

#[tokio::test]
async fn a_schedule_outlives_its_master_with_what_became_of_its_runs() {
    let mut cluster = Cluster::of(fake_worker("w1")).await;
    std::fs::write(cluster.dir().join("task.yaml"), "image: fake:x\nenv: {FAKE_STDOUT: done}\n").unwrap();
    // A day that does not come while this runs.
    let words =
        ["schedule", "put", "rare", "--cron", "0 0 29 2 *", "--time-zone", "europe/berlin", "--task-file", "task.yaml"];
    let kept = cluster.run(&words).await;
    assert!(kept.code == 0 && kept.out.starts_with("rare  0 0 29 2 * Europe/Berlin  task  in "), "{kept:?}");
    let ran = cluster.run(&["schedule", "run", "rare", "--wait", "-o", "quiet"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let id = ran.out.trim();
    assert_eq!(cluster.rest.log(id, "").await, "done\n");
    assert_eq!(cluster.rest.task(id).await["labels"]["cloudai.schedule"], "rare");
    let before = cluster.rest.get("/api/v1/schedules/rare").await;
    assert_eq!((&before["runs"], &before["last"]["task_id"]), (&json!(1), &json!(id)));
    assert!(before["next"][0].as_str().unwrap().contains("-02-28T23:00:00"), "{before}");
    assert_eq!(cluster.run(&["schedule", "pause", "rare"]).await.code, 0);
    cluster.stop_master().await;
    cluster.restart_master().await;
    let after = cluster.rest.get("/api/v1/schedules/rare").await;
    assert_eq!((&after["paused"], &after["next"], &after["last"]), (&json!(true), &json!([]), &before["last"]));
    assert_eq!(cluster.run(&["schedule", "resume", "rare"]).await.code, 0);
    let list = cluster.run(&["schedule", "list"]).await;
    assert!(list.out.contains("rare") && list.out.contains("completed"), "{list:?}");
    assert_eq!(cluster.run(&["schedule", "remove", "rare"]).await.code, 0);
    assert_eq!(cluster.run(&["schedule", "show", "rare"]).await.code, 5);
}

#[tokio::test]
async fn what_is_wrong_with_a_schedule_is_told_field_by_field() {
    let cluster = Cluster::start().await;
    let words = ["schedule", "put", "s", "--cron", "0 25 * * *", "--time-zone", "Europe/Berln", "--template", "absent"];
    let refused = cluster.run(&words).await;
    assert_eq!(refused.code, 64, "{refused:?}");
    for part in ["has a wrong hour, \"25\"", "did you mean Europe/Berlin?"] {
        assert!(refused.err.contains(part), "{part}: {refused:?}");
    }
    let refused = cluster.run(&["schedule", "put", "s", "--cron", "@daily", "--template", "absent"]).await;
    assert!(refused.code == 64 && refused.err.contains("cloudai template put absent FILE"), "{refused:?}");
    assert_eq!(cluster.rest.get("/api/v1/schedules").await["items"], json!([]));
}
