//! First fit in strict order: a head that fits nowhere blocks those behind it.

use super::{ROUND, Strategy, View};
use crate::event::Placement;

/// First fit over workers in the order of their names (the reference's baseline; SPEC 5).
#[derive(Clone, Copy, Debug, Default)]
pub struct Greedy;

impl Strategy for Greedy {
    fn name(&self) -> &'static str {
        "greedy"
    }

    fn place(&mut self, view: &View) -> Vec<Placement> {
        let mut draft = view.draft();
        for task in view.waiting().take(ROUND) {
            let placed = (0..view.workers()).any(|worker| draft.place(task, worker));
            if !placed {
                break;
            }
        }
        draft.into_placements()
    }
}
