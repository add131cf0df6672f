//! The sample agent in Python places the tasks of a real master.

use crate::cluster::{Cluster, Plan, fake_worker};
use crate::process::{Process, until};
use crate::rest::end;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Starts a sample in Python with its packages and stubs, which are made first where they are not current.
pub(crate) fn python(cluster: &Cluster, name: &str, script: &str, words: &[&str]) -> Process {
    python_in(cluster.dir(), name, cluster.token(), script, words)
}

/// The same in any folder, with any join token.
pub(crate) fn python_in(dir: &Path, name: &str, token: &str, script: &str, words: &[&str]) -> Process {
    let made = Command::new(root().join("scripts/agent-python.sh")).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let path = |part: &str| root().join(part).display().to_string();
    let program = [path(".run/agent-python/bin/python"), path(script)];
    let words: Vec<_> = program.into_iter().chain(words.iter().map(ToString::to_string)).collect();
    let variables = [("PYTHONPATH", path(".run/agent-python/stubs")), ("CLOUDAI_JOIN_TOKEN", token.to_owned())];
    let variables = variables.map(|(name, value)| (name.to_owned(), value));
    Process::start_other(dir, name, &variables, &words)
}

fn agent(cluster: &Cluster, name: &str) -> Process {
    python(cluster, name, "samples/agent-python/agent.py", &["--master", cluster.grpc()])
}

/// A large worker, which comes first, and a small one; the agent may be silent for so long.
async fn cluster(patience_ms: u32) -> Cluster {
    let variables = [("CLOUDAI_EXTERNAL_TIMEOUT_MS".to_owned(), patience_ms.to_string())];
    let plan = Plan::new().strategy("external").variables(&variables);
    plan.worker(fake_worker("a-large").cpus(8.0)).worker(fake_worker("b-small").cpus(2.0)).start().await
}

async fn strategy(cluster: &Cluster) -> String {
    cluster.rest.get("/api/v1/cluster").await["strategy"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_agent_in_python_places_every_task_and_nobody_else_does() {
    let cluster = cluster(60_000).await;
    let first = cluster.rest.submit(json!({"image": "fake:x"})).await;
    let agent = agent(&cluster, "agent");
    let task = cluster.rest.completed(&first).await;
    assert_eq!(task["worker_id"], "b-small", "the best fit, where the first fit is the other: {task:#}");

    let ids = cluster.rest.submit_all(vec![json!({"image": "fake:x", "env": {"FAKE_DURATION_MS": 20}}); 30]).await;
    cluster.rest.completed_count(31).await;
    let told = agent.out();
    let words = told.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let accepted: BTreeMap<_, _> =
        words.filter(|words| words[2] == "accepted").map(|words| (words[0].to_owned(), words[1].to_owned())).collect();
    for id in ids.iter().chain([&first]) {
        let task = cluster.rest.task(id).await;
        assert_eq!(end(&task), ("completed", ""), "{task:#}");
        assert_eq!(task["worker_id"].as_str(), accepted.get(id).map(String::as_str), "the agent's word: {told}");
    }
    assert_eq!((accepted.len(), strategy(&cluster).await.as_str()), (31, "external"));
    assert!(!cluster.master_err().contains("took over"), "the fallback never placed");
}

#[tokio::test]
async fn when_the_agent_dies_the_fallback_places_until_it_is_back() {
    let cluster = cluster(300).await;
    let mut first = agent(&cluster, "agent");
    let watches = |count: usize| {
        let seen = cluster.master_err().matches("external agent began to watch").count();
        (seen >= count).then_some(())
    };
    until("the agent watches", async || watches(1)).await;
    first.kill();
    let id = cluster.rest.submit(json!({"image": "fake:x"})).await;
    cluster.rest.completed(&id).await;
    assert_eq!(strategy(&cluster).await, "external (fallback greedy)");
    assert!(cluster.master_err().contains("external agent was silent, fallback strategy took over"));

    let _second = agent(&cluster, "agent-2");
    until("the agent places again", async || (strategy(&cluster).await == "external").then_some(())).await;
    let id = cluster.rest.submit(json!({"image": "fake:x"})).await;
    cluster.rest.completed(&id).await;
}
