//! What changes of the cluster as agents read it: messages that every client takes.

use crate::watching::Update;
use cloudai_core::access::Access;
use cloudai_core::resources::{Capacity, Demand, Free, Kind, WHOLE};
use cloudai_core::spec::TaskSpec;
use cloudai_core::task::{State, TaskRecord};
use cloudai_core::worker::{About, WorkerRecord};
use cloudai_proto::v1 as pb;
use prost::Message;
use std::collections::{BTreeSet, HashMap};

/// The most bytes of one message, about: clients take 4 MiB unless they are told otherwise, and the
/// largest single part, a worker with long labels, has far less than the rest.
const MESSAGE: usize = 1 << 20;

/// An update as messages of a bounded size, one at least.
pub(super) fn messages(update: &Update) -> Vec<pb::ClusterUpdate> {
    let mut pages = Pages::new(update);
    for (record, free) in &update.workers {
        pages.put(worker(record, free), |message, worker| message.workers.push(worker));
    }
    for id in &update.removed {
        pages.put_text(id.to_string(), |message, id| message.removed_workers.push(id));
    }
    for record in &update.tasks {
        match waiting(record) {
            Some(task) => pages.put(task, |message, task| message.waiting.push(task)),
            None => pages.put(placed(record), |message, task| message.placed.push(task)),
        }
    }
    for id in &update.gone {
        pages.put_text(id.to_string(), |message, id| message.gone_tasks.push(id));
    }
    pages.done
}

/// Messages of one version; the last is still open.
struct Pages {
    done: Vec<pb::ClusterUpdate>,
    empty: pb::ClusterUpdate,
    bytes: usize,
}

impl Pages {
    fn new(update: &Update) -> Self {
        let empty =
            pb::ClusterUpdate { version: update.version, snapshot: update.snapshot, ..pb::ClusterUpdate::default() };
        Self { done: vec![empty.clone()], empty, bytes: 0 }
    }

    fn put<T: Message>(&mut self, part: T, into: impl FnOnce(&mut pb::ClusterUpdate, T)) {
        let bytes = part.encoded_len();
        self.put_part(part, bytes, into);
    }

    fn put_text(&mut self, text: String, into: impl FnOnce(&mut pb::ClusterUpdate, String)) {
        let bytes = text.len();
        self.put_part(text, bytes, into);
    }

    fn put_part<T>(&mut self, part: T, bytes: usize, into: impl FnOnce(&mut pb::ClusterUpdate, T)) {
        if self.bytes > 0 && self.bytes + bytes > MESSAGE {
            if let Some(last) = self.done.last_mut() {
                last.more = true;
            }
            self.done.push(self.empty.clone());
            self.bytes = 0;
        }
        self.bytes += bytes;
        if let Some(last) = self.done.last_mut() {
            into(last, part);
        }
    }
}

fn worker(record: &WorkerRecord, free: &Free) -> pb::ClusterWorker {
    let gpu = |(gpu, left): &(cloudai_core::resources::Gpu, u64)| pb::FreeGpu {
        id: gpu.id.to_string(),
        model: gpu.model.to_string(),
        free_milli: *left,
    };
    pb::ClusterWorker {
        worker_id: record.id.to_string(),
        takes_work: record.takes_work(),
        idle: record.idle().map(|why| why.word().to_owned()).unwrap_or_default(),
        capacity: Some(capacity(&record.capacity)),
        free: Some(pb::Amounts {
            cpu_milli: free.amount(Kind::Cpu),
            memory_bytes: free.amount(Kind::Memory),
            storage_bytes: free.amount(Kind::Storage),
            gpu_milli: free.amount(Kind::Gpu),
        }),
        gpus: free.devices().iter().map(gpu).collect(),
        labels: record.labels.clone().into_iter().collect(),
        offers: record.about.offers.iter().map(ToString::to_string).collect(),
        facts: facts(&record.about),
        images: record.about.images.names().to_vec(),
    }
}

/// What constraints may name beside labels and what is told elsewhere; what the worker never told is left out.
fn facts(about: &About) -> HashMap<String, String> {
    let About { arch, executor, os, version, .. } = about;
    let facts = [("arch", arch), ("executor", executor), ("os", os), ("version", version)];
    let told = facts.into_iter().filter(|(_, text)| !text.is_empty());
    told.map(|(name, text)| (name.to_owned(), text.clone())).collect()
}

