//! Which containers are nobody's, whatever the engine.

use async_trait::async_trait;
use cloudai_core::ids::{Attempt, Incarnation, TaskId};
use cloudai_core::task::Outcome;
use cloudai_worker::executor::{EngineError, Executor, Job, JobIo};
use cloudai_worker::reaper::{Ordered, Reaper};
use std::collections::BTreeSet;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(30);
const GRACE: Duration = Duration::from_secs(60);

/// An engine that has these containers.
#[derive(Debug)]
struct Containers(Vec<Ordered>);

#[async_trait]
impl Executor for Containers {
    fn name(&self) -> &'static str {
        "containers"
    }
    async fn engine(&self) -> Result<String, EngineError> {
        unreachable!("only listed")
    }
    async fn ping(&self) -> Result<(), EngineError> {
        unreachable!("only listed")
    }
    async fn run(&self, _job: &Job, _io: JobIo) -> Outcome {
        unreachable!("only listed")
    }
    async fn remove(&self, _attempt: Attempt, _incarnation: Incarnation) -> Result<(), EngineError> {
        unreachable!("only listed")
    }
    async fn existing(&self) -> Result<Vec<Ordered>, EngineError> {
        Ok(self.0.clone())
    }
}

fn ordered(task: u128, incarnation: u64) -> Ordered {
    (Attempt { task: TaskId::new(task), number: 1 }, Incarnation(incarnation))
}

#[tokio::test(start_paused = true)]
async fn what_nobody_holds_is_removed_after_a_grace_that_begins_when_it_is_let_go() {
    let (held, left, freed) = (ordered(1, 2), ordered(1, 1), ordered(3, 2));
    let mut reaper = Reaper::new(Arc::new(Containers(vec![held, left, freed])), GRACE);
    let both = BTreeSet::from([held, freed]);
    let mut look = async |held: Option<&BTreeSet<Ordered>>| reaper.look(ready(held.cloned())).await.unwrap();
    assert_eq!(look(Some(&both)).await, []);
    tokio::time::advance(EVERY * 2).await;
    assert_eq!(look(Some(&both)).await, [], "its grace is not over");
    tokio::time::advance(EVERY).await;
    let one = BTreeSet::from([held]);
    assert_eq!(look(Some(&one)).await, [left]);
    assert_eq!(look(None).await, [], "nobody says what is held");
    tokio::time::advance(EVERY * 3).await;
    assert_eq!(look(Some(&one)).await, [left, freed], "still there: it is told again");
    assert_eq!(look(Some(&both)).await, [left], "held again");
}
