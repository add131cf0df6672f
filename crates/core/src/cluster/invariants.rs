//! The rules of SPEC 3.3 that hold in every state, checked by tests after every event.

use super::{Cluster, Worker, alarms};
use crate::duty::Duty;
use crate::ids::{JobId, TaskId};
use crate::kin::Neighbours;
use crate::resources::{Allocation, Free, Kind, WHOLE};
use crate::state::Status;
use crate::task::{State, TaskRecord};
use std::collections::{BTreeMap, BTreeSet};

/// Every broken rule, as a sentence that begins with the rule's number; empty when all hold.
#[must_use]
pub fn check(cluster: &Cluster) -> Vec<String> {
    let mut broken = Vec::new();
    allocations_are_what_active_tasks_hold(cluster, &mut broken);
    no_worker_is_over_committed(cluster, &mut broken);
    kin_are_where_records_say(cluster, &mut broken);
    attempts_tell_the_story(cluster, &mut broken);
    alarms_are_what_records_ask_for(cluster, &mut broken);
    silent_workers_are_judged(cluster, &mut broken);
    duties_are_looked_after(cluster, &mut broken);
    deaf_workers_are_sent_no_start(cluster, &mut broken);
    jobs_count_their_tasks(cluster, &mut broken);
    gangs_run_whole(cluster, &mut broken);
    broken
}

fn allocations_are_what_active_tasks_hold(cluster: &Cluster, broken: &mut Vec<String>) {
    for (id, worker) in &cluster.workers {
        for (task, allocation) in worker.ledger.held() {
            let active = cluster.tasks.get(task).and_then(|task| task.active());
            if !active.is_some_and(|active| active.worker == *id && active.allocation == *allocation) {
                broken.push(format!("3.3.3: {id} holds {task}, which is not active there"));
            }
        }
    }
    for task in cluster.tasks.values() {
        if let Some(active) = task.active() {
            let worker = cluster.workers.get(&active.worker);
            if !worker.is_some_and(|worker| worker.ledger.held().contains_key(&task.id)) {
                broken.push(format!("3.3.3: {} is active on {}, which does not hold it", task.id, active.worker));
            }
            // Of devices it is the worker's that are counted, below.
            let plain = [Kind::Cpu, Kind::Memory, Kind::Storage];
            if plain.iter().any(|kind| active.allocation.amount(*kind) != task.demand().amount(*kind)) {
                broken.push(format!("3.3.3: {} holds other amounts than those of its request", task.id));
            }
        }
    }
}

fn kin_are_where_records_say(cluster: &Cluster, broken: &mut Vec<String>) {
    let mut counted = Neighbours::default();
    for task in cluster.tasks.values() {
        task.active().into_iter().for_each(|active| counted.enter(task, &active.worker));
    }
    if counted != cluster.neighbours {
        broken.push(format!("3.1: kin are thought to have {:?}, not {counted:?}", cluster.neighbours));
    }
}

/// A worker that came back smaller may hold more than it has; then nothing of that was given to it
/// since it came back.
fn no_worker_is_over_committed(cluster: &Cluster, broken: &mut Vec<String>) {
    for (id, worker) in &cluster.workers {
        let capacity = &worker.record.capacity;
        // GPUs are counted device by device: what holds one that the worker has no more takes no other.
        for kind in [Kind::Cpu, Kind::Memory, Kind::Storage] {
            let amount = |allocation: &Allocation| allocation.amount(kind);
            let held: u64 = worker.ledger.held().values().map(amount).sum();
            if held > capacity.amount(kind) && given_since(cluster, worker, amount) {
                broken.push(format!("3.3.3: {id} holds {held} {kind} of {}", capacity.amount(kind)));
            }
        }
        let devices: BTreeSet<_> =
            worker.ledger.held().values().flat_map(|held| held.gpus.iter().map(|(gpu, _)| gpu)).collect();
        for device in devices {
            let amount = |allocation: &Allocation| {
                allocation.gpus.iter().filter(|(gpu, _)| gpu == device).map(|(_, milli)| milli).sum::<u64>()
            };
            let held: u64 = worker.ledger.held().values().map(amount).sum();
            let whole = if capacity.gpus.iter().any(|gpu| gpu.id == *device) { WHOLE } else { 0 };
            if held > whole && given_since(cluster, worker, amount) {
                broken.push(format!("3.3.3: device {device} of {id} is held beyond its whole"));
            }
        }
        let mut sum = Allocation::default();
        worker.ledger.held().values().for_each(|held| sum.add(held));
        let left = Free::left(capacity, &sum);
        if left != *worker.ledger.free() {
            broken.push(format!("3.3.3: {id} counts {:?} as free, not {left:?}", worker.ledger.free()));
        }
    }
}

