//! Logs that are followed through every turn of a task's life.

use super::*;
use crate::http::follow::Follow;
use crate::http::log_reader::Wanted;
use crate::principal::Principal;
use axum::body::BodyDataStream;
use cloudai_core::event::{Event, Removal};
use cloudai_core::task::Step;
use cloudai_core::testing::{cores, worker_id};
use dto::{LogLine, LogState};
use futures::StreamExt;
use std::collections::VecDeque;
use std::time::Duration;

/// Longer than anything here takes; a line that does not come fails the test.
const PATIENCE: Duration = Duration::from_secs(20);

/// The body of a follow, line by line.
struct Lines {
    body: BodyDataStream,
    rest: VecDeque<LogLine>,
}

impl Lines {
    async fn of(fake: &Fake, id: TaskId, query: &str) -> Self {
        let request = Request::get(format!("/api/v1/tasks/{id}/logs?follow=true{query}"));
        let response = fake.open(request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), 200);
        Self { body: response.into_body().into_data_stream(), rest: VecDeque::new() }
    }

    /// The next line; none at the end of the body.
    async fn next(&mut self) -> Option<LogLine> {
        while self.rest.is_empty() {
            let piece = tokio::time::timeout(PATIENCE, self.body.next()).await.expect("no line came");
            let piece = piece?.unwrap();
            let text = std::str::from_utf8(&piece).unwrap();
            self.rest.extend(text.lines().map(|line| serde_json::from_str::<LogLine>(line).unwrap()));
        }
        self.rest.pop_front()
    }

    /// The next line in short: `attempt:number text`, or `status/phase` and `status!` at the end.
    async fn short(&mut self) -> String {
        match self.next().await.expect("the body has ended") {
            LogLine::Log(entry) => format!("{}:{} {}", entry.attempt, entry.n, entry.text.unwrap().trim_end()),
            LogLine::State(LogState { status, phase, .. }) => format!("{status}/{}", phase.unwrap()),
            LogLine::End(state) => format!("{}!", state.status),
            LogLine::Damaged(lost) => format!("{lost:?}"),
        }
    }

    async fn is_over(&mut self) -> bool {
        self.next().await.is_none()
    }

    /// Asserts that nothing comes until something else happens.
    async fn is_quiet(&mut self) {
        let line = tokio::time::timeout(Duration::from_millis(200), self.next()).await;
        assert!(line.is_err(), "{line:?}");
    }
}

async fn place(fake: &Fake, id: TaskId, worker: &str) -> Attempt {
    fake.cluster(|cluster| {
        cluster.worker(worker, cores(4));
        cluster.place(id, worker)
    })
    .await
}

async fn step(fake: &Fake, attempt: Attempt, step: Step) {
    fake.cluster(|cluster| cluster.step(attempt, step)).await.unwrap();
}

#[tokio::test]
async fn a_task_is_followed_from_the_queue_to_its_end() {
    let fake = Fake::start().await;
    let id = fake.task().await;
    let mut lines = Lines::of(&fake, id, "").await;
    assert_eq!(lines.short().await, "queued/waiting_capacity");
    let attempt = place(&fake, id, "w1").await;
    assert_eq!(lines.short().await, "pending/assigned");
    step(&fake, attempt, Step::Pulling).await;
    assert_eq!(lines.short().await, "pending/pulling");
    step(&fake, attempt, Step::Running).await;
    assert_eq!(lines.short().await, "running/running");
    fake.write(attempt, 0, &["one\n", "two\n"]).await;
    assert_eq!(lines.short().await, "1:0 one");
    assert_eq!(lines.short().await, "1:1 two");
    fake.write(attempt, 2, &["three\n"]).await;
    assert_eq!(lines.short().await, "1:2 three");
    fake.end(attempt, 3, Vec::new()).await;
    match lines.next().await {
        Some(LogLine::End(end)) => {
            assert_eq!((end.status.as_str(), end.exit_code, end.attempt), ("completed", Some(0), 1));
            assert_eq!(end.worker_id.as_deref(), Some("w1"));
        }
        other => panic!("{other:?}"),
    }
    assert!(lines.is_over().await);
}

