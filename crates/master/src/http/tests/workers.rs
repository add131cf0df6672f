//! Workers, the cluster's numbers, and what a task left behind.

use super::*;
use crate::principal::Principal;
use cloudai_core::event::{Event, Heartbeat};
use cloudai_core::ids::CommandSeq;
use cloudai_core::sha256::Sha256 as Content;
use cloudai_core::testing::{cores, cores_and_gpus, worker_id};
use cloudai_core::worker::Unfit;
use sha2::{Digest, Sha256};
use std::time::Duration;

#[tokio::test]
async fn a_worker_is_added_shown_and_taken_out() {
    let fake = Fake::start().await;
    let body = r#"{"id":"w1","address":"10.0.0.7:50052"}"#;
    let answer = fake.post("/api/v1/workers", body).await;
    assert_eq!((answer.status.as_u16(), &answer.headers["location"]), (201, &"/api/v1/workers/w1".parse().unwrap()));
    let worker: dto::Worker = answer.json();
    assert_eq!((worker.status.as_str(), worker.address.as_deref()), ("registered", Some("10.0.0.7:50052")));
    assert_eq!(fake.post("/api/v1/workers", body).await.status, 200);
    assert_eq!(fake.get("/api/v1/workers").await.json::<dto::List<dto::Worker>>().items.len(), 1);
    let remove = || json(Method::DELETE, "/api/v1/workers/w1", "");
    let answer = fake.ask(remove()).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0));
    fake.ask(remove()).await.refused(404, "not_found");
    fake.get("/api/v1/workers/w1").await.refused(404, "not_found");
}

#[tokio::test]
async fn a_worker_that_holds_attempts_is_taken_out_by_force_only() {
    let fake = Fake::start().await;
    let id = fake.task().await;
    fake.cluster(|cluster| {
        cluster.worker("w1", cores_and_gpus(4, 1));
        cluster.place(id, "w1");
    })
    .await;
    let worker: dto::Worker = fake.get("/api/v1/workers/w1").await.json();
    assert_eq!((worker.status.as_str(), worker.tasks, worker.gpus[0].model.as_str()), ("active", 1, "a100"));
    assert_eq!((worker.allocated.cpu_cores, worker.available.cpu_cores, worker.capacity.cpu_cores), (1.0, 3.0, 4.0));
    assert_eq!((worker.available.gpu_cores, worker.capacity.memory_gb), (1.0, 8.0));
    let answer = fake.ask(json(Method::DELETE, "/api/v1/workers/w1", "")).await;
    answer.refused(409, "conflict");
    assert_eq!(answer.problem().next.unwrap(), "cloudai worker remove w1 --force");
    assert_eq!(fake.ask(json(Method::DELETE, "/api/v1/workers/w1?force=true", "")).await.status, 204);
    assert_eq!(fake.get(&format!("/api/v1/tasks/{id}")).await.json::<dto::Task>().status, "queued");
}

#[tokio::test]
async fn an_engine_that_is_away_is_told_of_its_worker_and_of_what_waits_for_it() {
    let fake = Fake::start().await;
    let [first, second] = [fake.task().await, fake.task().await];
    let session = fake.cluster(|cluster| cluster.worker("w1", cores(1))).await;
    let beat = async |seen: u64, away: Option<&str>| {
        let unfit = away.map(|why| Unfit::EngineAway(why.into()));
        let (worker, seen) = (worker_id("w1"), CommandSeq(seen));
        let heartbeat = Heartbeat { worker, session, seen, held: Vec::new(), draining: false, unfit, images: None };
        fake.cluster(|cluster| cluster.ok(Event::Heartbeat(heartbeat))).await;
    };
    let shown = async || fake.get("/api/v1/workers/w1").await.json::<dto::Worker>();
    let waits = async |id: TaskId| fake.get(&format!("/api/v1/tasks/{id}")).await.json::<dto::Task>().message;
    let why = "the container engine of w1 does not answer, so it gets no work: refused; start it";
    beat(0, Some("refused; start it")).await;
    let worker = shown().await;
    assert_eq!((worker.status.as_str(), worker.engine_away.as_deref()), ("engine_away", Some("refused; start it")));
    assert_eq!(waits(first).await, why);
    assert_eq!(fake.get("/api/v1/cluster").await.json::<dto::Cluster>().workers.active, 0);

    // Another worker is full: the one without its engine would have room.
    fake.cluster(|cluster| {
        cluster.worker("w2", cores(1));
        cluster.place(first, "w2");
    })
    .await;
    assert_eq!(waits(second).await, why);

    beat(0, None).await;
    assert_eq!((shown().await.status.as_str(), shown().await.engine_away), ("active", None));
    assert!(waits(second).await.contains("about to be placed"));
}

