//! What waits for a place, in the order in which it is looked at.

use super::line::Key;
use super::{Strategy, View};
use crate::feasible;
use crate::ids::TaskId;
use crate::queue::Place;
use crate::time::Timestamp;
use std::collections::BTreeMap;

/// Where a task stands among all that wait for a place: smaller is looked at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Spot {
    /// Pinned tasks go as soon as their worker has room, whoever waits.
    Pinned(Place),
    /// The strategy's line.
    Line(Key),
    /// No worker that is known could ever run it, or it waits for others of its gang: it stands in nobody's way.
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
            queue.extend(self.left_behind(after, most - queue.len()));
        }
        queue
    }

    fn pinned_behind(&self, after: Option<Spot>) -> impl Iterator<Item = Queued> {
        let spots = self.pinned().map(|(place, id)| Queued { spot: Spot::Pinned(*place), task: *id });
        let behind = spots.filter(move |queued| after.is_none_or(|after| queued.spot > after));
        behind.filter(|queued| self.has_turn(&queued.task))
    }

    /// The first of those that are in no line, since no worker that is here has as much: where one that has may still
    /// tell, at the end of the line, else outside.
    fn left_behind(&self, after: Option<Spot>, most: usize) -> Vec<Queued> {
        let board = self.board();
        let (mut has_turns, mut ready) = (BTreeMap::new(), BTreeMap::new());
        let mut is_left = |number: &usize| {
            let class = board.job(*number).class;
            !*ready.entry(class).or_insert_with(|| board.is_ready(class))
        };
        let unpinned = board.each_waiting().filter(|number| is_left(number));
        let unpinned = unpinned.filter_map(|number| {
            let (job, task) = (board.job(number), self.named(number)?);
            // What starts together and can not now stands in nobody's way.
            let has_turn = || board.gang_size(job.class).is_none() && self.has_turn(&task);
            let has_turn = *has_turns.entry(job.class).or_insert_with(has_turn);
            let spot = if has_turn {
                Spot::Line(Key::last(job.order))
            } else {
                Spot::Outside(Place::at(job.priority, job.order))
            };
            Some(Queued { spot, task })
        });
        let pinned = self.pinned().filter(|(_, id)| !self.has_turn(id));
        let pinned = pinned.map(|(place, id)| Queued { spot: Spot::Outside(*place), task: *id });
        let mut left: Vec<Queued> =
            unpinned.chain(pinned).filter(|queued| after.is_none_or(|after| queued.spot > after)).collect();
        if left.len() > most {
            left.select_nth_unstable_by_key(most, |queued| queued.spot);
            left.truncate(most);
        }
        left.sort_unstable_by_key(|queued| queued.spot);
        left
    }

    /// Whether some worker that is known could ever run a task, or may turn out to.
    fn has_turn(&self, id: &TaskId) -> bool {
        let Some(task) = self.task(id) else { return false };
        match &task.spec.worker_id {
            Some(pin) => {
                let record = self.fleet().get(pin).map(|seen| &**seen.record());
                feasible::satisfiable(&task.spec, record.into_iter()).is_ok()
            }
            None => self.fleet().satisfiable(&task.spec),
        }
    }
}
