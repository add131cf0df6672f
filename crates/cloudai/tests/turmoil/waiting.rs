//! What users are told of a task that waits.

use crate::world::{World, over_seeds};
use cloudai_core::spec::{TaskSpec, Value};
use cloudai_core::strategy::ALL;

/// A task of so many cores that runs, and is said to run, for so many seconds.
fn task(cpu: i64, seconds: i64) -> TaskSpec {
    let env = Value::Map(vec![("FAKE_DURATION_MS".into(), Value::Text((seconds * 1000).to_string()))]);
    let cpu = [("cpu_cores".into(), Value::Int(cpu)), ("estimate_s".into(), Value::Int(seconds))];
    let image = [("image".into(), Value::Text("fake:x".into())), ("env".into(), env)];
    TaskSpec::from_value(&Value::Map(image.into_iter().chain(cpu).collect())).unwrap()
}

#[test]
fn a_task_that_a_strategy_keeps_behind_another_is_told_so_until_that_has_started() {
    over_seeds(|seed| {
        let passes = |name: &&str| name.ends_with("_skip");
        for name in ALL.iter().map(|(name, _)| *name).filter(|name| !passes(name)) {
            let mut world = World::placed_by(seed, name.into()).workers(&["w1"]);
            let first = world.running(task(5, 30));
            let large = world.submit(task(7, 10));
            // It would not have ended when the large one can start.
            let small = world.submit(task(2, 100));
            world.until("the strategy has looked", |world| world.message(small) != "about to be placed");
            let why = "no worker has room; w1 comes nearest (cpu: needs 7, has 3 free)";
            assert_eq!(world.message(small), format!("behind {large}, which goes first: {why}"), "{name}");
            world.ended(first);
            world.until("the large one runs", |world| world.starts(large) == 1);
            let why = "no worker has room; w1 comes nearest (cpu: needs 2, has 1 free)";
            assert_eq!(world.message(small), why, "{name}");
        }
    });
}
