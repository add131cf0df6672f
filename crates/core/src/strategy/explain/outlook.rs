//! What a strategy would do now, by letting one do it on a copy: a copy of the one that places, a fresh one of another.

use super::fit;
use super::gang;
use super::start::{self, Estimate};
use crate::feasible;
use crate::ids::{TaskId, WorkerId};
use crate::strategy::{Ahead, Board, EXTERNAL, Planned, ROUND, Strategy, View, place};
use crate::task::TaskRecord;
use crate::time::Timestamp;
use std::collections::BTreeSet;

/// How many rounds are thought through at most.
const ROUNDS: usize = 64;
/// How many of the tasks that start before are named.
const NAMED: usize = 20;
/// Among how many tasks that wait one is looked for that goes first.
const SUSPECTS: usize = 256;

/// What a strategy would do with a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// Its name.
    pub strategy: String,
    /// When the task has its turn.
    pub turn: Turn,
    /// Tasks that it starts before, in order, the first of them.
    pub before: Vec<TaskId>,
    /// How many it starts before; all that it starts now where the task is not among them.
    pub starts: usize,
    /// Where and when it starts by the strategy's plan, where that has one and does not start it now.
    pub planned: Option<Planned>,
}

/// When a task has its turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Now, there.
    Now(WorkerId),
    /// Once a worker has room: none has now, whatever the order.
    NoRoom,
    /// Once its gang can start, whatever the order: it is not complete, or there is not room for all of it.
    Gang,
    /// The tasks that start now leave no room.
    Taken,
    /// There is room, and the strategy keeps it: without this task before it, it would start now.
    /// When that one could start is told where it is known.
    Behind(TaskId, Option<Estimate>),
    /// There is room, and the strategy keeps it for others.
    Kept,
    /// There is room, and somebody outside decides.
    Outside,
}

/// What a strategy would do with a waiting task; it has heard what the view's board told. The view is settled.
pub(super) fn of(mut copy: View, record: &TaskRecord, mut strategy: Box<dyn Strategy>, now: Timestamp) -> Outlook {
    let (name, has_room, gang) = (strategy.name(), fits(&copy, record), gang::fits(&copy, record));
    let (mut starts, mut ahead) = (Vec::new(), Ahead::default());
    for _ in 0..ROUNDS {
        let round = copy.round(&mut *strategy, now);
        if round.is_empty() {
            ahead = copy.ahead(&*strategy);
            break;
        }
        starts.extend(round.into_iter().map(|placement| (placement.attempt.task, placement.worker)));
        copy.believe();
    }
    let at = starts.iter().position(|(task, _)| *task == record.id);
    let turn = match at.map(|at| starts[at].1.clone()) {
        Some(worker) => Turn::Now(worker),
        None if !has_room => Turn::NoRoom,
        None if gang == Some(false) => Turn::Gang,
        None if name == EXTERNAL && record.spec.worker_id.is_none() => Turn::Outside,
        None => held_back(&copy, record, (&*strategy, &ahead), now),
    };
    let planned = ahead.planned.remove(&record.id).filter(|planned| planned.at > now);
    let count = at.unwrap_or(starts.len());
    let before = starts[..count].iter().take(NAMED).map(|(task, _)| *task).collect();
    Outlook { strategy: name.to_owned(), turn, before, starts: count, planned }
}

fn fits(view: &View, record: &TaskRecord) -> bool {
    let (spec, fleet) = (&record.spec, view.fleet());
    fleet.each().any(|seen| {
        feasible::fits(spec, seen.record(), seen.free()).is_ok() && fleet.beside(record, seen.record()).is_none()
    })
}

/// Why a task that has room does not start; `copy` is as it is after all starts, `ahead` what the strategy says that
/// others wait behind.
fn held_back(copy: &View, record: &TaskRecord, (strategy, ahead): (&dyn Strategy, &Ahead), now: Timestamp) -> Turn {
    let number = copy.number(&record.id);
    let (board, size) = (copy.board(), gang::size(copy, record));
    let has_room = |class| board.chain(class).any(|class| board.room_together(class, size, |_, most| most) >= size);
    if number.is_some_and(|number| !has_room(board.job(number).class)) {
        return Turn::Taken;
    }
    if ahead.planned.contains_key(&record.id) {
        return Turn::Kept;
    }
    let found = || {
        let number = number?;
        let line = strategy.line(copy.board(), None, SUSPECTS).into_iter();
        let suspects: Vec<usize> = line.map(|(_, job)| job).filter(|job| *job != number).collect();
        first_before(copy, number, &suspects, strategy.name()).and_then(|job| copy.named(job))
    };
    let pin = record.spec.worker_id.as_ref();
    let Some(first) = ahead.before(record.id, pin).or_else(found) else {
        return if pin.is_some() { Turn::Taken } else { Turn::Kept };
    };
    let start = copy.task(&first).and_then(|task| start::earliest(&fit::all(copy, task, now)));
    Turn::Behind(first, start)
}

/// The task without which another would start, those before it in the list being there: halving finds it.
fn first_before(view: &View, number: usize, suspects: &[usize], name: &str) -> Option<usize> {
    let mut jobs = suspects.to_vec();
    jobs.push(number);
    let board = with_only(view, &jobs);
    let starts_with = |count: usize| {
        let mut tried = board.clone();
        suspects[count..].iter().for_each(|job| tried.remove(*job, false));
        tried.retell();
        view.strategy(name)
            .is_some_and(|mut fresh| place(&mut *fresh, &mut tried, ROUND).iter().any(|start| start.job == number))
    };
    if !starts_with(0) || starts_with(suspects.len()) {
        return None;
    }
    let (mut starts, mut waits) = (0, suspects.len());
    while waits - starts > 1 {
        let middle = usize::midpoint(starts, waits);
        if starts_with(middle) { starts = middle } else { waits = middle }
    }
    Some(suspects[waits - 1])
}

/// The board with these of its waiting jobs alone.
pub(super) fn with_only(view: &View, jobs: &[usize]) -> Board {
    let keep: BTreeSet<usize> = jobs.iter().copied().collect();
    let mut board = view.board().clone();
    for number in view.each_waiting().filter_map(|task| view.number(&task.id())) {
        if !keep.contains(&number) && board.waits(number) {
            board.remove(number, false);
        }
    }
    board.retell();
    board
}
