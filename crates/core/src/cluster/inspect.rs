//! The state as lines, for whoever looks for a fault.

use super::{Cluster, Worker};
use crate::debug::{AlarmLine, Amounts, Dump, First, HeldLine, StartLine, TaskLine, ToldLine, WorkerLine};
use crate::resources::{Allocation, Kind};
use crate::task::TaskRecord;
use crate::time::Timestamp;
use std::time::Duration;

impl Cluster {
    /// At most `limit` of each kind, so that a million tasks keep nobody waiting.
    pub(super) fn inspect(&self, now: Timestamp, limit: usize) -> Dump {
        let mut left = limit;
        let workers = self.workers.values().map(|worker| {
            let line = self.worker_line(worker, now, left);
            left -= line.held.first.len();
            line
        });
        let alarms = self.alarms.iter().map(|(at, task, alarm)| AlarmLine { at: *at, task: *task, why: alarm.word() });
        Dump {
            at: now,
            incarnation: self.incarnation,
            next_order: self.next_order,
            workers: First::of(self.workers.len(), workers, limit),
            tasks: First::of(self.tasks.len(), self.tasks.values().map(|task| task_line(task)), limit),
            alarms: First::of(self.alarms.len(), alarms, limit),
            judgements: First::of(self.judgements.len(), self.judgements.iter().cloned(), limit),
            duties: First::of(self.duties.len(), self.duties.iter().cloned(), limit),
            removals: First::of(self.removals.len(), self.removals.iter().cloned(), limit),
            keys: self.keys.len(),
            ended_keys: self.old_keys.len(),
        }
    }

    fn worker_line(&self, worker: &Worker, now: Timestamp, limit: usize) -> WorkerLine {
        let (record, ledger) = (&worker.record, &worker.ledger);
        let told = worker.link.as_ref().and_then(|link| link.told.as_ref());
        let free = |kind| ledger.free().amount(kind);
        let held = ledger.held().iter().map(|(task, allocation)| {
            let active = self.tasks.get(task).filter(|task| task.active().is_some_and(|at| at.worker == record.id));
            let start = worker.link.as_ref().and_then(|link| link.starts.get(task));
            HeldLine {
                attempt: active.map(|task| task.attempt()),
                task: *task,
                step: active.and_then(|task| task.active()).map(|active| active.step),
                allocation: Allocation::clone(allocation),
                start: start.map(|start| StartLine {
                    seq: start.seq,
                    ms_ago: millis(now.since(start.at)),
                    seen: told.is_some_and(|told| told.seen() >= start.seq),
                }),
            }
        });
        WorkerLine {
            id: record.id.clone(),
            version: record.version,
            status: record.status,
            idle: record.idle_while(!ledger.held().is_empty()).map(|idle| idle.word().to_owned()),
            session: record.session,
            linked: worker.link.is_some(),
            heard_ms_ago: millis(now.since(worker.heard)),
            capacity: record.capacity.clone(),
            sum: ledger.sum().clone(),
            free: Amounts {
                cpu_milli: free(Kind::Cpu),
                memory: free(Kind::Memory),
                storage: free(Kind::Storage),
                gpu_milli: free(Kind::Gpu),
            },
            held: First::of(ledger.held().len(), held, limit),
            sent: self.sent(&record.id).seq,
            told: told.map(|told| ToldLine {
                ms_ago: millis(now.since(told.at())),
                seen: told.seen(),
                held: told.held().len(),
            }),
        }
    }
}

fn task_line(task: &TaskRecord) -> TaskLine {
    TaskLine {
        id: task.id,
        version: task.version,
        order: task.order,
        status: task.status(),
        phase: task.phase(false),
        attempts: task.number(),
        worker: task.active().map(|active| active.worker.clone()),
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use crate::event::{Answer, Event};
    use crate::spec::Value;
    use crate::testing::{TestCluster, cores, spec};

    #[test]
    fn a_state_is_bounded_tells_how_much_there_is_and_has_no_words_of_users() {
        let mut c = TestCluster::default();
        c.worker("w1", cores(4));
        c.worker("w2", cores(4));
        let env = Value::Map(vec![("PASSWORD".into(), Value::Text("hunter2".into()))]);
        for number in 1..=9 {
            let key = Value::Text(format!("k{number}"));
            c.submit(number, spec(&[("env", env.clone()), ("idempotency_key", key)])).unwrap();
        }
        c.place(crate::testing::task_id(1), "w1");
        c.place(crate::testing::task_id(2), "w2");
        let Answer::State(state) = c.ok(Event::Inspect { limit: 1 }) else { panic!("no state") };
        assert_eq!((state.tasks.total, state.tasks.first.len()), (9, 1));
        assert_eq!((state.workers.total, state.workers.first.len(), state.keys), (2, 1, 9));
        let worker = &state.workers.first[0];
        assert_eq!((worker.held.total, worker.held.first[0].attempt.map(|one| one.number)), (1, Some(1)));
        assert!(worker.held.first[0].start.is_some_and(|start| !start.seen) && worker.free.cpu_milli == 3000);
        let text = serde_json::to_string(&state).unwrap();
        assert!(!text.contains("hunter2") && !text.contains("busybox"), "{text}");
    }
}
