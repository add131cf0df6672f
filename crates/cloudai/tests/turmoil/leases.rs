//! What a worker may do while it is cut off, by its own count and by its master's.

use crate::gate::Faults;
use crate::world::{TICK, TIMING, World, at, over_seeds, stop_after, task};
use cloudai_core::ids::TaskId;
use cloudai_core::state::{Reason, Status};
use std::time::Duration;

/// Between the clocks of two hosts, and what a message takes.
const SLACK: Duration = Duration::from_millis(200);

#[test]
fn a_worker_that_is_cut_off_for_less_than_a_lease_keeps_its_tasks() {
    over_seeds(|seed| {
        let mut world = World::new(seed).workers(&["w1", "w2"]);
        let id = world.running(task("60000"));
        let worker = world.marks(id, "start")[0].worker.clone();
        world.sim.partition(worker.as_str(), "master");
        // Until 20 s have gone by nobody is sure that the connection is dead.
        world.run_for(Duration::from_secs(15));
        world.sim.repair(worker.as_str(), "master");
        let record = world.ended(id);
        assert_eq!((record.status(), record.number(), world.starts(id)), (Status::Completed, 1, 1), "{record:#?}");
    });
}

/// Cuts the worker of a running task off as told, until the task runs elsewhere; then mends the link.
fn moves_to_another_worker(seed: u64, cut: impl Fn(&World, &str)) -> (World, TaskId) {
    let mut world = World::new(seed).workers(&["w1", "w2"]);
    let id = world.running(task("forever"));
    let worker = world.marks(id, "start")[0].worker.clone();
    cut(&world, &worker);
    world.until("it runs elsewhere", |world| world.starts(id) == 2);
    let (starts, ends) = (world.marks(id, "start"), world.marks(id, "end"));
    assert_eq!((ends.len(), ends[0].attempt), (1, 1), "it has ended where it was");
    assert!(ends[0].at() + TIMING.margin <= starts[1].at(), "a margin lies between: {ends:?} {starts:?}");
    assert_ne!(starts[1].worker, worker);
    let given_up = at(world.task(id).attempts[0].ended_at.unwrap());
    assert!(ends[0].at() + TIMING.margin <= given_up, "it had stopped before the master gave it up");
    world.sim.repair(worker.as_str(), "master");
    (world, id)
}

/// What is told by the worker that was given up changes nothing.
fn late_report_is_superseded(world: &mut World, id: TaskId) {
    world.run_for(TIMING.lease);
    let record = world.task(id);
    assert_eq!((record.status(), record.number(), record.spent.worker_lost), (Status::Running, 2, 1), "{record:#?}");
    assert_eq!(record.attempts[0].end.as_ref().unwrap().reason, Some(Reason::WorkerLost));
    assert_eq!((world.starts(id), world.marks(id, "end").len()), (2, 1), "the second was left alone");
    assert!(["w1", "w2"].iter().all(|name| world.worker(name).unwrap().status.is_connected()));
}

#[test]
fn a_worker_that_is_cut_off_for_longer_stops_its_tasks_before_they_begin_elsewhere() {
    over_seeds(|seed| {
        let (mut world, id) =
            moves_to_another_worker(seed, |world, worker| world.sim.partition(worker.to_owned(), "master"));
        late_report_is_superseded(&mut world, id);
    });
}

#[test]
fn a_worker_that_is_heard_but_hears_nothing_stops_before_it_is_given_up() {
    over_seeds(|seed| {
        let (mut world, id) =
            moves_to_another_worker(seed, |world, worker| world.sim.partition_oneway("master", worker.to_owned()));
        late_report_is_superseded(&mut world, id);
    });
}

#[test]
fn a_worker_that_hears_but_is_not_heard_stops_before_it_is_given_up() {
    over_seeds(|seed| {
        let (mut world, id) =
            moves_to_another_worker(seed, |world, worker| world.sim.partition_oneway(worker.to_owned(), "master"));
        late_report_is_superseded(&mut world, id);
    });
}

#[test]
fn a_lease_runs_from_the_sending_of_a_heartbeat_however_late_it_is_answered() {
    over_seeds(|seed| {
        let (mut world, gate) = World::new(seed).gated();
        let id = world.running(task("forever"));
        gate.set(Faults { delay_beats: Duration::from_secs(8), ..Faults::default() });
        let before = gate.beats().len();
        world.until("late answers have come", |_| gate.beats().len() >= before + 3);
        world.step();
        gate.set(Faults { down: true, ..Faults::default() });
        world.until("the task was stopped", |world| !world.marks(id, "end").is_empty());
        let (ended, last) = (world.marks(id, "end")[0].at(), *gate.beats().last().unwrap());
        assert!(last.answered - last.came >= Duration::from_secs(8), "{last:?}");
        let lease = ended - last.came;
        assert!(lease + SLACK >= stop_after() && lease <= stop_after() + SLACK, "stopped {lease:?} after {last:?}");
    });
}

/// The bytes of a held link come all at once: the answers of heartbeats that were sent long ago among them.
#[test]
fn answers_that_come_in_a_burst_renew_a_lease_no_further_than_their_heartbeats() {
    over_seeds(|seed| {
        let mut world = World::new(seed).workers(&["w1"]);
        let id = world.running(task("forever"));
        world.sim.hold("w1", "master");
        let held = world.now();
        world.run_for(Duration::from_secs(18));
        world.sim.release("w1", "master");
        world.run_for(TICK * 4);
        world.sim.partition("w1", "master");
        world.until("the task was stopped", |world| !world.marks(id, "end").is_empty());
        let ended = world.marks(id, "end")[0].at();
        let latest = held + Duration::from_secs(18) + stop_after();
        assert!(ended >= held + stop_after() - TIMING.heartbeat && ended <= latest + SLACK, "{ended:?} {latest:?}");
    });
}
