//! Whether the container engine answers: asked all the time, told to the master with each heartbeat,
//! so that a worker without its engine is given no work. What runs is not this file's business.

use crate::executor::Executor;
use crate::unfit::Unfit;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

/// Between two looks: an engine takes a second or more to be started again, and a look costs it nothing.
const EVERY: Duration = Duration::from_secs(1);
/// So many looks in a row without an answer are no chance: a busy engine may refuse a connection.
const SURE: u32 = 2;

/// Keeps current whether the engine is away.
pub(crate) async fn watch(executor: Arc<dyn Executor>, unfit: watch::Sender<Unfit>) {
    let mut looks = interval(EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut silent = 0;
    loop {
        looks.tick().await;
        match executor.ping().await {
            Ok(()) => {
                silent = 0;
                if unfit.send_if_modified(|unfit| unfit.engine_away.take().is_some()) {
                    info!("engine answers again, the worker takes work");
                }
            }
            Err(error) => {
                silent += 1;
                if silent == SURE {
                    warn!(%error, "engine stopped answering, the worker takes no work until it does");
                    unfit.send_modify(|unfit| unfit.engine_away = Some(error.to_string().into()));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::{EngineError, Job, JobIo};
    use async_trait::async_trait;
    use cloudai_core::ids::{Attempt, Incarnation};
    use cloudai_core::task::Outcome;
    use std::collections::VecDeque;
    use std::sync::Mutex;
    use tokio::time::timeout;

    /// Looks, then why the engine is away after them, and how often that changed.
    type Row = (&'static [bool], Option<Arc<str>>, u32);

    /// Answers as it is told, then not any more.
    #[derive(Debug)]
    struct Script(Mutex<VecDeque<bool>>);

    #[async_trait]
    impl Executor for Script {
        fn name(&self) -> &'static str {
            "script"
        }
        async fn engine(&self) -> Result<String, EngineError> {
            unreachable!("only pinged")
        }
        async fn ping(&self) -> Result<(), EngineError> {
            let next = self.0.lock().unwrap().pop_front();
            match next {
                Some(true) => Ok(()),
                Some(false) => Err(EngineError::Failed("refused".into())),
                None => std::future::pending().await,
            }
        }
        async fn run(&self, _job: &Job, _io: JobIo) -> Outcome {
            unreachable!("only pinged")
        }
        async fn remove(&self, _attempt: Attempt, _incarnation: Incarnation) -> Result<(), EngineError> {
            unreachable!("only pinged")
        }
        async fn existing(&self) -> Result<Vec<(Attempt, Incarnation)>, EngineError> {
            unreachable!("only pinged")
        }
    }

    /// What is known after the looks, and how often it changed.
    async fn after(looks: &[bool]) -> (Option<Arc<str>>, u32) {
        let executor = Arc::new(Script(Mutex::new(looks.iter().copied().collect())));
        let (away, mut known) = watch::channel(Unfit::default());
        let watching = watch(Arc::clone(&executor) as Arc<dyn Executor>, away);
        let mut changes = 0;
        let counting = async {
            while known.changed().await.is_ok() {
                changes += 1;
            }
        };
        // The clock stands still: it goes on only while nothing else is to be done.
        let time = EVERY * u32::try_from(looks.len() + 1).unwrap();
        let _ = timeout(time, async { tokio::join!(watching, counting) }).await;
        (known.borrow().engine_away.clone(), changes)
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_is_away_after_two_looks_in_vain_and_back_after_one_answer() {
        let refused = Some("the container engine failed: refused".into());
        let rows: [Row; 6] = [
            (&[true, true], None, 0),
            (&[true, false, true, false, true], None, 0),
            (&[true, false, false], refused.clone(), 1),
            (&[false, false, false, false], refused.clone(), 1),
            (&[false, false, true], None, 2),
            (&[false, false, true, false, false], refused, 3),
        ];
        for (looks, away, changes) in rows {
            assert_eq!(after(looks).await, (away, changes), "{looks:?}");
        }
    }
}
