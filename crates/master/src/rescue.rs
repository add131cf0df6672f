//! A strategy with a fault in it must not end placing: the plainest that passes what has no room takes over.

use crate::choice::{Choice, Chosen};
use crate::placing::Stage;
use cloudai_core::event::Placement;
use cloudai_core::strategy::Knobs;
use cloudai_core::time::Timestamp;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use tracing::error;

/// What places instead of a strategy that panicked, until the next start or until somebody sets one.
const RESCUER: &str = "greedy_skip";

/// A round; of a strategy that panics in it nothing is taken, and it is replaced.
pub(crate) fn round(stage: &mut Stage, now: Timestamp, choice: &Choice) -> Vec<Placement> {
    guarded(stage, choice, |stage| stage.round(now))
}

/// Lets the strategy do something; one that panics in it is replaced, and its successor does the same.
///
/// What the strategy left half done is on the board alone, which is made anew from the records. A fault of
/// [`RESCUER`] itself goes on to whoever watches the thread.
pub(crate) fn guarded<T>(stage: &mut Stage, choice: &Choice, act: impl Fn(&mut Stage) -> T) -> T {
    let name = stage.strategy().name();
    match catch_unwind(AssertUnwindSafe(|| act(stage))) {
        Ok(done) => done,
        Err(panic) if name == RESCUER => resume_unwind(panic),
        Err(panic) => {
            let rescuer = Chosen::of(RESCUER, Knobs::default());
            let Some((chosen, strategy)) = rescuer.and_then(|chosen| Some((chosen, chosen.make()?))) else {
                resume_unwind(panic)
            };
            error!(
                strategy = name,
                panic = message(&*panic),
                "the strategy has a fault: {RESCUER} places until the next start, or until another is set (cloudai strategy set)"
            );
            stage.set_strategy(strategy);
            stage.view.begin_anew();
            choice.set(chosen);
            act(stage)
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::external::{External, Fallback};
    use cloudai_core::strategy::{Board, Key, Started, Strategy, View};
    use cloudai_core::testing::{TestCluster, cores};
    use std::sync::Arc;

    /// Starts one job, then has a fault.
    #[derive(Debug)]
    struct Faulty;

    impl Strategy for Faulty {
        fn name(&self) -> &'static str {
            "ai"
        }

        fn hear(&mut self, _: &mut Board) {}

        fn line(&self, _: &Board, _: Option<Key>, _: usize) -> Vec<(Key, usize)> {
            Vec::new()
        }

        fn copy(&self) -> Box<dyn Strategy> {
            Box::new(Self)
        }

        fn place(&mut self, board: &mut Board, _: usize) -> Vec<Started> {
            let job = board.each_waiting().next();
            assert!(!job.is_some_and(|job| board.start(job, 0)), "a fault");
            Vec::new()
        }
    }

    #[test]
    fn another_strategy_places_all_that_one_with_a_fault_would_have() {
        let (mut cluster, mut view) = (TestCluster::default(), View::default());
        cluster.worker("w1", cores(2));
        let tasks: Vec<_> = (1..=2).map(|number| cluster.task(number)).collect();
        cluster.rows.iter().for_each(|row| view.apply(row));
        let external = External::new(Fallback::default(), Arc::default()).unwrap();
        let mut stage = Stage::new(view, Box::new(Faulty), external);
        let choice = Choice::new(Chosen::of("ai", Knobs::default()).unwrap());

        let placed = round(&mut stage, cluster.now, &choice);
        assert_eq!(placed.iter().map(|placement| placement.attempt.task).collect::<Vec<_>>(), tasks);
        assert_eq!((stage.strategy().name(), choice.now().name()), (RESCUER, RESCUER), "and says so");
    }
}
