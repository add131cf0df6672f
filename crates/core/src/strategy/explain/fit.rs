//! One worker: whether a task fits there, and everything that stands against it.

use super::start::{self, Estimate};
use crate::feasible;
use crate::ids::WorkerId;
use crate::kin::Beside;
use crate::need::{Need, Traits};
use crate::resources::{Capacity, Demand, Free, Kind, Lack, WHOLE};
use crate::spec::TaskSpec;
use crate::strategy::{Seen, View};
use crate::task::TaskRecord;
use crate::time::Timestamp;
use crate::worker::Idle;
use std::cmp::Ordering;
use std::sync::Arc;

/// What was found out about one worker.
#[derive(Clone, Debug, PartialEq)]
pub struct Looked {
    /// Which.
    pub worker: WorkerId,
    /// Everything against it; nothing where the task fits now.
    pub against: Vec<Against>,
    /// Whether it could run the task if it took work and nothing else ran there.
    pub ever: bool,
    /// Every resource: what is asked for, what is left, what there is. Of several requests of the first that fits now,
    /// else of the first that ever could.
    pub amounts: [Amount; 4],
    /// When the task would fit there, if all that runs ends as thought.
    pub start: Option<Estimate>,
    /// How much is short: the sum of the parts of the demand that are not there.
    shortness: f64,
}

/// Numbers of one resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount {
    /// Which.
    pub kind: Kind,
    /// What is asked for.
    pub need: u64,
    /// The most that could be given now; of GPUs of the right model.
    pub free: u64,
    /// What the worker offers; of GPUs of the right model.
    pub total: u64,
}

/// What stands against a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Against {
    /// The task is pinned to another one.
    Pinned(WorkerId),
    /// It takes no work.
    Idle(Idle),
    /// It does not let tasks have this of its host, or this does not hold of its labels.
    Unmet(Need),
    /// It has no device of the model.
    Model(Arc<str>),
    /// It is short of something.
    Short(Amount),
    /// One of the task's kin is too near.
    Beside(Beside),
}

impl Looked {
    /// Whether the task fits there now.
    #[must_use]
    pub fn fits(&self) -> bool {
        self.against.is_empty()
    }

    /// The first reason against it as one word; `fits` where there is none.
    #[must_use]
    pub fn word(&self) -> &'static str {
        self.against.first().map_or("fits", Against::word)
    }

    fn nearness(&self, other: &Self) -> Ordering {
        let rank = |looked: &Self| {
            let closed = looked.against.iter().any(|against| matches!(against, Against::Pinned(_) | Against::Idle(_)));
            (!looked.fits(), !looked.ever, closed, looked.start.map_or(u64::MAX, |start| start.at.as_millis()))
        };
        let by_rank = rank(self).cmp(&rank(other));
        by_rank.then(self.shortness.total_cmp(&other.shortness)).then_with(|| self.worker.cmp(&other.worker))
    }
}

impl Against {
    /// The word that programs branch on.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Pinned(_) => "pinned_elsewhere",
            Self::Idle(why) => match why {
                Idle::Absent => "inactive",
                Idle::Leaving => "leaving",
                Idle::EngineAway => "engine_away",
                Idle::DiskPressure => "disk_pressure",
                Idle::Deaf => "deaf",
                Idle::Cordoned => "cordoned",
                Idle::Draining => "draining",
                Idle::Drained => "drained",
                Idle::Quarantined => "quarantined",
            },
            Self::Unmet(Need::Access(_)) => "not_offered",
            Self::Unmet(Need::Label(_)) => "constraint",
            Self::Model(_) => "no_such_gpu",
            Self::Short(amount) => match amount.kind {
                Kind::Cpu => "short_of_cpu",
                Kind::Memory => "short_of_memory",
                Kind::Storage => "short_of_storage",
                Kind::Gpu => "short_of_gpu",
            },
            Self::Beside(_) => "beside_kin",
        }
    }
}

/// Every worker, the nearest first.
pub(super) fn all(view: &View, record: &TaskRecord, now: Timestamp) -> Vec<Looked> {
    let mut all: Vec<Looked> = view.fleet().each().map(|seen| look(view, seen, record, now)).collect();
    all.sort_by(Looked::nearness);
    all
}

