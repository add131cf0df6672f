//! The ten sequences of a published comparison.

use cloudai_sim::replay::protocol::{JOBS, STARTS, sequences};
use cloudai_sim::replay::{Machine, Task, Workload};

fn trace(jobs: usize) -> Workload {
    let task = |at: usize| Task { id: at.to_string(), arrival_s: at as f64 * 3.0, ..Task::default() };
    let workers = vec![Machine { id: "machine".into(), capacity: [256.0, 0.0, 0.0, 0.0] }];
    Workload { name: "trace".into(), tasks: (0..jobs).map(task).collect(), workers }
}

#[test]
fn ten_sequences_begin_at_the_published_jobs_with_an_empty_machine() {
    let all = sequences(&trace(12_000), 0).unwrap();
    let firsts: Vec<_> = all.iter().map(|one| one.tasks[0].id.clone()).collect();
    assert_eq!(firsts, STARTS.map(|start| start.to_string()));
    for one in &all {
        assert_eq!((one.tasks.len(), one.tasks[0].arrival_s, one.workers.len()), (JOBS, 0.0, 1));
        assert!((one.tasks[1023].arrival_s - 1023.0 * 3.0).abs() < 1e-9);
    }
    assert_eq!(sequences(&trace(12_000), 2_000).unwrap()[0].tasks[0].id, "3981");
}

#[test]
fn a_trace_that_is_too_short_has_none() {
    assert_eq!(sequences(&trace(9_999), 0), None);
    assert_eq!(sequences(&trace(12_000), 2_001), None);
    assert_eq!(sequences(&trace(12_000), usize::MAX), None);
}
