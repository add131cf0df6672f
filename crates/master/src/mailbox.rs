//! The two ways into the engine: workers' reports first, users second and bounded each.

use crate::secrets::KeyError;
use cloudai_core::event::{Answer, Event, Rejected};
use cloudai_core::ids::UserId;
use cloudai_core::spec::SpecError;
use cloudai_store::bulk::BulkError;
use cloudai_store::{CommitError, StoreError};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

/// A batch's worth of reports. A worker whose report finds no room keeps it and repeats it.
const REPORTS: usize = 4096;
/// A batch's worth of users' wishes; beyond that callers are told to retry.
const USERS: usize = 4096;
/// What one user may have under way: a quarter, so that no one shuts the others out.
const PER_USER: usize = USERS / 4;

/// Why an event was not carried out.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AskError {
    /// The core refused it; nothing has changed.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// The store does not answer, or too much is under way: try again after a while.
    #[error("{0}")]
    Unavailable(NotNow),
    /// The store could not be read.
    #[error(transparent)]
    Store(Arc<StoreError>),
    /// Logs, files or contents could not be read or kept.
    #[error(transparent)]
    Bulk(Arc<BulkError>),
    /// Stored secrets can not be sealed or opened.
    #[error(transparent)]
    Keys(Arc<KeyError>),
    /// What is wrong with tasks of a list, each with its place.
    #[error("{}", .0.first().map_or_else(String::new, |(_, first)| first.to_string()))]
    Specs(Arc<Vec<(usize, SpecError)>>),
    /// The caller sees it and may not change it: a sentence for people.
    #[error("{0}")]
    Forbidden(Arc<str>),
    /// What of tasks of a list the operator's policy denies, each with its place.
    #[error("{}", .0.first().map_or_else(String::new, |(_, first)| first.to_string()))]
    Denied(Arc<Vec<(usize, SpecError)>>),
    /// The master is stopping.
    #[error("the master is stopping")]
    Stopped,
    /// A fault of the master's own.
    #[error("internal error: {0}")]
    Internal(String),
}

impl From<KeyError> for AskError {
    fn from(error: KeyError) -> Self {
        Self::Keys(Arc::new(error))
    }
}

impl From<CommitError> for AskError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Fenced => Self::Stopped,
            CommitError::Unavailable(_) => Self::Unavailable(NotNow::STORE_AWAY),
            CommitError::Refused { why, .. } => Self::Internal(why),
        }
    }
}

/// Why something can not be done now, and when it is worth another try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotNow {
    /// What stands against it.
    pub why: &'static str,
    /// Seconds until another try.
    pub again_s: u32,
}

impl NotNow {
    /// No commit goes through.
    pub const STORE_AWAY: Self = Self { why: "the store does not answer: nothing was changed", again_s: 5 };
    /// What would be done could not be written down.
    pub const NO_AUDIT: Self = Self { why: "the audit log can not be written: nothing was changed", again_s: 5 };
    /// One user's share of the mailbox is used up.
    pub const TOO_MANY: Self = Self { why: "too many of your requests are under way", again_s: 1 };
    /// The mailbox is full.
    pub const BUSY: Self = Self { why: "the master is busy", again_s: 1 };
}

impl std::fmt::Display for NotNow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}; try again in {} s", self.why, self.again_s)
    }
}

impl AskError {
    /// An answer that does not belong to the question.
    pub(crate) fn unexpected(answer: &Answer) -> Self {
        Self::Internal(format!("unexpected answer {answer:?}"))
    }
}

/// What became of an event.
pub(crate) type Answered = Result<Answer, AskError>;

/// Where the answers go, in the order of their events.
pub(crate) type Reply = oneshot::Sender<Vec<Answered>>;

/// Events with the one who waits for their answers. They are committed together.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) events: Vec<Event>,
    pub(crate) reply: Reply,
    /// Of a user, who does not wait for a store that is away.
    pub(crate) claim: Option<Arc<Claim>>,
}

impl Ask {
    /// Whether the engine may apply it: its sender has not given it up.
    pub(crate) fn is_wanted(&self) -> bool {
        self.claim.as_ref().is_none_or(|claim| claim.take())
    }
}

/// Who has an ask: the engine, once it applies it, or its sender, who takes it back. One of them.
#[derive(Debug, Default)]
pub(crate) struct Claim(AtomicBool);

impl Claim {
    /// Whether it is the caller's now.
    fn take(&self) -> bool {
        !self.0.swap(true, Ordering::SeqCst)
    }
}

/// What the store is like, as the engine sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StoreHealth {
    /// What went wrong last; none while commits go through.
    pub(crate) trouble: Option<String>,
}

/// The senders' side.
#[derive(Debug)]
pub(crate) struct Mailboxes {
    reports: mpsc::Sender<Ask>,
    users: mpsc::Sender<Ask>,
    per_user: Mutex<BTreeMap<UserId, Arc<Semaphore>>>,
    health: watch::Receiver<StoreHealth>,
}