fn look(view: &View, seen: &Seen, record: &TaskRecord, now: Timestamp) -> Looked {
    let (spec, worker) = (&record.spec, seen.record());
    let mut against = Vec::new();
    if let Some(pin) = spec.worker_id.as_ref().filter(|pin| **pin != worker.id) {
        against.push(Against::Pinned(pin.clone()));
    }
    against.extend(spec.unmet(Traits::of(worker)).map(Against::Unmet));
    against.extend(worker.idle_while(!seen.held().is_empty()).map(Against::Idle));
    let demand = told(spec, seen);
    let amounts = Kind::ALL.map(|kind| amount(demand, kind, seen.free(), &worker.capacity));
    let short = |lack: Lack| amounts.iter().find(|amount| amount.kind == lack.kind).copied();
    for amount in lacks(demand, seen.free()).filter_map(short) {
        against.push(match &demand.gpu_model {
            Some(model) if amount.kind == Kind::Gpu && amount.total == 0 => Against::Model(Arc::clone(model)),
            Some(_) | None => Against::Short(amount),
        });
    }
    against.extend(view.fleet().beside(record, worker).map(Against::Beside));
    let ever = feasible::could_ever(spec, worker).is_ok();
    let starts = || {
        spec.demands().filter_map(|demand| start::on(view, seen, (record, demand), now)).min_by_key(|start| start.at)
    };
    Looked {
        worker: worker.id.clone(),
        ever,
        amounts,
        start: (ever && worker.takes_work()).then(starts).flatten(),
        shortness: amounts.iter().map(Amount::short).sum(),
        against,
    }
}

impl Amount {
    /// The part of what is asked for that is not there.
    #[allow(clippy::cast_precision_loss, reason = "only compared")]
    fn short(&self) -> f64 {
        let lack = self.need.saturating_sub(self.free);
        if lack == 0 { 0.0 } else { lack as f64 / self.need as f64 }
    }
}

/// What of a task's requests is told of a worker: the first that fits, else the first that ever could, else the first.
fn told<'s>(spec: &'s TaskSpec, seen: &Seen) -> &'s Demand {
    let fitting = spec.demands().find(|demand| seen.free().pick(demand).is_ok());
    fitting.unwrap_or_else(|| feasible::nearest(spec, &seen.record().capacity))
}

/// Everything that is short, not only the first: resources do not depend on each other.
pub(super) fn lacks<'a>(demand: &'a Demand, free: &'a Free) -> impl Iterator<Item = Lack> + 'a {
    Kind::ALL.into_iter().filter_map(move |kind| free.pick(&only(demand, kind)).err())
}

/// What is asked for of one resource alone.
fn only(demand: &Demand, kind: Kind) -> Demand {
    let none = Demand::default();
    match kind {
        Kind::Cpu => Demand { cpu_milli: demand.cpu_milli, ..none },
        Kind::Memory => Demand { memory: demand.memory, ..none },
        Kind::Storage => Demand { storage: demand.storage, ..none },
        Kind::Gpu => Demand { gpu_milli: demand.gpu_milli, gpu_model: demand.gpu_model.clone(), ..none },
    }
}

fn amount(demand: &Demand, kind: Kind, free: &Free, capacity: &Capacity) -> Amount {
    let need = demand.amount(kind);
    if kind != Kind::Gpu || need == 0 {
        return Amount { kind, need, free: free.amount(kind), total: capacity.amount(kind) };
    }
    let of_model = |model: &Arc<str>| demand.gpu_model.as_ref().is_none_or(|wanted| wanted == model);
    let left = free.devices().iter().filter(|(gpu, _)| of_model(&gpu.model)).map(|(_, left)| *left);
    let most = if need < WHOLE { left.max().unwrap_or(0) } else { left.filter(|left| *left == WHOLE).sum() };
    let total = capacity.gpus.iter().filter(|gpu| of_model(&gpu.model)).count() as u64 * WHOLE;
    Amount { kind, need, free: most, total }
}
