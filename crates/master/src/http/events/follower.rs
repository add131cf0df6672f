//! One client on its way through the events: where it is, what comes next for it, when it has lost some.

use super::super::dto::events::Event;
use super::super::live::Live;
use super::super::problem::{Code, Problem};
use super::super::view::time;
use super::wanted::{Place, Wanted};
use crate::feed::{Happened, Lost, What};
use crate::handle::Handle;
use crate::principal::Principal;
use cloudai_core::duty::Duty;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Events that are looked at under one lock.
const PIECE: usize = 256;
/// A busy cluster commits many times a second: one client is woken no more often than so.
const CALM: Duration = Duration::from_millis(20);
/// Without events a sign comes after this time, so that neither side takes the other for gone.
const QUIET: Duration = Duration::from_secs(15);

/// A client.
#[derive(Debug)]
pub(super) struct Follower {
    handle: Handle,
    who: Principal,
    wanted: Wanted,
    /// The last event that it was told of, or passed over.
    after: u64,
    news: watch::Receiver<u64>,
    calm_until: Instant,
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Step {
    Events(Vec<Event>),
    /// Nothing, for a while.
    Quiet,
    /// It is too slow: this is the last that it is told.
    Lost(Box<Event>),
    /// The master stops.
    Stopping,
}

impl Follower {
    /// A client that begins behind the last event, or at the one that it names.
    pub(super) fn begin(handle: Handle, who: Principal, wanted: Wanted, last: Option<&str>) -> Result<Self, Problem> {
        let feed = handle.shared.model.feed();
        let news = feed.news();
        let facts = handle.facts();
        let last = last.map(Place::read).transpose();
        let last = last.map_err(|problem| Problem::field("Last-Event-ID", problem))?;
        // A browser that comes again asks for the same and says what it saw since.
        let after = match (last, wanted.from) {
            (Some(last), _) => Some(last.within(facts).ok_or_else(|| gone(last, None))?),
            (None, Some(from)) => Some(from.within(facts).ok_or_else(|| gone(from, None))?.saturating_sub(1)),
            (None, None) => None,
        };
        if let (Some(after), Some(named)) = (after, last.or(wanted.from)) {
            feed.behind(after, 0).map_err(|lost| gone(named, Some(lost)))?;
        }
        let after = after.unwrap_or_else(|| feed.last());
        Ok(Self { handle, who, wanted, after, news, calm_until: Instant::now() })
    }

    /// Everybody who listens.
    pub(super) fn live(&self) -> &Live {
        &self.handle.shared.live
    }

    /// The id of where it is.
    pub(super) fn position(&self) -> String {
        self.id(self.after)
    }

    fn id(&self, seq: u64) -> String {
        let facts = self.handle.facts();
        format!("{}.{}.{seq}", facts.incarnation.0, facts.term.0)
    }

    /// What it is told first: where it begins.
    pub(super) fn start(&self) -> Event {
        Event { at: time(self.handle.now()), ..self.plain("start", self.after) }
    }

    /// Waits for what comes next. Given up while it waits, nothing is lost.
    pub(super) async fn next(&mut self) -> Step {
        let stopping = self.handle.shared.stopping.clone();
        let quiet = Instant::now() + QUIET;
        loop {
            if stopping.run_until_cancelled(tokio::time::sleep_until(self.calm_until)).await.is_none() {
                return Step::Stopping;
            }
            // Before the look: what comes behind it is news.
            self.news.mark_unchanged();
            match self.handle.shared.model.feed().behind(self.after, PIECE) {
                Err(lost) => return Step::Lost(Box::new(self.reset(lost))),
                Ok(found) => {
                    if let Some(last) = found.last() {
                        self.after = last.seq;
                        let wanted = found.iter().filter(|happened| self.wanted.has(happened, &self.who));
                        let events: Vec<Event> = wanted.map(|happened| self.event(happened)).collect();
                        if found.len() < PIECE {
                            self.calm_until = Instant::now() + CALM;
                        }
                        if !events.is_empty() {
                            return Step::Events(events);
                        }
                        continue;
                    }
                }
            }
            tokio::select! {
                biased;
                () = stopping.cancelled() => return Step::Stopping,
                changed = self.news.changed() => if changed.is_err() {
                    return Step::Stopping;
                },
                () = tokio::time::sleep_until(quiet) => return Step::Quiet,
            }
        }
    }

    /// What is said of events that fell out before they were read.
    fn reset(&self, lost: Lost) -> Event {
        let message = format!(
            "you are too slow: what came behind {} is kept no longer, the first that is has the number {}; list anew, \
             then follow from now on",
            self.after, lost.first
        );
        Event { at: time(self.handle.now()), message: Some(message), ..self.plain("reset", lost.last) }
    }

    /// An event of which nothing else is said.
    fn plain(&self, kind: &str, seq: u64) -> Event {
        Event {
            id: self.id(seq),
            seq,
            kind: kind.into(),
            at: String::new(),
            task_id: None,
            job_id: None,
            worker_id: None,
            user_id: None,
            status: None,
            phase: None,
            reason: None,
            attempt: None,
            exit_code: None,
            duty: None,
            strategy: None,
            message: None,
        }
    }

    fn event(&self, happened: &Happened) -> Event {
        let of = |kind: &str| Event { at: time(happened.at), ..self.plain(kind, happened.seq) };
        match &happened.what {
            What::Task(task) => Event {
                task_id: Some(task.id.to_string()),
                job_id: task.job.map(|job| job.to_string()),
                worker_id: task.worker.as_ref().map(ToString::to_string),
                user_id: Some(task.owner.to_string()),
                status: Some(task.status.word().into()),
                phase: task.phase.map(|phase| phase.word().into()),
                reason: task.reason.map(|reason| reason.word().into()),
                attempt: Some(task.attempt),
                exit_code: task.exit_code,
                ..of("task")
            },
            What::Job(job) => Event {
                job_id: Some(job.id.to_string()),
                user_id: Some(job.owner.to_string()),
                status: Some(job.status.word().into()),
                ..of("job")
            },
            What::Worker(worker) => Event {
                worker_id: Some(worker.id.to_string()),
                status: Some(worker.status.map_or("removed", |status| status.word()).into()),
                duty: Some(worker.duty).filter(|word| *word != Duty::Open.word(false)).map(Into::into),
                ..of("worker")
            },
            What::Strategy(name) => Event { strategy: Some(name.to_string()), ..of("strategy") },
        }
    }
}

fn gone(named: Place, lost: Option<Lost>) -> Problem {
    let why = match lost {
        None => format!("event {named} is of another life of the master: its events are no more"),
        Some(lost) => format!("event {named} is not kept: those from {} to {} are", lost.first, lost.last),
    };
    Problem::new(Code::Gone, why).next("list anew, then follow without from_seq and Last-Event-ID")
}
