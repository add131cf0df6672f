//! Rules while work streams in, a plan while a backlog is worked off.

use super::Strategy;
use super::board::{Board, Change};
use super::dispatch::{Dispatcher, Started};
use super::line::Key;
use super::planner::{Planner, Planning};
use super::rules::{Rules, Source};

/// A plan is made for so many waiting jobs at most.
const PLANNED: usize = 2000;
/// And for so many workers at most.
const WORKERS: usize = 64;
/// Fewer jobs are no backlog.
const FEW: usize = 8;
/// What is done in less, in milliseconds, is done before a plan of it pays: to think of one takes up to
/// some tenths of a second.
const SHORT: f64 = 10_000.0;
/// What came within so large a part of the time that it takes came at once.
const BURST: f64 = 0.05;

/// Rules and a planner with a name.
#[derive(Clone, Debug)]
pub struct Mixed {
    name: &'static str,
    dispatcher: Dispatcher,
    planner: Planner,
    rules: Rules,
    quiet: f64,
    /// When the last job came, and the first since nothing waited.
    newest: u64,
    oldest: u64,
    /// The last arrival that is in the plan, while there is one.
    planned: Option<u64>,
}

impl Mixed {
    /// A strategy of these rules and this way to plan.
    #[must_use]
    pub fn new(name: &'static str, rules: Rules, planning: Planning) -> Self {
        let (dispatcher, planner, quiet) = (Dispatcher::new(rules), Planner::new(planning), planning.quiet);
        Self { name, dispatcher, planner, rules, quiet, newest: 0, oldest: u64::MAX, planned: None }
    }

    /// Whether what waits is a backlog: it came at once, or nothing came for a while.
    #[allow(clippy::cast_precision_loss)] // milliseconds far below 2^53, only compared
    fn is_backlog(&self, board: &Board) -> bool {
        let waiting = self.dispatcher.waiting();
        if waiting == 0 || waiting > PLANNED || board.seats().len() > WORKERS {
            return false;
        }
        if self.planned == Some(self.newest) {
            return true;
        }
        if waiting < FEW {
            return false;
        }
        let horizon = self.horizon(board);
        if horizon < SHORT {
            return false;
        }
        if self.newest == self.oldest {
            return true;
        }
        // On one pool rules lose little, and plans cost waiting.
        let horizon = if board.seats().len() == 1 { 0.0 } else { horizon };
        (self.newest - self.oldest.min(self.newest)) as f64 <= BURST * horizon
            || (board.now() - self.newest) as f64 > self.quiet * horizon && horizon > 0.0
    }

    /// How long all that waits takes at least, in milliseconds.
    #[allow(clippy::cast_precision_loss)] // amounts and times far below 2^53 each
    fn horizon(&self, board: &Board) -> f64 {
        let mut work = [0.0; 4];
        for number in self.dispatcher.each() {
            let job = board.job(number);
            let length = self.rules.source.length(&job).mean as f64;
            let amounts = &board.classes()[job.class].amounts;
            (0..4).for_each(|kind| work[kind] += amounts[kind] as f64 * length);
        }
        let capacity = board.capacity();
        let needs = |kind: usize| if capacity[kind] == 0 { 0.0 } else { work[kind] / capacity[kind] as f64 };
        (0..4).map(needs).fold(0.0, f64::max)
    }

    fn note_arrivals(&mut self, board: &Board) {
        for change in board.changes() {
            if let Change::Waits(job) = change {
                let arrival = board.job(*job).arrival;
                self.newest = self.newest.max(arrival);
                self.oldest = self.oldest.min(arrival);
            }
        }
    }
}

impl Strategy for Mixed {
    fn name(&self) -> &'static str {
        self.name
    }

    fn source(&self) -> Source {
        self.rules.source
    }

    fn ahead(&self) -> Option<usize> {
        // A plan keeps room for many.
        if self.planned.is_some() { None } else { self.dispatcher.ahead() }
    }

    fn hear(&mut self, board: &mut Board) {
        self.note_arrivals(board);
        if board.changes().first() == Some(&Change::Anew) {
            self.planner.forget(); // its numbers mean others now
        }
        self.dispatcher.listen(board);
    }

    fn line(&self, board: &Board, after: Option<Key>, most: usize) -> Vec<(Key, usize)> {
        if self.planned.is_none() {
            return self.dispatcher.rising(after).take(most).collect();
        }
        // At most `PLANNED` jobs: what is planned by its start, then what came since.
        let planned = |(key, job)| {
            let start = self.planner.planned_start(job);
            (start.map_or(key, |start| Key::promoted(start, board.job(job).order)), job)
        };
        let mut line: Vec<(Key, usize)> = self.dispatcher.rising(None).map(planned).collect();
        line.sort_unstable();
        line.into_iter().filter(|(key, _)| after.is_none_or(|after| *key > after)).take(most).collect()
    }

    fn copy(&self) -> Box<dyn Strategy> {
        Box::new(self.clone())
    }

    fn place(&mut self, board: &mut Board, most: usize) -> Vec<Started> {
        self.hear(board);
        if !self.is_backlog(board) {
            let planned = self.planned.take().is_some();
            if planned {
                self.planner.forget();
            }
            if self.dispatcher.waiting() == 0 {
                self.oldest = u64::MAX;
            }
            if planned {
                self.dispatcher.look_at_all(); // a plan leaves room on purpose
            }
            return self.dispatcher.go(board, most);
        }
        if !self.dispatcher.has_news() && self.planned == Some(self.newest) {
            return Vec::new();
        }
        self.dispatcher.skip_news();
        self.planned = Some(self.newest);
        let jobs: Vec<usize> = self.dispatcher.rising(None).map(|(_, job)| job).collect();
        let mut started = self.planner.round(board, &jobs);
        while started.len() > most
            && let Some(over) = started.pop()
        {
            board.take_back(over.job);
        }
        started.iter().for_each(|start| self.dispatcher.started(board, start.job));
        started
    }
}
