//! Placing by somebody outside: this one starts nothing, and knows whether there is anything to start.

use super::board::{Board, Change};
use super::line::{Key, Line};
use super::rules::{Order, Rules};
use super::{Started, Strategy};

/// The name by which users choose that somebody outside places.
pub const EXTERNAL: &str = "external";

/// The order in which tasks are told to whoever asks: by priority, then as they were submitted.
const RULES: Rules = Rules { order: Order::Priority, ..Rules::PLAIN };

/// Starts nothing.
#[derive(Clone, Debug, Default)]
pub struct External {
    line: Line,
    placeable: bool,
}

impl External {
    /// Whether some job that waited at the last round had room on some worker.
    #[must_use]
    pub const fn sees_room(&self) -> bool {
        self.placeable
    }

    fn take_in(&mut self, board: &Board, number: usize) {
        let job = board.job(number);
        self.line.put(number, job.class, Key::of(RULES.size(board, &job), job.order));
    }
}

impl Strategy for External {
    fn name(&self) -> &'static str {
        EXTERNAL
    }

    fn hear(&mut self, board: &mut Board) {
        for change in board.take_changes() {
            match change {
                Change::Waits(job) => self.take_in(board, job),
                Change::Left(job) => drop(self.line.remove(job)),
                Change::Freed(_) | Change::Reshaped => {}
                Change::Anew => self.line = Line::default(),
            }
        }
    }

    fn line(&self, board: &Board, after: Option<Key>, most: usize) -> Vec<(Key, usize)> {
        let ready = |(_, job): &(Key, usize)| board.is_ready(board.job(*job).class);
        self.line.rising(after).filter(ready).take(most).collect()
    }

    fn copy(&self) -> Box<dyn Strategy> {
        Box::new(self.clone())
    }

    fn place(&mut self, board: &mut Board, _most: usize) -> Vec<Started> {
        self.hear(board);
        self.placeable = self.line.heads().any(|(.., class)| match board.gang_size(class) {
            None => board.chain(class).any(|class| board.next_fit(class, 0).is_some()),
            Some(size) => board.is_ready(class) && board.room_together(class, size, |_, most| most) >= size,
        });
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