#[tokio::test]
async fn an_inactive_worker_says_when_what_it_holds_is_given_up() {
    let fake = Fake::start().await;
    let id = fake.task().await;
    let shown = async || fake.get("/api/v1/workers/w1").await.json::<dto::Worker>();
    fake.cluster(|cluster| {
        cluster.worker("w1", cores(1));
        cluster.place(id, "w1");
    })
    .await;
    assert_eq!((shown().await.status.as_str(), shown().await.gives_up_at), ("active", None));
    fake.cluster(|cluster| cluster.wait(Duration::from_secs(60))).await;
    let silent = shown().await;
    assert_eq!((silent.status.as_str(), silent.tasks), ("inactive", 1));
    assert!(silent.gives_up_at > silent.last_seen, "{silent:?}");
    fake.cluster(|cluster| cluster.wait(Duration::from_secs(600))).await;
    assert_eq!((shown().await.tasks, shown().await.gives_up_at), (0, None));
}

#[tokio::test]
async fn a_deaf_worker_is_told_of_its_status_and_of_what_waits_for_it() {
    let fake = Fake::start().await;
    let [given, waiting] = [fake.task().await, fake.task().await];
    fake.cluster(|cluster| {
        let session = cluster.worker("w1", cores(1));
        cluster.place(given, "w1");
        for _ in 0..6 {
            cluster.wait(Duration::from_secs(5));
            cluster.heartbeat("w1", session, 0, Vec::new()).unwrap();
        }
    })
    .await;
    assert_eq!(fake.get("/api/v1/workers/w1").await.json::<dto::Worker>().status, "deaf");
    let message = async |id: TaskId| fake.get(&format!("/api/v1/tasks/{id}")).await.json::<dto::Task>().message;
    let next = "see why with: cloudai worker info ID";
    assert_eq!(message(waiting).await, format!("no worker takes work: 1 is unable to hear the master; {next}"));
    assert!(message(given).await.starts_with("worker w1 does not hear the master; the task goes elsewhere when"));
}

#[tokio::test]
async fn a_worker_is_cordoned_drained_and_opened_and_shows_it() {
    let fake = Fake::start().await;
    let id = fake.task().await;
    fake.cluster(|cluster| {
        cluster.worker("w1", cores(1));
        cluster.worker("w2", cores(1));
    })
    .await;
    let duty = async |worker: &str| fake.get(&format!("/api/v1/workers/{worker}")).await.json::<dto::Worker>().duty;
    let ask = async |call: &str| fake.post(&format!("/api/v1/workers/{call}"), "").await;
    assert!(duty("w1").await.is_none());
    let answer: dto::Worker = ask("w1/cordon?reason=new%20disk").await.json();
    let cordoned = answer.duty.unwrap();
    assert_eq!(
        (cordoned.state.as_str(), cordoned.reason.as_str(), cordoned.by.as_deref()),
        ("cordoned", "new disk", Some("local"))
    );
    ask("w2/drain?deadline_s=60").await;
    let drained = duty("w2").await.unwrap();
    assert!(drained.state == "drained" && drained.until.is_some(), "{drained:?}");
    let why = fake.get(&format!("/api/v1/tasks/{id}")).await.json::<dto::Task>().message;
    assert_eq!(
        why,
        "no worker takes work: 1 is cordoned, 1 is drained; give it work again with: cloudai worker undrain ID"
    );
    assert!(ask("w2/drain?wait").await.json::<dto::Worker>().duty.unwrap().until.is_none());
    ask("w1/undrain").await;
    assert!(duty("w1").await.is_none());
    ask("w9/cordon").await.refused(404, "not_found");
    assert!(ask("w1/drain?wait&deadline_s=5").await.refused(400, "invalid").contains("waited for, or stopped"));
    assert!(
        ask(&format!("w1/cordon?reason={}", "x".repeat(201))).await.refused(400, "invalid").contains("at most 200")
    );
    assert!(ask("w1/drain?deadline_s=-1").await.refused(400, "invalid").contains("deadline_s"));
}

