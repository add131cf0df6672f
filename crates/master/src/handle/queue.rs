//! What waits, in the order in which it gets its turn.

use super::Handle;
use crate::mailbox::{AskError, NotNow};
use crate::model::SeenTask;
use crate::principal::Principal;
use crate::rescue;
use cloudai_core::ids::TaskId;
use cloudai_core::queue::Place;
use cloudai_core::state::Status;
use cloudai_core::strategy::{Queued, Spot};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Where a list of the queue goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Behind this.
    pub spot: Stand,
    /// How many places were given before.
    pub places: u64,
}

/// Where a task stands in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stand {
    /// It waits for a place.
    Waits(Spot),
    /// It is held, or waits for its time: it stands in nobody's way.
    Aside(Place),
}

/// A task of the queue.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// Where a list goes on behind it.
    pub cursor: Cursor,
    /// Which it is, from 1, of those that have a turn: what is held, waits for its time or can never run has none.
    pub place: Option<u64>,
    /// The task.
    pub task: SeenTask,
}

impl Handle {
    /// Waiting tasks in the order in which the strategy that places looks at them, then those that have no turn; the
    /// first behind a cursor, or of all, at most so many.
    /// # Errors
    /// [`AskError::Unavailable`] when too many ask.
    pub async fn queue(
        &self,
        who: &Principal,
        mut after: Option<Cursor>,
        limit: usize,
    ) -> Result<Vec<Waiting>, AskError> {
        let mut queue = Vec::new();
        loop {
            let page = self.queue_page(after, limit).await?;
            after = page.last().map(|(cursor, _)| *cursor);
            let is_last = page.len() < limit;
            queue.extend(page.into_iter().filter_map(|(cursor, queued)| self.waiting(who, cursor, queued)));
            if is_last || queue.len() >= limit {
                queue.truncate(limit);
                return Ok(queue);
            }
        }
    }

    /// The same for everybody, by name alone.
    async fn queue_page(&self, after: Option<Cursor>, limit: usize) -> Result<Vec<(Cursor, TaskId)>, AskError> {
        let (spot, behind) = match after.map(|after| after.spot) {
            Some(Stand::Waits(spot)) => (Some(spot), None),
            Some(Stand::Aside(place)) => (None, Some(place)),
            None => (None, None),
        };
        // Before and after: what goes from one list to the other meanwhile is in one of them.
        let mut aside = self.shared.model.aside(behind, limit);
        let mut line: Vec<Queued> = Vec::new();
        if behind.is_none() {
            let (now, choice) = (self.now(), Arc::clone(&self.shared.choice));
            let look = move |stage: &mut _| rescue::guarded(stage, &choice, |stage| stage.queue(now, spot, limit));
            let seen = self.shared.stopping.run_until_cancelled(self.shared.placing.visit(look)).await;
            line = seen.ok_or(AskError::Stopped)?.ok_or(AskError::Unavailable(NotNow::BUSY))?;
            aside.extend(self.shared.model.aside(behind, limit));
            aside.sort_unstable();
            aside.dedup();
        }
        let known: BTreeSet<_> = line.iter().map(|queued| queued.task).collect();
        let mut places = after.map_or(0, |after| after.places);
        let line = line.into_iter().map(|queued| {
            places = places.saturating_add(u64::from(!matches!(queued.spot, Spot::Outside(_))));
            (Cursor { spot: Stand::Waits(queued.spot), places }, queued.task)
        });
        let mut page: Vec<_> = line.collect();
        let aside = aside.into_iter().filter(|(_, task)| !known.contains(task));
        page.extend(aside.map(|(place, task)| (Cursor { spot: Stand::Aside(place), places }, task)));
        page.truncate(limit);
        Ok(page)
    }

    /// A task of the queue as one may see it; none when it waits no more.
    fn waiting(&self, who: &Principal, cursor: Cursor, task: TaskId) -> Option<Waiting> {
        let record = self.shared.model.task(task)?;
        let waits = record.status() == Status::Queued && who.may_see(&record.owner);
        let has_turn = matches!(cursor.spot, Stand::Waits(Spot::Pinned(_) | Spot::Line(_)));
        waits.then(|| Waiting { cursor, place: has_turn.then_some(cursor.places), task: self.see(record) })
    }
}
