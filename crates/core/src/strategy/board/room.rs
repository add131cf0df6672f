//! For how many jobs of a class there is room together.

use super::{Board, kin};

impl Board {
    /// How many jobs of a class have room together on a worker now, at most so many.
    #[must_use]
    pub fn room(&self, class: usize, worker: usize, most: usize) -> usize {
        self.domains_of(class).room(worker, self.seats[worker].room(self.classes.get(class), most))
    }

    /// The domains in which jobs of a class stand apart, none of them taken.
    pub(in crate::strategy) fn domains_of(&self, class: usize) -> kin::Domains<'_> {
        self.apart.domains_of(self.classes.get(class).kin)
    }

    /// How many jobs of a class have room together now, at most so many; `limit` says how many of at most so many may go
    /// to a worker.
    #[must_use]
    pub fn room_together(&self, class: usize, most: usize, limit: impl Fn(usize, usize) -> usize) -> usize {
        let (mut room, mut from, mut apart) = (0, 0, self.domains_of(class));
        while room < most
            && let Some(worker) = self.next_fit(class, from)
        {
            room += apart.room(worker, self.seats[worker].room(self.classes.get(class), limit(worker, most - room)));
            from = worker + 1;
        }
        room
    }

    /// How many would have room there if nothing else ran there.
    #[must_use]
    pub fn room_ever(&self, class: usize, worker: usize, most: usize) -> usize {
        let seat = &self.seats[worker];
        let room = if seat.open { seat.room_ever(self.classes.get(class), most) } else { 0 };
        self.domains_of(class).room(worker, room)
    }
}
