//! Operators who keep work from a worker, empty it, and open it again; and what a duty does when its
//! time comes.

use super::{Cluster, Out};
use crate::duty::{Cordon, Drain, Duty, Probe};
use crate::event::{Answer, DutyOrder, DutyWish, Rejected};
use crate::ids::WorkerId;

impl Cluster {
    /// Carries out an operator's order; the last one counts, whatever the duty was before.
    pub(super) fn set_duty(&mut self, out: &mut Out, order: DutyOrder) -> Result<Answer, Rejected> {
        let DutyOrder { worker: id, by, wish } = order;
        let worker = self.workers.get(&id).ok_or_else(|| Rejected::NoSuchWorker(id.clone()))?;
        let (now, before) = (out.now, &worker.record.duty);
        let unheard = before.stops() && worker.link.is_some() && !worker.record.status.is_connected();
        let known = before.cordon().map(|cordon| cordon.reason.clone()).unwrap_or_default();
        // Who says nothing of the reason takes none back.
        let or_known = |reason: String| if reason.is_empty() { known } else { reason };
        let cordon = |reason| Cordon { reason: or_known(reason), by, since: now };
        let duty = match wish {
            DutyWish::Open => Duty::Open,
            DutyWish::Cordon { reason } => {
                if matches!(before, Duty::Cordoned(cordon) if reason.is_empty() || cordon.reason == reason) {
                    return Ok(Answer::Done);
                }
                Duty::Cordoned(cordon(reason))
            }
            DutyWish::Drain { reason, deadline } => {
                let until = deadline.map(|wait| now + wait);
                Duty::Draining(Drain { cordon: cordon(reason), until, stopping: false })
            }
        };
        if *before != duty {
            if unheard && !duty.stops() {
                // Its stops may be on their way: a worker drops what another session ordered.
                self.break_session(out, &id);
            }
            self.change_duty(out, &id, duty);
            self.ring_duty(out, &id);
        }
        Ok(Answer::Done)
    }

    /// Stores a new duty; what was counted against the worker before is over.
    pub(super) fn change_duty(&mut self, out: &mut Out, id: &WorkerId, duty: Duty) {
        if let Some(worker) = self.workers.get_mut(id) {
            worker.streak = super::quarantine::Streak::default();
            if let Some(at) = worker.record.duty.alarm() {
                self.duties.remove(&(at, id.clone()));
            }
            if let Some(at) = duty.alarm() {
                self.duties.insert((at, id.clone()));
            }
        }
        self.change_worker(out, id, |record| record.duty = duty);
    }

    /// Lets every duty change whose time has come, as many as one event may.
    pub(super) fn ring_duties(&mut self, out: &mut Out) {
        while let Some((at, id)) = self.duties.first().cloned()
            && at <= out.now
            && !out.full()
        {
            self.ring_duty(out, &id);
        }
    }

    /// Lets the duty of a worker change if its time has come.
    fn ring_duty(&mut self, out: &mut Out, id: &WorkerId) {
        let Some(worker) = self.workers.get(id) else { return };
        if worker.record.duty.alarm().is_none_or(|at| at > out.now) {
            return;
        }
        match worker.record.duty.clone() {
            Duty::Draining(drain) => {
                self.change_duty(out, id, Duty::Draining(Drain { stopping: true, ..drain }));
                self.stop_all(out, id);
            }
            Duty::Quarantined(quarantine) => match quarantine.probe {
                Probe::After(_) => self.set_probe(out, id, Probe::Due),
                Probe::Runs(..) => self.change_duty(out, id, Duty::Open),
                Probe::Due | Probe::Sent(_) => {}
            },
            Duty::Open | Duty::Cordoned(_) => {}
        }
    }

    /// Tells a worker to end all that it holds. One that is not there hears it when it comes.
    fn stop_all(&mut self, out: &mut Out, id: &WorkerId) {
        for attempt in self.held_tasks(id) {
            self.stop(out, id, attempt);
        }
    }
}
