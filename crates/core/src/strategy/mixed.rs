//! Rules while work streams in, a plan while a backlog is worked off; a list where a plan would be of lengths that do
//! not come true.

use super::board::{Board, Change};
use super::critical;
use super::dispatch::{Dispatcher, Started};
use super::line::Key;
use super::planner::{Due, Planner, Planning, horizon};
use super::rules::{Rules, Source};
use super::{Strategy, Thinking, Thought};
use std::collections::BTreeMap;

/// A plan is made for so many waiting jobs at most.
const PLANNED: usize = 2000;
/// And for so many workers at most.
const WORKERS: usize = 64;
/// Fewer jobs are no backlog.
const FEW: usize = 8;
/// What is done in less, in milliseconds, is done before a plan of it pays: to think of one takes up to
/// some tenths of a second.
const SHORT: f64 = 10_000.0;
/// A plan is made where lengths that are said come true so closely, on average.
const TRUSTED: f64 = 0.8;
/// And again, where it was not, from here on: not to and fro.
const TRUSTED_AGAIN: f64 = 0.9;
/// What came within so large a part of the time that it takes came at once.
const BURST: f64 = 0.05;

/// How what waits is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// By rules.
    Stream,
    /// By rules, but critical jobs first.
    List,
    /// By a plan.
    Plan,
}

/// Rules and a planner with a name.
#[derive(Clone, Debug)]
pub struct Mixed {
    name: &'static str,
    dispatcher: Dispatcher,
    planner: Planner,
    rules: Rules,
    quiet: f64,
    critical: f64,
    /// As the last round did.
    look: Look,
    /// When the last job came, and the first since nothing waited.
    newest: u64,
    oldest: u64,
    /// The last arrival of the backlog that is worked off, while there is one.
    planned: Option<u64>,
}

impl Mixed {
    /// A strategy of these rules and this way to plan.
    #[must_use]
    pub fn new(name: &'static str, rules: Rules, planning: Planning) -> Self {
        Self {
            name,
            dispatcher: Dispatcher::new(rules),
            planner: Planner::new(planning),
            rules,
            quiet: planning.quiet,
            critical: planning.critical,
            look: Look::Stream,
            newest: 0,
            oldest: u64::MAX,
            planned: None,
        }
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
    fn horizon(&self, board: &Board) -> f64 {
        horizon(board, self.rules.source, self.dispatcher.each())
    }

    /// How what waits is looked at now. A plan goes by times alone, and by one demand of each job: where somebody would
    /// rather have one worker than another, keeps away from kin, has a choice of what to take, or starts with others, there is
    /// none.
    fn look(&self, board: &Board) -> Look {
        let trusted = if self.look == Look::List { TRUSTED_AGAIN } else { TRUSTED };
        if !self.is_backlog(board) {
            Look::Stream
        } else if board.closeness(self.rules.source) < trusted || self.dispatcher.has_choices(board) {
            Look::List
        } else {
            Look::Plan
        }
    }

    /// The order of a list.
    fn listed(&self, board: &Board) -> Vec<(Key, usize)> {
        let critical = self.critical * self.horizon(board);
        critical::order(board, &self.rules, self.dispatcher.rising(None), critical)
    }

    /// What is planned by its start, then what came since.
    fn planned(&self, board: &Board) -> Vec<(Key, usize)> {
        let start = |(key, job)| {
            let start = self.planner.planned_start(board, job);
            (start.map_or(key, |start| Key::promoted(start, board.job(job).order)), job)
        };
        let mut line: Vec<(Key, usize)> = self.dispatcher.rising(None).map(start).collect();
        line.sort_unstable();
        line
    }

    fn plan(&mut self, board: &mut Board, most: usize) -> Vec<Started> {
        let new = self.dispatcher.has_news();
        if !new && !self.planner.knows_better() {
            return Vec::new();
        }
        self.dispatcher.skip_news();
        // Who fits closed workers only is in no plan: it would be looked for again and again.
        let jobs: Vec<usize> = self.dispatcher.rising(None).map(|(_, job)| job).collect();
        let jobs = plannable(board, jobs);
        let started = self.planner.round(board, &jobs, new, most);
        if started.len() >= most {
            self.dispatcher.look_at_all(); // there may be more that starts now
        }
        started.iter().for_each(|start| self.dispatcher.started(board, start.job));
        started
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
        // A plan keeps room for many: Strategy::planned tells of them.
        if self.look == Look::Plan { None } else { self.dispatcher.ahead() }
    }

    fn planned(&self, board: &Board) -> Vec<Due> {
        if self.look == Look::Plan { self.planner.due(board) } else { Vec::new() }
    }

    fn hear(&mut self, board: &mut Board) {
        self.note_arrivals(board);
        if board.changes().first() == Some(&Change::Anew) {
            self.planner.forget(); // its numbers mean others now
        }
        self.dispatcher.listen(board);
    }

    fn line(&self, board: &Board, after: Option<Key>, most: usize) -> Vec<(Key, usize)> {
        let line = match self.look(board) {
            Look::Stream => return self.dispatcher.rising(after).take(most).collect(),
            Look::List => self.listed(board),
            Look::Plan => self.planned(board),
        };
        line.into_iter().filter(|(key, _)| after.is_none_or(|after| *key > after)).take(most).collect()
    }

    fn copy(&self) -> Box<dyn Strategy> {
        Box::new(self.clone())
    }

    fn place(&mut self, board: &mut Board, most: usize) -> Vec<Started> {
        self.hear(board);
        let look = self.look(board);
        let before = std::mem::replace(&mut self.look, look);
        if look != before {
            self.planner.forget();
            self.dispatcher.look_at_all(); // a plan leaves room on purpose
        }
        if self.dispatcher.waiting() == 0 {
            self.oldest = u64::MAX;
        }
        self.planned = (look != Look::Stream).then_some(self.newest);
        match look {
            Look::Stream => self.dispatcher.go(board, most),
            Look::List if !self.dispatcher.has_news() => Vec::new(),
            Look::List => {
                let order = self.listed(board).into_iter().map(|(_, job)| job);
                self.dispatcher.follow(board, order, most)
            }
            Look::Plan => self.plan(board, most),
        }
    }

    fn thinking(&mut self) -> Option<Thinking> {
        self.planner.thinking()
    }

    fn heed(&mut self, thought: Thought) {
        self.planner.heed(thought);
    }
}

/// Those of the jobs that some open worker could run.
fn plannable(board: &Board, jobs: Vec<usize>) -> Vec<usize> {
    let mut able: BTreeMap<usize, bool> = BTreeMap::new();
    let open = |class| (0..board.seats().len()).any(|worker| board.could_ever(class, worker));
    jobs.into_iter().filter(|job| *able.entry(board.job(*job).class).or_insert_with_key(|class| open(*class))).collect()
}
