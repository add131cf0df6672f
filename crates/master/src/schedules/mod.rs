//! Schedules: what is submitted again and again, when its time comes.
//!
//! `times` knows when times come, `definition` what a schedule is, `state` what is done with its times; here they are kept,
//! and `run` looks after them beside the engine. Each is two facts of the store: what it is, which changes when somebody
//! says so, and its state, which changes with every time.

pub(crate) mod definition;
pub(crate) mod run;
pub(crate) mod state;
pub(crate) mod times;

use crate::mailbox::AskError;
use crate::only::{self, Only};
use cloudai_core::ids::{ScheduleName, Term, UserId};
use cloudai_core::time::Timestamp;
use cloudai_store::{Store, StoreError};
use definition::{Definition, Given};
use serde::{Deserialize, Serialize};
use state::{Failed, Last, State};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use times::Times;
use tokio::sync::Notify;
use tracing::warn;

/// The most schedules of one user.
pub(crate) const MAX_SCHEDULES: usize = 1000;
/// The largest schedule, in bytes of JSON.
pub(crate) const MAX_SCHEDULE: usize = 256 << 10;
/// Before the names of all facts that say what a schedule is.
const KEPT: &str = "schedule/";
/// Before the names of all facts that are states.
const STATES: &str = "schedule.state/";
/// Between two looks whether a run that is waited for has ended.
const PACE: Duration = Duration::from_secs(1);
/// Before the first further try of what could not be submitted, and before the last ones.
const FIRST_TRY: Duration = Duration::from_secs(5);
const LATE_TRY: Duration = Duration::from_secs(30);
/// How far a wall clock that is set may be ahead of what is waited for.
const LONGEST: Duration = Duration::from_secs(30);

/// Whose, and which.
pub(crate) type Key = (UserId, ScheduleName);

/// The schedules of a cluster.
#[derive(Debug)]
pub(crate) struct Schedules {
    store: Arc<dyn Store>,
    entries: Mutex<BTreeMap<Key, Entry>>,
    /// One change at a time: what is in memory is what is stored.
    changing: tokio::sync::Mutex<()>,
    /// Whoever waits for the next time has to look again.
    news: Notify,
}

/// A schedule and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) kept: Arc<Stored>,
    /// An error when a later version can not read it any more.
    times: Result<Arc<Times>, String>,
    pub(crate) state: State,
    /// The first time that was not taken in.
    next: Option<Timestamp>,
    /// Whether the state is stored as it is here.
    saved: bool,
    /// Of what could not be submitted or stored: when it is tried again, and how often it was.
    retry: Option<(Timestamp, u32)>,
}

/// What is stored of a schedule, its state apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stored {
    pub(crate) definition: Definition,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

/// What became of a schedule that was to be kept.
#[derive(Clone, Debug)]
pub(crate) enum Put {
    New(Entry),
    Replaced(Entry),
    /// Its owner has as many as one may have.
    TooMany,
    /// It is not what its owner takes it for: nothing was kept.
    Changed,
}

impl Entry {
    fn new(kept: Stored, times: Result<Times, String>, state: State) -> Self {
        let mut entry =
            Self { kept: Arc::new(kept), times: times.map(Arc::new), state, next: None, saved: true, retry: None };
        entry.find_next();
        entry
    }

    fn find_next(&mut self) {
        self.next = self.times.as_ref().ok().and_then(|times| times.next_after(self.state.since));
    }

    /// What tells it from what it was before somebody said otherwise; its state does not count.
    pub(crate) fn tag(&self) -> String {
        // What was stored as JSON is JSON.
        only::tag(&serde_json::to_string(&*self.kept).unwrap_or_default())
    }

    /// The next times, by what is known now; none while it is paused.
    pub(crate) fn next_times(&self, now: Timestamp, count: usize) -> Vec<Timestamp> {
        match &self.times {
            Ok(times) if !self.state.paused => times.next(now.max(self.state.since), count),
            Ok(_) | Err(_) => Vec::new(),
        }
    }

    /// Why its times are not known.
    pub(crate) fn unreadable(&self) -> Option<&str> {
        self.times.as_ref().err().map(String::as_str)
    }

    /// When it is to be looked at; not before what is tried again.
    fn wakes_at(&self, now: Timestamp) -> Option<Timestamp> {
        let comes = self.next.filter(|_| !self.state.paused);
        let first = [comes, self.has_to_wait().then_some(now + PACE)].into_iter().flatten().min()?;
        Some(self.retry.map_or(first, |(at, _)| first.max(at)))
    }

