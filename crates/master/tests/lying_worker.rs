//! A worker that tells what no store can keep: a whole master takes its ends in and goes on.

#![allow(clippy::unwrap_used, reason = "a test that can not go on fails")]

mod support;

use cloudai_core::ids::TaskId;
use cloudai_core::state::{Reason, Status, Warning};
use cloudai_core::task::{LogCut, LogEnd, TaskRecord};
use cloudai_proto::v1 as pb;
use cloudai_store::Store;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;
use support::worker::{Client, client, placed, register};
use support::{PATIENCE, Running};
use tokio::time::timeout;
use tonic::Code;

async fn stored(master: &Running, id: &str) -> Arc<TaskRecord> {
    master.store.task(id.parse::<TaskId>().unwrap()).await.unwrap().unwrap()
}

fn file(path: &str, size: u64) -> pb::OutputFile {
    pb::OutputFile { path: path.into(), size, sha256: "a".repeat(64) }
}

/// Good ends but for one thing each.
fn lies() -> Vec<(&'static str, pb::TaskResult)> {
    let good = || {
        let mut result =
            pb::TaskResult { exit_code: Some(0), run_ms: Some(1), log_complete: true, ..pb::TaskResult::default() };
        result.set_cause(pb::Cause::Exited);
        result
    };
    let files = |outputs| pb::TaskResult { outputs, ..good() };
    let many = (0..20_000).map(|number| file(&number.to_string(), 1)).collect();
    vec![
        ("a path twice", files(vec![file("a", 1), file("a", 2)])),
        ("a size that no store keeps", files(vec![file("a", 1), file("b", u64::MAX)])),
        ("a path that leaves its folder", files(vec![file("a", 1), file("../../b", 1)])),
        ("more files than are kept", files(many)),
        ("a message of a MiB", pb::TaskResult { message: "\u{20ac}".repeat(350_000), ..good() }),
        ("a log that was never sent", pb::TaskResult { log_bytes: u64::MAX, run_ms: Some(u64::MAX), ..good() }),
        (
            "more than there is",
            pb::TaskResult {
                peak_memory_bytes: Some(u64::MAX),
                cpu_ms: Some(u64::MAX),
                pull_ms: Some(u64::MAX),
                ..good()
            },
        ),
        ("a name that is none", pb::TaskResult { worker_id: "no name".into(), ..good() }),
    ]
}

#[tokio::test]
async fn an_end_that_could_never_be_stored_ends_its_task_and_the_master_goes_on() {
    let master = Running::start().await;
    let mut client = client(&master).await;
    let ack = register(&mut client).await;
    let loads = master.store.loads();
    let lies = lies();
    let ids = placed(&master, &mut client, ack.session, lies.len() + 2).await;
    let (odd, ids) = ids.split_at(2);

    let named = |id: &String, result: pb::TaskResult| pb::TaskResult {
        task_id: id.clone(),
        attempt: 1,
        incarnation: ack.incarnation,
        ..result
    };
    let results = ids.iter().zip(&lies).map(|(id, (_, result))| named(id, result.clone())).collect();
    let acks = client.report_task_completions(pb::TaskResults { results }).await.unwrap().into_inner().acks;
    for ((id, (lie, _)), ack) in ids.iter().zip(&lies).zip(&acks) {
        assert!(ack.success && !ack.again, "{lie}: {ack:?}");
        let task = stored(&master, id).await;
        assert_eq!(task.status(), Status::Completed, "{lie}");
        let kept = master.store.outputs(task.attempt()).await.unwrap();
        let paths: Vec<_> = kept.iter().map(|file| file.path.as_str()).collect();
        let warnings = task.finished().unwrap().warnings.clone();
        match *lie {
            "a path twice" | "a size that no store keeps" | "a path that leaves its folder" => {
                assert_eq!((paths, warnings), (vec!["a"], vec![Warning::OutputsIncomplete]), "{lie}");
            }
            "more files than are kept" => assert_eq!((paths.len(), warnings.len()), (10_000, 1), "{lie}"),
            "a message of a MiB" => assert_eq!(task.message().len(), 2046),
            _ => assert_eq!((paths.len(), warnings.len()), (0, 0), "{lie}"),
        }
        assert_eq!(task.attempts[0].end.as_ref().unwrap().log.bytes, 0, "{lie}");
    }

    // A cause of a later version is no end of the program; what names no attempt is forgotten.
    let unknown = named(&odd[0], pb::TaskResult { cause: 4711, ..pb::TaskResult::default() });
    let results = vec![unknown, pb::TaskResult { task_id: "no task".into(), ..pb::TaskResult::default() }];
    let acks = client.report_task_completions(pb::TaskResults { results }).await.unwrap().into_inner().acks;
    assert!(acks[0].success && !acks[1].success && !acks[1].again, "{acks:?}");
    let again = stored(&master, &odd[0]).await;
    assert_eq!((again.status(), again.reason()), (Status::Queued, Some(Reason::EngineError)));

    let beat = pb::Heartbeat { worker_id: "w1".into(), session: ack.session, ..pb::Heartbeat::default() };
    assert!(client.send_heartbeat(beat).await.unwrap().into_inner().success, "the session lives on");
    assert_eq!(master.store.loads(), loads, "the master never loaded its state again");
    drop(client);
    master.stop().await;
}

