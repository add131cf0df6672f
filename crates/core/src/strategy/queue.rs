//! What waits for a place, in the order in which it is looked at.

use super::line::Key;
use super::{Strategy, View, Waiting};
use crate::feasible;
use crate::ids::TaskId;
use crate::queue::Place;
use crate::time::Timestamp;

/// Where a task stands among all that wait for a place: smaller is looked at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Spot {
    /// Pinned tasks go as soon as their worker has room, whoever waits.
    Pinned(Place),
    /// The strategy's line.
    Line(Key),
    /// No worker that is known could ever run it: it stands in nobody's way.
    Outside(Place),
}

/// A task that waits for a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queued {
    /// Where it stands.
    pub spot: Spot,
    /// Which.
    pub task: TaskId,
}

impl View {
    /// The tasks that wait for a place, in the order in which the strategy that places looks at them: the first
    /// behind a spot, or of all, at most so many. As the next round would find them.
    pub fn queue(
        &mut self,
        strategy: &mut dyn Strategy,
        now: Timestamp,
        after: Option<Spot>,
        most: usize,
    ) -> Vec<Queued> {
        self.listen(strategy, now);
        let mut queue: Vec<Queued> = self.pinned_behind(after).take(most).collect();
        if !matches!(after, Some(Spot::Outside(_))) && queue.len() < most {
            let key = after.and_then(|after| if let Spot::Line(key) = after { Some(key) } else { None });
            let line = strategy.line(self.board(), key, most - queue.len()).into_iter();
            queue.extend(line.filter_map(|(key, job)| Some(Queued { spot: Spot::Line(key), task: self.named(job)? })));
        }
        if queue.len() < most {
            let mut outside: Vec<Queued> = self.outside_behind(after).collect();
            outside.sort_unstable_by_key(|queued| queued.spot);
            outside.truncate(most - queue.len());
            queue.extend(outside);
        }
        queue
    }

    fn pinned_behind(&self, after: Option<Spot>) -> impl Iterator<Item = Queued> {
        let spots = self.pinned().filter(|(_, id)| !self.is_outside(id));
        let queued = spots.map(|(place, id)| Queued { spot: Spot::Pinned(*place), task: *id });
        queued.filter(move |queued| after.is_none_or(|after| queued.spot > after))
    }

    fn outside_behind(&self, after: Option<Spot>) -> impl Iterator<Item = Queued> {
        let outside = self.each_waiting().map(Waiting::id).filter(|id| self.is_outside(id));
        let queued =
            outside.filter_map(|id| Some(Queued { spot: Spot::Outside(Place::of(self.task(&id)?)), task: id }));
        queued.filter(move |queued| after.is_none_or(|after| queued.spot > after))
    }

    /// Whether no worker that is known could ever run a task.
    fn is_outside(&self, id: &TaskId) -> bool {
        if let Some(number) = self.number(id) {
            let board = self.board();
            return !board.classes()[board.job(number).class].possible;
        }
        self.task(id)
            .is_some_and(|task| feasible::satisfiable(&task.spec, self.fleet().workers().map(AsRef::as_ref)).is_err())
    }
}
