//! The sample worker in Python runs the tasks of a real master, by either delivery.

use crate::agent::{python, python_in};
use crate::cluster::Cluster;
use crate::enrol::Asking;
use crate::process::Process;
use crate::rest::end;
use rustix::process::Signal;
use serde_json::json;

/// Starts the sample, which is to know its master.
fn worker(cluster: &Cluster, name: &str, flags: &[&str]) -> Process {
    let words = [&["--master", cluster.grpc(), "--cpus", "4", "--mem-gb", "8"][..], flags].concat();
    python(cluster, name, "samples/worker-python/worker.py", &words)
}

async fn runs_what_it_is_given(flags: &[&str]) {
    let mut cluster = Cluster::start().await;
    let first = worker(&cluster, "python", flags);
    cluster.worker_until("python-1", "active").await;
    let shell = |script: &str| json!({"image": "any", "command": ["sh", "-c", script], "env": {"WORD": "hello"}});
    let id = cluster.rest.submit(shell("echo $WORD; echo $CLOUDAI_TASK_ID; echo bad >&2; exit 3")).await;
    let task = cluster.rest.ended(&id).await;
    assert_eq!((end(&task), task["exit_code"].as_i64()), (("failed", "exit_code"), Some(3)), "{task:#}");
    assert_eq!(cluster.rest.log(&id, "&stream=stdout").await, format!("hello\n{id}\n"));
    assert_eq!(cluster.rest.log(&id, "&stream=stderr").await, "bad\n");

    let ids = cluster.rest.submit_all(vec![shell("true"); 20]).await;
    for id in &ids {
        cluster.rest.completed(id).await;
    }
    let id = cluster.rest.submit(shell("sleep 60")).await;
    cluster.rest.running(&id).await;
    cluster.rest.ask("POST", &format!("/api/v1/tasks/{id}/cancel"), None).await;
    assert_eq!(end(&cluster.rest.ended(&id).await), ("cancelled", "user"));

    // What runs while the master is away ends with it once.
    let id = cluster.rest.submit(shell("sleep 1; echo over")).await;
    cluster.rest.running(&id).await;
    cluster.kill_master();
    cluster.restart_master().await;
    cluster.rest.completed(&id).await;
    assert_eq!(cluster.rest.log(&id, "").await, "over\n");
    cluster.worker_until("python-1", "active").await;
    let id = cluster.rest.submit(shell("true")).await;
    cluster.rest.completed(&id).await;
    assert!(!first.err().contains("Traceback"), "{}", first.err());
}

#[tokio::test]
async fn a_worker_in_python_that_subscribes_runs_what_it_is_given() {
    runs_what_it_is_given(&[]).await;
}

#[tokio::test]
async fn a_worker_in_python_that_is_brought_its_commands_runs_what_it_is_given() {
    runs_what_it_is_given(&["--push", "--listen", "127.0.0.1:0"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_in_python_joins_a_master_that_asks_who_calls_and_is_brought_its_commands_under_tls() {
    let master = Asking::start().await;
    let grpc = master.grpc.to_string();
    let words = ["--master", &grpc, "--cpus", "4", "--mem-gb", "8"];
    let start = |name: &str, token: &str, push: &[&str]| {
        let words = [&words[..], push].concat();
        python_in(master.dir.path(), name, token, "samples/worker-python/worker.py", &words)
    };
    // It has a certificate from the first life on.
    let lives = [(master.token(), &[][..]), (String::new(), &["--push", "--listen", "127.0.0.1:0"][..])];
    for (number, (token, push)) in lives.iter().enumerate() {
        let mut worker = start(&format!("life-{number}"), token, push);
        master.active("python-1").await;
        master.runs_a_task().await;
        worker.signal(Signal::TERM);
        worker.ended().await;
        assert!(!worker.err().contains("Traceback"), "{}", worker.err());
    }
}
