//! Templates over real processes: kept over a restart, filled, run as tasks and as jobs.

use crate::cluster::{Cluster, fake_worker};
use serde_json::json;

const SAY: &str = "[params.words]\ntype = \"text\"\n\
    [params.cpus]\ntype = \"number\"\ndefault = 0.5\nmax = 1\n\
    [task]\nimage = \"fake:say\"\ncpu_cores = \"${param.cpus}\"\nenv = {FAKE_STDOUT = \"one says ${param.words}\"}\n";
const SWEEP: &str = "params: {most: {type: integer, default: 2}}\n\
    job:\n  name: sweep\n  tasks: [{name: fit, image: 'fake:fit', array: '0-${param.most}', env: {SEED: '${index}'}}]\n";

#[tokio::test]
async fn a_template_outlives_its_master_and_makes_what_its_parameters_say() {
    let mut cluster = Cluster::of(fake_worker("w1")).await;
    std::fs::write(cluster.dir().join("say.toml"), SAY).unwrap();
    let kept = cluster.run(&["template", "put", "say", "say.toml"]).await;
    assert!(kept.code == 0 && kept.out.contains("say  kept as version 1"), "{kept:?}");
    let again = cluster.run(&["template", "put", "say", "say.toml"]).await;
    assert!(again.out.contains("say  kept as version 1"), "the same content is no new version: {again:?}");
    std::fs::write(cluster.dir().join("say.toml"), SAY.replace("one says", "two says")).unwrap();
    assert!(cluster.run(&["template", "put", "say", "say.toml"]).await.out.contains("version 2"));
    cluster.stop_master().await;
    cluster.restart_master().await;
    cluster.worker_until("w1", "active").await;

    for (version, said) in [(None, "two says hi there\n"), (Some("1"), "one says hi there\n")] {
        let mut words =
            vec!["template", "run", "say", "-p", "words=hi there", "-p", "cpus=0.25", "--wait", "-o", "quiet"];
        words.extend(version.iter().flat_map(|version| ["--version", version]));
        let ran = cluster.run(&words).await;
        assert_eq!(ran.code, 0, "{ran:?}");
        let task = cluster.rest.task(ran.out.trim()).await;
        assert_eq!(cluster.rest.log(ran.out.trim(), "").await, said);
        assert_eq!(task["resources"]["cpu_cores"], 0.25);
        let labels = json!({"cloudai.template": "say", "cloudai.template.version": version.unwrap_or("2")});
        assert_eq!(task["labels"], labels);
    }
    let refused = cluster.run(&["template", "run", "say", "-p", "cpus=2"]).await;
    assert!(refused.code == 64 && refused.err.contains("params.words: is missing"), "{refused:?}");
    assert!(refused.err.contains("params.cpus") && refused.err.contains("of at most 1"), "{refused:?}");
    assert_eq!(cluster.run(&["template", "run", "absent"]).await.code, 5);
}

#[tokio::test]
async fn a_template_of_a_job_makes_a_job_whose_tasks_say_where_they_come_from() {
    let cluster = Cluster::of(fake_worker("w1")).await;
    std::fs::write(cluster.dir().join("sweep.yaml"), SWEEP).unwrap();
    assert_eq!(cluster.run(&["template", "put", "sweep", "sweep.yaml"]).await.code, 0);
    let ran = cluster.run(&["template", "run", "sweep", "-p", "most=4", "--wait", "-o", "json"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let job: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&job["status"], &job["counts"]["completed"]), (&json!("completed"), &json!(5)));
    let tasks = cluster.rest.get(&format!("/api/v1/jobs/{}/tasks", job["id"].as_str().unwrap())).await;
    assert_eq!(tasks["items"][4]["labels"], json!({"cloudai.template": "sweep", "cloudai.template.version": "1"}));
}