fn capacity(capacity: &Capacity) -> pb::Amounts {
    pb::Amounts {
        cpu_milli: capacity.cpu_milli,
        memory_bytes: capacity.memory,
        storage_bytes: capacity.storage,
        gpu_milli: capacity.gpus.len() as u64 * WHOLE,
    }
}

fn demand(demand: &Demand) -> pb::Amounts {
    pb::Amounts {
        cpu_milli: demand.cpu_milli,
        memory_bytes: demand.memory,
        storage_bytes: demand.storage,
        gpu_milli: demand.gpu_milli,
    }
}

/// A task that waits for a place; none of one that has one.
fn waiting(task: &TaskRecord) -> Option<pb::WaitingTask> {
    if matches!(task.state, State::Active(_)) {
        return None;
    }
    Some(pb::WaitingTask {
        task_id: task.id.to_string(),
        attempt: task.number() + 1,
        owner: task.owner.to_string(),
        demand: Some(demand(&task.spec.demand)),
        gpu_model: task.spec.demand.gpu_model.as_deref().unwrap_or_default().to_owned(),
        priority: task.spec.priority,
        submitted_at_ms: task.created_at.as_millis(),
        order: task.order,
        image: task.spec.image.clone(),
        pinned_to: task.spec.worker_id.as_ref().map(ToString::to_string).unwrap_or_default(),
        job_id: task.job.map(|job| job.to_string()).unwrap_or_default(),
        needs: accesses(&task.spec).into_iter().map(|access| access.to_string()).collect(),
        constraints: task.spec.constraints.iter().map(ToString::to_string).collect(),
    })
}

/// What a task needs of its worker's host, each once, in order.
fn accesses(spec: &TaskSpec) -> BTreeSet<&Access> {
    spec.container.volumes.iter().map(|volume| &volume.access).collect()
}

fn placed(task: &TaskRecord) -> pb::PlacedTask {
    let active = match &task.state {
        State::Active(active) => Some(active),
        State::Queued(_) | State::Finished(_) => None,
    };
    let last = task.attempts.last();
    pb::PlacedTask {
        task_id: task.id.to_string(),
        attempt: task.number(),
        worker_id: active.map(|active| active.worker.to_string()).unwrap_or_default(),
        owner: task.owner.to_string(),
        allocation: active.map(|active| super::convert::allocation(&active.allocation)),
        priority: task.spec.priority,
        assigned_at_ms: last.map_or(0, |attempt| attempt.assigned_at.as_millis()),
        started_at_ms: last.and_then(|attempt| attempt.started_at).map_or(0, |at| at.as_millis()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudai_core::testing::{TestCluster, cores};
    use std::sync::Arc;

    #[test]
    fn what_is_too_large_for_one_message_comes_in_several_of_one_version() {
        let mut cluster = TestCluster::default();
        cluster.worker("w1", cores(4));
        let task = cluster.task(1);
        let record = cluster.record(task);
        let tasks = vec![Arc::clone(&record); 30_000];
        let update = Update { version: 7, snapshot: true, tasks, gone: vec![task; 100], ..Update::default() };
        let messages = messages(&update);
        assert!(messages.len() > 1);
        assert!(messages.iter().all(|message| message.encoded_len() < 2 * MESSAGE));
        assert!(messages.iter().all(|message| message.version == 7 && message.snapshot));
        let more: Vec<_> = messages.iter().map(|message| message.more).collect();
        assert!(more[..more.len() - 1].iter().all(|more| *more) && !more[more.len() - 1], "{more:?}");
        let parts = |message: &pb::ClusterUpdate| message.waiting.len() + message.gone_tasks.len();
        assert_eq!(messages.iter().map(parts).sum::<usize>(), 30_100);
    }

    #[test]
    fn an_update_without_anything_is_a_message_all_the_same() {
        let messages = messages(&Update { version: 1, snapshot: true, ..Update::default() });
        assert!(matches!(messages.as_slice(), [one] if one.snapshot && !one.more));
    }
}
