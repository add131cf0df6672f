//! The reservation of the job that waits at the head: when and where it will start, as far as is known. That of a gang
//! is of all its members.

use super::board::{Amounts, Board, Run, covers, so_many};
use super::rules::Source;
use std::collections::BTreeSet;

/// Where a job, or a gang, will start at the latest, if everything ends as thought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reservation {
    /// The job; of a gang the first.
    pub(super) job: usize,
    /// When.
    pub(super) at: u64,
    /// Where, in the order of the workers: one of a job that starts alone.
    parts: Vec<Part>,
}

/// What is kept of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    worker: usize,
    /// What is left of it then, beside what is kept.
    spare: Amounts,
}

/// A worker of which a part may be kept for a gang.
struct Room {
    worker: usize,
    /// At the time that is looked at.
    free: Amounts,
    /// For so many members then, and if nothing else ran there.
    room: usize,
    ever: usize,
}

impl Reservation {
    /// The earliest one over these workers for a job that takes what a class asks for.
    pub(super) fn earliest(
        board: &Board,
        source: Source,
        (job, class): (usize, usize),
        workers: impl Iterator<Item = usize>,
    ) -> Option<Self> {
        let mut best: Option<(u64, Part)> = None;
        let mut ends = Vec::new();
        let taken = board.taken_until(board.job(job).class, |run| end_of(board, source, run));
        for worker in workers {
            let near = board.near_until(&taken, worker);
            if let Some(found) = on_worker(board, source, class, (worker, near), &mut ends)
                && best.is_none_or(|best| found.0 < best.0)
            {
                best = Some(found);
            }
        }
        best.map(|(at, part)| Self { job, at, parts: vec![part] })
    }

    /// The earliest time at which so many jobs like this one have room together on these workers.
    pub(super) fn of_gang(
        board: &Board,
        source: Source,
        (job, size): (usize, usize),
        workers: impl Iterator<Item = usize>,
    ) -> Option<Self> {
        let class = board.job(job).class;
        let amounts = board.classes()[class].amounts;
        let (mut rooms, mut ends, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
        let mut apart = board.domains_of(class);
        for worker in workers.filter(|worker| seen.insert(*worker)) {
            let ever = apart.room(worker, board.room_ever(class, worker, size));
            if ever > 0 {
                let seat = &board.seats()[worker];
                ends.extend(seat.runs.iter().map(|run| (end_of(board, source, run), rooms.len(), run.job)));
                // Devices count as they are now; which of them an end frees is not known of every job.
                rooms.push(Room { worker, free: seat.free, room: board.room(class, worker, size), ever });
            }
        }
        ends.sort_unstable();
        let (mut at, mut count) = (board.now(), rooms.iter().map(|room| room.room).sum::<usize>());
        for (end, place, run) in ends {
            if count >= size && end > at {
                break;
            }
            let room: &mut Room = &mut rooms[place];
            let gives = &board.classes()[board.held(run)].amounts;
            (0..4).for_each(|kind| room.free[kind] += gives[kind]);
            at = end;
            let more = so_many(&room.free, &amounts, room.ever).max(room.room);
            count += more - std::mem::replace(&mut room.room, more);
        }
        (count >= size).then(|| Self { job, at, parts: parts(rooms, &amounts, size) })
    }

    /// The workers of which a part is kept.
    pub(super) fn workers(&self) -> impl Iterator<Item = usize> {
        self.parts.iter().map(|part| part.worker)
    }

    /// Whether another is of the same job, at the same time and place.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        (self.job, self.at) == (other.job, other.at) && self.workers().eq(other.workers())
    }

    /// What is kept of a worker.
    fn part(&self, worker: usize) -> Option<&Part> {
        let place = self.parts.binary_search_by_key(&worker, |part| part.worker).ok()?;
        self.parts.get(place)
    }

    /// Whether a job of these amounts and this length may start on a worker now.
    pub(super) fn allows(&self, worker: usize, end: u64, amounts: &Amounts) -> bool {
        end <= self.at || self.part(worker).is_none_or(|part| covers(&part.spare, amounts))
    }

    /// How many such jobs may start on a worker together, at most so many.
    pub(super) fn room(&self, worker: usize, end: u64, amounts: &Amounts, most: usize) -> usize {
        let part = self.part(worker).filter(|_| end > self.at);
        part.map_or(most, |part| so_many(&part.spare, amounts, most))
    }

