//! Placing by somebody outside: this one starts nothing, and knows whether there is anything to start.

use super::board::{Board, Change};
use super::{Started, Strategy};
use std::collections::BTreeMap;

/// The name by which users choose that somebody outside places.
pub const EXTERNAL: &str = "external";

/// Starts nothing.
#[derive(Clone, Debug, Default)]
pub struct External {
    /// The class of each job that waits.
    jobs: BTreeMap<usize, usize>,
    /// How many wait of each class.
    classes: BTreeMap<usize, usize>,
    placeable: bool,
}

impl External {
    /// Whether some job that waited at the last round had room on some worker.
    #[must_use]
    pub const fn sees_room(&self) -> bool {
        self.placeable
    }

    fn take_in(&mut self, job: usize, class: usize) {
        self.let_go(job);
        self.jobs.insert(job, class);
        *self.classes.entry(class).or_default() += 1;
    }

    fn let_go(&mut self, job: usize) {
        let Some(class) = self.jobs.remove(&job) else { return };
        if let Some(count) = self.classes.get_mut(&class) {
            *count -= 1;
            if *count == 0 {
                self.classes.remove(&class);
            }
        }
    }
}

impl Strategy for External {
    fn name(&self) -> &'static str {
        EXTERNAL
    }

    fn place(&mut self, board: &mut Board, _most: usize) -> Vec<Started> {
        for change in board.take_changes() {
            match change {
                Change::Waits(job) => self.take_in(job, board.job(job).class),
                Change::Left(job) => self.let_go(job),
                Change::Freed(_) | Change::Reshaped => {}
                Change::Anew => {
                    self.jobs.clear();
                    self.classes.clear();
                }
            }
        }
        self.placeable = self.classes.keys().any(|class| board.next_fit(*class, 0).is_some());
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::View;
    use crate::testing::{TestCluster, cores};

    /// Whether there is something to place, by a view of all that happened.
    fn sees(view: &mut View, seen: &mut usize, cluster: &TestCluster, external: &mut External) -> bool {
        cluster.rows[*seen..].iter().for_each(|row| view.apply(row));
        *seen = cluster.rows.len();
        assert_eq!(view.round(external, cluster.now), []);
        external.sees_room()
    }

    #[test]
    fn it_starts_nothing_and_sees_whether_anything_could_start() {
        let (mut cluster, mut view, mut seen) = (TestCluster::default(), View::default(), 0);
        let mut external = External::default();
        cluster.worker("w1", cores(1));
        assert!(!sees(&mut view, &mut seen, &cluster, &mut external), "nothing waits");
        let (first, second) = (cluster.task(1), cluster.task(2));
        assert!(sees(&mut view, &mut seen, &cluster, &mut external));
        cluster.place(first, "w1");
        assert!(!sees(&mut view, &mut seen, &cluster, &mut external), "the worker is full");
        cluster.worker("w0", cores(1));
        assert!(sees(&mut view, &mut seen, &cluster, &mut external), "another came, with another number");
        cluster.place(second, "w0");
        assert!(!sees(&mut view, &mut seen, &cluster, &mut external), "nothing waits any more");
    }
}
