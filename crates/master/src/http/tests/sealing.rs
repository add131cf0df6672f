//! Logs that have ended get their final form, and nobody notices.

use super::*;
use crate::sealing;
use cloudai_core::testing::cores;
use std::path::PathBuf;

/// Lines that are worth another form.
const LINES: [&str; 300] = ["a line of some length\n"; 300];

async fn running(fake: &Fake) -> Attempt {
    let id = fake.task().await;
    fake.cluster(|cluster| {
        cluster.worker("w1", cores(4));
        cluster.place(id, "w1")
    })
    .await
}

fn file(fake: &Fake, attempt: Attempt) -> PathBuf {
    let id = attempt.task.to_string();
    fake._dir.path().join("logs").join(&id[id.len() - 2..]).join(&id).join(format!("{}.log", attempt.number))
}

fn is_sealed(fake: &Fake, attempt: Attempt) -> bool {
    std::fs::read(file(fake, attempt)).unwrap().starts_with(b"CAILOG\0\x02")
}

#[tokio::test]
async fn a_new_master_seals_what_has_ended_whole_or_cut_and_nothing_else() {
    let fake = Fake::start().await;
    let (whole, broken, runs) = (running(&fake).await, running(&fake).await, running(&fake).await);
    let cut = running(&fake).await;
    for attempt in [whole, broken, runs, cut] {
        fake.write(attempt, 0, &LINES).await;
    }
    fake.end(whole, 300, Vec::new()).await;
    let log = LogEnd { records: 300, bytes: 0, complete: false, cut: None };
    fake.cluster(|cluster| cluster.end(broken, Outcome { log, ..Outcome::exit(0) })).await.unwrap();
    let log = LogEnd { cut: Some(LogCut { records: 1, bytes: 1 }), ..log };
    fake.cluster(|cluster| cluster.end(cut, Outcome { log, ..Outcome::exit(0) })).await.unwrap();
    let mut part = Some(0);
    while let Some(at) = part {
        part = sealing::look(&fake.handle, at).await;
    }
    assert!(is_sealed(&fake, whole) && is_sealed(&fake, cut));
    assert!(!is_sealed(&fake, broken) && !is_sealed(&fake, runs));
    fake.write(runs, 300, &["more"]).await;
}

#[tokio::test]
async fn a_log_is_sealed_soon_after_its_end_and_read_as_before() {
    let fake = Fake::start().await;
    let attempt = running(&fake).await;
    fake.write(attempt, 0, &LINES).await;
    fake.end(attempt, 300, Vec::new()).await;
    let path = format!("/api/v1/tasks/{}/logs", attempt.task);
    let before = fake.get(&path).await.body;
    let log = LogEnd { records: 300, bytes: 300 * 22, complete: true, cut: None };
    fake.handle.shared.logs.ended(attempt, log);
    let sealed = async {
        while !is_sealed(&fake, attempt) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        () = sealing::run(fake.handle.clone()) => {}
        () = sealed => {}
    }
    assert!(fake.get(&path).await.body == before);
}
