//! The jobs that a round has to look at, in order.

use super::among::Freed;
use super::board::{Board, covers};
use super::dispatch::News;
use super::line::{Key, Line};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// How many jobs are looked at in a round behind such as have room and may not start, about, and the
/// least and the most of one class.
const LOOKS: usize = 4096;
const OF_CLASS: (usize, usize) = (16, 1000);

/// A job to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidate {
    key: Key,
    pub(super) job: usize,
    pub(super) class: usize,
    /// It may go to any worker; else only to those that have more room than before.
    pub(super) everywhere: bool,
    /// Others of its class follow it.
    leads: bool,
    looks: usize,
}

/// The jobs to look at in order: new ones, and from each class the first that is left.
#[derive(Debug)]
pub(super) struct Candidates {
    heap: BinaryHeap<Reverse<Candidate>>,
    /// How many of a class are looked at.
    most: usize,
}

impl Candidates {
    pub(super) fn of(line: &Line, board: &Board, news: &News, freed: &Freed) -> Self {
        let mut heap = Vec::new();
        let everywhere = news.all;
        if !everywhere {
            let new = news.jobs.iter().filter_map(|job| Some((*job, line.key(*job)?)));
            heap.extend(new.map(|(job, key)| {
                let class = board.job(job).class;
                Reverse(Candidate { key, job, class, everywhere: true, leads: false, looks: 0 })
            }));
        }
        if everywhere || !freed.is_empty() {
            let most = if everywhere { board.most_free() } else { freed.most() };
            let covered = |class: usize| covers(&most, &board.classes()[class].amounts);
            let room = line.heads().filter(|(.., class)| board.chain(*class).any(covered));
            // What takes one thing or else another, and is new, is to find the first on any worker: not the second on
            // one that has more room than before.
            let anew = |class| everywhere || board.has_choice(class) && !news.jobs.is_empty();
            heap.extend(room.map(|(key, job, class)| {
                Reverse(Candidate { key, job, class, everywhere: anew(class), leads: true, looks: 0 })
            }));
        }
        let leads = heap.iter().filter(|Reverse(candidate)| candidate.leads).count();
        let most = (LOOKS / leads.max(1)).clamp(OF_CLASS.0, OF_CLASS.1);
        Self { heap: heap.into(), most }
    }

    pub(super) fn next(&mut self, line: &Line) -> Option<Candidate> {
        loop {
            let Reverse(candidate) = self.heap.pop()?;
            if line.key(candidate.job) == Some(candidate.key) {
                return Some(candidate);
            }
            // Started meanwhile, as a new one or for its class. Places do not change in a round.
            let next = candidate.leads.then(|| line.behind(candidate.class, candidate.key, candidate.job)).flatten();
            self.heap.extend(next.map(|(key, job)| Reverse(Candidate { key, job, ..candidate })));
        }
    }

    /// Goes on to the next of the class after one that may not start.
    pub(super) fn go_on(&mut self, line: &Line, candidate: Candidate) {
        if candidate.leads
            && candidate.looks <= self.most
            && let Some((key, job)) = line.behind(candidate.class, candidate.key, candidate.job)
        {
            self.heap.push(Reverse(Candidate { key, job, looks: candidate.looks + 1, ..candidate }));
        }
    }

    /// Goes on to the next of the class after one that was started.
    pub(super) fn go_on_afresh(&mut self, line: &Line, candidate: Candidate) {
        self.go_on(line, Candidate { looks: 0, ..candidate });
    }
}