/// The engine's side.
#[derive(Debug)]
pub(crate) struct Inbox {
    pub(crate) reports: mpsc::Receiver<Ask>,
    pub(crate) users: mpsc::Receiver<Ask>,
    /// The engine has the only strong one: it is closed when the engine ends.
    pub(crate) health: Arc<watch::Sender<StoreHealth>>,
}

/// Makes both sides.
pub(crate) fn mailboxes() -> (Mailboxes, Inbox) {
    let (reports, reports_in) = mpsc::channel(REPORTS);
    let (users, users_in) = mpsc::channel(USERS);
    let (health_in, health) = watch::channel(StoreHealth::default());
    let boxes = Mailboxes { reports, users, per_user: Mutex::default(), health };
    (boxes, Inbox { reports: reports_in, users: users_in, health: Arc::new(health_in) })
}

impl Mailboxes {
    /// Puts a user's event to the engine; returns once its changes are on disk.
    pub(crate) async fn ask_as_user(&self, user: &UserId, event: Event) -> Answered {
        if self.health.borrow().trouble.is_some() {
            return Err(AskError::Unavailable(NotNow::STORE_AWAY));
        }
        let share = self.share(user);
        let _permit = share.try_acquire().map_err(|_| AskError::Unavailable(NotNow::TOO_MANY))?;
        let room = self.users.try_reserve().map_err(|error| match error {
            mpsc::error::TrySendError::Full(()) => AskError::Unavailable(NotNow::BUSY),
            mpsc::error::TrySendError::Closed(()) => AskError::Stopped,
        })?;
        let (reply, mut answer) = oneshot::channel();
        let claim = Arc::new(Claim::default());
        room.send(Ask { events: vec![event], reply, claim: Some(Arc::clone(&claim)) });
        let mut health = self.health.clone();
        tokio::select! {
            biased;
            answer = &mut answer => return only(answer),
            // It fails when there is no engine any more: then there is no answer either.
            Ok(_) = health.wait_for(|health| health.trouble.is_some()) => {}
        }
        // What the engine has taken is in the commit under way, and has the fate of that.
        if claim.take() { Err(AskError::Unavailable(NotNow::STORE_AWAY)) } else { only(answer.await) }
    }

    /// Puts a worker's or the placing thread's event to the engine, waiting for room.
    pub(crate) async fn report(&self, event: Event) -> Answered {
        only(Ok(self.report_all(vec![event]).await?))
    }

    /// Puts events to the engine, waiting for room; answers each, in order.
    pub(crate) async fn report_all(&self, events: Vec<Event>) -> Result<Vec<Answered>, AskError> {
        let (reply, answers) = oneshot::channel();
        self.reports.send(Ask { events, reply, claim: None }).await.map_err(|_| AskError::Stopped)?;
        answers.await.map_err(|_| AskError::Stopped)
    }

    /// The store's state; closed when there is no engine any more.
    pub(crate) fn health(&self) -> watch::Receiver<StoreHealth> {
        self.health.clone()
    }

    fn share(&self, user: &UserId) -> Arc<Semaphore> {
        let mut shares = self.per_user.lock().unwrap_or_else(PoisonError::into_inner);
        shares.retain(|_, share| Arc::strong_count(share) > 1);
        Arc::clone(shares.entry(user.clone()).or_insert_with(|| Arc::new(Semaphore::new(PER_USER))))
    }
}

/// The answer to a single event.
fn only(answers: Result<Vec<Answered>, oneshot::error::RecvError>) -> Answered {
    answers.ok().and_then(|mut answers| answers.pop()).unwrap_or(Err(AskError::Stopped))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Poll;

    fn user() -> UserId {
        "ann".parse().unwrap()
    }

    #[tokio::test]
    async fn what_waits_when_the_store_goes_away_is_taken_back_and_never_applied() {
        let (boxes, mut inbox) = mailboxes();
        let user = user();
        let mut asking = std::pin::pin!(boxes.ask_as_user(&user, Event::Tick));
        assert!(matches!(futures::poll!(&mut asking), Poll::Pending));
        inbox.health.send_replace(StoreHealth { trouble: Some("slow".into()) });
        assert!(matches!(asking.await, Err(AskError::Unavailable(NotNow::STORE_AWAY))));
        assert!(!inbox.users.recv().await.unwrap().is_wanted(), "its sender was told that nothing was changed");
    }

    #[tokio::test]
    async fn what_the_engine_has_taken_is_waited_for_however_long() {
        let (boxes, mut inbox) = mailboxes();
        let user = user();
        let mut asking = std::pin::pin!(boxes.ask_as_user(&user, Event::Tick));
        assert!(matches!(futures::poll!(&mut asking), Poll::Pending));
        let taken = inbox.users.recv().await.unwrap();
        assert!(taken.is_wanted());
        inbox.health.send_replace(StoreHealth { trouble: Some("slow".into()) });
        assert!(matches!(futures::poll!(&mut asking), Poll::Pending));
        taken.reply.send(vec![Ok(Answer::Done)]).unwrap();
        assert!(matches!(asking.await, Ok(Answer::Done)));
    }
}