/// Whether the worker was given something that holds this since it came with its present capacity.
fn given_since(cluster: &Cluster, worker: &Worker, amount: impl Fn(&Allocation) -> u64) -> bool {
    worker.ledger.held().iter().filter(|(_, allocation)| amount(allocation) > 0).any(|(task, _)| {
        let given = cluster.tasks.get(task).and_then(|task| task.attempts.last()).map(|attempt| attempt.assigned_at);
        given > worker.record.connected_at
    })
}

fn attempts_tell_the_story(cluster: &Cluster, broken: &mut Vec<String>) {
    for task in cluster.tasks.values() {
        if let Some(rule) = broken_story(task) {
            broken.push(format!("3.3.2: {} {rule}", task.id));
        }
    }
}

fn broken_story(task: &TaskRecord) -> Option<&'static str> {
    let numbers = task.attempts.iter().map(|attempt| attempt.number);
    if !numbers.eq(1..=u32::try_from(task.attempts.len()).unwrap_or(u32::MAX)) {
        return Some("has attempts that are not numbered from 1");
    }
    let open = task.attempts.iter().filter(|attempt| attempt.end.is_none()).count();
    let last_open = task.attempts.last().is_some_and(|attempt| attempt.end.is_none());
    match &task.state {
        State::Finished(_) => Some("is live though it ended"),
        State::Active(active) if open != 1 || !last_open || active.number != task.number() => {
            Some("is active but its last attempt is not the only open one")
        }
        State::Queued(_) if open != 0 => Some("waits but has an open attempt"),
        State::Queued(_) | State::Active(_) => {
            let accepted = |attempt: &crate::task::AttemptRecord| attempt.end.as_ref().is_some_and(|end| end.accepted);
            task.attempts.iter().any(accepted).then_some("is live but has an accepted attempt")
        }
    }
}

fn alarms_are_what_records_ask_for(cluster: &Cluster, broken: &mut Vec<String>) {
    let expected: BTreeSet<_> = cluster.tasks.values().flat_map(|task| alarms::of(task)).flatten().collect();
    if let Some((at, task, alarm)) = expected.symmetric_difference(&cluster.alarms).next() {
        broken.push(format!("3.1: the alarm {alarm:?} of {task} at {at} is lost, or nobody asks for it"));
    }
}

fn silent_workers_are_judged(cluster: &Cluster, broken: &mut Vec<String>) {
    let judged: BTreeSet<_> = cluster.judgements.iter().map(|(_, id)| id).collect();
    for (id, worker) in &cluster.workers {
        let kept = |task| cluster.tasks.get(task).is_some_and(|task| task.outlasts_silence());
        let all_kept = worker.link.is_none() && worker.ledger.held().keys().all(kept);
        if !all_kept && !judged.contains(id) {
            broken.push(format!("3.3.4: {id} holds attempts and nobody watches its silence"));
        }
    }
}

/// A duty that changes by itself has its alarm, and a probe is an attempt that its worker holds.
fn duties_are_looked_after(cluster: &Cluster, broken: &mut Vec<String>) {
    let alarm = |worker: &Worker| worker.record.duty.alarm().map(|at| (at, worker.record.id.clone()));
    let expected: BTreeSet<_> = cluster.workers.values().filter_map(alarm).collect();
    if let Some((at, id)) = expected.symmetric_difference(&cluster.duties).next() {
        broken.push(format!("14: the alarm of the duty of {id} at {at} is lost, or nobody asks for it"));
    }
    for (id, worker) in &cluster.workers {
        if let Some(task) = given_against_its_duty(cluster, worker) {
            broken.push(format!("14: {id} was given {task} though it is {}", worker.record.duty.word(true)));
        }
        if let Some(probe) = worker.record.duty.probe() {
            let active = cluster.tasks.get(&probe.task).and_then(|task| task.active());
            if !active.is_some_and(|active| active.worker == *id && active.number == probe.number) {
                broken.push(format!("14: {id} waits for its probe {probe}, which is not active there"));
            }
        }
    }
}