#[tokio::test]
async fn what_was_cut_of_a_log_stands_at_its_end_and_with_its_attempt() {
    let fake = Fake::start().await;
    let id = fake.task().await;
    let attempt = place(&fake, id, "w1").await;
    fake.write(attempt, 0, &["a\n"]).await;
    let cut = LogCut { records: 7, bytes: u64::MAX };
    let log = LogEnd { records: 1, bytes: 2, complete: false, cut: Some(cut) };
    let run = Some(Duration::from_secs(1));
    fake.cluster(|cluster| cluster.end(attempt, Outcome { log, run, ..Outcome::exit(0) })).await.unwrap();
    let told = Some(dto::LogCut { records: 7, bytes: u64::MAX });
    let mut lines = Lines::of(&fake, id, "").await;
    assert_eq!(lines.short().await, "1:0 a");
    match lines.next().await {
        Some(LogLine::End(end)) => assert_eq!((end.status.as_str(), end.log_cut), ("completed", told)),
        other => panic!("{other:?}"),
    }
    let task: dto::Task = fake.get(&format!("/api/v1/tasks/{id}")).await.json();
    assert_eq!((task.attempts[0].log_records, task.attempts[0].log_bytes), (Some(1), Some(2)));
    assert_eq!((task.attempts[0].log_cut, task.warnings), (told, vec!["log_incomplete".to_owned()]));
}

#[tokio::test]
async fn a_task_that_has_ended_is_followed_to_its_end_at_once() {
    let fake = Fake::start().await;
    let id = fake.task().await;
    let attempt = place(&fake, id, "w1").await;
    fake.write(attempt, 0, &["a\n", "b\n"]).await;
    fake.end(attempt, 2, Vec::new()).await;
    let mut lines = Lines::of(&fake, id, "&tail=1").await;
    assert_eq!(lines.short().await, "1:1 b");
    assert_eq!(lines.short().await, "completed!");
    assert!(lines.is_over().await);
    let never_ran = fake.task().await;
    fake.cluster(|cluster| cluster.cancel(never_ran)).await.unwrap();
    let mut lines = Lines::of(&fake, never_ran, "").await;
    assert_eq!(lines.short().await, "cancelled!");
    assert!(lines.is_over().await);
}

#[tokio::test]
async fn output_tells_that_a_task_runs_and_other_tasks_tell_nothing() {
    let fake = Fake::start().await;
    let id = fake.task().await;
    let attempt = place(&fake, id, "w1").await;
    let mut lines = Lines::of(&fake, id, "").await;
    assert_eq!(lines.short().await, "pending/assigned");
    fake.write(attempt, 0, &["a\n"]).await;
    assert_eq!(lines.short().await, "1:0 a");
    step(&fake, attempt, Step::Running).await;
    for _ in 0..3 {
        fake.task().await;
    }
    lines.is_quiet().await;
    fake.end(attempt, 1, Vec::new()).await;
    assert_eq!(lines.short().await, "completed!");
}

#[tokio::test]
async fn a_retried_task_is_followed_into_its_next_attempt() {
    let fake = Fake::start().await;
    let id = fake.task().await;
    let first = place(&fake, id, "w1").await;
    step(&fake, first, Step::Running).await;
    fake.write(first, 0, &["a\n"]).await;
    let mut all = Lines::of(&fake, id, "").await;
    let mut only = Lines::of(&fake, id, "&attempt=1").await;
    assert_eq!(all.short().await, "1:0 a");
    assert_eq!(only.short().await, "1:0 a");
    fake.cluster(|cluster| cluster.ok(Event::Remove(Removal { worker: worker_id("w1"), force: true }))).await;
    assert!(all.short().await.starts_with("queued/"));
    assert_eq!(only.short().await, "queued!");
    assert!(only.is_over().await);
    fake.cluster(|cluster| cluster.wait(Duration::from_secs(600))).await;
    let second = place(&fake, id, "w2").await;
    fake.write(second, 0, &["b\n"]).await;
    fake.end(second, 1, Vec::new()).await;
    let mut rest = Vec::new();
    while let Some(line) = all.next().await {
        match line {
            LogLine::Log(entry) => rest.push(format!("{}:{}", entry.attempt, entry.n)),
            LogLine::End(end) => rest.push(format!("{} after {}", end.status, end.attempt)),
            LogLine::State(_) | LogLine::Damaged(_) => {}
        }
    }
    assert_eq!(rest, ["2:0", "completed after 2"]);
}

