//! Which images the engine has: asked when this worker pulled or removed one and now and then, told to the master when
//! they are others than it knows. Which come first where there are too many is the executor's business.

use crate::executor::Executor;
use cloudai_core::images::Images;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tracing::debug;

/// Between two looks when this worker moved none: others may have.
const EVERY: Duration = Duration::from_secs(60);
/// Between two looks at least: pulls come in rows, and a list costs the engine something.
const REST: Duration = Duration::from_secs(2);

/// The images of the engine, and what of them the master knows.
#[derive(Debug, Default)]
pub(crate) struct Stock(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    now: Images,
    /// What the master was told last, once it was.
    told: Option<Images>,
}

impl Stock {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The engine has these.
    pub(crate) fn set(&self, images: Images) {
        self.state().now = images;
    }

    /// What a registration tells.
    pub(crate) fn all(&self) -> Images {
        self.state().now.clone()
    }

    /// What a heartbeat tells: nothing where the master knows all.
    pub(crate) fn news(&self) -> Option<Images> {
        let state = self.state();
        (state.told.as_ref() != Some(&state.now)).then(|| state.now.clone())
    }

    /// The master has taken these in.
    pub(crate) fn told(&self, images: Images) {
        self.state().told = Some(images);
    }
}

/// Keeps current which images there are.
pub(crate) async fn watch(executor: Arc<dyn Executor>, stock: Arc<Stock>) {
    loop {
        match executor.images().await {
            Ok(names) => stock.set(Images::of(names)),
            // Whoever asks whether it answers at all tells why it does not.
            Err(error) => debug!(%error, "images not listed"),
        }
        sleep(REST).await;
        // Either way it is time to look again.
        let _ = timeout(EVERY, executor.images_moved()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::{EngineError, Job, JobIo};
    use async_trait::async_trait;
    use cloudai_core::ids::{Attempt, Incarnation};
    use cloudai_core::task::Outcome;
    use tokio::sync::Notify;

    /// An engine with these images.
    #[derive(Debug, Default)]
    struct Shelf {
        images: Mutex<Vec<&'static str>>,
        looks: Mutex<usize>,
        moved: Notify,
    }

    #[async_trait]
    impl Executor for Shelf {
        fn name(&self) -> &'static str {
            "shelf"
        }
        async fn engine(&self) -> Result<String, EngineError> {
            unreachable!("only its images are looked at")
        }
        async fn ping(&self) -> Result<(), EngineError> {
            unreachable!("only its images are looked at")
        }
        async fn run(&self, _job: &Job, _io: JobIo) -> Outcome {
            unreachable!("only its images are looked at")
        }
        async fn remove(&self, _attempt: Attempt, _incarnation: Incarnation) -> Result<(), EngineError> {
            unreachable!("only its images are looked at")
        }
        async fn existing(&self) -> Result<Vec<(Attempt, Incarnation)>, EngineError> {
            unreachable!("only its images are looked at")
        }
        async fn images(&self) -> Result<Vec<String>, EngineError> {
            *self.looks.lock().unwrap() += 1;
            let images = self.images.lock().unwrap().clone();
            if images.contains(&"broken") {
                return Err(EngineError::Failed("broken".into()));
            }
            Ok(images.into_iter().map(ToOwned::to_owned).collect())
        }
        async fn images_moved(&self) {
            self.moved.notified().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_engine_is_asked_when_an_image_was_moved_and_every_minute_and_not_more_often() {
        let (shelf, stock) = (Arc::new(Shelf::default()), Arc::new(Stock::default()));
        let executor = Arc::clone(&shelf) as Arc<dyn Executor>;
        let watching = tokio::spawn(watch(executor, Arc::clone(&stock)));
        let has = |images: &[&'static str]| *shelf.images.lock().unwrap() = images.to_vec();
        let known = || stock.all().names().join(" ");
        has(&["a"]);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(known(), "a:latest");
        has(&["a", "b"]);
        // Ten pulls in a row are one look, after a rest.
        for _ in 0..10 {
            shelf.moved.notify_one();
        }
        sleep(REST).await;
        assert_eq!((known().as_str(), *shelf.looks.lock().unwrap()), ("a:latest b:latest", 2));
        has(&["b"]);
        sleep(EVERY / 2).await;
        assert_eq!(known(), "a:latest b:latest", "others moved it");
        sleep(EVERY / 2 + REST).await;
        assert_eq!(known(), "b:latest");
        has(&["broken"]);
        sleep(EVERY * 2).await;
        assert_eq!(known(), "b:latest", "what is not known is not told");
        watching.abort();
    }

    #[test]
    fn a_heartbeat_tells_only_what_the_master_does_not_know() {
        let stock = Stock::default();
        let a = Images::of(["a"]);
        assert_eq!(stock.news(), Some(Images::default()), "it was told nothing yet");
        stock.told(stock.all());
        assert_eq!(stock.news(), None);
        stock.set(a.clone());
        assert_eq!((stock.news(), stock.news()), (Some(a.clone()), Some(a.clone())), "until one was answered");
        stock.told(a.clone());
        assert_eq!((stock.news(), stock.all()), (None, a));
        stock.set(Images::default());
        assert_eq!(stock.news(), Some(Images::default()), "that none is left is news, too");
    }
}
