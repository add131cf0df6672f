//! Inputs on their way to a worker and outputs on their way from it: over lines that break, beside tasks that are
//! cancelled, on a worker that can not keep them.

use crate::gate::Faults;
use crate::world::{World, over_seeds, task_with};
use bytes::Bytes;
use cloudai_core::sha256::Sha256;
use cloudai_core::spec::{Input, Source, TaskSpec};
use cloudai_core::state::{Reason, Status};
use std::time::Duration;

/// A content that comes in several messages.
const SIZE: usize = 1 << 20;

fn large() -> Bytes {
    Bytes::from(vec![7; SIZE])
}

/// A task that finds this content.
fn finds(content: Sha256, writable: bool) -> TaskSpec {
    let mut spec = task_with(&[]);
    spec.container.inputs = vec![Input { from: Source::Blob(content), path: "/in".into(), writable }];
    spec
}

#[test]
fn what_is_fetched_goes_on_where_it_was_when_the_line_breaks() {
    over_seeds(|seed| {
        let (mut world, gate) = World::new(seed).gated();
        let content = world.put(large());
        gate.set(Faults { cut_contents: 2, ..Faults::default() });
        let id = world.submit(finds(content, false));
        let record = world.ended(id);
        assert_eq!((record.status(), record.number()), (Status::Completed, 1), "{record:#?}");
        let offsets: Vec<_> = gate.fetches().iter().map(|fetch| fetch.contents[0].offset).collect();
        assert!(offsets.len() == 3 && offsets[0] == 0 && offsets.is_sorted_by(|a, b| a < b), "{offsets:?}");
    });
}

#[test]
fn an_input_that_two_tasks_wait_for_comes_to_the_one_when_the_other_is_cancelled() {
    over_seeds(|seed| {
        let (mut world, gate) = World::new(seed).gated();
        let content = world.put(large());
        gate.set(Faults { hold_contents: true, ..Faults::default() });
        let first = world.submit(finds(content, false));
        world.until("some of it has come", |world| world.message(first).contains("fetching inputs"));
        let second = world.submit(finds(content, false));
        world.until("the second asks what it finds", |_| gate.resolved() == 2);
        world.run_for(Duration::from_secs(5));
        assert_eq!(gate.fetches().len(), 1, "the second waits for what the first fetches");
        world.cancel(first);
        assert_eq!(world.ended(first).status(), Status::Cancelled);
        world.until("the second fetches", |_| gate.fetches().len() == 2);
        gate.set(Faults::default());
        let record = world.ended(second);
        assert_eq!((record.status(), record.number()), (Status::Completed, 1), "{record:#?}");
        assert!(gate.fetches()[1].contents[0].offset > 0, "it goes on where the first was");
    });
}

#[test]
fn copies_of_inputs_that_are_larger_than_a_tasks_disk_are_its_own_fault() {
    over_seeds(|seed| {
        let (mut world, _gate) = World::new(seed).gated();
        let content = world.put(large());
        for (writable, storage, reason) in [
            (true, SIZE as u64 - 1, Some(Reason::StorageExceeded)),
            (true, SIZE as u64, None),
            (false, SIZE as u64 - 1, None),
        ] {
            let mut spec = finds(content, writable);
            spec.demand.storage = storage;
            let id = world.submit(spec);
            let record = world.ended(id);
            assert_eq!((record.reason(), record.number()), (reason, 1), "{writable} {storage}: {record:#?}");
        }
    });
}

#[test]
fn a_worker_that_can_not_keep_inputs_fails_no_task_for_good() {
    over_seeds(|seed| {
        let (mut world, _gate) = World::new(seed).gated();
        let content = world.put(large());
        let cache = world.worker_dir("w1").join("inputs");
        std::fs::remove_dir(&cache).unwrap();
        std::fs::write(&cache, "").unwrap();
        let id = world.submit(finds(content, false));
        world.until("it was tried", |world| world.task(id).attempts.first().is_some_and(|first| first.end.is_some()));
        let record = world.task(id);
        let end = record.attempts[0].end.as_ref().unwrap();
        assert_eq!((end.reason, record.status()), (Some(Reason::EngineError), Status::Queued), "{record:#?}");
        assert!(end.message.contains("the worker can not keep it"), "{}", end.message);
        std::fs::remove_file(&cache).unwrap();
        std::fs::create_dir(&cache).unwrap();
        assert_eq!(world.ended(id).status(), Status::Completed);
    });
}

#[test]
fn a_master_that_does_not_know_small_files_together_gets_them_one_by_one() {
    over_seeds(|seed| {
        let (mut world, gate) = World::new(seed).gated();
        for lacks_small_files in [true, false] {
            gate.set(Faults { lacks_small_files, ..Faults::default() });
            let id = world.submit(task_with(&[("FAKE_OUT", "r.txt=result")]));
            let record = world.ended(id);
            assert_eq!(record.status(), Status::Completed, "{record:#?}");
            assert_eq!(world.file(record.attempt(), "r.txt"), b"result");
        }
        assert_eq!(gate.files(), 1, "the other came with a call for several");
    });
}