    fn is_due(&self, now: Timestamp) -> bool {
        let has_come = self.next.is_some_and(|next| next <= now) || self.state.is_ahead(now);
        let comes = has_come && !self.state.paused;
        (comes || self.has_to_wait()) && self.retry.is_none_or(|(at, _)| at <= now)
    }

    /// Whether something is to be done that could not be done yet.
    fn has_to_wait(&self) -> bool {
        !self.saved || !(self.state.paused || self.state.waiting.is_empty())
    }

    fn try_again(&mut self, now: Timestamp) {
        let tries = self.retry.map_or(0, |(_, tries)| tries);
        let pause = FIRST_TRY.saturating_mul(1 << tries.min(4)).min(LATE_TRY);
        self.retry = Some((now + pause, tries.saturating_add(1)));
    }
}

impl Schedules {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        let (entries, changing, news) = (Mutex::default(), tokio::sync::Mutex::default(), Notify::new());
        Self { store, entries, changing, news }
    }

    /// Takes all from the store, in the place of what is known.
    pub(crate) async fn load(&self) -> Result<(), StoreError> {
        let _alone = self.changing.lock().await;
        let states: BTreeMap<String, String> = self.store.facts(STATES).await?.into_iter().collect();
        let mut entries = BTreeMap::new();
        for (id, text) in self.store.facts(KEPT).await? {
            let name = id.strip_prefix(KEPT).unwrap_or_default();
            let Some(key) = key_of(name) else { continue };
            let stored = match serde_json::from_str::<Stored>(&text) {
                Ok(stored) => stored,
                Err(error) => {
                    warn!(schedule = name, %error, "a schedule can not be read");
                    continue;
                }
            };
            let state =
                states.get(&format!("{STATES}{name}")).and_then(|text| serde_json::from_str::<State>(text).ok());
            let state = state.filter(|state| state.of == stored.created_at);
            // Without a state nothing was ever taken in.
            let state = state.unwrap_or_else(|| State::new(stored.created_at, false));
            let times = Times::of(&stored.definition.cron, &stored.definition.time_zone);
            entries.insert(key, Entry::new(stored, times, state));
        }
        *self.entries() = entries;
        self.news.notify_one();
        Ok(())
    }

    /// Keeps a schedule, in the place of an earlier one of the name, which keeps its past: but times of another expression
    /// come from now on only. Nothing is kept unless the condition holds for the earlier one.
    pub(crate) async fn put(
        &self,
        (term, now): (Term, Timestamp),
        key: &Key,
        given: Given,
        only: &Only,
    ) -> Result<Put, AskError> {
        let _alone = self.changing.lock().await;
        let Given { definition, times, paused, .. } = given;
        let before = self.get(key);
        if !only.holds(before.as_ref().map(Entry::tag).as_deref()) {
            return Ok(Put::Changed);
        }
        if before.is_none() && self.of(&key.0).len() >= MAX_SCHEDULES {
            return Ok(Put::TooMany);
        }
        let created_at = before.as_ref().map_or(now, |entry| entry.kept.created_at);
        let mut state = before.as_ref().map_or_else(|| State::new(now, false), |entry| entry.state.clone());
        let as_before = before.as_ref().is_some_and(|entry| {
            let old = &entry.kept.definition;
            old.cron == definition.cron && old.time_zone == definition.time_zone
        });
        if !as_before {
            state.since = state.since.max(now);
            state.waiting.clear();
        }
        match paused {
            Some(true) => state.pause(),
            Some(false) => state.resume(now),
            None => {}
        }
        let stored = Stored { definition, created_at, updated_at: now };
        // First the state: it is of nobody before there is such a schedule.
        self.save(term, key, &state).await?;
        self.store.set_fact(term, &fact(KEPT, key), &json(&stored)?).await?;
        let entry = Entry::new(stored, Ok(times), state);
        self.entries().insert(key.clone(), entry.clone());
        self.news.notify_one();
        Ok(if before.is_some() { Put::Replaced(entry) } else { Put::New(entry) })
    }

    /// All of a user, in the order of their names.
    pub(crate) fn of(&self, owner: &UserId) -> Vec<(ScheduleName, Entry)> {
        let entries = self.entries();
        let own = entries.iter().filter(|((user, _), _)| user == owner);
        own.map(|((_, name), entry)| (name.clone(), entry.clone())).collect()
    }

    /// One of them.
    pub(crate) fn get(&self, key: &Key) -> Option<Entry> {
        self.entries().get(key).cloned()
    }

    /// Removes one; answers whether it was there. What it made goes on.
    pub(crate) async fn remove(&self, term: Term, key: &Key) -> Result<bool, AskError> {
        let _alone = self.changing.lock().await;
        let was_there = self.store.drop_fact(term, &fact(KEPT, key)).await?;
        self.store.drop_fact(term, &fact(STATES, key)).await?;
        self.entries().remove(key);
        Ok(was_there)
    }

    /// Changes the state of one, where it can be stored; none when there is no such schedule.
    pub(crate) async fn change(
        &self,
        term: Term,
        key: &Key,
        change: impl FnOnce(&mut State),
    ) -> Result<Option<Entry>, AskError> {
        let _alone = self.changing.lock().await;
        let Some(mut entry) = self.get(key) else { return Ok(None) };
        change(&mut entry.state);
        self.save(term, key, &entry.state).await?;
        (entry.saved, entry.retry) = (true, None);
        entry.find_next();
        self.entries().insert(key.clone(), entry.clone());
        self.news.notify_one();
        Ok(Some(entry))
    }

    /// Those that are to be looked at.
    fn due(&self, now: Timestamp) -> Vec<Key> {
        let entries = self.entries();
        entries.iter().filter(|(_, entry)| entry.is_due(now)).map(|(key, _)| key.clone()).collect()
    }

    /// How long nothing has to be looked at; none for ever.
    fn rest(&self, now: Timestamp) -> Option<Duration> {
        let first = self.entries().values().filter_map(|entry| entry.wakes_at(now)).min()?;
        Some(first.since(now).min(LONGEST))
    }

    /// Takes in the times of one that have come, and stores that, before anything comes of it; answers the one that is to
    /// be run now.
    async fn take_in(&self, term: Term, key: &Key, now: Timestamp, busy: bool) -> Option<(Arc<Stored>, Timestamp)> {
        let _alone = self.changing.lock().await;
        let mut entry = self.get(key)?;
        let before = entry.state.clone();
        if let Ok(times) = &entry.times
            && !entry.state.paused
        {
            entry.state.take_in(&entry.kept.definition, times, now, busy);
        }
        entry.saved &= entry.state == before;
        entry.find_next();
        self.store_state(term, key, &mut entry, now).await;
        let waits = entry.retry.is_none_or(|(at, _)| at <= now);
        let next = entry.state.next_run(entry.kept.definition.overlap, busy);
        let run = next.filter(|_| entry.saved && waits && !entry.state.paused);
        let kept = Arc::clone(&entry.kept);
        self.entries().insert(key.clone(), entry);
        run.map(|time| (kept, time))
    }

    /// Looks at one later: what has to be known for it can not be read now.
    fn postpone(&self, key: &Key, now: Timestamp) {
        if let Some(entry) = self.entries().get_mut(key) {
            entry.try_again(now);
        }
    }

    /// Notes what came of a time.
    async fn note(&self, term: Term, key: &Key, of: &Stored, ran: Result<Last, Failed>, now: Timestamp) {
        let _alone = self.changing.lock().await;
        // Removed meanwhile, and perhaps made anew.
        let Some(mut entry) = self.get(key).filter(|entry| entry.kept.created_at == of.created_at) else { return };
        match ran {
            Ok(last) => {
                entry.state.ran(last);
                entry.retry = None;
            }
            Err(failed) => {
                let again = failed.again;
                entry.state.failed(failed);
                if again {
                    entry.try_again(now);
                } else {
                    entry.retry = None;
                }
            }
        }
        entry.saved = false;
        self.store_state(term, key, &mut entry, now).await;
        self.entries().insert(key.clone(), entry);
    }

    /// Stores the state unless it is; what does not go through is tried again.
    async fn store_state(&self, term: Term, key: &Key, entry: &mut Entry, now: Timestamp) {
        if entry.saved {
            return;
        }
        match self.save(term, key, &entry.state).await {
            Ok(()) => entry.saved = true,
            Err(error) => {
                warn!(user = %key.0, schedule = %key.1, %error, "the state of a schedule was not stored");
                if entry.retry.is_none_or(|(at, _)| at <= now) {
                    entry.try_again(now);
                }
            }
        }
    }

    async fn save(&self, term: Term, key: &Key, state: &State) -> Result<(), AskError> {
        self.store.set_fact(term, &fact(STATES, key), &json(state)?).await.map_err(AskError::from)
    }

    /// Returns when something has changed since the last time.
    async fn changed(&self) {
        self.news.notified().await;
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<Key, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fact(prefix: &str, (owner, name): &Key) -> String {
    format!("{prefix}{owner}/{name}")
}

/// The inverse of [`fact`], without its prefix.
fn key_of(name: &str) -> Option<Key> {
    let (owner, name) = name.split_once('/')?;
    Some((owner.parse().ok()?, name.parse().ok()?))
}

fn json<T: Serialize>(value: &T) -> Result<String, AskError> {
    serde_json::to_string(value).map_err(|why| AskError::Internal(why.to_string()))
}