    /// Takes in that a job started on a worker.
    pub(super) fn started(&mut self, worker: usize, end: u64, amounts: &Amounts) {
        if end > self.at
            && let Ok(place) = self.parts.binary_search_by_key(&worker, |part| part.worker)
        {
            let spare = &mut self.parts[place].spare;
            (0..4).for_each(|kind| spare[kind] = spare[kind].saturating_sub(amounts[kind]));
        }
    }
}

/// When what runs is thought to have ended.
fn end_of(board: &Board, source: Source, run: &Run) -> u64 {
    source.end(&board.job(run.job), run.started, board.now())
}

/// The earliest on a worker, not before `near`: until then kin of the job are too near.
/// The parts that are kept for a gang: of each worker as much as it has room for, until there is enough.
fn parts(rooms: Vec<Room>, amounts: &Amounts, size: usize) -> Vec<Part> {
    let (mut parts, mut left) = (Vec::new(), size);
    for Room { worker, mut free, room, .. } in rooms {
        let here = room.min(left);
        if here > 0 {
            left -= here;
            (0..4).for_each(|kind| free[kind] = free[kind].saturating_sub(amounts[kind] * here as u64));
            parts.push(Part { worker, spare: free });
        }
    }
    parts.sort_unstable_by_key(|part| part.worker);
    parts
}