/// Sends records with these numbers to the log of a task's first attempt.
async fn send(client: &mut Client, id: &str, incarnation: u64, numbers: std::ops::Range<u64>) -> Result<u64, Code> {
    let header = pb::LogHeader { task_id: id.into(), attempt: 1, incarnation, first_record: numbers.start };
    let record = |n: u64| pb::LogRecord { time_ns: n, stderr: false, data: format!("this is line {n}\n").into() };
    let records = pb::LogRecords { records: numbers.map(record).collect() };
    let chunks = [pb::log_chunk::What::Header(header), pb::log_chunk::What::Records(records)];
    let chunks = chunks.map(|what| pb::LogChunk { what: Some(what) });
    let ack = client.stream_task_logs(tokio_stream::iter(chunks)).await;
    ack.map(|ack| ack.into_inner().records).map_err(|status| status.code())
}

#[tokio::test]
async fn what_is_added_to_a_log_after_its_end_is_refused_once_it_has_its_final_form() {
    let master = Running::start().await;
    let mut client = client(&master).await;
    let ack = register(&mut client).await;
    let ids = placed(&master, &mut client, ack.session, 1).await;
    let id = &ids[0];
    assert_eq!(send(&mut client, id, ack.incarnation, 0..300).await, Ok(300));
    let mut result = pb::TaskResult {
        task_id: id.clone(),
        attempt: 1,
        incarnation: ack.incarnation,
        exit_code: Some(0),
        run_ms: Some(1),
        log_complete: true,
        log_records: 300,
        log_bytes: 300 * 16,
        ..pb::TaskResult::default()
    };
    result.set_cause(pb::Cause::Exited);
    assert!(client.report_task_completion(result).await.unwrap().into_inner().success);

    let file = master.dir.path().join("logs").join(&id[id.len() - 2..]).join(id).join("1.log");
    let sealed = async {
        while !std::fs::read(&file).unwrap().starts_with(b"CAILOG\0\x02") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, sealed).await.expect("the log did not get its final form");
    // What the worker repeats is known; what it makes up is not taken.
    assert_eq!(send(&mut client, id, ack.incarnation, 200..300).await, Ok(300));
    assert_eq!(send(&mut client, id, ack.incarnation, 300..301).await, Err(Code::FailedPrecondition));
    assert_eq!(stored(&master, id).await.finished().unwrap().warnings, []);
    drop(client);
    master.stop().await;
}

