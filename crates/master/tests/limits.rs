//! Limits of what tasks leave, at the door of the workers.

#![allow(clippy::unwrap_used, reason = "a test that can not go on fails")]

mod support;

use cloudai_master::FileLimits;
use cloudai_proto::v1 as pb;
use cloudai_store::Store;
use sha2::{Digest, Sha256};
use support::Running;
use support::worker::{Client, client, placed, placed_as, register};
use tonic::{Code, Status};

fn sha(data: &[u8]) -> String {
    hex::encode(Sha256::digest(data))
}

/// Waits until it is so; the suite's time limit ends what never comes.
async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// Sends several small files of an attempt.
async fn small(client: &mut Client, of: &pb::AttemptRef, files: &[(&str, &'static [u8])]) -> Result<(), Status> {
    let files = files.iter().map(|(path, data)| pb::SmallFile {
        path: (*path).into(),
        data: (*data).into(),
        sha256: sha(data),
    });
    let request = pb::SmallFiles { attempt: Some(of.clone()), files: files.collect() };
    client.upload_small_files(request).await.map(drop)
}

/// Asks how much of a file is kept, as workers do before they send it.
async fn ask(client: &mut Client, of: &pb::AttemptRef, path: &str, size: u64) -> Result<u64, Status> {
    let header = pb::FileHeader {
        task_id: of.task_id.clone(),
        attempt: of.attempt,
        incarnation: of.incarnation,
        path: path.into(),
        size,
        sha256: sha(b""),
        offset: 0,
        ask: true,
    };
    let chunk = pb::FileChunk { what: Some(pb::file_chunk::What::Header(header)) };
    client.upload_task_files(tokio_stream::iter([chunk])).await.map(|ack| ack.into_inner().bytes)
}

fn refused(told: Result<impl std::fmt::Debug, Status>, part: &str) {
    let status = told.unwrap_err();
    // A worker that is told so does not try again.
    assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
    assert!(status.message().contains(part), "{status}");
}

async fn end(client: &mut Client, of: &pb::AttemptRef, files: &[(&str, &[u8])]) {
    exited(client, of, 0, files).await;
}

async fn exited(client: &mut Client, of: &pb::AttemptRef, code: i32, files: &[(&str, &[u8])]) {
    let outputs = files.iter().map(|(path, data)| pb::OutputFile {
        path: (*path).into(),
        size: data.len() as u64,
        sha256: sha(data),
    });
    let mut result = pb::TaskResult {
        task_id: of.task_id.clone(),
        attempt: of.attempt,
        incarnation: of.incarnation,
        exit_code: Some(code),
        run_ms: Some(1),
        log_complete: true,
        outputs: outputs.collect(),
        ..pb::TaskResult::default()
    };
    result.set_cause(pb::Cause::Exited);
    assert!(client.report_task_completion(result).await.unwrap().into_inner().success);
}

#[tokio::test]
async fn what_is_beyond_a_limit_is_refused_before_it_is_sent_and_leaves_nothing_behind() {
    let limits = FileLimits { task: Some(8), task_count: 2, user: Some(10) };
    let master = Running::limited(limits).await;
    let mut client = client(&master).await;
    let ack = register(&mut client).await;
    let ids = placed(&master, &mut client, ack.session, 3).await;
    let of = |at: usize| pb::AttemptRef { task_id: ids[at].clone(), attempt: 1, incarnation: ack.incarnation };
    let (first, second, third) = (of(0), of(1), of(2));

    assert_eq!(ask(&mut client, &first, "large", 8).await.unwrap(), 0);
    refused(ask(&mut client, &second, "large", 9).await, "files.max_task allows 8 B");
    refused(small(&mut client, &second, &[("a", b""), ("b", b""), ("c", b"")]).await, "files.max_task_count allows 2");
    // What was announced counts, before it has come.
    refused(small(&mut client, &second, &[("a", b"123")]).await, "local has 8 B of files");
    small(&mut client, &second, &[("a", b"12")]).await.unwrap();
    small(&mut client, &second, &[("a", b"12")]).await.unwrap();
    refused(ask(&mut client, &second, "b", 1).await, "files.max_user allows 10 B");

    // An end without files gives back what was sent, on the disk too.
    let files = master.dir.path().join("files");
    let folder = files.join(&ids[1][ids[1].len() - 2..]).join(&ids[1]).join("1");
    assert!(folder.is_dir());
    end(&mut client, &second, &[]).await;
    // Beside the answer, which does not wait for the disk.
    until(|| !folder.exists()).await;
    end(&mut client, &first, &[]).await;
    small(&mut client, &third, &[("a", b"12345678")]).await.unwrap();
    end(&mut client, &third, &[("a", b"12345678")]).await;
    let owner = "local".parse().unwrap();
    assert_eq!(master.store.usage(&owner, &[]).await.unwrap().bytes, 8);
    let ids = placed_more(&master, &mut client, ack.session).await;
    let fourth = pb::AttemptRef { task_id: ids, ..first };
    refused(
        ask(&mut client, &fourth, "b", 3).await,
        "local has 8 B of files, kept or on their way, this task would add 3 B",
    );
    ask(&mut client, &fourth, "b", 2).await.unwrap();
    drop(client);
    master.stop().await;
}

/// One more task, once it was sent to the worker.
async fn placed_more(master: &Running, client: &mut Client, session: u64) -> String {
    placed(master, client, session, 1).await.remove(0)
}

#[tokio::test]
async fn of_uploads_at_the_same_time_no_more_come_in_than_the_user_has_room_for() {
    let master = Running::limited(FileLimits { user: Some(10), ..FileLimits::default() }).await;
    let mut client = client(&master).await;
    let ack = register(&mut client).await;
    let ids = placed(&master, &mut client, ack.session, 8).await;
    let of = |id: &String| pb::AttemptRef { task_id: id.clone(), attempt: 1, incarnation: ack.incarnation };
    // They are known before, so that nothing but the question for the sum makes them wait.
    for id in &ids {
        ask(&mut client, &of(id), "first", 0).await.unwrap();
    }
    let asked = ids.iter().map(|id| {
        let (mut client, of) = (client.clone(), of(id));
        async move { ask(&mut client, &of, "second", 3).await.is_ok() }
    });
    let let_in = futures::future::join_all(asked).await;
    assert_eq!(let_in.into_iter().filter(|let_in| *let_in).count(), 3, "of 3 bytes each");
    drop(client);
    master.stop().await;
}

#[tokio::test]
async fn what_an_attempt_left_goes_when_its_task_is_tried_again() {
    let master = Running::limited(FileLimits::default()).await;
    let mut client = client(&master).await;
    let ack = register(&mut client).await;
    let again = r#"{"image":"busybox","retries":{"max":1,"on":["exit_code"]}}"#;
    let ids = placed_as(&master, &mut client, ack.session, &[again, r#"{"image":"busybox"}"#]).await;
    let folder = |id: &String| master.dir.path().join("files").join(&id[id.len() - 2..]).join(id).join("1");
    for id in &ids {
        let of = pb::AttemptRef { task_id: id.clone(), attempt: 1, incarnation: ack.incarnation };
        small(&mut client, &of, &[("a", b"12")]).await.unwrap();
        assert!(folder(id).is_dir());
        exited(&mut client, &of, 1, &[("a", b"12")]).await;
    }
    until(|| !folder(&ids[0]).exists()).await;
    assert!(folder(&ids[1]).is_dir(), "that is its result");
    drop(client);
    master.stop().await;
}
