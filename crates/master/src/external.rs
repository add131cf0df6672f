//! Placing by an external agent: whether it is late, and who places meanwhile.
//!
//! It is late when for its patience there was something to place and no word of it came. Then the
//! fallback strategy places, until the next word. Knows nothing of the wire.

use cloudai_core::event::Placement;
use cloudai_core::strategy::{self, EXTERNAL, Strategy, View};
use cloudai_core::time::{Timestamp, millis};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tracing::{info, warn};

/// What happens while the strategy is `external` and the agent is late.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// Who places then: a strategy's name.
    pub strategy: String,
    /// How long something that could be placed waits for a word of the agent.
    pub patience: Duration,
}

impl Default for Fallback {
    fn default() -> Self {
        Self { strategy: "greedy".into(), patience: Duration::from_secs(2) }
    }
}

/// What callers and the placing thread share about the agent.
#[derive(Debug, Default)]
pub(crate) struct Word {
    latest: AtomicU64,
    /// Who places while the agent is late; none while it is not.
    deputy: Mutex<Option<&'static str>>,
}

impl Word {
    /// The agent had something placed, or said that it wants nothing.
    pub(crate) fn spoke(&self, now: Timestamp) {
        self.latest.fetch_max(now.as_millis(), Ordering::Relaxed);
    }

    /// The fallback strategy, while it places.
    pub(crate) fn fallback(&self) -> Option<&'static str> {
        *self.deputy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_fallback(&self, name: Option<&'static str>) {
        *self.deputy.lock().unwrap_or_else(PoisonError::into_inner) = name;
    }
}

/// The placing thread's part.
#[derive(Debug)]
pub(crate) struct External {
    fallback: Fallback,
    word: Arc<Word>,
    /// Whether the last round was external.
    chosen: bool,
    outside: strategy::External,
    /// Since when there is something that could be placed.
    room_since: Option<Timestamp>,
    /// Who places while the agent is late.
    deputy: Option<Box<dyn Strategy>>,
}

impl External {
    /// The agent's side of a master; none when the fallback is no strategy that places.
    pub(crate) fn new(fallback: Fallback, word: Arc<Word>) -> Option<Self> {
        strategy::by_name(&fallback.strategy).filter(|deputy| deputy.name() != EXTERNAL)?;
        let outside = strategy::External::default();
        Some(Self { fallback, word, chosen: false, outside, room_since: None, deputy: None })
    }

    /// One round while the strategy is external: pinned tasks go where they must; the others are
    /// placed only if the agent is late.
    pub(crate) fn round(&mut self, view: &mut View, now: Timestamp) -> Vec<Placement> {
        if !self.chosen {
            self.chosen = true;
            self.watch_anew(view);
        }
        if let Some(deputy) = &mut self.deputy {
            return view.round(&mut **deputy, now);
        }
        let pinned = view.round(&mut self.outside, now);
        if pinned.is_empty() {
            self.room_since = self.outside.sees_room().then(|| self.room_since.unwrap_or(now));
        }
        if self.patience_left(now) != Some(Duration::ZERO) {
            return pinned;
        }
        let Some(mut deputy) = strategy::by_name(&self.fallback.strategy) else { return pinned };
        let patience_ms = millis(self.fallback.patience);
        warn!(fallback = deputy.name(), patience_ms, "external agent was silent, fallback strategy took over");
        view.retell();
        let placements = if pinned.is_empty() { view.round(&mut *deputy, now) } else { pinned };
        self.word.set_fallback(Some(deputy.name()));
        self.deputy = Some(deputy);
        placements
    }

    /// Who places: the fallback while the agent is late, else one that leaves it to the agent.
    pub(crate) fn acting(&self) -> &dyn Strategy {
        self.deputy.as_deref().unwrap_or(&self.outside)
    }

    /// The same, to be told something.
    pub(crate) fn acting_mut(&mut self) -> &mut dyn Strategy {
        match &mut self.deputy {
            Some(deputy) => &mut **deputy,
            None => &mut self.outside,
        }
    }

    /// Another strategy places.
    pub(crate) fn rest(&mut self) {
        if std::mem::take(&mut self.chosen) {
            self.end_fallback();
        }
    }

    /// The agent proposes, or says that it wants nothing placed now. From here on it places, and is
    /// late again only after its patience.
    pub(crate) fn hear(&mut self, view: &mut View, wants_nothing: bool, now: Timestamp) {
        if wants_nothing {
            self.word.spoke(now);
        }
        if self.deputy.is_some() {
            self.end_fallback();
            info!("external agent was heard again, fallback strategy stopped placing");
            self.watch_anew(view);
        }
    }

    /// How long the agent may still be silent; none while nothing waits for it.
    pub(crate) fn patience_left(&self, now: Timestamp) -> Option<Duration> {
        let room_since = self.room_since.filter(|_| self.chosen && self.deputy.is_none())?;
        let latest = Timestamp::from_millis(self.word.latest.load(Ordering::Relaxed));
        Some(self.fallback.patience.saturating_sub(now.since(room_since.max(latest))))
    }

    fn end_fallback(&mut self) {
        self.room_since = None;
        self.word.set_fallback(None);
        self.deputy = None;
    }

