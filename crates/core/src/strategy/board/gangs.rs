//! Gangs: which of each wait, and how many there are.

use std::collections::BTreeSet;

/// What is known of gangs, by their numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Gangs(Vec<Gang>);

#[derive(Clone, Debug, Default)]
struct Gang {
    /// Members that have not ended, wherever they are.
    size: u32,
    /// Those of them that wait for a place.
    waiting: BTreeSet<usize>,
}

impl Gangs {
    fn at(&mut self, number: u32) -> &mut Gang {
        let at = number as usize;
        if self.0.len() <= at {
            self.0.resize(at + 1, Gang::default());
        }
        &mut self.0[at]
    }

    /// Notes how many members there are; answers whether that is news.
    pub(super) fn set(&mut self, number: u32, size: u32) -> bool {
        std::mem::replace(&mut self.at(number).size, size) != size
    }

    /// A job waits.
    pub(super) fn waits(&mut self, number: u32, job: usize) {
        self.at(number).waiting.insert(job);
    }

    /// A job waits no more.
    pub(super) fn waits_no_more(&mut self, number: u32, job: usize) {
        self.at(number).waiting.remove(&job);
    }

    /// Those that wait.
    pub(super) fn waiting(&self, number: u32) -> impl Iterator<Item = usize> {
        self.0.get(number as usize).into_iter().flat_map(|gang| &gang.waiting).copied()
    }

    /// How many members there are.
    pub(super) fn size(&self, number: u32) -> u32 {
        self.0.get(number as usize).map_or(0, |gang| gang.size)
    }

    /// Whether all of them wait.
    pub(super) fn is_whole(&self, number: u32) -> bool {
        self.0.get(number as usize).is_some_and(|gang| gang.size > 0 && gang.waiting.len() >= gang.size as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gang_is_whole_while_as_many_wait_as_there_are() {
        let mut gangs = Gangs::default();
        assert!(!gangs.is_whole(3) && gangs.set(3, 2) && !gangs.set(3, 2), "nobody waits");
        gangs.waits(3, 7);
        assert!(!gangs.is_whole(3));
        gangs.waits(3, 9);
        assert!(gangs.is_whole(3) && gangs.waiting(3).eq([7, 9]));
        gangs.waits_no_more(3, 7);
        assert!(!gangs.is_whole(3) && gangs.set(3, 1) && gangs.is_whole(3), "one has ended");
    }
}
