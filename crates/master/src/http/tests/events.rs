//! Server-sent events: in order, resumed without loss, each client only what is its own.

use super::*;
use crate::http::dto::events::Event;
use crate::http::{at_the_edge, for_strangers};
use crate::principal::Role;
use axum::Extension;
use axum::body::BodyDataStream;
use cloudai_core::task::Step;
use cloudai_core::testing::cores;
use futures::StreamExt;
use std::time::Duration;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);
const PATH: &str = "/api/v1/events";

/// A client that reads as it likes.
struct Client {
    body: BodyDataStream,
    text: String,
}

impl Client {
    async fn open(fake: &Fake, path: &str, last: Option<&str>) -> Self {
        let mut request = Request::get(path);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        Self::of(fake.open(request.body(Body::empty()).unwrap()).await)
    }

    fn of(answer: Response) -> Self {
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-type"]),
            (200, &"text/event-stream".parse().unwrap())
        );
        Self { body: answer.into_body().into_data_stream(), text: String::new() }
    }

    /// The next event; none at the end.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
                let Some(data) = field("data: ") else { continue };
                let event: Event = serde_json::from_str(data).unwrap();
                assert_eq!((field("id: "), field("event: ")), (Some(event.id.as_str()), Some(event.kind.as_str())));
                return Some(event);
            }
            let piece = tokio::time::timeout(PATIENCE, self.body.next()).await.expect("nothing came")?;
            self.text.push_str(std::str::from_utf8(&piece.unwrap()).unwrap());
        }
    }

    /// So many events.
    async fn take(&mut self, count: usize) -> Vec<Event> {
        let mut events = Vec::new();
        for _ in 0..count {
            events.push(self.next().await.expect("the stream has ended"));
        }
        events
    }
}

/// Lets a task run to its end: three changes.
async fn run(fake: &Fake, task: TaskId) {
    let attempt = fake.cluster(|cluster| cluster.place(task, "w1")).await;
    fake.cluster(|cluster| cluster.step(attempt, Step::Running)).await.unwrap();
    fake.end(attempt, 0, Vec::new()).await;
}

#[tokio::test]
async fn what_a_task_goes_through_comes_in_order_behind_where_the_client_began() {
    let fake = Fake::start().await;
    fake.cluster(|cluster| cluster.worker("w1", cores(4))).await;
    let mut client = Client::open(&fake, PATH, None).await;
    let start = client.next().await.unwrap();
    assert_eq!(start.kind, "start");
    let task = fake.task().await;
    run(&fake, task).await;
    let events = client.take(4).await;
    let numbers: Vec<u64> = events.iter().map(|event| event.seq - start.seq).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    let told: Vec<_> = events.iter().map(|event| (event.status.as_deref(), event.phase.as_deref())).collect();
    let expected = [
        (Some("queued"), Some("waiting_capacity")),
        (Some("pending"), Some("assigned")),
        (Some("running"), Some("running")),
        (Some("completed"), None),
    ];
    assert_eq!(told, expected);
    for event in &events {
        assert_eq!((event.kind.as_str(), event.task_id.clone()), ("task", Some(task.to_string())));
        assert_eq!(event.user_id.as_deref(), Some("local"));
    }
    let last = &events[3];
    assert_eq!((last.exit_code, last.attempt, last.worker_id.as_deref()), (Some(0), Some(1), Some("w1")));
    // Who is told of an end and looks sees it.
    assert_eq!(fake.get(&format!("/api/v1/tasks/{task}")).await.json::<dto::Task>().status, "completed");
}

#[tokio::test]
async fn a_client_that_comes_again_misses_nothing_and_gets_nothing_twice() {
    let fake = Fake::start().await;
    fake.cluster(|cluster| cluster.worker("w1", cores(4))).await;
    let mut whole = Client::open(&fake, PATH, None).await;
    whole.next().await.unwrap();
    let mut part = Client::open(&fake, PATH, None).await;
    let mut last = part.next().await.unwrap().id;
    let (mut all, mut seen) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let task = fake.task().await;
        run(&fake, task).await;
        all.extend(whole.take(4).await);
        // It goes in the middle, and says where it was when it comes again.
        seen.extend(part.take(2).await);
        last = seen.last().map_or(last, |event| event.id.clone());
        drop(part);
        part = Client::open(&fake, PATH, Some(&last)).await;
        assert_eq!(part.next().await.unwrap().id, last, "it is told where it begins");
    }
    seen.extend(part.take(all.len() - seen.len()).await);
    assert_eq!(seen, all);
    let first = &all[0];
    for from in [first.id.clone(), first.seq.to_string()] {
        let mut client = Client::open(&fake, &format!("{PATH}?from_seq={from}"), None).await;
        client.next().await.unwrap();
        assert_eq!(client.take(all.len()).await, all, "{from}");
    }
}

