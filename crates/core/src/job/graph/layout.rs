//! Where things stand in a drawing: a column for each level, few lines that cross.
//!
//! After Sugiyama, Tagawa and Toda (1981): a line that passes levels bends in each of them, and what stands in a level
//! is put in the order of the means of its neighbours, from left to right and back, some times.

use super::{levels, needs};
use crate::job::JobPlan;

/// How often the order of all levels is mended.
const ROUNDS: usize = 8;
/// With more bends than these lines go straight.
const MOST_BENDS: usize = 20_000;
/// Means are kept in such parts.
const PARTS: usize = 64;

/// A drawing in rows and columns; its nodes are the groups, by their numbers, then the bends.
#[derive(Debug)]
pub(super) struct Layout {
    /// The column of each node.
    pub(super) columns: Vec<usize>,
    /// The place of each node in its column, in halves of a row from the top.
    pub(super) places: Vec<usize>,
    /// The nodes on the way from what is needed to what needs it.
    pub(super) ways: Vec<Vec<usize>>,
    /// How many rows the longest column has.
    pub(super) rows: usize,
}

impl Layout {
    /// Lays out a plan.
    pub(super) fn of(plan: &JobPlan) -> Self {
        let mut columns: Vec<usize> = levels(plan).into_iter().map(|level| level as usize).collect();
        let needs = needs(plan);
        let edges: Vec<(usize, usize)> = needs
            .iter()
            .enumerate()
            .flat_map(|(to, needs)| needs.iter().map(move |from| (*from as usize, to)))
            .collect();
        let passed = |(from, to): &(usize, usize)| columns[*to].saturating_sub(columns[*from] + 1);
        let bends = edges.iter().map(passed).sum::<usize>() <= MOST_BENDS;
        let mut ways = Vec::with_capacity(edges.len());
        for (from, to) in edges {
            let mut way = vec![from];
            if bends {
                for column in columns[from] + 1..columns[to] {
                    way.push(columns.len());
                    columns.push(column);
                }
            }
            way.push(to);
            ways.push(way);
        }
        let mut layout = Self { places: vec![0; columns.len()], columns, ways, rows: 0 };
        layout.order();
        layout
    }

    /// Puts the nodes of each column in order.
    fn order(&mut self) {
        let mut by_column: Vec<Vec<usize>> = vec![Vec::new(); self.columns.iter().max().map_or(0, |last| last + 1)];
        for (node, column) in self.columns.iter().enumerate() {
            by_column[*column].push(node);
        }
        self.rows = by_column.iter().map(Vec::len).max().unwrap_or(0);
        let (mut left, mut right) = (vec![Vec::new(); self.columns.len()], vec![Vec::new(); self.columns.len()]);
        for step in self.ways.iter().flat_map(|way| way.windows(2)) {
            left[step[1]].push(step[0]);
            right[step[0]].push(step[1]);
        }
        by_column.iter().for_each(|column| self.place(column));
        for round in 0..ROUNDS {
            if round % 2 == 0 {
                by_column.iter_mut().for_each(|column| self.mend(column, &left));
            } else {
                by_column.iter_mut().rev().for_each(|column| self.mend(column, &right));
            }
        }
    }

    /// Sorts a column by the means of neighbours on one side; what has none stays where it is.
    fn mend(&mut self, column: &mut [usize], neighbours: &[Vec<usize>]) {
        let mean = |node: &usize| {
            let beside = &neighbours[*node];
            let sum: usize = beside.iter().map(|other| self.places[*other] * PARTS).sum();
            sum.checked_div(beside.len()).unwrap_or(self.places[*node] * PARTS)
        };
        column.sort_by_cached_key(mean);
        self.place(column);
    }

    /// Gives the nodes of a column their places, as high above the middle as below it.
    fn place(&mut self, column: &[usize]) {
        let above = self.rows - column.len();
        for (row, node) in column.iter().enumerate() {
            self.places[*node] = 2 * row + above;
        }
    }
}
