//! What attempts took of the cluster, added up by whom or what it was for.
//!
//! By user and by project it comes from the sums of the store, which stay when tasks go. By label and by name it is
//! added up from the tasks that are stored, a bounded number of them.

use super::Handle;
use crate::auth::{Identity, Project};
use crate::mailbox::AskError;
use crate::principal::{Principal, Role};
use cloudai_core::ids::UserId;
use cloudai_core::task::TaskRecord;
use cloudai_core::time::Timestamp;
use cloudai_store::consumed::{Consumed, HOUR, hour_of};
use cloudai_store::query::{MAX_LIMIT, TaskQuery};
use std::collections::BTreeMap;

/// How many ended tasks are looked at for a report by label or name: a second's work.
const MOST_TASKS: usize = 50_000;

/// By whom or what it is added up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum By {
    User,
    Project,
    Label(String),
    Name,
}

/// Whose or what it is; none for tasks without such a label or name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) key: Option<String>,
    pub(crate) sum: Consumed,
    /// What their files come to now; none where that is not known.
    pub(crate) kept_bytes: Option<u64>,
}

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Report {
    /// The time that it is of.
    pub(crate) since: Timestamp,
    pub(crate) until: Timestamp,
    /// In the order of their keys.
    pub(crate) rows: Vec<Row>,
    /// There were more tasks than are looked at: the earliest submitted are left out.
    pub(crate) cut: bool,
}

impl Handle {
    /// What was taken between two times, of those whom the caller may see. By user and project it is told in whole
    /// hours.
    /// # Errors
    /// [`AskError::Store`].
    pub(crate) async fn consumption(
        &self,
        who: &Principal,
        by: &By,
        (since, until): (Timestamp, Timestamp),
    ) -> Result<Report, AskError> {
        match by {
            By::User | By::Project => {
                let hours = hour_of(since)..until.as_millis().div_ceil(HOUR);
                let start = |hour: u64| Timestamp::from_millis(hour.saturating_mul(HOUR));
                let (since, until) = (start(hours.start), start(hours.end));
                let mut users = BTreeMap::new();
                for (user, sum) in self.shared.store.consumed(hours, None).await? {
                    if who.may_see(&user) {
                        let kept = self.shared.store.usage(&user, &[]).await?.bytes;
                        users.insert(user, (sum, kept));
                    }
                }
                let rows = if *by == By::Project { self.by_project(who, &users) } else { by_user(users) };
                Ok(Report { since, until, rows, cut: false })
            }
            By::Label(label) => {
                self.by_task(who, (since, until), |task| task.spec.labels.get(label.as_str()).cloned()).await
            }
            By::Name => self.by_task(who, (since, until), |task| task.spec.name.as_deref().map(Into::into)).await,
        }
    }

    /// The sums of the members of each project. Who is a member of two counts in both.
    fn by_project(&self, who: &Principal, users: &BTreeMap<UserId, (Consumed, u64)>) -> Vec<Row> {
        let projects = self.identity().map(Identity::all_projects).unwrap_or_default();
        let seen = |project: &Project| who.has(Role::Operator) || project.members.contains(&who.user);
        let mut rows = Vec::new();
        for (name, project) in projects.into_iter().filter(|(_, project)| seen(project)) {
            let theirs = || project.members.iter().filter_map(|member| users.get(member));
            let sum = theirs().fold(Consumed::default(), |sum, (more, _)| sum.plus(*more));
            let kept = theirs().fold(0_u64, |sum, (_, more)| sum.saturating_add(*more));
            rows.push(Row { key: Some(name.to_string()), sum, kept_bytes: Some(kept) });
        }
        rows
    }

    /// The sums of tasks that have ended and are still stored, those that were submitted last.
    async fn by_task(
        &self,
        who: &Principal,
        (since, until): (Timestamp, Timestamp),
        key: impl Fn(&TaskRecord) -> Option<String> + Send,
    ) -> Result<Report, AskError> {
        let mut sums: BTreeMap<Option<String>, Consumed> = BTreeMap::new();
        let (mut looked, mut cursor, mut cut) = (0, None, false);
        loop {
            let query = TaskQuery { expand: true, limit: MAX_LIMIT, cursor, ..TaskQuery::default() };
            let page = self.shared.store.tasks(&query).await?;
            looked += page.items.len();
            for task in page.items.iter().filter(|task| who.may_see(&task.owner)) {
                let more = Consumed::of_task(task, since, until);
                if more != Consumed::default() {
                    let sum = sums.entry(key(task)).or_default();
                    *sum = sum.plus(more);
                }
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
            if looked >= MOST_TASKS {
                cut = true;
                break;
            }
        }
        let rows = sums.into_iter().map(|(key, sum)| Row { key, sum, kept_bytes: None }).collect();
        Ok(Report { since, until, rows, cut })
    }
}

fn by_user(users: BTreeMap<UserId, (Consumed, u64)>) -> Vec<Row> {
    let row = |(user, (sum, kept)): (UserId, (Consumed, u64))| Row {
        key: Some(user.as_str().to_owned()),
        sum,
        kept_bytes: Some(kept),
    };
    users.into_iter().map(row).collect()
}
