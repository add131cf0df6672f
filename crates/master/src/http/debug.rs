//! `/api/v1/debug`: for whoever looks for a fault. No words of users, no specs.

use super::dto::{Difference, Happened, List, Reconciled};
use super::extract::Caller;
use super::problem::Problem;
use super::query::Parameters;
use crate::handle::Handle;
use crate::trail::{KEPT, Noted};
use axum::Json;
use axum::extract::State;
use cloudai_core::debug::{self, Dump};
use cloudai_core::rfc3339;

/// Lines of each kind, unless another number is asked for, and at most.
const LINES: usize = 1_000;
const MOST: usize = 10_000;

/// The core's state at one moment.
pub(super) async fn state(
    Caller(who): Caller,
    State(handle): State<Handle>,
    mut query: Parameters,
) -> Result<Json<Box<Dump>>, Problem> {
    let limit = limit(&mut query, MOST);
    query.close()?;
    Ok(Json(handle.inspect(&who, limit).await?))
}

/// The engine's last events.
pub(super) async fn events(
    Caller(who): Caller,
    State(handle): State<Handle>,
    mut query: Parameters,
) -> Result<Json<List<Happened>>, Problem> {
    let limit = limit(&mut query, KEPT);
    query.close()?;
    let items = handle.events(&who, limit).into_iter().map(happened).collect();
    Ok(Json(List { items, next_cursor: None }))
}

/// Compares what must agree, and mends it.
pub(super) async fn reconcile(
    Caller(who): Caller,
    State(handle): State<Handle>,
    mut query: Parameters,
) -> Result<Json<Reconciled>, Problem> {
    let dry_run = query.flag("dry_run");
    query.close()?;
    let found = handle.reconcile(&who, dry_run).await?;
    Ok(Json(Reconciled {
        dry_run,
        workers: found.workers,
        unheard: found.unheard.iter().map(ToString::to_string).collect(),
        differences: found.differences.iter().map(difference).collect(),
        more: found.more,
    }))
}

fn limit(query: &mut Parameters, most: usize) -> usize {
    let given = query.whole("limit", 1..=most as u64);
    given.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(LINES)
}

fn difference(found: &debug::Difference) -> Difference {
    Difference {
        worker_id: found.worker.to_string(),
        task_id: found.attempt.map(|attempt| attempt.task.to_string()),
        attempt: found.attempt.map(|attempt| attempt.number),
        what: found.wrong.word().into(),
        message: found.wrong.sentence().into(),
        mend: found.wrong.mend().into(),
    }
}

fn happened(noted: Noted) -> Happened {
    Happened {
        at: rfc3339::format(noted.at),
        kind: noted.kind.into(),
        task_id: noted.task.map(|task| task.to_string()),
        attempt: noted.number,
        worker_id: noted.worker.map(|worker| worker.to_string()),
        count: noted.count,
        refused: noted.refused,
    }
}
