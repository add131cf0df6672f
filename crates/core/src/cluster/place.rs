//! Proposals of a strategy: each is checked again before it counts.

use super::{Cluster, Out};
use crate::effect::{Command, StartOrder};
use crate::event::{Answer, Placement, PlacementRefusal};
use crate::feasible;
use crate::planted::{self, Fault};
use crate::resources::Allocation;
use crate::state::Phase;
use crate::task::{Active, AttemptRecord, State, Step};
use std::sync::Arc;

impl Cluster {
    pub(super) fn place(&mut self, out: &mut Out, placements: Vec<Placement>) -> Answer {
        let mut taken = 0;
        let mut refused = Vec::new();
        for placement in placements {
            match self.check_placement(&placement) {
                Ok(_) if out.full() => refused.push((placement, PlacementRefusal::Stale)),
                Ok(allocation) => {
                    self.assign(out, &placement, allocation);
                    taken += 1;
                }
                Err(why) => refused.push((placement, why)),
            }
        }
        Answer::Placed { taken, refused }
    }

    fn check_placement(&self, placement: &Placement) -> Result<Allocation, PlacementRefusal> {
        let task = self.tasks.get(&placement.attempt.task).ok_or(PlacementRefusal::Stale)?;
        let waits = matches!(&task.state, State::Queued(queued) if queued.phase == Phase::WaitingCapacity);
        if !waits || placement.attempt.number != task.number() + 1 {
            return Err(PlacementRefusal::Stale);
        }
        let worker = self.workers.get(&placement.worker).ok_or(PlacementRefusal::WorkerUnavailable)?;
        if planted::is(Fault::TrustAnyWorker) {
            return worker.ledger.free().pick(&task.spec.demand).map_err(PlacementRefusal::Lack);
        }
        if worker.link.is_none() {
            return Err(PlacementRefusal::WorkerUnavailable);
        }
        if planted::is(Fault::SkipCapacityCheck) {
            let crate::resources::Demand { cpu_milli, memory, storage, .. } = task.spec.demand;
            return Ok(Allocation { cpu_milli, memory, storage, gpus: Vec::new() });
        }
        feasible::fits(&task.spec, &worker.record, worker.ledger.free())
    }

    fn assign(&mut self, out: &mut Out, placement: &Placement, allocation: Allocation) {
        let Placement { attempt, worker } = placement;
        let now = out.now;
        self.change(out, attempt.task, |task| {
            let waited = match &task.state {
                State::Queued(queued) => Some(now.since(queued.since)),
                State::Active(_) | State::Finished(_) => None,
            };
            task.state = State::Active(Active {
                number: attempt.number,
                worker: worker.clone(),
                step: Step::Assigned,
                allocation: allocation.clone(),
            });
            task.attempts.push(AttemptRecord {
                number: attempt.number,
                worker: worker.clone(),
                assigned_at: now,
                waited,
                started_at: None,
                ended_at: None,
                end: None,
            });
        });
        let Some(holder) = self.workers.get_mut(worker) else { return };
        holder.hold(attempt.task, allocation.clone());
        if !holder.record.duty.is_open() {
            self.begin_probe(out, worker, *attempt);
        }
        let Some(task) = self.tasks.get(&attempt.task) else { return };
        let order = StartOrder::of(task, allocation);
        self.send(out, worker, Command::Start(Arc::new(order)));
    }
}