#[tokio::test]
async fn the_end_waits_for_every_record_that_was_announced() {
    let fake = Fake::start().await;
    let id = fake.task().await;
    let attempt = place(&fake, id, "w1").await;
    fake.write(attempt, 0, &["a\n"]).await;
    let mut lines = Lines::of(&fake, id, "").await;
    assert_eq!(lines.short().await, "1:0 a");
    fake.end(attempt, 2, Vec::new()).await;
    // The state of before the end may still be told.
    while let Ok(line) = tokio::time::timeout(Duration::from_millis(200), lines.short()).await {
        assert_eq!(line, "pending/assigned");
    }
    fake.write(attempt, 1, &["b\n"]).await;
    assert_eq!(lines.short().await, "1:1 b");
    assert_eq!(lines.short().await, "completed!");
    assert!(lines.is_over().await);
}

#[tokio::test]
async fn records_that_were_announced_and_never_come_do_not_hold_the_end_for_ever() {
    let fake = Fake::start().await;
    let id = fake.task().await;
    let attempt = place(&fake, id, "w1").await;
    fake.end(attempt, 2, Vec::new()).await;
    let follow = Follow::new(fake.handle.clone(), Principal::local(), id, Wanted::default(), None);
    let body = Body::from_stream(follow.giving_up_after(Duration::from_millis(100)).stream(None));
    let mut lines = Lines { body: body.into_data_stream(), rest: VecDeque::new() };
    assert_eq!(lines.short().await, "completed!");
    assert!(lines.is_over().await);
}

#[tokio::test]
async fn raw_bytes_are_followed_without_a_word_of_ours() {
    let fake = Fake::start().await;
    let id = fake.task().await;
    let path = format!("/api/v1/tasks/{id}/logs?follow=true&format=raw");
    let (answer, ()) = tokio::join!(fake.get(&path), async {
        let attempt = place(&fake, id, "w1").await;
        fake.write(attempt, 0, &["a\n"]).await;
        fake.write(attempt, 1, &["\u{e9}"]).await;
        fake.end(attempt, 2, Vec::new()).await;
    });
    assert_eq!(answer.headers["content-type"], "application/octet-stream");
    assert_eq!(answer.body, "a\n\u{e9}".as_bytes());
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_nothing_behind() {
    let fake = Fake::start().await;
    let id = fake.task().await;
    let before = Arc::strong_count(&fake.handle.shared);
    let mut lines = Lines::of(&fake, id, "").await;
    assert_eq!(lines.short().await, "queued/waiting_capacity");
    assert!(Arc::strong_count(&fake.handle.shared) > before);
    drop(lines);
    assert_eq!(Arc::strong_count(&fake.handle.shared), before);
}

#[tokio::test]
async fn a_slow_client_holds_one_piece_and_loses_nothing() {
    let fake = Fake::start().await;
    let id = fake.task().await;
    let attempt = place(&fake, id, "w1").await;
    let mut lines = Lines::of(&fake, id, "").await;
    assert_eq!(lines.short().await, "pending/assigned");
    for first in (0..400).step_by(20) {
        let texts: Vec<String> = (first..first + 20).map(|n| format!("{n:0>2000}\n")).collect();
        fake.write(attempt, first, &texts.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
    fake.end(attempt, 400, Vec::new()).await;
    for n in 0..400 {
        assert_eq!(lines.short().await, format!("1:{n} {n:0>2000}"));
    }
    assert_eq!(lines.short().await, "completed!");
}

#[tokio::test]
async fn a_follow_breaks_off_when_the_master_stops_and_does_not_end() {
    let fake = Fake::start().await;
    let id = fake.task().await;
    let mut lines = Lines::of(&fake, id, "").await;
    assert_eq!(lines.short().await, "queued/waiting_capacity");
    fake.handle.shared.stopping.cancel();
    let piece = tokio::time::timeout(PATIENCE, lines.body.next()).await.expect("the follow goes on");
    assert!(piece.expect("an end says that this was all").is_err());
}