    /// Whoever looked at the board until now took its changes.
    fn watch_anew(&mut self, view: &mut View) {
        self.outside = strategy::External::default();
        self.room_since = None;
        view.retell();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudai_core::spec::Value;
    use cloudai_core::testing::{TestCluster, cores, spec};

    struct Bed {
        cluster: TestCluster,
        seen: usize,
        view: View,
        external: External,
        word: Arc<Word>,
    }

    impl Bed {
        fn new() -> Self {
            let mut cluster = TestCluster::default();
            cluster.worker("w1", cores(1));
            let (view, word) = (View::default(), Arc::new(Word::default()));
            let external = External::new(Fallback::default(), Arc::clone(&word)).unwrap();
            Self { cluster, seen: 0, view, external, word }
        }

        /// How many places a round has for the tasks, so long after the last.
        fn round_after(&mut self, millis: u64) -> usize {
            self.cluster.now = self.cluster.now + Duration::from_millis(millis);
            self.cluster.rows[self.seen..].iter().for_each(|row| self.view.apply(row));
            self.seen = self.cluster.rows.len();
            self.external.round(&mut self.view, self.cluster.now).len()
        }

        fn hear(&mut self, wants_nothing: bool) {
            self.external.hear(&mut self.view, wants_nothing, self.cluster.now);
        }
    }

    #[test]
    fn the_fallback_places_after_the_patience_and_stops_at_the_next_word() {
        let mut bed = Bed::new();
        bed.cluster.task(1);
        assert_eq!((bed.round_after(0), bed.round_after(1999)), (0, 0));
        assert_eq!(bed.word.fallback(), None);
        assert_eq!(bed.external.patience_left(bed.cluster.now), Some(Duration::from_millis(1)));
        assert_eq!(bed.round_after(1), 1, "what it proposes need not be taken: it proposes again");
        assert_eq!(bed.word.fallback(), Some("greedy"));
        assert_eq!(bed.external.patience_left(bed.cluster.now), None);
        assert_eq!(bed.round_after(1), 1);
        bed.hear(false);
        assert_eq!(bed.word.fallback(), None);
        assert_eq!((bed.round_after(0), bed.round_after(1999), bed.round_after(1)), (0, 0, 1));
    }

    #[test]
    fn while_the_fallback_places_it_is_the_one_that_is_asked() {
        let mut bed = Bed::new();
        let (runs, waits) = (bed.cluster.task(1), bed.cluster.task(2));
        assert_eq!(bed.external.acting().name(), EXTERNAL);
        assert_eq!((bed.round_after(0), bed.round_after(2000)), (0, 1));
        assert_eq!(bed.external.acting().name(), "greedy");
        bed.cluster.place(runs, "w1");
        assert_eq!(bed.round_after(0), 0);
        assert_eq!(bed.view.ahead(bed.external.acting()).first, Some(waits));
        bed.hear(false);
        assert_eq!(bed.external.acting().name(), EXTERNAL);
    }

    #[test]
    fn who_had_something_placed_or_wants_nothing_is_not_late() {
        let mut bed = Bed::new();
        bed.cluster.task(1);
        assert_eq!((bed.round_after(0), bed.round_after(1500)), (0, 0));
        bed.hear(true);
        assert_eq!((bed.round_after(1500), bed.round_after(499)), (0, 0));
        bed.word.spoke(bed.cluster.now);
        assert_eq!((bed.round_after(1999), bed.round_after(1)), (0, 1));
    }

    #[test]
    fn who_proposes_only_what_is_refused_is_late_all_the_same() {
        let mut bed = Bed::new();
        bed.cluster.task(1);
        assert_eq!(bed.round_after(0), 0);
        for _ in 0..3 {
            bed.hear(false);
            assert_eq!(bed.round_after(500), 0);
        }
        bed.hear(false);
        assert_eq!(bed.round_after(500), 1);
    }

    #[test]
    fn the_agent_is_not_waited_for_while_nothing_fits() {
        let mut bed = Bed::new();
        let (first, _) = (bed.cluster.task(1), bed.cluster.task(2));
        bed.cluster.place(first, "w1");
        assert_eq!((bed.round_after(0), bed.round_after(60_000)), (0, 0));
        assert_eq!(bed.external.patience_left(bed.cluster.now), None);
        bed.cluster.worker("w2", cores(1));
        assert_eq!((bed.round_after(0), bed.round_after(1999), bed.round_after(1)), (0, 0, 1));
    }

    #[test]
    fn a_pinned_task_goes_where_it_must_at_once() {
        let mut bed = Bed::new();
        let pin = [("worker_id", Value::Text("w1".into()))];
        bed.cluster.submit(1, spec(&pin)).unwrap();
        assert_eq!(bed.round_after(0), 1);
    }

    #[test]
    fn another_strategy_ends_the_fallback() {
        let mut bed = Bed::new();
        bed.cluster.task(1);
        assert_eq!((bed.round_after(0), bed.round_after(2000)), (0, 1));
        bed.external.rest();
        assert_eq!(bed.word.fallback(), None);
        assert_eq!(
            (bed.round_after(1), bed.round_after(1999), bed.round_after(1)),
            (0, 0, 1),
            "its patience begins anew"
        );
    }

    #[test]
    fn a_fallback_must_be_a_strategy_that_places() {
        for bad in ["external", "best", ""] {
            let fallback = Fallback { strategy: bad.into(), ..Fallback::default() };
            assert!(External::new(fallback, Arc::default()).is_none(), "{bad}");
        }
    }
}
