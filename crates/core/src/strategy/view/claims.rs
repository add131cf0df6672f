//! Room that is made for a task is kept for it: neither who made it nor anybody else takes it meanwhile.
//!
//! A claim begins with the first row of a task that is being stopped for another, and is over once that one waits no
//! more, or has no room though all have gone. It is memory: a master that starts again has those claims whose
//! tasks are still being stopped.

use super::{View, Waiting, seat};
use crate::event::Placement;
use crate::ids::{TaskId, WorkerId};
use crate::state::Reason;
use crate::strategy::preempt::Ranks;
use crate::task::TaskRecord;
use std::collections::{BTreeMap, BTreeSet};

/// What a task is to have.
#[derive(Clone, Debug)]
struct Claim {
    worker: WorkerId,
    /// What is still being stopped for it.
    victims: BTreeSet<TaskId>,
    /// How many were still being stopped when a place there was proposed for it: what waits still was refused it.
    tried: Option<usize>,
}

/// All claims: few, since what is stopped ends soon.
#[derive(Clone, Debug, Default)]
pub(super) struct Claims {
    of: BTreeMap<TaskId, Claim>,
    /// For whom tasks are being stopped.
    victims: BTreeMap<TaskId, TaskId>,
}

impl Claims {
    /// Takes in a task as it is now.
    fn note(&mut self, task: &TaskRecord) {
        let evict = task.evicted().filter(|evict| evict.reason == Reason::Preempted);
        match task.active().zip(evict.and_then(|evict| evict.by)) {
            Some((active, by)) => {
                let new = || Claim { worker: active.worker.clone(), victims: BTreeSet::new(), tried: None };
                self.of.entry(by).or_insert_with(new).victims.insert(task.id);
                self.victims.insert(task.id, by);
            }
            None => {
                let by = self.victims.remove(&task.id);
                if let Some(claim) = by.and_then(|by| self.of.get_mut(&by)) {
                    claim.victims.remove(&task.id);
                }
            }
        }
    }

    fn end(&mut self, task: &TaskId) -> Option<WorkerId> {
        let claim = self.of.remove(task)?;
        for victim in &claim.victims {
            self.victims.remove(victim);
        }
        Some(claim.worker)
    }

    /// Whether a worker is kept for somebody.
    pub(super) fn are_on(&self, worker: &WorkerId) -> bool {
        self.of.values().any(|claim| claim.worker == *worker)
    }
}

impl View {
    /// Takes in a task as it is now, for claims and for ranks.
    pub(super) fn note(&mut self, before: Option<&TaskRecord>, task: &TaskRecord) {
        self.claims.note(task);
        if self.margin().is_some() {
            self.ranks.replace(before, task);
        }
    }

    /// By how much more important a task must be than one that is stopped for it; none where nothing is stopped.
    pub(in crate::strategy) fn margin(&self) -> Option<i32> {
        self.knobs.margin()
    }

    /// What waits and what runs, by how important it is.
    pub(in crate::strategy) const fn ranks(&self) -> &Ranks {
        &self.ranks
    }

    /// Ranks everything anew, if anything is to be ranked.
    pub(super) fn rank_anew(&mut self) {
        self.ranks = Ranks::default();
        if self.margin().is_some() {
            self.tasks.each().for_each(|task| self.ranks.replace(None, &task.0));
        }
    }

    /// Where room is being made for a task, and how many are still being stopped for that.
    pub(in crate::strategy) fn claim(&self, task: &TaskId) -> Option<(&WorkerId, usize)> {
        self.claims.of.get(task).map(|claim| (&claim.worker, claim.victims.len()))
    }

    /// Whether a worker is kept for a task for which room is being made there.
    pub(in crate::strategy) fn is_claimed(&self, worker: &WorkerId) -> bool {
        self.claims.are_on(worker)
    }

    /// Ends the claims of tasks that wait no more.
    pub(super) fn end_claims(&mut self) {
        let waits = |task: &TaskId| self.tasks.get(task).is_some_and(Waiting::waits);
        let over: Vec<TaskId> = self.claims.of.keys().filter(|task| !waits(task)).copied().collect();
        for task in over {
            if let Some(worker) = self.claims.end(&task) {
                self.touch(&worker);
            }
        }
    }

    /// Places for those who have claims, as soon as they fit; a claim that came to nothing is over.
    pub(super) fn place_claimed(&mut self) -> Vec<Placement> {
        let mut placements = Vec::new();
        let claims: Vec<(TaskId, Claim)> = self.claims.of.iter().map(|(id, claim)| (*id, claim.clone())).collect();
        for (id, Claim { worker, victims, tried }) in claims {
            let Some(task) = self.tasks.get(&id).cloned() else { continue };
            if self.tasks.number(&id).is_some_and(|number| !self.board.waits(number)) {
                // A copy that goes on alone has started it.
                continue;
            }
            let all_gone = victims.is_empty();
            let has_more = tried.is_none_or(|tried| victims.len() < tried);
            if has_more && self.start_claimed(&task, &worker) {
                if let Some(claim) = self.claims.of.get_mut(&id) {
                    claim.tried = Some(victims.len());
                }
                placements.push(Placement { attempt: task.attempt(), worker });
            } else if all_gone {
                self.claims.end(&id);
                self.open_again(&worker);
            }
        }
        placements
    }

    /// Starts a task on the board where it has a claim, if there is room.
    fn start_claimed(&mut self, task: &Waiting, worker: &WorkerId) -> bool {
        let takes_work = self.fleet.get(worker).is_some_and(|seen| seen.record().takes_work());
        let Some(at) = self.order.binary_search(worker).ok().filter(|_| takes_work) else { return false };
        // For a moment it is open, and for this task alone.
        self.board.open(at, true);
        let number = match self.tasks.number(&task.id()) {
            Some(number) => self.board.start_unasked(number, at).then_some(number),
            None => {
                let job = self.job(&task.0, None);
                self.board.start_new(job, at)
            }
        };
        self.board.open(at, false);
        if number.is_some() {
            self.tasks.put(task.clone(), number);
        }
        number.is_some()
    }

    /// Lets everybody have a worker that was kept.
    fn open_again(&mut self, worker: &WorkerId) {
        if let (Ok(at), Some(seen)) = (self.order.binary_search(worker), self.fleet.get(worker)) {
            self.board.set_seat(at, seat(seen, &mut self.models, &self.claims));
        }
    }
}
