//! A master that dies and begins again, and its workers.

use crate::world::{TICK, TIMING, World, at, over_seeds, task};
use cloudai_core::state::{Reason, Status};
use std::collections::BTreeMap;
use std::time::Duration;

/// Workers that lose their master in the same instant.
const MANY: [&str; 12] = ["w1", "w2", "w3", "w4", "w5", "w6", "w7", "w8", "w9", "w10", "w11", "w12"];

#[test]
fn many_workers_do_not_come_back_in_the_same_instant() {
    let mut world = World::new(1).workers(&MANY);
    let before: BTreeMap<_, _> = MANY.map(|name| (name, world.session(name))).into();
    world.kill_master();
    world.run_for(Duration::from_secs(20));
    world.start_master();
    let mut back = BTreeMap::new();
    world.until("every worker is back", |world| {
        for name in MANY {
            if world.session(name) != before[name] {
                back.entry(name).or_insert_with(|| world.now());
            }
        }
        back.len() == MANY.len()
    });
    let crowd = back.values().map(|one| {
        let together = |other: &&Duration| other.abs_diff(*one) <= TICK * 5;
        back.values().filter(together).count()
    });
    let crowd = crowd.max().unwrap();
    assert!(crowd <= MANY.len() / 2, "{crowd} came together: {back:?}");
    let (first, last) = (back.values().min().unwrap(), back.values().max().unwrap());
    assert!(*last - *first > Duration::from_millis(300), "{back:?}");
}

#[test]
fn a_worker_that_is_stopped_together_with_its_master_waits_for_no_word_of_it() {
    over_seeds(|seed| {
        let mut world = World::new(seed).workers(&["w1"]);
        world.running(task("forever"));
        world.kill_master();
        world.stop_worker("w1");
        world.run_for(Duration::from_secs(30));
        let ends = world.ends.borrow();
        assert!(matches!(ends.get("w1"), Some(Ok(()))), "seed {seed}: {:?}", ends.get("w1"));
    });
}

#[test]
fn tasks_go_on_through_a_restart_of_their_master() {
    over_seeds(|seed| {
        let mut world = World::new(seed).workers(&["w1", "w2"]);
        let lasts = world.running(task("40000"));
        let ends = world.running(task("3000"));
        world.kill_master();
        world.run_for(Duration::from_secs(10));
        assert_eq!(world.marks(ends, "end").len(), 1, "it has ended while there was no master");
        world.start_master();
        for id in [lasts, ends] {
            let record = world.ended(id);
            assert_eq!((record.status(), record.number(), world.starts(id)), (Status::Completed, 1, 1), "{record:#?}");
        }
    });
}

/// A new master does not know when a worker was last heard: it counts from its own beginning.
#[test]
fn a_restarted_master_waits_a_lease_before_it_gives_an_unheard_worker_up() {
    over_seeds(|seed| {
        let mut world = World::new(seed).workers(&["w1", "w2"]);
        let id = world.running(task("forever"));
        let worker = world.marks(id, "start")[0].worker.clone();
        world.kill_master();
        world.sim.partition(worker.as_str(), "master");
        world.run_for(TIMING.lease);
        world.start_master();
        let began = world.now();
        world.until("the task runs elsewhere", |world| world.starts(id) == 2);
        let record = world.task(id);
        let given_up = at(record.attempts[0].ended_at.unwrap());
        assert_eq!(record.attempts[0].end.as_ref().unwrap().reason, Some(Reason::WorkerLost));
        assert!(given_up + TICK * 2 >= began + TIMING.lost_after(), "began at {began:?}, gave up at {given_up:?}");
        assert!(world.marks(id, "end")[0].at() < world.marks(id, "start")[1].at());
    });
}
