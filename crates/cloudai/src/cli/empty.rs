//! Waiting until drained workers hold nothing any more.

use super::{Context, follow};
use crate::exit::{Exit, Failure};
use cloudai_master::http::dto::Worker;
use std::time::Duration;

/// Between two looks at a worker.
const PACE: Duration = Duration::from_millis(500);

/// The workers once each of them is empty; none when Ctrl-C came first, which the user is told.
/// # Errors
/// One is drained no longer, or gone, or no master answers.
pub(super) async fn until_empty(workers: &[Worker], cx: &Context) -> Result<Option<Vec<Worker>>, Failure> {
    let all = async {
        let mut empty = Vec::new();
        for worker in workers {
            empty.push(one(&worker.id, cx).await?);
        }
        Ok(Some(empty))
    };
    tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => {
            let names: Vec<_> = workers.iter().map(|worker| worker.id.as_str()).collect();
            let names = names.join(" ");
            cx.screen.note(&format!("\nDetached, the drain goes on. See: cloudai worker list. Take it back: cloudai worker undrain {names}"));
            Ok(None)
        }
        empty = all => empty,
    }
}

async fn one(id: &str, cx: &Context) -> Result<Worker, Failure> {
    let mut lost = 0;
    loop {
        match cx.client.get::<Worker>(&["api", "v1", "workers", id], &[]).await {
            Ok(worker) => {
                lost = 0;
                let state = worker.duty.as_ref().map(|duty| duty.state.as_str());
                match state {
                    Some("drained") => return Ok(worker),
                    Some("draining") => tokio::time::sleep(PACE).await,
                    other => return Err(called_off(id, other)),
                }
            }
            Err(failure) if failure.is_passing() && lost < follow::LOST => {
                lost += 1;
                tokio::time::sleep(follow::pause(lost)).await;
            }
            Err(failure) => return Err(failure),
        }
    }
}

fn called_off(id: &str, state: Option<&str>) -> Failure {
    let now = state.map_or_else(|| "it takes work again".into(), |state| format!("it is {state}"));
    Failure::new(Exit::Conflict, "conflict", format!("{id} is drained no longer"))
        .why(format!("{now}; somebody ordered so meanwhile"))
        .next(format!("cloudai worker info {id}"))
}
