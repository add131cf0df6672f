//! Ended tasks that are kept no longer: they leave the store, and nothing of them is known here.

use super::{Cluster, MAX_ROWS, Out};
use crate::effect::Row;
use crate::event::{Answer, Rejected};
use crate::ids::TaskId;
use crate::state::Status;

impl Cluster {
    /// Lets ended tasks go. A late report about one of them is superseded as that about any task
    /// that is not live; its idempotency key may be used for another.
    pub(super) fn collect(&mut self, out: &mut Out, tasks: &[(TaskId, Status)]) -> Result<Answer, Rejected> {
        if tasks.len() > MAX_ROWS {
            return Err(Rejected::TooManyAtOnce { given: tasks.len(), most: MAX_ROWS });
        }
        if let Some(live) = tasks.iter().find_map(|(id, _)| self.tasks.get(id)) {
            return Err(Rejected::NotEnded(live.id, live.status()));
        }
        for (id, status) in tasks {
            if let Some(old) = self.ended_keys.remove(id) {
                self.keys.remove(&old.1);
                self.old_keys.remove(&old);
            }
            out.save(Row::TaskRemoved(*id, *status));
        }
        Ok(Answer::Done)
    }
}