/// How far a job is follows from its tasks, and whoever may get a record is not forgotten.
fn jobs_count_their_tasks(cluster: &Cluster, broken: &mut Vec<String>) {
    let mut live: BTreeMap<(JobId, u32), [u32; 3]> = BTreeMap::new();
    for task in cluster.tasks.values() {
        let Some(id) = task.job else { continue };
        let Some(place) = cluster.jobs.get(&id).and_then(|job| job.plan.place_of(id, task.id)) else {
            broken.push(format!("6: {} is of {id}, which is not live or has no such task", task.id));
            continue;
        };
        let counts = live.entry((id, place.group)).or_default();
        counts[match task.status() {
            Status::Queued => 0,
            Status::Pending => 1,
            Status::Running | Status::Completed | Status::Failed | Status::Cancelled => 2,
        }] += 1;
    }
    for (id, job) in &cluster.jobs {
        for (group, number) in job.progress.groups().iter().zip(0..) {
            let counted = live.get(&(*id, number)).copied().unwrap_or_default();
            if counted != [group.queued, group.pending, group.running] {
                broken.push(format!("6: {id} counts {group:?} in its group {number}, there are {counted:?}"));
            }
        }
        if job.progress.next().is_some() != cluster.filling.contains(id) {
            broken
                .push(format!("6: {id} has tasks that may be placed and nobody gives them records, or the other way"));
        }
        if job.progress.end().is_some() {
            broken.push(format!("6: {id} is live though all of it has ended"));
        }
        if job.record.counts != job.progress.counts() {
            broken.push(format!("6: {id} is stored with other counts than it has"));
        }
    }
}

/// While one of a gang is active and nothing stops it, no other waits; but of those of which the rest is stopped next.
fn gangs_run_whole(cluster: &Cluster, broken: &mut Vec<String>) {
    for gang in cluster.gangs().filter(|gang| !cluster.split.contains_key(gang)) {
        if let Some((runs, waits)) = cluster.split_members(gang) {
            broken.push(format!("6: {runs} goes on while {waits} of its gang waits"));
        }
    }
}

/// What a deaf worker never began is taken back by the time since when nothing that it could begin was
/// on its way.
fn deaf_workers_are_sent_no_start(cluster: &Cluster, broken: &mut Vec<String>) {
    for (id, worker) in &cluster.workers {
        if cluster.is_deaf(id) != worker.deaf.is_some() {
            broken.push(format!("3.3.4: {id} is {:?} and deaf since {:?}", worker.record.status, worker.deaf));
        }
    }
    for (id, worker) in cluster.workers.iter().filter(|(id, _)| cluster.is_deaf(id)) {
        if let Some(task) = worker.link.as_ref().and_then(|link| link.starts.keys().next()) {
            broken.push(format!("3.3.4: {id} takes nothing in and was sent a start of {task}"));
        }
    }
}

/// A task that was given to a worker since something keeps it from work, and that is no probe.
fn given_against_its_duty(cluster: &Cluster, worker: &Worker) -> Option<TaskId> {
    let since = match &worker.record.duty {
        Duty::Open => return None,
        Duty::Cordoned(cordon) => cordon.since,
        Duty::Draining(drain) => drain.cordon.since,
        Duty::Quarantined(quarantine) => quarantine.since,
    };
    let given = |task: &&TaskId| cluster.tasks.get(task)?.attempts.last().map(|attempt| attempt.assigned_at);
    let probe = worker.record.duty.probe().map(|probe| probe.task);
    let mut held = worker.ledger.held().keys();
    let against = |task: &&TaskId| given(task).is_some_and(|given| given > since) && probe != Some(**task);
    // A gang goes where its first one tries the worker.
    held.find(|task| against(task) && cluster.gang_of(**task).is_none()).copied()
}
