//! Workers in turn, tasks in strict order: a head that fits nowhere blocks those behind it.

use super::{ROUND, Strategy, View};
use crate::event::Placement;
use crate::ids::WorkerId;

/// The next worker that fits, after the one that got the last task (the reference's baseline).
#[derive(Clone, Debug, Default)]
pub struct RoundRobin {
    last: Option<WorkerId>,
}

impl Strategy for RoundRobin {
    fn name(&self) -> &'static str {
        "round_robin"
    }

    fn place(&mut self, view: &View) -> Vec<Placement> {
        let mut draft = view.draft();
        let count = view.workers();
        for task in view.waiting().take(ROUND) {
            let next = self.last.as_ref().map_or(0, |last| view.after(last));
            let turn = (0..count).map(|step| (next + step) % count);
            let Some(chosen) = turn.into_iter().find(|worker| draft.place(task, *worker)) else { break };
            self.last = Some(view.worker_id(chosen).clone());
        }
        draft.into_placements()
    }
}
