//! Logs that are read, not followed.

use super::*;
use crate::principal::Principal;
use cloudai_core::testing::cores;

async fn running(fake: &Fake) -> Attempt {
    let id = fake.task().await;
    fake.cluster(|cluster| {
        cluster.worker("w1", cores(4));
        cluster.place(id, "w1")
    })
    .await
}

fn lines(answer: &Answer) -> Vec<dto::LogLine> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.headers["content-type"], "application/x-ndjson");
    answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn numbers(answer: &Answer) -> Vec<u64> {
    let number = |line| match line {
        dto::LogLine::Log(entry) => entry.n,
        other => panic!("{other:?}"),
    };
    lines(answer).into_iter().map(number).collect()
}

#[tokio::test]
async fn a_log_is_read_from_any_place_in_both_forms() {
    let fake = Fake::start().await;
    let attempt = running(&fake).await;
    let (out, err) = (LogStream::Stdout, LogStream::Stderr);
    let records: Vec<_> = [(out, "a\n"), (err, "b\n"), (out, "c\n"), (err, "d\n"), (out, "e\n")]
        .map(|(stream, text)| record(stream, text.as_bytes()))
        .into();
    fake.handle.logs(&Principal::local()).append(attempt, 0, &records).await.unwrap();
    let path = format!("/api/v1/tasks/{}/logs", attempt.task);
    for (query, expected) in [
        ("", vec![0, 1, 2, 3, 4]),
        ("?from=3", vec![3, 4]),
        ("?from=99", vec![]),
        ("?tail=2", vec![3, 4]),
        ("?tail=0", vec![]),
        ("?tail=99", vec![0, 1, 2, 3, 4]),
        ("?stream=stderr", vec![1, 3]),
        ("?stream=stderr&tail=1", vec![3]),
        ("?stream=stdout&tail=2", vec![2, 4]),
        ("?stream=stdout&tail=0", vec![]),
        ("?attempt=1&from=4", vec![4]),
    ] {
        assert_eq!(numbers(&fake.get(&format!("{path}{query}")).await), expected, "{query}");
    }
    assert_eq!(fake.get(&format!("{path}?format=raw&from=2")).await.body, "c\nd\ne\n".as_bytes());
    assert_eq!(fake.get(&format!("{path}?format=raw&stream=stderr")).await.body, "b\nd\n".as_bytes());
    assert!(fake.get(&format!("{path}?attempt=2")).await.refused(404, "not_found").contains("has had 1 so far"));
}

#[tokio::test]
async fn of_a_log_only_what_came_since_and_has_a_pattern_is_read() {
    let fake = Fake::start().await;
    let attempt = running(&fake).await;
    let (out, err) = (LogStream::Stdout, LogStream::Stderr);
    let at = |second: u64, stream, text: &str| LogRecord {
        time_ns: (1_770_000_000 + second) * 1_000_000_000,
        ..record(stream, text.as_bytes())
    };
    let records = [
        at(0, out, "start\n"),
        at(1, err, "warning: slow\n"),
        at(2, out, "step 1\n"),
        at(3, err, "Warning: slower\n"),
        at(4, out, "step 2 done\n"),
    ];
    fake.handle.logs(&Principal::local()).append(attempt, 0, &records).await.unwrap();
    let path = format!("/api/v1/tasks/{}/logs", attempt.task);
    for (query, expected) in [
        ("?grep=step", vec![2, 4]),
        ("?grep=%5Ewarning", vec![1]),
        ("?grep=(%3Fi)warning&stream=stderr&tail=1", vec![3]),
        ("?grep=done%24", vec![4]),
        ("?grep=nothing", vec![]),
        ("?grep=nothing&tail=3", vec![]),
        ("?since=2026-02-02T02:40:03Z", vec![3, 4]),
        ("?since=2026-02-02T03:40:03%2B01:00&grep=step", vec![4]),
        ("?since=2026-02-02T02:40:03Z&tail=1", vec![4]),
        ("?since=2026-02-02T02:40:03Z&tail=5", vec![3, 4]),
        ("?since=2026-02-02T02:40:03Z&from=1", vec![3, 4]),
        ("?since=1999-01-01T00:00:00Z", vec![0, 1, 2, 3, 4]),
        ("?since=2126-01-01T00:00:00Z", vec![]),
    ] {
        assert_eq!(numbers(&fake.get(&format!("{path}{query}")).await), expected, "{query}");
    }
    assert_eq!(fake.get(&format!("{path}?format=raw&grep=step")).await.body, "step 1\nstep 2 done\n".as_bytes());
    for (query, expected) in [("since=yesterday", "as 2026-01-31T08:00:00Z"), ("grep=%28", "unclosed group")] {
        let said = fake.get(&format!("{path}?{query}")).await.refused(400, "invalid");
        assert!(said.contains(expected), "{said}");
    }
}

