//! `/api/v1/tasks/{id}/explain`: why a task waits, and what would help.

use super::dto;
use super::dto::explain as shown;
use super::extract::{Caller, TaskPath};
use super::problem::Problem;
use super::query::Parameters;
use super::view::{self, time};
use crate::handle::Handle;
use crate::handle::explain::Explained;
use axum::Json;
use axum::extract::State;
use cloudai_core::resources::{GIB, Kind, WHOLE};
use cloudai_core::strategy::explain::{Against, Amount, Change, Estimate, Looked, Outlook, Score, Standing, Turn};
use cloudai_core::strategy::names;
use std::collections::BTreeMap;

/// Explains a task.
pub(super) async fn get(
    Caller(who): Caller,
    TaskPath(id): TaskPath,
    State(handle): State<Handle>,
    mut query: Parameters,
) -> Result<Json<shown::Explanation>, Problem> {
    let other = query.parsed("strategy", known);
    query.close()?;
    Ok(Json(explanation(&handle.explain(&who, id, other).await?)))
}

fn known(name: &str) -> Result<&'static str, String> {
    let known = names().into_iter().find(|known| *known == name);
    known.ok_or_else(|| format!("{name:?} is no strategy: allowed are {}", names().join(", ")))
}

fn explanation(explained: &Explained) -> shown::Explanation {
    let Explained { task, strategy, told } = explained;
    let record = &task.record;
    let demand = record.demand();
    let (standing, placed) = match &told.standing {
        Standing::Waits => ("waits", None),
        Standing::Never => ("never", None),
        Standing::NotReady(_) => ("not_ready", None),
        Standing::Placed { worker, since, .. } => ("placed", Some((worker.to_string(), time(*since)))),
        Standing::Ended => ("ended", None),
    };
    let message = match &told.standing {
        // What it waits for is told with it.
        Standing::NotReady(_) if !task.message.is_empty() => task.message.clone(),
        Standing::Ended => format!("it has ended as {}: nothing places it any more", record.status()),
        Standing::Waits | Standing::Never | Standing::NotReady(_) | Standing::Placed { .. } => told.sentence(),
    };
    let (worker_id, since) = placed.unzip();
    shown::Explanation {
        id: record.id.to_string(),
        status: record.status().word().into(),
        phase: task.phase.map(|phase| phase.word().into()),
        standing: standing.into(),
        message,
        strategy: strategy.clone(),
        needs: view::demand(demand),
        gpu_model: demand.gpu_model.as_ref().filter(|_| demand.gpu_milli > 0).map(ToString::to_string),
        place: told.place.map(|(place, _)| place),
        of: told.place.map(|(_, of)| of),
        worker_id,
        since,
        start: told.start.as_ref().map(start),
        workers: told.workers.iter().map(|one| looked(one, record.spec.requests() > 1)).collect(),
        counts: told.counts.iter().map(|(word, count)| ((*word).to_owned(), *count)).collect(),
        changes: told.changes.iter().map(change).collect(),
        possible: told.possible.iter().map(change).collect(),
        scores: told.scores.iter().map(score).collect(),
        now: told.now.as_ref().map(outlook),
        other: told.other.as_ref().map(outlook),
    }
}

fn start(estimate: &Estimate) -> shown::Start {
    let after = estimate.after.map(|task| task.to_string());
    shown::Start { at: time(estimate.at), after, guessed: estimate.guessed }
}

fn looked(looked: &Looked, choice: bool) -> shown::Looked {
    let amounts = |of: fn(&Amount) -> u64| -> dto::Resources {
        let [cpu, memory, storage, gpu] = looked.amounts.each_ref().map(of);
        view::resources(cpu, memory, storage, gpu)
    };
    shown::Looked {
        id: looked.worker.to_string(),
        fits: looked.fits(),
        ever: looked.ever,
        against: looked.against.iter().map(against).collect(),
        needs: choice.then(|| amounts(|amount| amount.need)),
        free: amounts(|amount| amount.free),
        total: amounts(|amount| amount.total),
        start: looked.start.as_ref().map(start),
    }
}

fn against(against: &Against) -> shown::Against {
    let amount = match against {
        Against::Short(amount) => Some(amount),
        Against::Pinned(_) | Against::Idle(_) | Against::Unmet(_) | Against::Model(_) | Against::Beside(_) => None,
    };
    let shown = |of: fn(&Amount) -> u64| amount.map(|amount| view::part(of(amount), unit(amount.kind)));
    shown::Against {
        code: against.word().into(),
        message: against.to_string(),
        need: shown(|amount| amount.need),
        free: shown(|amount| amount.free),
        total: shown(|amount| amount.total),
    }
}

/// The unit of the task file.
const fn unit(kind: Kind) -> u64 {
    match kind {
        Kind::Cpu | Kind::Gpu => WHOLE,
        Kind::Memory | Kind::Storage => GIB,
    }
}

/// The field of the task file.
const fn field(kind: Kind) -> &'static str {
    match kind {
        Kind::Cpu => "cpu_cores",
        Kind::Memory => "memory_gb",
        Kind::Storage => "storage_gb",
        Kind::Gpu => "gpu_cores",
    }
}

fn change(change: &Change) -> shown::Change {
    let of = |kind: &str, worker: &cloudai_core::ids::WorkerId| shown::Change {
        kind: kind.into(),
        message: change.to_string(),
        worker_id: worker.to_string(),
        at_most: BTreeMap::new(),
        any_model: false,
        request: None,
        labels: BTreeMap::new(),
    };
    match change {
        Change::Ask(asked) => {
            let at_most = |(kind, most): &(Kind, u64)| (field(*kind).to_owned(), view::part(*most, unit(*kind)));
            let at_most = asked.at_most.iter().map(at_most).collect();
            let request = asked.request.map(|request| u32::from(request) + 1);
            shown::Change { at_most, any_model: asked.any_model, request, ..of("ask", &asked.worker) }
        }
        Change::Unpin(worker) => of("unpin", worker),
        Change::Open(worker, _) => of("undrain", worker),
        Change::Label(worker, labels) => shown::Change { labels: labels.clone(), ..of("label", worker) },
    }
}

fn score(score: &Score) -> shown::Score {
    let used = Kind::ALL.iter().zip(score.used).filter_map(|(kind, used)| Some((kind.name().to_owned(), used?)));
    shown::Score {
        worker_id: score.worker.to_string(),
        used: used.collect(),
        level: score.level,
        rest: score.rest,
        preference: score.liking,
    }
}

fn outlook(outlook: &Outlook) -> shown::Outlook {
    let (turn, worker_id, behind, behind_start) = match &outlook.turn {
        Turn::Now(worker) => ("now", Some(worker.to_string()), None, None),
        Turn::NoRoom => ("no_room", None, None, None),
        Turn::Gang => ("gang", None, None, None),
        Turn::Taken => ("taken", None, None, None),
        Turn::Behind(task, at) => ("behind", None, Some(task.to_string()), at.as_ref().map(start)),
        Turn::Kept => ("kept", None, None, None),
        Turn::Outside => ("outside", None, None, None),
    };
    shown::Outlook {
        strategy: outlook.strategy.clone(),
        turn: turn.into(),
        message: outlook.to_string(),
        worker_id,
        behind,
        behind_start,
        before: outlook.before.iter().map(ToString::to_string).collect(),
        starts: outlook.starts,
        planned: outlook.planned.as_ref().map(view::planned),
    }
}
