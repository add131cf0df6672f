//! Claims about what attempts took.

use crate::common::*;
use cloudai_core::effect::Row;
use cloudai_core::state::Status;
use cloudai_core::task::Step;
use cloudai_store::Store;
use cloudai_store::consumed::{Consumed, HOUR};
use std::sync::Arc;

/// A task with half a core and 512 MiB whose attempt ran between these times.
fn ran(n: u64, from: u64, to: u64) -> Task {
    task(n).in_status(Status::Completed, "w1").with(|task| {
        let spec = Arc::make_mut(&mut task.spec);
        spec.demand.cpu_milli = 500;
        spec.demand.memory = 512 << 20;
        spec.demand.gpu_milli = 2000;
        task.finished_at = Some(at(to));
        for attempt in &mut task.attempts {
            attempt.started_at = Some(at(from));
            attempt.ended_at = Some(at(to));
        }
    })
}

async fn of(store: &Arc<dyn Store>, hours: std::ops::Range<u64>) -> Vec<(String, Consumed)> {
    let found = store.consumed(hours, None).await.unwrap();
    found.into_iter().map(|(owner, sum)| (owner.as_str().to_owned(), sum)).collect()
}

pub(crate) async fn attempts_are_counted_once_when_they_have_ended_each_hour_its_share(store: Arc<dyn Store>) {
    let term = store.lead().await.unwrap();
    let begun = task(1).on("w1", Step::Running);
    store.commit(term, at(1), &[task(1).row(), begun.row()]).await.unwrap();
    assert_eq!(of(&store, 0..100).await, []);
    // Half an hour in the first hour, a quarter in the second; told twice, as it may be.
    let long = ran(1, HOUR / 2, HOUR + HOUR / 4).record();
    let rows = [Row::Task(Arc::clone(&long)), Row::Task(long), ran(2, 10, 1010).owner("bob").row()];
    store.commit(term, at(2), &rows).await.unwrap();
    let first = Consumed { cpu_ms: HOUR / 4, memory_mib_ms: 256 * HOUR, gpu_ms: HOUR, ..Consumed::default() };
    let second = Consumed {
        tasks: 1,
        attempts: 1,
        cpu_ms: HOUR / 8,
        memory_mib_ms: 128 * HOUR,
        gpu_ms: HOUR / 2,
        used_cpu_ms: 12,
    };
    let bob = Consumed { tasks: 1, attempts: 1, cpu_ms: 500, memory_mib_ms: 512_000, gpu_ms: 2000, used_cpu_ms: 12 };
    assert_eq!(of(&store, 0..1).await, [("ann".to_owned(), first), ("bob".to_owned(), bob)]);
    assert_eq!(of(&store, 1..2).await, [("ann".to_owned(), second)]);
    let both = store.consumed(0..2, Some(&"ann".parse().unwrap())).await.unwrap();
    assert_eq!((both.len(), both[0].1), (1, first.plus(second)));
    // What is kept no longer was used all the same.
    store.commit(term, at(3), &[Row::TaskRemoved(id(2), Status::Completed)]).await.unwrap();
    assert_eq!(of(&store, 0..1).await[1].1, bob);
}

pub(crate) async fn a_refused_batch_counts_nothing(store: Arc<dyn Store>) {
    let term = store.lead().await.unwrap();
    let rows = [ran(1, 0, 1000).row(), outputs(attempt(9, 1), &["a"])];
    assert!(store.commit(term, at(1), &rows).await.is_err());
    assert_eq!(of(&store, 0..100).await, []);
    store.commit(term, at(1), &rows[..1]).await.unwrap();
    assert_eq!(of(&store, 0..100).await[0].1.cpu_ms, 500);
}
