//! Starts and stops that are lost, late or repeated on their way.

use crate::gate::Faults;
use crate::world::{TIMING, World, over_seeds, task};
use cloudai_core::state::Status;
use cloudai_core::timing::Timing;
use cloudai_proto::v1 as pb;
use std::collections::BTreeMap;
use std::time::Duration;

/// How often each attempt's start is among the batches.
fn starts(batches: &[pb::CommandBatch]) -> BTreeMap<(String, u32), usize> {
    let mut starts = BTreeMap::new();
    for command in batches.iter().flat_map(|batch| &batch.commands) {
        if let Some(pb::command::What::Start(task)) = &command.what {
            *starts.entry((task.task_id.clone(), task.attempt)).or_default() += 1;
        }
    }
    starts
}

fn holding() -> Faults {
    Faults { hold_commands: true, ..Faults::default() }
}

#[test]
fn a_start_that_was_lost_is_sent_again_and_run_once() {
    over_seeds(|seed| {
        let (mut world, gate) = World::new(seed).gated();
        gate.set(holding());
        let id = world.submit(task("3000"));
        world.until("its start was sent", |_| gate.held() > 0);
        gate.drop_held();
        gate.set(Faults::default());
        let record = world.ended(id);
        assert_eq!((record.status(), record.number(), world.starts(id)), (Status::Completed, 1, 1));
    });
}

#[test]
fn a_batch_that_comes_again_is_refused_by_its_numbers() {
    over_seeds(|seed| {
        let (mut world, gate) = World::new(seed).gated();
        let (ends, lasts) = (world.running(task("3000")), world.running(task("forever")));
        let again = gate.passed();
        again.iter().cloned().for_each(|batch| gate.say(batch));
        world.ended(ends);
        // The first is acknowledged, and nothing of it is remembered any more.
        world.run_for(TIMING.heartbeat * 2);
        again.iter().rev().cloned().for_each(|batch| gate.say(batch));
        world.run_for(TIMING.lease);
        assert_eq!(starts(&gate.passed()).values().copied().max(), Some(3), "each came three times");
        assert_eq!((world.starts(ends), world.starts(lasts)), (1, 1));
        assert_eq!(world.status(lasts), Status::Running);
    });
}

#[test]
fn a_start_that_comes_after_the_end_of_its_attempt_finds_a_tombstone() {
    over_seeds(|seed| {
        let (mut world, gate) = World::new(seed).gated();
        gate.set(holding());
        let id = world.submit(task("0"));
        world.until("its start was sent twice, under two numbers", |_| gate.held() >= 2);
        gate.release_one();
        let record = world.ended(id);
        world.run_for(TIMING.heartbeat * 2);
        while gate.held() > 0 {
            gate.release_one();
        }
        world.run_for(TIMING.lease);
        assert!(starts(&gate.passed())[&(id.to_string(), 1)] >= 2, "the worker was told twice");
        assert_eq!((record.status(), record.number(), world.starts(id)), (Status::Completed, 1, 1));
        assert_eq!(world.task(id), record);
    });
}

#[test]
fn a_worker_that_reconnects_is_sent_every_unconfirmed_start_at_once() {
    over_seeds(|seed| {
        // No heartbeat helps.
        let timing = Timing { heartbeat: Duration::from_secs(60), inactive: Duration::from_secs(130), ..TIMING };
        let timing = Timing { lease: Duration::from_secs(140), ..timing };
        let (mut world, gate) = World::timed(seed, timing).gated();
        gate.set(holding());
        let ids = world.submit_all(vec![task("forever"); 5]);
        world.until("every task has its place", |world| {
            ids.iter().all(|id| world.status(*id) == Status::Pending && world.task(*id).active().is_some())
        });
        world.run_for(Duration::from_secs(1));
        gate.drop_held();
        gate.set(Faults::default());
        gate.break_stream();
        let broken = world.now();
        world.until("every task runs", |world| ids.iter().all(|id| world.status(*id) == Status::Running));
        assert!(world.now() - broken < Duration::from_secs(1), "after {:?}", world.now() - broken);
        assert!(ids.iter().all(|id| world.starts(*id) == 1));
    });
}

#[test]
fn a_stop_that_was_lost_is_sent_again() {
    over_seeds(|seed| {
        let (mut world, gate) = World::new(seed).gated();
        let id = world.running(task("forever"));
        gate.set(holding());
        world.cancel(id);
        world.until("its stop was sent", |_| gate.held() > 0);
        gate.drop_held();
        gate.set(Faults::default());
        let record = world.ended(id);
        assert_eq!((record.status(), world.marks(id, "end").len()), (Status::Cancelled, 1));
    });
}
