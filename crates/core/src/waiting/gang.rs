//! Why a task waits whose gang starts together: the gang is not complete, or there is not room for all of it.

use crate::feasible;
use crate::kin::Domains;
use crate::resources::Free;
use crate::spec::TaskSpec;
use crate::state::Phase;
use crate::worker::WorkerRecord;
use std::collections::BTreeMap;

/// What keeps a gang from starting, in one sentence; none where it has room, or where there is room for none of it, as
/// then what each worker has against one says more. `size` is how many of it have not ended, `phases` where those stand
/// that have a record, `room` for how many there is room now.
#[must_use]
pub fn why_gang(size: u32, phases: impl IntoIterator<Item = Phase>, room: impl FnOnce() -> u32) -> Option<String> {
    let mut others: BTreeMap<&str, u32> = BTreeMap::new();
    let (mut ready, mut born) = (0, 0);
    for phase in phases {
        born += 1;
        match word(phase) {
            None => ready += 1,
            Some(word) => *others.entry(word).or_insert(0) += 1,
        }
    }
    let missing = size.saturating_sub(ready);
    if missing > 0 {
        if size > born {
            others.insert("before their turn", size - born);
        }
        let others: Vec<String> = others.into_iter().map(|(word, count)| format!("{count} {word}")).collect();
        let are = if missing == 1 { "is" } else { "are" };
        let others = others.join(", ");
        return Some(format!("waits for the others of its gang: {missing} of {size} {are} not ready ({others})"));
    }
    let room = room();
    (room > 0 && room < size).then(|| format!("its gang of {size} starts together; there is room for {room} now"))
}

/// How many such tasks have room together on these workers now, at most so many.
#[must_use]
pub fn room<'a>(spec: &TaskSpec, most: u32, workers: impl Iterator<Item = (&'a WorkerRecord, &'a Free)>) -> u32 {
    let (mut room, mut apart) = (0, Domains::of(&spec.anti_affinity));
    for (worker, free) in workers {
        room += apart.room(worker, feasible::room(spec, worker, free, most - room));
    }
    room
}

/// Where a member stands that others wait for; none of one that waits for a place.
const fn word(phase: Phase) -> Option<&'static str> {
    match phase {
        Phase::WaitingCapacity => None,
        Phase::WaitingDependencies | Phase::Unsatisfiable | Phase::Quota => Some("waiting for something else"),
        Phase::WaitingStartTime => Some("before their start time"),
        Phase::Held => Some("held"),
        Phase::Backoff => Some("in backoff"),
        Phase::Assigned | Phase::Pulling | Phase::Starting | Phase::Running => Some("with a worker"),
        Phase::Cancelling => Some("being stopped"),
        Phase::WorkerUnreachable => Some("with a silent worker"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_missing_is_told_first_then_for_how_many_there_is_room() {
        let waits = Phase::WaitingCapacity;
        let all = [waits, Phase::Backoff, Phase::Held, Phase::Backoff, waits];
        let told = why_gang(8, all, || 8).unwrap();
        assert_eq!(
            told,
            "waits for the others of its gang: 6 of 8 are not ready (3 before their turn, 1 held, 2 in backoff)"
        );
        assert_eq!(why_gang(2, [waits; 2], || 1).unwrap(), "its gang of 2 starts together; there is room for 1 now");
        assert_eq!((why_gang(2, [waits; 2], || 2), why_gang(2, [waits; 2], || 0)), (None, None));
        let one = why_gang(2, [waits, Phase::Cancelling], || 2).unwrap();
        assert_eq!(one, "waits for the others of its gang: 1 of 2 is not ready (1 being stopped)");
    }
}
