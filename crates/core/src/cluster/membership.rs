//! Workers that come, leave, are added and taken out.

use super::images::Told;
use super::liveness::Gone;
use super::{Cluster, Link, MAX_ROWS, Out, Worker};
use crate::duty::Duty;
use crate::effect::Row;
use crate::event::{Admission, Answer, Registration, Rejected, Removal};
use crate::ids::{Session, WorkerId};
use crate::label;
use crate::ledger::Ledger;
use crate::planted::{self, Fault};
use crate::resources::Capacity;
use crate::time::Timestamp;
use crate::worker::{About, WorkerRecord, WorkerStatus};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl Cluster {
    /// Begins a new session; what the worker should not hold is stopped at once.
    ///
    /// A name belongs to the data folder that holds its attempts, until its worker has left or was
    /// silent for long: two at once would take each other's attempts for lost.
    pub(super) fn register(&mut self, out: &mut Out, registration: Registration) -> Result<Answer, Rejected> {
        let Registration { worker: id, address, capacity, labels, about, held } = registration;
        let now = out.now;
        if self.workers.get(&id).is_some_and(|worker| {
            let instance = &worker.record.about.instance;
            !instance.is_empty() && *instance != about.instance && now.since(worker.heard) < self.timing.inactive
        }) {
            return Err(Rejected::WorkerLive(id));
        }
        let brought = self.own(&held).map(|held| held.attempt).collect();
        self.known(&id, now);
        self.change_worker(out, &id, |record| {
            record.address = record.address.take().or(address);
            record.capacity = capacity;
            record.labels = labels;
            label::change(&mut record.labels, &record.operator_labels);
            record.status = WorkerStatus::of(about.unfit.as_ref());
            record.about = about;
            // From the time on: no session comes again of a name that was removed, nor of what was
            // committed after the backup that was restored.
            record.session = record.session.next().max(Session(now.as_millis()));
            record.connected_at = Some(now);
            record.last_seen = Some(now);
        });
        let Some(worker) = self.workers.get_mut(&id) else { return Ok(Answer::Done) };
        worker.heard = now;
        worker.link = Some(Link { brought, ..Link::default() });
        worker.images = Told::default();
        if !planted::is(Fault::IgnoreShrinking) {
            worker.ledger.resize(&worker.record.capacity);
        }
        let session = worker.record.session;
        self.judgements.insert((now + self.timing.inactive, id.clone()));
        // What is absent is judged by the session's first heartbeat: a registration that comes
        // late, or twice, tells of a past in which the worker had not begun what it runs now.
        self.reconcile_present(out, &id, &held);
        Ok(Answer::Registered(session))
    }

    pub(super) fn admit(&mut self, out: &mut Out, admission: Admission) -> Answer {
        self.known(&admission.worker, out.now);
        self.change_worker(out, &admission.worker, |record| {
            record.address = admission.address.or_else(|| record.address.take());
        });
        Answer::Done
    }

    /// Takes a worker out; by force also one that holds attempts, which are given up, as many with
    /// each tick as one event may.
    pub(super) fn remove(&mut self, out: &mut Out, removal: &Removal) -> Result<Answer, Rejected> {
        let id = &removal.worker;
        let worker = self.workers.get(id).ok_or_else(|| Rejected::NoSuchWorker(id.clone()))?;
        let attempts = worker.ledger.held().len();
        if attempts > 0 && !removal.force {
            return Err(Rejected::WorkerBusy { worker: id.clone(), attempts });
        }
        if attempts >= MAX_ROWS {
            // It takes more than this event: nothing is placed there meanwhile.
            self.end_session(out, id);
            self.change_worker(out, id, |record| record.removing = true);
        }
        self.removals.insert(id.clone());
        self.go_on_removing(out);
        Ok(Answer::Done)
    }

    pub(super) fn go_on_removing(&mut self, out: &mut Out) {
        while let Some(id) = self.removals.first().cloned() {
            while let Some(task) = self.workers.get(&id).and_then(|worker| worker.ledger.held().keys().next().copied())
            {
                if out.full() {
                    return;
                }
                self.lose(out, task, Gone::Removed);
            }
            if out.full() {
                return;
            }
            self.removals.remove(&id);
            if let Some(worker) = self.workers.remove(&id) {
                if let Some(at) = worker.record.duty.alarm() {
                    self.duties.remove(&(at, id.clone()));
                }
                out.save(Row::WorkerRemoved(id));
            }
        }
    }

    /// A worker left in good order, with nothing: what it should still hold goes back. What is too
    /// much for one event follows when the lease is over.
    pub(super) fn leave(&mut self, out: &mut Out, id: &WorkerId, session: Session) -> Result<Answer, Rejected> {
        self.in_session(id, session)?;
        self.take_back(out, id, &BTreeSet::new());
        self.end_session(out, id);
        self.change_worker(out, id, |record| record.about.instance.clear());
        Ok(Answer::Done)
    }

    /// Ends a worker's session: its next word must be a registration.
    pub(super) fn end_session(&mut self, out: &mut Out, id: &WorkerId) {
        if let Some(worker) = self.workers.get_mut(id) {
            worker.link = None;
            let heard = worker.heard;
            self.change_worker(out, id, |record| {
                record.status = WorkerStatus::Inactive;
                record.session = record.session.next();
                record.last_seen = Some(heard);
            });
        }
    }

    /// Makes sure that there is a record.
    fn known(&mut self, id: &WorkerId, now: Timestamp) {
        let fresh = || Worker {
            record: Arc::new(WorkerRecord {
                id: id.clone(),
                version: 0,
                address: None,
                status: WorkerStatus::Registered,
                session: Session(0),
                capacity: Capacity::default(),
                labels: BTreeMap::new(),
                operator_labels: label::Changes::new(),
                about: About::default(),
                registered_at: now,
                connected_at: None,
                last_seen: None,
                duty: Duty::Open,
                removing: false,
            }),
            ledger: Ledger::new(&Capacity::default()),
            heard: now,
            link: None,
            deaf: None,
            streak: super::quarantine::Streak::default(),
            images: Told::default(),
        };
        self.workers.entry(id.clone()).or_insert_with(fresh);
    }
}
