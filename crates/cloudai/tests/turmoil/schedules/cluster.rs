//! A workload on a real cluster: its tasks are submitted when they come, and are looked at when all have ended.

use crate::world::{World, at};
use cloudai_core::resources::Capacity;
use cloudai_core::spec::{TaskSpec, Value};
use cloudai_core::state::Status;
use cloudai_core::strategy::knobs::Knobs;
use cloudai_core::testing::cores;
use cloudai_master::choice::Configured;
use cloudai_sim::replay::{Assignment, Machine, Task, Workload};
use std::time::Duration;

/// The schedule that a strategy makes there, in the order of the workload's tasks. A start is the master's decision.
pub(super) fn run(seed: u64, strategy: &str, knobs: Knobs, workload: &Workload) -> Vec<Assignment> {
    let strategy = Configured { knobs, ..strategy.into() };
    let workers = workload.workers.iter().map(|machine| (machine.id.as_str(), capacity(machine)));
    let mut world = World::placed_by(seed, strategy).workers_of(workers);
    let begin = world.now();
    let mut ids = Vec::new();
    for together in workload.tasks.chunk_by(|one, next| one.arrival_s == next.arrival_s) {
        let arrival = begin + Duration::from_secs_f64(together[0].arrival_s);
        world.run_for(arrival.saturating_sub(world.now()));
        ids.extend(world.submit_all(together.iter().map(spec).collect()));
    }
    let mut assignments = Vec::new();
    for (number, (task, id)) in workload.tasks.iter().zip(ids).enumerate() {
        let record = world.ended(id);
        assert_eq!((record.status(), record.number()), (Status::Completed, 1), "{record:#?}");
        let attempt = &record.attempts[0];
        let is_worker = |machine: &Machine| machine.id == attempt.worker.as_str();
        let worker = workload.workers.iter().position(is_worker).unwrap();
        let start_s = (at(attempt.assigned_at) - begin).as_secs_f64();
        assignments.push(Assignment { task: number, worker, start_s, end_s: start_s + task.runtime_s });
    }
    assignments
}

fn capacity(machine: &Machine) -> Capacity {
    let known = (1u32..=64).find(|count| f64::from(*count) == machine.capacity[0]).unwrap();
    cores(u64::from(known))
}

fn spec(task: &Task) -> TaskSpec {
    let [cpu, memory, storage, _] = task.demand.map(Value::Float);
    let duration = format!("{:.0}", task.runtime_s * 1e3);
    let env = Value::Map(vec![("FAKE_DURATION_MS".to_owned(), Value::Text(duration))]);
    let fields = [
        ("image", Value::Text("fake:x".into())),
        ("cpu_cores", cpu),
        ("memory_gb", memory),
        ("storage_gb", storage),
        ("estimate_s", task.estimate_s.map_or(Value::Null, Value::Float)),
        ("priority", Value::Int(task.priority.into())),
        ("env", env),
    ];
    let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value));
    TaskSpec::from_value(&Value::Map(fields.collect())).unwrap()
}
