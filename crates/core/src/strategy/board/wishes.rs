//! What jobs would rather have of a worker: needs that weigh, none of which must be met.

use super::Meets;

/// A need by its number, and how much it weighs that a worker meets it: below 0 that it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The number.
    pub need: u32,
    /// The weight.
    pub weight: i32,
}

/// The wishes of jobs, each job's together under one number.
#[derive(Clone, Debug, Default)]
pub(super) struct Wishes(Vec<Vec<Wish>>);

impl Wishes {
    /// Puts wishes in; answers their number.
    pub(super) fn add(&mut self, wishes: Vec<Wish>) -> u32 {
        self.0.push(wishes);
        u32::try_from(self.0.len() - 1).unwrap_or(u32::MAX)
    }

    /// The sum of the weights that a worker meets.
    pub(super) fn liking(&self, number: u32, meets: &Meets) -> i32 {
        let wishes = self.0.get(number as usize).map(Vec::as_slice).unwrap_or_default();
        wishes.iter().filter(|wish| meets.meets(Some(wish.need))).map(|wish| wish.weight).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_liked_for_what_it_meets() {
        let mut wishes = Wishes::default();
        let wish = |need, weight| Wish { need, weight };
        let number = wishes.add(vec![wish(0, 50), wish(1, -100), wish(70, 1)]);
        let none = wishes.add(Vec::new());
        let rows: [(&[u32], i32); 4] = [(&[], 0), (&[0, 5], 50), (&[0, 1, 70], -49), (&[1], -100)];
        for (met, liking) in rows {
            let meets: Meets = met.iter().copied().collect();
            assert_eq!((wishes.liking(number, &meets), wishes.liking(none, &meets)), (liking, 0), "{met:?}");
        }
    }
}
