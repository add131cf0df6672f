//! Why a task waits, worker by worker, and what would help: the rule is the one that places, and what
//! a strategy would do is found out by letting it do so on a copy.

mod change;
mod fit;
mod gang;
mod outlook;
mod score;
mod start;
mod words;

pub use change::{Asked, Change};
pub use fit::{Against, Amount, Looked};
pub use outlook::{Outlook, Turn};
pub use score::Score;
pub use start::Estimate;

use super::view::started;
use super::{Fleet, Queued, Spot, Strategy, View};
use crate::feasible;
use crate::ids::{TaskId, WorkerId};
use crate::state::Phase;
use crate::task::{State, TaskRecord};
use crate::time::Timestamp;
use crate::waiting::{self, Candidate};
use std::collections::BTreeMap;

/// How many workers are told of one by one: the nearest.
pub const WORKERS: usize = 50;

/// Where a task stands, and why there.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// Where it stands.
    pub standing: Standing,
    /// What stands against a place now, in one sentence, as `task info` says it.
    pub why: Option<String>,
    /// Which in the queue it is, from 1, in the order in which the strategy looks at tasks, and of how many; only
    /// while it waits for a place.
    pub place: Option<(usize, usize)>,
    /// When it could start at the latest if nothing went before it and all ends as thought.
    pub start: Option<Estimate>,
    /// The workers that come nearest, the nearest first.
    pub workers: Vec<Looked>,
    /// How many workers there are by what stands against them, each under its first reason.
    pub counts: BTreeMap<&'static str, usize>,
    /// The smallest changes that let it start now, the smallest first; none where it fits already.
    pub changes: Vec<Change>,
    /// The smallest changes with which a worker could run it at all, where none ever could.
    pub possible: Vec<Change>,
    /// The worker that the strategy would choose were the task alone, and the next two; of a task
    /// that has a worker that one, as it is now.
    pub scores: Vec<Score>,
    /// What the strategy in use does with it.
    pub now: Option<Outlook>,
    /// What the other strategy would do, where one was asked for.
    pub other: Option<Outlook>,
}

/// Where a task stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It waits for a place.
    Waits,
    /// No worker that is known could ever run it.
    Never,
    /// It waits for something else than a place.
    NotReady(Phase),
    /// It has a worker.
    Placed {
        /// Which.
        worker: WorkerId,
        /// Since when, or since when its container runs.
        since: Timestamp,
        /// How far it is.
        phase: Phase,
    },
    /// It has ended.
    Ended,
}

/// Explains a task as the view and `record` know it; `strategy` is the one in use, which saw the view until now, `other`
/// the name of one whose doings are asked for. Neither changes.
#[must_use]
pub fn explain(
    view: &View,
    record: &TaskRecord,
    strategy: &dyn Strategy,
    other: Option<&str>,
    now: Timestamp,
) -> Explanation {
    let (mut view, mut used) = (view.clone(), strategy.copy());
    view.settle_at(now);
    let record = &view.task(&record.id).unwrap_or(record).clone();
    let mut told = Explanation::new(standing(view.fleet(), record));
    match &told.standing {
        Standing::Ended => {}
        Standing::Placed { worker, .. } => told.scores.extend(score::of_now(&view, worker)),
        Standing::Never => {
            told.look(&view, record, now);
            told.possible = change::at_all(&record.spec, view.fleet());
        }
        Standing::NotReady(_) => told.look(&view, record, now),
        Standing::Waits => {
            told.look(&view, record, now);
            told.place = place(view.queue(&mut *used, now, None, usize::MAX), record.id);
            told.scores = score::of_choice(&view, record, strategy.name());
            told.other = other.and_then(|name| view.strategy(name)).map(|fresh| {
                let mut view = view.clone();
                view.retell();
                outlook::of(view, record, fresh, now)
            });
            told.now = Some(outlook::of(view, record, used, now));
        }
    }
    told
}

impl Explanation {
    fn new(standing: Standing) -> Self {
        Self {
            why: None,
            place: None,
            start: None,
            workers: Vec::new(),
            counts: BTreeMap::new(),
            changes: Vec::new(),
            possible: Vec::new(),
            scores: Vec::new(),
            now: None,
            other: None,
            standing,
        }
    }

    /// Of a task that has ended there is nothing to tell.
    #[must_use]
    pub fn of_ended() -> Self {
        Self::new(Standing::Ended)
    }

    fn look(&mut self, view: &View, record: &TaskRecord, now: Timestamp) {
        let candidates = view.fleet().each().map(|seen| Candidate {
            beside: view.fleet().beside(record, seen.record()),
            record: seen.record(),
            free: seen.free(),
            holds: !seen.held().is_empty(),
        });
        let against = || waiting::why(&record.spec, candidates).unwrap_or_else(Some);
        self.why = view.claim(&record.id).map(room_is_made).or_else(against);
        if matches!(self.standing, Standing::Waits) {
            self.why = gang::why(view, record).or_else(|| self.why.take());
        }
        let mut workers = fit::all(view, record, now);
        for worker in &workers {
            *self.counts.entry(worker.word()).or_insert(0) += 1;
        }
        self.start = start::earliest(&workers);
        if !workers.iter().any(Looked::fits) {
            self.changes = change::now(record, view.fleet());
        }
        workers.truncate(WORKERS);
        self.workers = workers;
    }
}

fn standing(fleet: &Fleet, record: &TaskRecord) -> Standing {
    match &record.state {
        State::Finished(_) => Standing::Ended,
        State::Active(active) => Standing::Placed {
            worker: active.worker.clone(),
            since: Timestamp::from_millis(started(record)),
            phase: active.step.phase(),
        },
        State::Queued(queued) => {
            let places = matches!(queued.phase, Phase::WaitingCapacity | Phase::Unsatisfiable);
            let possible = || feasible::satisfiable(&record.spec, fleet.workers().map(AsRef::as_ref)).is_ok();
            if places && !possible() {
                Standing::Never
            } else if queued.phase == Phase::WaitingCapacity {
                Standing::Waits
            } else {
                Standing::NotReady(queued.phase)
            }
        }
    }
}

/// What is said of a task for which others are being stopped on a worker, so many of them still.
fn room_is_made((worker, victims): (&WorkerId, usize)) -> String {
    match victims {
        0 => format!("room was made for it on {worker}"),
        1 => format!("room is being made for it on {worker}: 1 task is being stopped"),
        _ => format!("room is being made for it on {worker}: {victims} tasks are being stopped"),
    }
}

/// Which in the queue a task is, and of how many.
fn place(mut queue: Vec<Queued>, task: TaskId) -> Option<(usize, usize)> {
    queue.retain(|queued| !matches!(queued.spot, Spot::Outside(_)));
    let before = queue.iter().position(|queued| queued.task == task)?;
    Some((before + 1, queue.len()))
}