#[tokio::test]
async fn labels_of_a_worker_are_changed_while_it_runs_and_make_a_task_possible() {
    let fake = Fake::start().await;
    fake.cluster(|cluster| cluster.worker("w1", cores(1))).await;
    let patch = async |worker: &str, body: &str| {
        fake.ask(json(Method::PATCH, &format!("/api/v1/workers/{worker}/labels"), body)).await
    };
    let submit = async || fake.post("/api/v1/tasks", r#"{"image":"a","constraints":["zone = eu"]}"#).await;
    assert_eq!(
        submit().await.refused(422, "unsatisfiable"),
        "no worker could ever run this: no worker meets zone = eu: the nearest is w1, which has no zone; set it with: \
         cloudai worker label w1 zone=eu"
    );
    let changed: dto::Worker = patch("w1", r#"{"set":{"zone":"eu"},"remove":["disk"]}"#).await.json();
    assert_eq!(changed.labels, BTreeMap::from([("zone".to_owned(), "eu".to_owned())]));
    let said = BTreeMap::from([("disk".to_owned(), None), ("zone".to_owned(), Some("eu".to_owned()))]);
    assert_eq!(changed.operator_labels, said);
    let task: dto::Task = submit().await.json();
    assert_eq!(task.spec.unwrap()["constraints"], serde_json::json!(["zone = eu"]));
    // The worker comes again, and tells no label.
    fake.cluster(|cluster| cluster.worker("w1", cores(1))).await;
    assert_eq!(fake.get("/api/v1/workers/w1").await.json::<dto::Worker>().labels["zone"], "eu");
    patch("w9", r#"{"set":{"zone":"eu"}}"#).await.refused(404, "not_found");
    let wrong = patch("w1", r#"{"set":{"a b":"c"}}"#).await.refused(400, "invalid");
    assert!(wrong.contains("set.a b: is no label name"), "{wrong}");
    let many: Vec<String> = (0..300).map(|number| format!("\"k{number}\":\"v\"")).collect();
    let wrong = patch("w1", &format!("{{\"set\":{{{}}}}}", many.join(","))).await.refused(400, "invalid");
    assert!(wrong.contains("302 labels of worker w1: at most 256"), "{wrong}");
}

#[tokio::test]
async fn the_token_is_what_a_worker_shows_to_join() {
    let fake = Fake::start().await;
    assert_eq!(fake.get("/api/v1/cluster/join-token").await.json::<dto::JoinToken>().join_token, "cai1-0-token");
}

#[tokio::test]
async fn the_cluster_counts_and_sums() {
    let fake = Fake::start().await;
    let (placed, _) = (fake.task().await, fake.task().await);
    fake.cluster(|cluster| {
        cluster.worker("w1", cores(4));
        cluster.place(placed, "w1");
    })
    .await;
    fake.post("/api/v1/workers", r#"{"id":"w2"}"#).await;
    let cluster: dto::Cluster = fake.get("/api/v1/cluster").await.json();
    assert_eq!(
        (cluster.cluster.as_str(), cluster.strategy.as_str(), cluster.store.as_str()),
        ("the-cluster", "greedy", "ok")
    );
    assert_eq!((cluster.workers.total, cluster.workers.active), (2, 1));
    let states = |words: &[(&str, usize)]| words.iter().map(|(word, count)| ((*word).to_owned(), *count)).collect();
    assert_eq!(cluster.workers.states, states(&[("active", 1), ("registered", 1)]));
    assert_eq!((cluster.capacity.cpu_cores, cluster.allocated.cpu_cores), (4.0, 1.0));
    let counts = BTreeMap::from(
        [("queued", 1), ("pending", 1), ("running", 0), ("completed", 0), ("failed", 0), ("cancelled", 0)]
            .map(|(word, count)| (word.to_owned(), count)),
    );
    assert_eq!(cluster.tasks, counts);
    for (verb, state) in [("cordon", "cordoned"), ("drain", "draining")] {
        fake.post(&format!("/api/v1/workers/w1/{verb}"), "").await;
        let cluster: dto::Cluster = fake.get("/api/v1/cluster").await.json();
        assert_eq!((cluster.workers.total, cluster.workers.active), (2, 0), "{verb}");
        assert_eq!(cluster.workers.states, states(&[(state, 1), ("registered", 1)]));
    }
}

async fn with_files(fake: &Fake, files: &[(&str, &[u8])]) -> TaskId {
    let id = fake.task().await;
    let attempt = fake
        .cluster(|cluster| {
            cluster.worker("w1", cores(4));
            cluster.place(id, "w1")
        })
        .await;
    let answer = fake.get(&format!("/api/v1/tasks/{id}/files")).await;
    assert!(answer.refused(409, "conflict").contains("is pending: its files are there once it has ended"));
    let mut outputs = Vec::new();
    for (path, data) in files {
        let (size, sha256) = (data.len() as u64, Content(Sha256::digest(data).into()));
        let bulk = fake.handle.logs(&Principal::local()).bulk();
        bulk.append_file(attempt, path, 0, Bytes::copy_from_slice(data)).await.unwrap();
        bulk.finish_file(attempt, path, size, sha256).await.unwrap();
        outputs.push(OutputFile { path: (*path).into(), size, sha256 });
    }
    fake.end(attempt, 0, outputs).await;
    id
}

#[tokio::test]
async fn the_files_of_a_task_are_listed_and_downloaded_as_they_were() {
    let fake = Fake::start().await;
    let large = vec![7u8; 300_000];
    let id = with_files(&fake, &[("plots/a b.svg", b"<svg/>"), ("result.bin", &large)]).await;
    let list: dto::List<dto::File> = fake.get(&format!("/api/v1/tasks/{id}/files")).await.json();
    assert_eq!(list.items.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["plots/a b.svg", "result.bin"]);
    let answer = fake.get(&format!("/api/v1/tasks/{id}/files/result.bin")).await;
    assert_eq!(
        (answer.status.as_u16(), answer.body.len(), &answer.headers["content-length"]),
        (200, 300_000, &"300000".parse().unwrap())
    );
    assert_eq!(answer.headers["etag"], format!("\"{}\"", list.items[1].sha256));
    let answer = fake.get(&format!("/api/v1/tasks/{id}/files/plots/a%20b.svg")).await;
    assert_eq!(answer.body, "<svg/>".as_bytes());
    assert_eq!(answer.headers["content-disposition"], "attachment; filename=\"a b.svg\"");
    let path = format!("/api/v1/tasks/{id}/files/result.bin");
    let known = Request::get(path).header("if-none-match", &answer.headers["etag"]).body(Body::empty()).unwrap();
    assert_eq!(fake.ask(known).await.status, 200, "another file's tag");
}

#[tokio::test]
async fn the_files_of_a_task_come_as_one_archive_or_those_of_a_folder() {
    let fake = Fake::start().await;
    let id = with_files(&fake, &[("a", b"1"), ("plots/b.svg", b"<svg/>"), ("plots2", b"x")]).await;
    let path = format!("/api/v1/tasks/{id}/archive");
    for (query, expected) in [
        ("", &["a", "plots/b.svg", "plots2"][..]),
        ("?under=plots/", &["plots/b.svg"]),
        ("?under=a", &["a"]),
        ("?path=plots/&path=a", &["a", "plots/b.svg"]),
    ] {
        let answer = fake.get(&format!("{path}{query}")).await;
        assert_eq!(answer.headers["content-disposition"], format!("attachment; filename=\"{id}.tar\""));
        let mut archive = tar::Archive::new(&answer.body[..]);
        let names = archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().to_str().unwrap().to_owned());
        assert_eq!(names.collect::<Vec<_>>(), expected, "{query}");
    }
    for query in ["?under=plot", "?path=a&path=plot"] {
        let answer = fake.get(&format!("{path}{query}")).await;
        assert!(answer.refused(404, "not_found").contains("has no file \"plot\""), "{query}");
    }
}

#[tokio::test]
async fn a_file_that_the_client_has_is_not_sent_again() {
    let fake = Fake::start().await;
    let id = with_files(&fake, &[("a", b"x")]).await;
    let path = format!("/api/v1/tasks/{id}/files/a");
    let etag = fake.get(&path).await.headers["etag"].clone();
    let answer = fake.ask(Request::get(path).header("if-none-match", etag).body(Body::empty()).unwrap()).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (304, 0));
}

#[tokio::test]
async fn a_path_that_is_no_file_of_the_task_is_refused() {
    let fake = Fake::start().await;
    let id = with_files(&fake, &[("a", b"x")]).await;
    for (path, status) in [
        ("b", 404),
        ("%2e%2e/a", 400),
        ("..%2f..%2fetc%2fpasswd", 400),
        ("x/../a", 400),
        ("a%00", 404),
        ("%2fa", 400),
        ("a/", 400),
    ] {
        let problem = fake.get(&format!("/api/v1/tasks/{id}/files/{path}")).await.problem();
        assert_eq!(problem.status, status, "{path}");
    }
}
