//! Keeps what was learned of run times over restarts: rarely written, never needed for correctness.
//!
//! A crash loses the last minutes of it, a form that is not known is left: both are learned again.

use crate::handle::Handle;
use cloudai_core::predict::{Learner, Stored};
use cloudai_store::Store;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tracing::{debug, info, warn};

/// The name of the stored fact.
const FACT: &str = "predictions";
/// Between two looks whether there is something new: up to about a megabyte is written then.
const PAUSE: Duration = Duration::from_secs(300);
/// How long a stop waits for the last write.
const PATIENCE: Duration = Duration::from_secs(5);

/// Up to which state it is stored.
#[derive(Debug, Default)]
pub(crate) struct Saved(AtomicU64);

/// Goes on with what is stored, where it can be read.
pub(crate) async fn load(store: &dyn Store, learner: &mut Learner) -> Saved {
    let stored = match store.fact(FACT).await {
        Ok(Some(stored)) => stored,
        Ok(None) => return Saved::default(),
        Err(error) => {
            warn!(%error, "predictions begin anew: the stored ones were not read");
            return Saved::default();
        }
    };
    let parsed = serde_json::from_str::<Stored>(&stored).map_err(|error| error.to_string());
    match parsed.and_then(|stored| learner.restore(stored).map_err(|error| error.to_string())) {
        Ok(()) => debug!(runs = learner.accuracy().runs, "predictions go on"),
        Err(problem) => warn!(problem, "predictions begin anew: the stored ones can not be read"),
    }
    Saved(AtomicU64::new(learner.version()))
}

/// Stores what was learned now and then, for as long as it is polled.
pub(crate) async fn run(handle: Handle) {
    loop {
        tokio::time::sleep(PAUSE).await;
        save(&handle).await;
    }
}

/// Stores what was learned before a stop.
pub(crate) async fn save_at_stop(handle: &Handle) {
    if tokio::time::timeout(PATIENCE, save(handle)).await.is_err() {
        info!("the last predictions were not stored: the strategy thinks for too long");
    }
}

async fn save(handle: &Handle) {
    let Saved(saved) = &handle.shared.saved;
    let before = saved.load(Ordering::Relaxed);
    let news = handle.shared.placing.visit(move |stage| {
        let learner = stage.view.learner_mut();
        (learner.version() != before).then(|| (learner.version(), learner.stored()))
    });
    let Some(Some((version, stored))) = news.await else { return };
    let text = match serde_json::to_string(&stored) {
        Ok(text) => text,
        Err(error) => return warn!(%error, "predictions were not stored"),
    };
    match handle.shared.store.set_fact(handle.facts().term, FACT, &text).await {
        Ok(()) => {
            saved.store(version, Ordering::Relaxed);
            debug!(bytes = text.len(), "predictions were stored");
        }
        // Tried again; nothing depends on it.
        Err(error) => info!(%error, "predictions were not stored"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudai_core::effect::Row;
    use cloudai_core::strategy::View;
    use cloudai_core::task::{Outcome, Step};
    use cloudai_core::testing::{TestCluster, cores};
    use cloudai_store::memory::MemoryStore;

    /// A view that saw a task run for a minute.
    fn taught() -> View {
        let mut c = TestCluster::default();
        c.worker("w1", cores(1));
        let task = c.task(1);
        let attempt = c.place(task, "w1");
        c.step(attempt, Step::Running).unwrap();
        c.now = c.now + Duration::from_secs(60);
        c.end(attempt, Outcome::exit(0)).unwrap();
        let mut view = View::default();
        c.rows.iter().for_each(|row: &Row| view.apply(row));
        view
    }

    #[tokio::test]
    async fn what_was_learned_goes_on_and_what_can_not_be_read_begins_anew() {
        let store = MemoryStore::new();
        let term = store.lead().await.unwrap();
        let stored = serde_json::to_string(&taught().learner_mut().stored()).unwrap();
        let newer = stored.replacen("\"version\":1", "\"version\":9", 1);
        for (text, runs) in [(stored.as_str(), 1), (&newer, 0), ("{\"predictor\":", 0), ("", 0)] {
            store.set_fact(term, FACT, text).await.unwrap();
            let mut learner = Learner::default();
            let Saved(saved) = load(&store, &mut learner).await;
            assert_eq!(learner.accuracy().runs, runs, "{text}");
            // Nothing new: it is not written again.
            assert_eq!(saved.into_inner(), learner.version());
        }
    }
}
