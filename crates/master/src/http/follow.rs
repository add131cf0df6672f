//! A log as it grows: from before the first attempt to the task's end, without polling.
//!
//! The body is pulled by its reader, so a slow client slows nothing but itself, and a client that
//! goes away ends the stream where it waits.

use super::dto::{LogLine, LogState};
use super::log_reader::{Format, Reader, Wanted, put_line};
use super::view;
use crate::handle::Handle;
use crate::logs::LogBell;
use crate::mailbox::AskError;
use crate::model::SeenTask;
use crate::principal::Principal;
use bytes::{Bytes, BytesMut};
use cloudai_core::ids::{Attempt, TaskId};
use cloudai_core::state::{Phase, Status};
use cloudai_core::task::AttemptRecord;
use cloudai_store::bulk::BulkError;
use futures::stream::{Stream, try_unfold};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// The model of a busy cluster changes with every batch: one follower looks no more often than so.
const CALM: Duration = Duration::from_millis(50);
/// The progress of a pull comes with heartbeats, beside the model, and wakes nobody.
const PULL_LOOK: Duration = Duration::from_secs(1);
/// Records that were announced and do not come for so long are lost.
const LATE: Duration = Duration::from_secs(30);

/// Why following broke off: the client may come again with `attempt=` and `from=`.
#[derive(Debug, thiserror::Error)]
pub(super) enum FollowError {
    /// The task can not be read.
    #[error(transparent)]
    Task(#[from] AskError),
    /// The log can not be read.
    #[error(transparent)]
    Log(#[from] BulkError),
}

/// A log that is being followed.
#[derive(Debug)]
pub(super) struct Follow {
    handle: Handle,
    who: Principal,
    id: TaskId,
    wanted: Wanted,
    /// Follows this attempt to its end and no other.
    only: bool,
    open: Option<Open>,
    changes: watch::Receiver<u64>,
    /// Before this time changes of the model wait.
    calm_until: Instant,
    told: Option<LogState>,
    /// How long announced records are waited for.
    late: Duration,
    over: bool,
}

/// The attempt whose log is read now.
#[derive(Debug)]
struct Open {
    reader: Reader,
    /// Made before the first read, so that no record comes unnoticed.
    bell: LogBell,
    wrote: bool,
    /// Since when announced records are missed.
    missed: Option<Instant>,
}

impl Open {
    fn new(reader: Reader) -> Self {
        let bell = reader.logs.bell(reader.attempt);
        Self { reader, bell, wrote: false, missed: None }
    }

    fn number(&self) -> u32 {
        self.reader.attempt.number
    }

    /// Whether nothing more comes: the attempt has ended and all that was kept of its log is read.
    fn is_done(&mut self, task: &SeenTask, late: Duration) -> bool {
        let mut attempts = task.record.attempts.iter();
        let Some(AttemptRecord { end: Some(end), .. }) = attempts.find(|attempt| attempt.number == self.number())
        else {
            return false;
        };
        if self.reader.next >= end.log.records {
            return true;
        }
        self.missed.get_or_insert_with(Instant::now).elapsed() >= late
    }
}

impl Follow {
    /// Follows a task; `reader` stands where the client wants to begin, if there is a log yet.
    pub(super) fn new(handle: Handle, who: Principal, id: TaskId, wanted: Wanted, reader: Option<Reader>) -> Self {
        let open = reader.map(Open::new);
        let changes = handle.changes();
        let calm_until = Instant::now();
        Self { handle, who, id, wanted, only: false, open, changes, calm_until, told: None, late: LATE, over: false }
    }

    /// Gives announced records up sooner.
    #[cfg(test)]
    pub(super) fn giving_up_after(self, late: Duration) -> Self {
        Self { late, ..self }
    }

    /// The body of the answer. With `only` it ends with the attempt that was asked for.
    pub(super) fn stream(self, only: Option<u32>) -> impl Stream<Item = Result<Bytes, FollowError>> {
        let follow = Self { only: only.is_some(), ..self };
        try_unfold(follow, |mut follow| async move { Ok(follow.next().await?.map(|piece| (piece, follow))) })
    }

    /// The next bytes of the body; none at its end.
    async fn next(&mut self) -> Result<Option<Bytes>, FollowError> {
        while !self.over {
            self.changes.mark_unchanged();
            let task = self.handle.task(&self.who, self.id).await?;
            if self.open.is_none() && task.record.number() > 0 {
                self.turn_to(1);
            }
            if let Some(open) = &mut self.open
                && let Some(piece) = open.reader.piece().await?
            {
                open.missed = None;
                if !piece.is_empty() {
                    open.wrote = true;
                    return Ok(Some(piece));
                }
                continue;
            }
            if let Some(piece) = self.go_on(&task) {
                return Ok(Some(piece));
            }
            if !self.over && !self.turned(&task) {
                self.wait(&task).await?;
            }
        }
        Ok(None)
    }

    /// All that is there is read: tells where the task stands, if that is news.
    fn go_on(&mut self, task: &SeenTask) -> Option<Bytes> {
        let done = self.open.as_mut().is_none_or(|open| open.is_done(task, self.late));
        let is_last = self.open.as_ref().is_none_or(|open| self.only || open.number() == task.record.number());
        let ended = task.record.finished().is_some() || (self.only && self.open.is_some());
        let state = view::log_state(task);
        if done && is_last && ended {
            self.over = true;
            return self.line(LogLine::End(view::log_end(task, self.open.as_ref().map(Open::number))));
        }
        if task.record.finished().is_some() || self.is_told(&state) {
            return None;
        }
        self.told = Some(state.clone());
        self.line(LogLine::State(state))
    }

    /// Whether the client knows this already. Output of an attempt tells that it runs.
    fn is_told(&mut self, state: &LogState) -> bool {
        let wrote = self.open.as_ref().is_some_and(|open| open.wrote && open.number() == state.attempt);
        let runs = state.status == Status::Running.word() && state.phase.as_deref() == Some(Phase::Running.word());
        if wrote && runs {
            self.told = Some(state.clone());
        }
        self.told.as_ref().is_some_and(|told| {
            (&told.status, &told.phase, &told.message, told.attempt)
                == (&state.status, &state.phase, &state.message, state.attempt)
        })
    }

    /// Turns to the attempt after one that is done, when there is one.
    fn turned(&mut self, task: &SeenTask) -> bool {
        let Some(open) = self.open.as_mut() else { return false };
        if self.only || open.number() >= task.record.number() || !open.is_done(task, self.late) {
            return false;
        }
        let next = open.number() + 1;
        self.turn_to(next);
        true
    }

    fn turn_to(&mut self, number: u32) {
        let attempt = Attempt { task: self.id, number };
        let reader = Reader::at_start(Arc::clone(self.handle.logs(&self.who)), attempt, self.wanted.clone());
        self.open = Some(Open::new(reader));
    }

    /// Waits for records, for a change of the model, or for what tells of itself by neither.
    async fn wait(&mut self, task: &SeenTask) -> Result<(), FollowError> {
        let missed = self.open.as_ref().and_then(|open| open.missed).map(|since| since + self.late);
        let pull = (task.phase == Some(Phase::Pulling)).then(|| Instant::now() + PULL_LOOK);
        let look = missed.into_iter().chain(pull).min();
        let (changes, calm_until) = (&mut self.changes, self.calm_until);
        let changed = async {
            tokio::time::sleep_until(calm_until).await;
            changes.changed().await
        };
        tokio::select! {
            // Breaking off says that there is more; an end would say that this was all.
            () = self.handle.shared.stopping.cancelled() => return Err(AskError::Stopped.into()),
            () = rung(self.open.as_mut()) => {}
            changed = changed => {
                // Without a model there is no master any more.
                self.over = changed.is_err();
                self.calm_until = Instant::now() + CALM;
            }
            () = at(look) => {}
        }
        Ok(())
    }

    fn line(&self, line: LogLine) -> Option<Bytes> {
        match self.wanted.format {
            Format::Raw => None,
            Format::JsonLines => {
                let mut out = BytesMut::new();
                put_line(&mut out, &line);
                Some(out.freeze())
            }
        }
    }
}

async fn rung(open: Option<&mut Open>) {
    match open {
        Some(open) => open.bell.rung().await,
        None => std::future::pending().await,
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
