//! Tasks that are pinned to a worker: no strategy is asked where they go.

use super::{View, Waiting};
use crate::event::Placement;
use crate::feasible;
use crate::ids::{TaskId, WorkerId};
use crate::strategy::ROUND;
use std::collections::BTreeSet;

impl View {
    /// Places for pinned tasks: each on its worker as soon as it fits there, in order per worker; gangs whole.
    pub(super) fn place_pinned(&mut self) -> Vec<Placement> {
        let (mut placements, mut seen) = (Vec::new(), BTreeSet::new());
        self.blocked.clear();
        let pinned: Vec<TaskId> = self.pinned.iter().map(|(_, task)| *task).collect();
        for id in pinned {
            let Some(task) = self.tasks.get(&id).cloned() else { continue };
            let Some(pin) = task.spec().worker_id.clone() else { continue };
            let gang = self.gangs.number(&task.0);
            let was_seen = gang.is_some_and(|gang| !seen.insert(gang));
            if was_seen || placements.len() == ROUND || self.blocked.contains_key(&pin) {
                continue;
            }
            if gang.is_some() {
                self.place_pinned_gang(&task, &pin, &mut placements);
                continue;
            }
            let worker = self.order.binary_search(&pin).ok();
            let job = self.job(&task.0, None);
            match worker.and_then(|worker| self.board.start_new(job, worker)) {
                Some(number) => {
                    self.tasks.put(task.clone(), Some(number));
                    placements.push(Placement { attempt: task.attempt(), worker: pin });
                }
                None => {
                    let seen = self.fleet.get(&pin);
                    let possible = seen.is_none_or(|seen| feasible::could_ever(task.spec(), seen.record()).is_ok());
                    if possible {
                        self.blocked.insert(pin, id);
                    }
                }
            }
        }
        placements
    }

    /// The same for all of a gang, of which this is the first: one that is not complete stands in nobody's way.
    fn place_pinned_gang(&mut self, first: &Waiting, pin: &WorkerId, placements: &mut Vec<Placement>) {
        let (gang, size) = (self.gangs.number(&first.0), self.gangs.size(&first.0).unwrap_or(0) as usize);
        let tasks = self.pinned.iter().filter_map(|(_, id)| self.tasks.get(id));
        let members: Vec<Waiting> = tasks.filter(|task| self.gangs.number(&task.0) == gang).cloned().collect();
        let Ok(worker) = self.order.binary_search(pin) else { return };
        let class = self.job(&first.0, None).class;
        let count = members.len();
        if count < size || placements.len() + count > ROUND || self.board.room_ever(class, worker, count) < count {
            return;
        }
        if self.board.room(class, worker, count) < count {
            self.blocked.insert(pin.clone(), first.id());
            return;
        }
        for task in members {
            let job = self.job(&task.0, None);
            if let Some(number) = self.board.start_new(job, worker) {
                placements.push(Placement { attempt: task.attempt(), worker: pin.clone() });
                self.tasks.put(task, Some(number));
            }
        }
        self.board.gang_is_on(worker);
    }
}
