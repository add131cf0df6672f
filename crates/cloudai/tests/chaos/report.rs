//! What a run did, as a table for people.

use crate::checker::{End, History, runs};
use crate::run::Form;
use crate::storm::Tally;
use crate::workload::Book;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// The counts of a run.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    pub(crate) form: &'a Form,
    pub(crate) seed: u64,
    /// Whether links could be cut.
    pub(crate) links: bool,
    pub(crate) stormed: Duration,
    pub(crate) took: Duration,
    pub(crate) tally: Tally,
    pub(crate) book: &'a Book,
    pub(crate) history: &'a History,
}

impl Report<'_> {
    fn faults(&self) -> Vec<(String, u64)> {
        let order = [
            ("kills", ["  of the master", "  of a worker", ""]),
            ("pauses", ["  the master stands still", "  a worker stands still", ""]),
            ("cuts", ["  both ways", "  only towards the master", "  only towards the worker"]),
            ("longer than a lease", ["", "", ""]),
        ];
        let names =
            order.into_iter().flat_map(|(name, parts)| [name].into_iter().chain(parts)).filter(|name| !name.is_empty());
        names.map(|name| (name.to_owned(), self.tally.get(name).copied().unwrap_or_default())).collect()
    }

    fn tasks(&self) -> Vec<(String, u64)> {
        let mut ends = BTreeMap::<String, u64>::new();
        for task in &self.history.listed {
            *ends.entry(format!("  {} {}", task.status, task.reason).trim_end().to_owned()).or_default() += 1;
        }
        let listed = self.history.listed.len();
        let unknown = listed.saturating_sub(self.book.acknowledged.len());
        let first = [
            ("tasks acknowledged".to_owned(), self.book.acknowledged.len() as u64),
            ("tasks that nobody heard of, and that are there".into(), unknown as u64),
        ];
        let calls = [
            ("submissions repeated under their keys".to_owned(), self.book.repeated),
            ("submissions given up".into(), self.book.given_up),
            ("cancels asked for".into(), self.book.cancelled.len() as u64),
        ];
        first.into_iter().chain(ends).chain(calls).collect()
    }

    fn attempts(&self) -> Vec<(String, u64)> {
        let (runs, _) = runs(&self.history.marks);
        let tried = || self.history.listed.iter().flat_map(|task| &task.attempts);
        let killed = runs.values().filter(|run| run.end.is_some_and(|(_, end)| end == End::Killed)).count();
        let rows = [
            ("attempts", tried().count()),
            ("  lost", tried().filter(|tried| tried.lost()).count()),
            ("containers witnessed", runs.len()),
            ("  that ended with their worker", killed),
        ];
        rows.map(|(name, count)| (name.to_owned(), count as u64)).into()
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (stormed, took) = (self.stormed.as_secs_f64(), self.took.as_secs_f64());
        writeln!(
            f,
            "chaos: {}, CHAOS_SEED={}, {stormed:.0} s of faults, {took:.0} s in all",
            self.form.name, self.seed
        )?;
        if !self.links {
            writeln!(f, "NO LINK WAS CUT")?;
        }
        for (name, count) in [self.faults(), self.tasks(), self.attempts()].concat() {
            writeln!(f, "{name:<48} {count:>8}")?;
        }
        Ok(())
    }
}