fn on_worker(
    board: &Board,
    source: Source,
    class: usize,
    (worker, near): (usize, u64),
    ends: &mut Vec<(u64, usize)>,
) -> Option<(u64, Part)> {
    let seat = &board.seats()[worker];
    if !board.could_ever(class, worker) {
        return None;
    }
    let amounts = board.classes()[class].amounts;
    ends.clear();
    ends.extend(seat.runs.iter().map(|run| (end_of(board, source, run), run.job)));
    ends.sort_unstable();
    let (mut free, mut at) = (seat.free, board.now());
    // Devices count as they are now; which of them an end frees is not known of every job.
    let mut has_room = board.has_room(class, worker);
    for (end, run) in ends.iter() {
        if has_room && *end > at.max(near) {
            break;
        }
        let gives = &board.classes()[board.held(*run)].amounts;
        (0..4).for_each(|kind| free[kind] += gives[kind]);
        at = *end;
        has_room = covers(&free, &amounts);
    }
    if !has_room {
        return None;
    }
    (0..4).for_each(|kind| free[kind] -= amounts[kind]);
    Some((at.max(near), Part { worker, spare: free }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::board::{Device, Distance, Job, Seat, Wanted};

    fn job(class: usize, seconds: u64) -> Job {
        Job::plain(class, seconds * 1000)
    }

    /// Workers with two GPUs each of these models.
    fn board(models: [u32; 2]) -> Board {
        let mut board = Board::default();
        for (worker, model) in models.into_iter().enumerate() {
            let devices = vec![Device { model, left: 1000 }; 2];
            board.set_seat(worker, Seat { devices, ..Seat::plain([4, 4, 4, 2000]) });
        }
        board
    }

    #[test]
    fn no_room_is_kept_where_the_devices_are_of_another_model() {
        let mut board = board([0, 1]);
        let class = board.class(Wanted { amounts: [1, 1, 1, 2000], model: Some(1), ..Wanted::default() });
        board.start_new(job(class, 10), 1).unwrap();
        let head = board.wait(job(class, 5));
        let found = Reservation::earliest(&board, Source::Estimate, (head, class), 0..2).unwrap();
        assert_eq!((found.parts[0].worker, found.at), (1, 10_000), "the idle one has other devices");
    }

    #[test]
    fn no_room_is_kept_beside_a_kin_before_that_has_ended() {
        let mut board = board([0, 0]);
        board.set_seat(2, Seat::plain([4, 4, 4, 0]));
        // The first two are of one domain.
        board.set_domains(0, vec![0, 0, 2]);
        let asked = board.add_distance(Distance { kin: 0, apart: vec![0], spread: vec![] });
        let class = board.class(Wanted { amounts: [1, 1, 1, 0], kin: Some(asked), ..Wanted::default() });
        let plain = board.class(Wanted { amounts: [4, 4, 4, 0], ..Wanted::default() });
        let kin = board.start_new(job(class, 20), 0).unwrap();
        board.start_new(job(plain, 10), 1).unwrap();
        board.start_new(job(plain, 30), 2).unwrap();
        let head = board.wait(job(class, 5));
        let earliest = |board: &Board| {
            let found = Reservation::earliest(board, Source::Estimate, (head, class), 0..3).unwrap();
            (found.parts[0].worker, found.at, found.parts[0].spare)
        };
        assert_eq!(earliest(&board), (0, 20_000, [3, 3, 3, 2000]), "not at 10 s beside it");
        board.run(job(class, 40), 1, 0);
        let (worker, at, _) = earliest(&board);
        assert_eq!((worker, at), (2, 30_000));
        board.remove(kin, true);
        let (worker, at, _) = earliest(&board);
        assert_eq!((worker, at), (2, 30_000), "another of them is near");
    }

    #[test]
    fn parts_of_devices_are_no_whole_ones() {
        let mut board = board([1, 1]);
        let whole = board.class(Wanted { amounts: [1, 1, 1, 1000], ..Wanted::default() });
        let most = board.class(Wanted { amounts: [1, 1, 1, 600], ..Wanted::default() });
        let half = board.class(Wanted { amounts: [1, 1, 1, 500], ..Wanted::default() });
        board.start_new(job(whole, 60), 1).unwrap();
        board.start_new(job(half, 20), 1).unwrap();
        board.start_new(job(most, 40), 0).unwrap();
        board.start_new(job(half, 30), 0).unwrap();
        let head = board.wait(job(whole, 5));
        // 900 of the first worker's 2,000 are left, of neither device all.
        let found = Reservation::earliest(&board, Source::Estimate, (head, whole), 0..2).unwrap();
        assert_eq!((found.parts[0].worker, found.at), (1, 20_000));
        board.remove(2, true);
        assert_eq!(
            Reservation::earliest(&board, Source::Estimate, (head, whole), 0..1).unwrap().at,
            0,
            "one is whole again"
        );
    }

    /// A gang of so many on workers of four that run jobs of so many for so many seconds.
    fn of_gang(size: usize, amounts: u64, runs: &[(usize, u64, u64)]) -> Option<Reservation> {
        let mut board = Board::default();
        (0..3).for_each(|worker| board.set_seat(worker, Seat::plain([4, 4, 4, 0])));
        for (worker, amount, seconds) in runs {
            let class = board.class(Wanted { amounts: [*amount, 1, 1, 0], ..Wanted::default() });
            board.start_new(job(class, *seconds), *worker).unwrap();
        }
        let class = board.class(Wanted { amounts: [amounts, 1, 1, 0], gang: Some(0), ..Wanted::default() });
        let head = board.wait(job(class, 5));
        Reservation::of_gang(&board, Source::Estimate, (head, size), 0..3)
    }

    #[test]
    fn a_gang_starts_when_the_last_end_that_it_needs_has_come_and_keeps_no_more_than_it_takes() {
        let runs = [(0, 4, 30), (1, 3, 10), (2, 4, 20)];
        let found = of_gang(3, 2, &runs).unwrap();
        assert_eq!((found.at, found.workers().collect::<Vec<_>>()), (20_000, vec![1, 2]), "two there, one here");
        let one = [1, 1, 1, 0];
        assert!(found.allows(0, 99_000, &one), "nothing is kept there");
        assert!(!found.allows(1, 20_001, &one) && found.allows(1, 20_000, &one), "it ends before");
        assert!(found.allows(2, 99_000, &[2, 1, 1, 0]) && !found.allows(2, 99_000, &[3, 1, 1, 0]));
        let rooms = [0, 1, 2].map(|worker| found.room(worker, 99_000, &one, 9));
        assert_eq!(rooms, [9, 0, 2]);
        assert_eq!(of_gang(4, 2, &runs).unwrap().at, 20_000);
        assert_eq!(of_gang(5, 2, &runs).unwrap().at, 30_000);
        assert_eq!(of_gang(7, 2, &runs), None, "six is all that there ever is room for");
    }

    #[test]
    fn what_starts_beside_a_gang_takes_of_what_is_left_there_alone() {
        let mut found = of_gang(3, 2, &[(0, 4, 30), (1, 3, 10), (2, 4, 20)]).unwrap();
        found.started(2, 99_000, &[1, 1, 1, 0]);
        assert!(!found.allows(2, 99_000, &[2, 1, 1, 0]) && found.allows(2, 99_000, &[1, 1, 1, 0]));
        found.started(2, 20_000, &[1, 1, 1, 0]);
        assert!(found.allows(2, 99_000, &[1, 1, 1, 0]), "that ends before");
    }
}