#[tokio::test]
async fn a_task_without_an_attempt_has_an_empty_log() {
    let fake = Fake::start().await;
    let id = fake.task().await;
    assert!(lines(&fake.get(&format!("/api/v1/tasks/{id}/logs")).await).is_empty());
    fake.get(&format!("/api/v1/tasks/{}/logs", TaskId::new(9))).await.refused(404, "not_found");
}

#[tokio::test]
async fn a_log_of_many_pieces_is_whole_and_in_order() {
    let fake = Fake::start().await;
    let attempt = running(&fake).await;
    let text = |n: u64| format!("{n:0>1000}");
    for first in (0..2000).step_by(500) {
        let records: Vec<_> = (first..first + 500).map(|n| record(LogStream::Stdout, text(n).as_bytes())).collect();
        fake.handle.logs(&Principal::local()).append(attempt, first, &records).await.unwrap();
    }
    let path = format!("/api/v1/tasks/{}/logs", attempt.task);
    let whole: String = (0..2000).map(text).collect();
    assert!(fake.get(&format!("{path}?format=raw")).await.body == whole.as_bytes());
    assert_eq!(numbers(&fake.get(&path).await), (0..2000).collect::<Vec<_>>());
    let stderr = fake.get(&format!("{path}?stream=stderr")).await;
    assert!(lines(&stderr).is_empty());
}

/// More than a megabyte of lines that can not be packed, as a damaged block of it is left of others.
fn noise(n: u64) -> LogRecord {
    use sha2::{Digest, Sha256};
    let text: String = (0..32).map(|part| hex::encode(Sha256::digest((n * 100 + part).to_le_bytes()))).collect();
    record(LogStream::Stdout, format!("{text}\n").as_bytes())
}

#[tokio::test]
async fn records_that_are_damaged_are_named_and_all_others_are_sent() {
    let fake = Fake::start().await;
    let attempt = running(&fake).await;
    let records: Vec<_> = (0..600).map(noise).collect();
    let logs = fake.handle.logs(&Principal::local());
    logs.append(attempt, 0, &records).await.unwrap();
    assert!(logs.bulk().seal_log(attempt).await.unwrap());
    let id = attempt.task.to_string();
    let file = fake._dir.path().join("logs").join(&id[id.len() - 2..]).join(&id).join("1.log");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();

    let path = format!("/api/v1/tasks/{id}/logs");
    let (mut sent, mut lost) = (Vec::new(), Vec::new());
    for line in lines(&fake.get(&path).await) {
        match line {
            dto::LogLine::Log(entry) => sent.push(entry.n),
            dto::LogLine::Damaged(damage) => lost.push((damage.attempt, damage.first, damage.last)),
            other => panic!("{other:?}"),
        }
    }
    let [(1, first, last)] = lost[..] else { panic!("{lost:?}") };
    assert!(0 < first && first < last && last < 599, "{lost:?}");
    assert_eq!(sent, (0..first).chain(last + 1..600).collect::<Vec<_>>());
    let good: Vec<u8> = sent.iter().flat_map(|n| records[usize::try_from(*n).unwrap()].data.to_vec()).collect();
    assert!(fake.get(&format!("{path}?format=raw")).await.body == good);
    assert_eq!(fake.get(&format!("{path}?stream=stdout&tail=1")).await.text().lines().count(), 1);
}
