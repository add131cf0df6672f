//! Why a gang does not start: it is not complete, or there is not room for all of it.

use crate::state::Phase;
use crate::strategy::View;
use crate::task::TaskRecord;
use crate::waiting;

/// What keeps the gang of a task from starting, in one sentence; none of one that starts alone, or whose gang has room.
pub(super) fn why(view: &View, record: &TaskRecord) -> Option<String> {
    let (size, phases) = view.gang(record)?;
    waiting::why_gang(size, phases, || room(view, record, size))
}

/// Whether all that start together with a task wait and have room now; none of one that starts alone.
pub(super) fn fits(view: &View, record: &TaskRecord) -> Option<bool> {
    let (size, phases) = view.gang(record)?;
    let ready = phases.iter().filter(|phase| **phase == Phase::WaitingCapacity).count();
    Some(ready >= size as usize && room(view, record, size) >= size)
}

/// How many start together with a task, itself among them.
pub(super) fn size(view: &View, record: &TaskRecord) -> usize {
    view.gang(record).map_or(1, |(size, _)| size.max(1) as usize)
}

fn room(view: &View, record: &TaskRecord, most: u32) -> u32 {
    waiting::room(&record.spec, most, view.fleet().each().map(|seen| (&**seen.record(), seen.free())))
}
