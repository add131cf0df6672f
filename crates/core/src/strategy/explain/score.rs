//! How full a worker would be with a task: what choices are made by.

use crate::ids::WorkerId;
use crate::resources::{Demand, Kind};
use crate::strategy::board::Seat;
use crate::strategy::{Seen, View, place};
use crate::task::TaskRecord;

/// How many workers are told.
const TOLD: usize = 3;

/// How full a worker is with a task on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// Which.
    pub worker: WorkerId,
    /// The part of each resource that is used, 0 to 1 (cpu, memory, storage, gpu); none of what the worker has not.
    pub used: [Option<f64>; 4],
    /// The largest of them: what `balanced` and `ai` keep small.
    pub level: f64,
    /// The sum of the parts that are left: what packing keeps small.
    pub rest: f64,
    /// The sum of the weights of the task's preferences that hold there, less what its kin near there weigh, which goes
    /// before all that; none of a task that has no preferences and is not spread, or has its place.
    pub liking: Option<i32>,
}

/// The workers that a strategy would choose for a task that is alone, the first first: what it chooses,
/// what it chooses without that one, and so on.
pub(super) fn of_choice(view: &View, record: &TaskRecord, strategy: &str) -> Vec<Score> {
    let spec = &record.spec;
    let prefers = !spec.affinity.is_empty() || !spec.spread.is_empty();
    let liking = |seen: &Seen| prefers.then(|| view.fleet().liking(record, seen.record()));
    // What it would be given there.
    let request = |seen: &Seen| crate::feasible::fits(spec, seen.record(), seen.free()).map_or(0, |fit| fit.request);
    let with_it = |seen: &Seen| Score { liking: liking(seen), ..of(seen, spec.request(request(seen))) };
    if let Some(pin) = &spec.worker_id {
        let room = |seen: &&Seen| {
            crate::feasible::fits(spec, seen.record(), seen.free()).is_ok()
                && view.fleet().beside(record, seen.record()).is_none()
        };
        return view.fleet().get(pin).filter(room).map(with_it).into_iter().collect();
    }
    let Some(number) = view.number(&record.id) else { return Vec::new() };
    let mut board = super::outlook::with_only(view, &[number]);
    // Were its gang this one alone.
    if let Some(gang) = board.classes()[board.job(number).class].gang {
        board.set_gang(gang, 1);
    }
    let mut scores = Vec::new();
    while scores.len() < TOLD
        && let Some(mut fresh) = view.strategy(strategy)
    {
        let mut tried = board.clone();
        tried.retell();
        let Some(start) = place(&mut *fresh, &mut tried, 1).first().copied() else { break };
        let seat = Seat { open: false, ..board.seats()[start.worker].clone() };
        board.set_seat(start.worker, seat);
        scores.extend(view.seated(start.worker).and_then(|id| view.fleet().get(id)).map(with_it));
    }
    scores
}

/// A worker as it is.
pub(super) fn of_now(view: &View, worker: &WorkerId) -> Option<Score> {
    view.fleet().get(worker).map(|seen| of(seen, &Demand::default()))
}

#[allow(clippy::cast_precision_loss, reason = "shown with few digits")]
fn of(seen: &Seen, demand: &Demand) -> Score {
    let used = Kind::ALL.map(|kind| {
        let total = seen.record().capacity.amount(kind);
        let left = seen.free().amount(kind).saturating_sub(demand.amount(kind));
        (total > 0).then(|| 1.0 - left as f64 / total as f64)
    });
    let each = || used.iter().flatten();
    Score {
        worker: seen.record().id.clone(),
        level: each().copied().fold(0.0, f64::max),
        rest: each().map(|used| 1.0 - used).sum(),
        liking: None,
        used,
    }
}
