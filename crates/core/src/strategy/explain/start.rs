//! When a worker will have room, by the thought ends of what runs there.

use super::fit::Looked;
use crate::ids::TaskId;
use crate::kin::Kin;
use crate::resources::{Allocation, Demand, Free};
use crate::strategy::rules::Source;
use crate::strategy::view::started;
use crate::strategy::{Seen, View};
use crate::task::TaskRecord;
use crate::time::Timestamp;

/// Whose word counts here: what was learned, else what users say.
const SOURCE: Source = Source::Predicted;

/// When a task could start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// At the latest, if all ends as thought.
    pub at: Timestamp,
    /// The last that has to end before; none where there is room now.
    pub after: Option<TaskId>,
    /// Whether nothing is known of the length of something that has to end before: it is taken for
    /// five minutes.
    pub guessed: bool,
}

/// When one of a task's requests fits on a worker that could ever hold it, apart from its kin.
pub(super) fn on(
    view: &View,
    seen: &Seen,
    (record, demand): (&TaskRecord, &Demand),
    now: Timestamp,
) -> Option<Estimate> {
    let room = with_room(view, seen, demand, now)?;
    let mut kin = Vec::new();
    for key in &record.spec.anti_affinity {
        for near in view.fleet().near(record, key, seen.record()) {
            let held = near.held().keys();
            kin.extend(held.filter(|id| view.task(id).is_some_and(|task| Kin::of(task) == Kin::of(record))));
        }
    }
    let mut start = room;
    for id in kin {
        let (end, guessed) = end_of(view, id, now)?;
        let at = Timestamp::from_millis(end);
        start.guessed |= guessed;
        if at > start.at {
            (start.at, start.after) = (at, Some(*id));
        }
    }
    Some(start)
}

/// When a task that has its worker is thought to have ended, and whether nothing is known of that.
fn end_of(view: &View, id: &TaskId, now: Timestamp) -> Option<(u64, bool)> {
    let (mut job, task) = (view.board().job(view.number(id)?), view.task(id)?);
    // Where the strategy goes by estimates the board knows no better.
    job.predicted = job.predicted.or_else(|| view.foreseen(task));
    let guessed = job.estimate.is_none() && job.predicted.is_none();
    Some((SOURCE.end(&job, started(task), now.as_millis()), guessed))
}

/// When a demand fits on a worker that could ever hold it, whoever runs beside.
fn with_room(view: &View, seen: &Seen, demand: &Demand, now: Timestamp) -> Option<Estimate> {
    let here = Estimate { at: now, after: None, guessed: false };
    if seen.free().pick(demand).is_ok() {
        return Some(here);
    }
    let mut ends: Vec<(u64, bool, TaskId, &Allocation)> = Vec::new();
    for (id, allocation) in seen.held() {
        let (end, guessed) = end_of(view, id, now)?;
        ends.push((end, guessed, *id, allocation));
    }
    ends.sort_unstable_by_key(|(end, _, id, _)| (*end, *id));
    let (mut sum, mut guessed) = (seen.allocated().clone(), false);
    for (end, unknown, id, allocation) in ends {
        sum.subtract(allocation);
        guessed |= unknown;
        if Free::left(&seen.record().capacity, &sum).pick(demand).is_ok() {
            return Some(Estimate { at: Timestamp::from_millis(end), after: Some(id), guessed });
        }
    }
    None
}

/// The earliest of all workers that are not kept from the task.
pub(super) fn earliest(workers: &[Looked]) -> Option<Estimate> {
    workers.iter().filter_map(|worker| worker.start).min_by_key(|start| start.at)
}
