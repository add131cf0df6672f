//! Links that are slow, held or cut for a while.

use crate::world::{TIMING, World, over_seeds, task};
use cloudai_core::state::Status;
use std::time::Duration;

#[test]
fn a_link_that_takes_two_seconds_each_way_loses_no_lease_and_no_session() {
    over_seeds(|seed| {
        let mut world = World::new(seed).workers(&["w1"]);
        let session = world.session("w1");
        let id = world.running(task("100000"));
        world.sim.set_link_latency("w1", "master", Duration::from_secs(2));
        let record = world.ended(id);
        assert_eq!((record.status(), record.number(), world.starts(id)), (Status::Completed, 1, 1), "{record:#?}");
        assert_eq!(world.session("w1"), session);
    });
}

#[test]
fn a_link_that_is_held_for_a_while_delivers_everything_once() {
    over_seeds(|seed| {
        let mut world = World::new(seed).workers(&["w1"]);
        let (lasts, ends) = (world.running(task("30000")), world.running(task("2000")));
        world.sim.hold("w1", "master");
        let waits = world.submit(task("0"));
        world.run_for(Duration::from_secs(9));
        assert_eq!((world.status(ends), world.starts(waits)), (Status::Running, 0), "nothing gets through");
        world.sim.release("w1", "master");
        for id in [lasts, ends, waits] {
            let record = world.ended(id);
            assert_eq!((record.status(), record.number(), world.starts(id)), (Status::Completed, 1, 1), "{record:#?}");
        }
    });
}

#[test]
fn a_cancel_while_the_link_is_cut_is_carried_out_when_it_heals() {
    over_seeds(|seed| {
        let mut world = World::new(seed).workers(&["w1"]);
        let (cancelled, other) = (world.running(task("forever")), world.running(task("60000")));
        world.sim.partition("w1", "master");
        world.run_for(Duration::from_secs(1));
        world.cancel(cancelled);
        world.run_for(Duration::from_secs(10));
        assert!(world.task(cancelled).finished().is_none(), "nobody has stopped it yet");
        assert_eq!(world.marks(cancelled, "end").len(), 0);
        world.sim.repair("w1", "master");
        let healed = world.now();
        let record = world.ended(cancelled);
        assert_eq!((record.status(), record.number()), (Status::Cancelled, 1), "{record:#?}");
        assert!(world.marks(cancelled, "end")[0].at() < healed + TIMING.lease);
        let record = world.ended(other);
        assert_eq!((record.status(), record.number(), world.starts(other)), (Status::Completed, 1, 1), "{record:#?}");
    });
}