#[tokio::test]
async fn a_client_that_is_too_slow_is_told_and_let_go_and_disturbs_no_other() {
    let fake = Fake::made(Live::default(), 8, None).await;
    let mut slow = Client::open(&fake, PATH, None).await;
    slow.next().await.unwrap();
    let mut quick = Client::open(&fake, PATH, None).await;
    quick.next().await.unwrap();
    for _ in 0..20 {
        let task = fake.task().await;
        assert_eq!(quick.next().await.unwrap().task_id, Some(task.to_string()));
    }
    assert_eq!(fake.handle.shared.live.clients(), 2);
    let reset = slow.next().await.unwrap();
    assert_eq!(reset.kind, "reset");
    assert!(reset.message.unwrap().contains("too slow"));
    assert_eq!(slow.next().await, None, "that was the last");
    assert_eq!(fake.handle.shared.live.clients(), 1);
}

#[tokio::test]
async fn what_is_kept_no_longer_or_was_another_masters_is_gone() {
    let fake = Fake::made(Live::default(), 4, None).await;
    for _ in 0..8 {
        fake.task().await;
    }
    for from in ["1", "99", "7.7.2"] {
        let answer = fake.get(&format!("{PATH}?from_seq={from}")).await;
        answer.refused(410, "gone");
        assert!(answer.problem().next.unwrap().contains("list anew"), "{from}");
    }
    let request = Request::get(PATH).header("last-event-id", "7.7.2").body(Body::empty()).unwrap();
    fake.ask(request).await.refused(410, "gone");
    let request = Request::get(PATH).header("last-event-id", "x").body(Body::empty()).unwrap();
    fake.ask(request).await.refused(400, "invalid");
}

#[tokio::test]
async fn a_user_hears_of_workers_and_of_no_tasks_of_others() {
    let fake = Fake::start().await;
    let bob = Principal::person("bob".parse().unwrap(), Role::User, Arc::default());
    let router = at_the_edge(true, for_strangers(fake.handle.clone()).layer(Extension(bob)));
    let request = Request::get(PATH).body(Body::empty()).unwrap();
    let mut client = Client::of(router.oneshot(request).await.unwrap());
    client.next().await.unwrap();
    fake.task().await;
    fake.cluster(|cluster| cluster.worker("w1", cores(4))).await;
    let event = client.next().await.unwrap();
    assert_eq!((event.kind.as_str(), event.worker_id.as_deref()), ("worker", Some("w1")));
}

#[tokio::test]
async fn jobs_and_strategies_are_told_as_well_and_what_is_asked_for_alone() {
    let fake = Fake::start().await;
    let mut client = Client::open(&fake, &format!("{PATH}?types=job,strategy"), None).await;
    client.next().await.unwrap();
    let file = r#"{"tasks":[{"name":"a","image":"b"}]}"#;
    let job: dto::Job = fake.post("/api/v1/jobs", file).await.json();
    let event = client.next().await.unwrap();
    assert_eq!((event.kind.as_str(), event.job_id, event.status), ("job", Some(job.id), Some("queued".into())));
    fake.ask(json(Method::PUT, "/api/v1/strategies/current", r#"{"name":"balanced"}"#)).await;
    let event = client.next().await.unwrap();
    assert_eq!((event.kind.as_str(), event.strategy.as_deref()), ("strategy", Some("balanced")));
    fake.get(&format!("{PATH}?types=wombat")).await.refused(400, "invalid");
}

#[tokio::test]
async fn a_master_that_stops_ends_the_stream() {
    let fake = Fake::start().await;
    let mut client = Client::open(&fake, PATH, None).await;
    client.next().await.unwrap();
    fake.handle.shared.stopping.cancel();
    assert_eq!(client.next().await, None);
}