#[tokio::test]
async fn of_a_log_beyond_the_limit_the_beginning_is_kept_and_the_rest_refused() {
    // Three lines of fifteen bytes.
    let master = Running::limiting_logs(45).await;
    let mut client = client(&master).await;
    let ack = register(&mut client).await;
    let ids = placed(&master, &mut client, ack.session, 2).await;
    let (id, life) = (&ids[0], ack.incarnation);
    assert_eq!(send(&mut client, id, life, 0..2).await, Ok(2));
    assert_eq!(send(&mut client, id, life, 2..5).await, Err(Code::FailedPrecondition));
    assert_eq!(send(&mut client, id, life, 1..3).await, Ok(3), "what fits was kept, and may be told again");
    assert_eq!(send(&mut client, id, life, 3..4).await, Err(Code::FailedPrecondition));
    assert_eq!(send(&mut client, &ids[1], life, 0..3).await, Ok(3), "each attempt has as much");

    let header = pb::LogHeader { task_id: id.clone(), attempt: 1, incarnation: life, first_record: 0 };
    let header = pb::LogChunk { what: Some(pb::log_chunk::What::Header(header)) };
    let records = vec![pb::LogRecord { data: vec![b'x'; 46].into(), ..pb::LogRecord::default() }; 4];
    let records = pb::LogChunk { what: Some(pb::log_chunk::What::Records(pb::LogRecords { records })) };
    let kept = client.stream_task_logs(tokio_stream::iter([header.clone()])).await.unwrap().into_inner();
    assert_eq!(kept, pb::LogAck { records: 3, bytes: 45, max_bytes: 45 });
    let refused = client.stream_task_logs(tokio_stream::iter([header, records])).await.unwrap_err();
    assert!(refused.message().contains("45 B (logs.max_bytes of the master): 3 records"), "{refused}");

    let mut result = pb::TaskResult {
        task_id: id.clone(),
        attempt: 1,
        incarnation: life,
        run_ms: Some(1),
        exit_code: Some(0),
        log_records: 3,
        log_bytes: 45,
        log_complete: true,
        log_cut_records: 2,
        log_cut_bytes: 30,
        ..pb::TaskResult::default()
    };
    result.set_cause(pb::Cause::Exited);
    assert!(client.report_task_completion(result).await.unwrap().into_inner().success);
    let task = stored(&master, id).await;
    assert_eq!(task.finished().unwrap().warnings, [Warning::LogIncomplete]);
    let cut = Some(LogCut { records: 2, bytes: 30 });
    let log = task.attempts[0].end.as_ref().unwrap().log;
    assert_eq!(log, LogEnd { records: 3, bytes: 45, complete: false, cut });
    drop(client);
    master.stop().await;
}

#[tokio::test]
async fn of_small_files_that_come_together_none_is_kept_when_one_is_damaged() {
    let master = Running::start().await;
    let mut client = client(&master).await;
    let ack = register(&mut client).await;
    let ids = placed(&master, &mut client, ack.session, 1).await;
    let attempt = pb::AttemptRef { task_id: ids[0].clone(), attempt: 1, incarnation: ack.incarnation };
    let file = |path: &str, data: &'static [u8], of: &[u8]| pb::SmallFile {
        path: path.into(),
        data: data.into(),
        sha256: hex::encode(Sha256::digest(of)),
    };
    let good = || file("good", b"good", b"good");
    let rows = [
        (file("bad", b"came", b"sent"), Code::DataLoss),
        (pb::SmallFile { sha256: String::new(), ..file("bad", b"x", b"x") }, Code::InvalidArgument),
        (file("../bad", b"x", b"x"), Code::InvalidArgument),
    ];
    let kept = || {
        let folder = master.dir.path().join("files");
        let below = |folder: &std::path::Path| std::fs::read_dir(folder).unwrap().count();
        (below(&folder), below(&master.dir.path().join("blobs")))
    };
    for (bad, code) in rows {
        let files = pb::SmallFiles { attempt: Some(attempt.clone()), files: vec![good(), bad] };
        assert_eq!(client.upload_small_files(files).await.unwrap_err().code(), code);
        assert_eq!(kept(), (0, 0));
    }
    let files = pb::SmallFiles { attempt: Some(attempt), files: vec![good()] };
    client.upload_small_files(files).await.unwrap();
    assert_eq!(kept(), (1, 1));
    drop(client);
    master.stop().await;
}
