//! A more important task takes the place of others: a proposal, checked again before it counts.

use super::{Cluster, Out};
use crate::event::{Answer, PlacementRefusal};
use crate::feasible;
use crate::kin;
use crate::preemption::{self, Preemption, PreemptionRefusal, VICTIMS};
use crate::resources::Free;
use crate::state::{Phase, Reason};
use crate::task::{Eviction, State};
use std::collections::BTreeSet;

impl Cluster {
    /// Stops all that a proposal names, or nothing. The room is not the task's yet: it is placed as any other.
    pub(super) fn preempt(&mut self, out: &mut Out, preemption: Preemption) -> Answer {
        let priority = match self.check_preemption(&preemption) {
            Ok(priority) => priority,
            Err(why) => return Answer::Preempted { refused: Some(why) },
        };
        let by = preemption.for_.task;
        let message = format!("task {by} of priority {priority} took its place");
        for victim in preemption.victims {
            let reason = Reason::Preempted;
            let eviction = Eviction { reason, at: out.now, by: Some(by), message: message.clone() };
            self.evict(out, victim.task, eviction);
        }
        Answer::Preempted { refused: None }
    }

    /// The priority of the task that is to have the room.
    fn check_preemption(&self, preemption: &Preemption) -> Result<i32, PreemptionRefusal> {
        let Preemption { for_, worker: id, victims, margin } = preemption;
        let stale = || PreemptionRefusal::Stale;
        let task = self.tasks.get(&for_.task).ok_or_else(stale)?;
        let waits = matches!(&task.state, State::Queued(queued) if queued.phase == Phase::WaitingCapacity);
        if !waits || for_.number != task.number() + 1 || victims.iter().collect::<BTreeSet<_>>().len() != victims.len()
        {
            return Err(PreemptionRefusal::Stale);
        }
        if self.gang_of(for_.task).is_some() {
            // What it needs is no place, but many.
            return Err(PreemptionRefusal::Useless(PlacementRefusal::Gang));
        }
        if victims.len() > VICTIMS {
            return Err(PreemptionRefusal::TooMany(victims.len()));
        }
        let absent = || PreemptionRefusal::Useless(PlacementRefusal::WorkerUnavailable);
        let worker = self.workers.get(id).filter(|worker| worker.link.is_some()).ok_or_else(absent)?;
        if feasible::fits(&task.spec, &worker.record, worker.ledger.free()).is_ok() {
            return Err(PreemptionRefusal::Needless);
        }
        let mut held = worker.ledger.sum().clone();
        for victim in victims {
            let record = self.tasks.get(&victim.task).ok_or_else(stale)?;
            let there = record.active().filter(|active| active.number == victim.number && active.worker == *id);
            let there = there.ok_or_else(stale)?;
            preemption::yields(record, task.spec.priority, *margin)?;
            if self.gang_of(victim.task).is_some() {
                return Err(PreemptionRefusal::OfGang(victim.task));
            }
            held.subtract(&there.allocation);
        }
        let free = Free::left(&worker.record.capacity, &held);
        feasible::fits(&task.spec, &worker.record, &free).map_err(PreemptionRefusal::Useless)?;
        let beside = kin::apart(task, &worker.record, &self.neighbours, |id| self.worker_record(id));
        beside.map_err(PreemptionRefusal::Useless)?;
        Ok(task.spec.priority)
    }
}
