//! Workers that are heard and hear nothing, or no command.

use crate::gate::{Faults, Gate};
use crate::world::{TIMING, World, over_seeds, task};
use cloudai_core::ids::TaskId;
use cloudai_core::state::{Reason, Status};
use cloudai_core::task::Spent;
use cloudai_core::worker::WorkerStatus;
use std::sync::Arc;
use std::time::Duration;

fn status(world: &World) -> WorkerStatus {
    world.worker("w1").unwrap().status
}

/// A task is given to a worker behind a gate that does so; goes on until it waits again, and the worker, which
/// is called so by then, gets nothing.
fn given_back(seed: u64, faults: Faults, called: WorkerStatus) -> (World, Arc<Gate>, TaskId, Duration) {
    let (mut world, gate) = World::new(seed).gated();
    gate.set(faults);
    let id = world.submit(task("3000"));
    world.until("it was given to the worker", |world| world.status(id) == Status::Pending);
    let given = world.now();
    world.until("it waits again", |world| world.status(id) == Status::Queued);
    let record = world.task(id);
    assert_eq!((record.reason(), record.number(), record.spent), (Some(Reason::Drained), 1, Spent::default()));
    assert_eq!(status(&world), called);
    let took = world.now() - given;
    world.run_for(TIMING.lease);
    assert_eq!((world.status(id), status(&world)), (Status::Queued, called), "it gets nothing");
    (world, gate, id, took)
}

fn runs_when_it_hears(mut world: World, gate: &Gate, id: TaskId) {
    gate.set(Faults::default());
    let record = world.ended(id);
    assert_eq!((record.status(), record.number(), world.starts(id)), (Status::Completed, 2, 1), "{record:#?}");
    assert_eq!(status(&world), WorkerStatus::Active);
}

#[test]
fn a_start_that_a_worker_never_hears_goes_back_after_its_lease_and_the_worker_gets_no_other() {
    over_seeds(|seed| {
        // Its session is over and it does not hear that: nothing that counts is heard of it any more.
        let deafens = Faults { deafens: true, ..Faults::default() };
        let (world, gate, id, took) = given_back(seed, deafens, WorkerStatus::Inactive);
        assert!(took >= TIMING.inactive + TIMING.lost_after() - TIMING.heartbeat, "after {took:?}");
        runs_when_it_hears(world, &gate, id);
    });
}

#[test]
fn a_start_that_a_proxy_keeps_goes_back_with_the_next_session_while_heartbeats_are_answered() {
    over_seeds(|seed| {
        let holds = Faults { hold_commands: true, ..Faults::default() };
        let (world, gate, id, took) = given_back(seed, holds, WorkerStatus::Deaf);
        assert!(took >= TIMING.inactive && took < TIMING.lease, "after {took:?}");
        gate.drop_held();
        runs_when_it_hears(world, &gate, id);
    });
}

#[test]
fn what_a_deaf_worker_runs_ends_with_its_lease_and_is_not_given_back_to_it() {
    over_seeds(|seed| {
        let (mut world, gate) = World::new(seed).gated();
        let id = world.running(task("forever"));
        gate.set(Faults { deafens: true, ..Faults::default() });
        world.until("its worker is deaf", |world| status(world) == WorkerStatus::Deaf);
        assert_eq!((world.starts(id), world.marks(id, "end").len()), (1, 1));
        world.run_for(TIMING.lost_after() * 2);
        let record = world.task(id);
        let ended = &record.attempts[0].end.as_ref().unwrap().message;
        assert!(ended.contains("lost its master for longer than a lease and stopped it"), "{ended}");
        assert_eq!(
            (record.status(), record.spent.worker_lost, world.starts(id)),
            (Status::Queued, 1, 1),
            "{record:#?}"
        );
        gate.set(Faults::default());
        world.until("it runs again", |world| world.starts(id) == 2);
    });
}
