//! Proposals of a strategy: each is checked again before it counts.

use super::gang::Gang;
use super::{Cluster, Out};
use crate::effect::{Command, StartOrder};
use crate::event::{Answer, Placement, PlacementRefusal};
use crate::feasible::{self, Fit};
use crate::kin;
use crate::planted::{self, Fault};
use crate::resources::Free;
use crate::state::Phase;
use crate::task::{Active, AttemptRecord, State, Step};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is taken or refused as one.
enum Part {
    One(Placement),
    Gang(Gang, Vec<Placement>),
}

impl Cluster {
    pub(super) fn place(&mut self, out: &mut Out, placements: Vec<Placement>) -> Answer {
        let mut taken = 0;
        let mut refused = Vec::new();
        for part in self.parts(placements) {
            match part {
                Part::Gang(gang, placements) => taken += self.place_gang(out, gang, placements, &mut refused),
                Part::One(placement) => match self.check_placement(&placement, None) {
                    Ok(_) if out.full() => refused.push((placement, PlacementRefusal::Stale)),
                    Ok(fit) => {
                        self.assign(out, &placement, fit);
                        taken += 1;
                    }
                    Err(why) => refused.push((placement, why)),
                },
            }
        }
        Answer::Placed { taken, refused }
    }

    /// Proposals in their order, those of a gang together where its first one stands.
    fn parts(&self, placements: Vec<Placement>) -> Vec<Part> {
        let mut gangs: BTreeMap<Gang, usize> = BTreeMap::new();
        let mut parts = Vec::with_capacity(placements.len());
        for placement in placements {
            let Some(gang) = self.gang_to_place(&placement) else {
                parts.push(Part::One(placement));
                continue;
            };
            let at = *gangs.entry(gang).or_insert(parts.len());
            match parts.get_mut(at) {
                Some(Part::Gang(_, members)) => members.push(placement),
                Some(Part::One(_)) | None => parts.push(Part::Gang(gang, vec![placement])),
            }
        }
        parts
    }

    /// What the task would hold of its worker; `left` is what others of its gang would leave there.
    pub(super) fn check_placement(&self, placement: &Placement, left: Option<&Free>) -> Result<Fit, PlacementRefusal> {
        let task = self.tasks.get(&placement.attempt.task).ok_or(PlacementRefusal::Stale)?;
        let waits = matches!(&task.state, State::Queued(queued) if queued.phase == Phase::WaitingCapacity);
        if !waits || placement.attempt.number != task.number() + 1 {
            return Err(PlacementRefusal::Stale);
        }
        let worker = self.workers.get(&placement.worker).ok_or(PlacementRefusal::WorkerUnavailable)?;
        let free = left.unwrap_or_else(|| worker.ledger.free());
        if planted::is(Fault::TrustAnyWorker) {
            return feasible::pick(&task.spec, &worker.record.capacity, free).map_err(PlacementRefusal::Lack);
        }
        if worker.link.is_none() {
            return Err(PlacementRefusal::WorkerUnavailable);
        }
        if planted::is(Fault::SkipCapacityCheck) {
            let crate::resources::Demand { cpu_milli, memory, storage, .. } = task.spec.demand;
            let allocation = crate::resources::Allocation { cpu_milli, memory, storage, gpus: Vec::new() };
            return Ok(Fit { allocation, request: 0 });
        }
        let fit = feasible::fits(&task.spec, &worker.record, free)?;
        if !planted::is(Fault::StandBeside) {
            kin::apart(task, &worker.record, &self.neighbours, |id| self.worker_record(id))?;
        }
        Ok(fit)
    }

    pub(super) fn assign(&mut self, out: &mut Out, placement: &Placement, fit: Fit) {
        let Placement { attempt, worker } = placement;
        let Fit { allocation, request } = fit;
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
                evict: None,
            });
            task.attempts.push(AttemptRecord {
                number: attempt.number,
                worker: worker.clone(),
                request,
                assigned_at: now,
                waited,
                started_at: None,
                ended_at: None,
                end: None,
            });
        });
        let Some(holder) = self.workers.get_mut(worker) else { return };
        holder.hold(attempt.task, allocation.clone());
        // The others of its gang go with the first one.
        if !holder.record.duty.is_open() && holder.record.duty.takes_work() {
            self.begin_probe(out, worker, *attempt);
        }
        let Some(task) = self.tasks.get(&attempt.task) else { return };
        let order = StartOrder::of(task, allocation);
        self.send(out, worker, Command::Start(Arc::new(order)));
    }
}
