//! Schedules: kept, paused and removed by their owners; what they are of is submitted here, too.

use super::Handle;
use super::made::Run;
use super::templates::NotMade;
use crate::mailbox::AskError;
use crate::only::Only;
use crate::principal::Principal;
use crate::schedules::definition::{Given, What};
use crate::schedules::state::Last;
use crate::schedules::{Entry, Key, Put};
use cloudai_core::ids::ScheduleName;
use cloudai_core::rfc3339;
use cloudai_core::spec::Value;
use cloudai_core::template::{MADE_AT, MADE_BY, Makes, with_field, with_labels};
use cloudai_core::time::Timestamp;
use tracing::{info, warn};

impl Handle {
    /// The time on the wall, by which schedules come.
    pub(crate) fn wall(&self) -> Timestamp {
        self.shared.clock.wall()
    }

    /// Keeps a schedule of the caller's, in the place of an earlier one of the name.
    pub(crate) async fn put_schedule(
        &self,
        who: &Principal,
        name: &ScheduleName,
        given: Given,
        now: Timestamp,
        only: &Only,
    ) -> Result<Put, AskError> {
        let put = self.shared.schedules.put((self.facts().term, now), &key(who, name), given, only).await?;
        if matches!(put, Put::New(_) | Put::Replaced(_)) {
            info!(user = %who.user, schedule = %name, "a schedule was kept");
        }
        Ok(put)
    }

    /// The caller's schedules, in the order of their names.
    pub(crate) fn schedules(&self, who: &Principal) -> Vec<(ScheduleName, Entry)> {
        self.shared.schedules.of(&who.user)
    }

    /// One of the caller's.
    pub(crate) fn schedule(&self, who: &Principal, name: &ScheduleName) -> Option<Entry> {
        self.shared.schedules.get(&key(who, name))
    }

    /// Removes one of the caller's; answers whether it was there. What it made goes on.
    pub(crate) async fn remove_schedule(&self, who: &Principal, name: &ScheduleName) -> Result<bool, AskError> {
        let removed = self.shared.schedules.remove(self.facts().term, &key(who, name)).await?;
        if removed {
            info!(user = %who.user, schedule = %name, "a schedule was removed");
        }
        Ok(removed)
    }

    /// Keeps times of one of the caller's from coming, or lets them come again from now on; none when it is not there.
    pub(crate) async fn pause_schedule(
        &self,
        who: &Principal,
        name: &ScheduleName,
        pause: bool,
        now: Timestamp,
    ) -> Result<Option<Entry>, AskError> {
        let change = |state: &mut crate::schedules::state::State| {
            if pause { state.pause() } else { state.resume(now) }
        };
        let changed = self.shared.schedules.change(self.facts().term, &key(who, name), change).await?;
        if changed.is_some() {
            info!(user = %who.user, schedule = %name, paused = pause, "a schedule was paused or resumed");
        }
        Ok(changed)
    }

    /// Submits now what one of the caller's is of, whatever its times are and whatever else of it runs; none when it is
    /// not there.
    pub(crate) async fn run_schedule(
        &self,
        who: &Principal,
        name: &ScheduleName,
        idempotency_key: Option<&str>,
        now: Timestamp,
    ) -> Result<Option<Run>, NotMade> {
        let Some(entry) = self.schedule(who, name) else { return Ok(None) };
        let run = self.submit_scheduled(who, name, &entry.kept.definition.what, now, idempotency_key).await?;
        info!(user = %who.user, schedule = %name, made = %run.made, fresh = run.fresh, "a schedule was run by hand");
        if run.fresh {
            let last = Last { time: None, at: now, made: run.made };
            let noted = self.shared.schedules.change(self.facts().term, &key(who, name), |state| state.ran(last)).await;
            if let Err(error) = noted {
                // It runs: whoever asked is told so.
                warn!(user = %who.user, schedule = %name, %error, "a run by hand was not noted");
            }
        }
        Ok(Some(run))
    }

    /// Submits what a schedule is of for one of its times, under a key where one is given.
    pub(crate) async fn submit_scheduled(
        &self,
        who: &Principal,
        name: &ScheduleName,
        what: &What,
        time: Timestamp,
        idempotency_key: Option<&str>,
    ) -> Result<Run, NotMade> {
        let (makes, document) = match what {
            What::Task(document) => (Makes::Task, document.clone()),
            What::Job(document) => (Makes::Job, document.clone()),
            What::Template(used) => self.filled(who, used).await?,
        };
        let labels = [(MADE_BY, name.to_string()), (MADE_AT, rfc3339::format(time))];
        let mut document = with_labels(document, &labels);
        if let Some(key) = idempotency_key {
            document = with_field(document, "idempotency_key", Value::Text(key.to_owned()));
        }
        Ok(self.submit_document(who, makes, &document).await?)
    }
}

fn key(who: &Principal, name: &ScheduleName) -> Key {
    (who.user.clone(), name.clone())
}
