//! Which events a client wants, and from where on.

use super::super::query::Parameters;
use crate::feed::{Happened, What};
use crate::handle::Facts;
use crate::principal::Principal;
use cloudai_core::ids::{IdError, JobId, TaskId, UserId};
use std::fmt;

/// The kinds of events, as they are called.
const KINDS: [&str; 4] = ["task", "job", "worker", "strategy"];

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    /// All when empty.
    kinds: Vec<&'static str>,
    task: Option<TaskId>,
    job: Option<JobId>,
    owner: Option<UserId>,
    /// The first event, where one is named.
    pub(super) from: Option<Place>,
}

/// An event, as a client names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Of which life: incarnation and term; the present one where nothing is said.
    life: Option<(u64, u64)>,
    seq: u64,
}

impl Place {
    /// The number, if it is of this life of the cluster and of its master.
    pub(super) fn within(self, facts: &Facts) -> Option<u64> {
        let here = (facts.incarnation.0, facts.term.0);
        self.life.is_none_or(|life| life == here).then_some(self.seq)
    }

    /// What `from_seq` and ids of events are read from.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let wrong = || "is no event: pass the id of one as it is, or its number".to_owned();
        let numbers: Result<Vec<u64>, _> = text.split('.').map(str::parse).collect();
        match numbers.map_err(|_| wrong())?[..] {
            [seq] => Ok(Self { life: None, seq }),
            [incarnation, term, seq] => Ok(Self { life: Some((incarnation, term)), seq }),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.seq)
    }
}

impl Wanted {
    pub(super) fn read(query: &mut Parameters) -> Self {
        let of_id = |error: IdError| error.to_string();
        Self {
            kinds: query.parsed("types", kinds).unwrap_or_default(),
            task: query.parsed("task", |text| text.parse().map_err(of_id)),
            job: query.parsed("job", |text| text.parse().map_err(of_id)),
            owner: query.parsed("user", |text| text.parse().map_err(of_id)),
            from: query.parsed("from_seq", Place::read),
        }
    }

    /// Whether an event is one of those, and one that this caller may see.
    pub(super) fn has(&self, happened: &Happened, who: &Principal) -> bool {
        let is_owner = |owner: &UserId| who.may_see(owner) && self.owner.as_ref().is_none_or(|wanted| wanted == owner);
        let (kind, fits) = match &happened.what {
            What::Task(task) => {
                let in_job = self.job.is_none_or(|job| task.job == Some(job));
                (KINDS[0], is_owner(&task.owner) && in_job && self.task.is_none_or(|id| is_of(id, task.id)))
            }
            What::Job(job) => {
                let is_it = self.task.is_none() && self.job.is_none_or(|id| id == job.id);
                (KINDS[1], is_owner(&job.owner) && is_it)
            }
            What::Worker(_) => (KINDS[2], self.is_of_nobody()),
            What::Strategy(_) => (KINDS[3], self.is_of_nobody()),
        };
        fits && (self.kinds.is_empty() || self.kinds.contains(&kind))
    }

    /// Whether it asks for nothing that belongs to somebody.
    const fn is_of_nobody(&self) -> bool {
        self.task.is_none() && self.job.is_none() && self.owner.is_none()
    }
}

/// Whether a task is the one that is meant, or an element of the array that is.
fn is_of(wanted: TaskId, task: TaskId) -> bool {
    wanted == task || (wanted.index().is_none() && wanted.ulid() == task.ulid())
}

fn kinds(text: &str) -> Result<Vec<&'static str>, String> {
    let kind = |word: &str| {
        let known = KINDS.into_iter().find(|kind| *kind == word.trim());
        known.ok_or_else(|| format!("{word:?} is not one of {}", KINDS.join(", ")))
    };
    text.split(',').map(kind).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::query::tests::of;
    use super::*;
    use crate::feed::{JobChange, TaskChange, WorkerChange};
    use crate::principal::Role;
    use cloudai_core::job::JobStatus;
    use cloudai_core::state::Status;
    use cloudai_core::time::Timestamp;
    use std::sync::Arc;

    fn user(name: &str) -> UserId {
        name.parse().unwrap()
    }

    /// A task of ann's in a job, that job, a worker, a strategy.
    fn all() -> Vec<Happened> {
        let task = TaskChange {
            id: TaskId::new(7).element(3),
            owner: user("ann"),
            job: Some(JobId::new(6)),
            status: Status::Queued,
            phase: None,
            reason: None,
            attempt: 0,
            worker: None,
            exit_code: None,
        };
        let job = JobChange { id: JobId::new(6), owner: user("ann"), status: JobStatus::Queued };
        let worker = WorkerChange { id: "w1".parse().unwrap(), status: None, duty: "open" };
        let whats = [What::Task(task), What::Job(job), What::Worker(worker), What::Strategy("ai".into())];
        whats.into_iter().map(|what| Happened { seq: 1, at: Timestamp::ZERO, what }).collect()
    }

    fn seen(query: &str, who: &Principal) -> Vec<bool> {
        let mut query = of(query);
        let wanted = Wanted::read(&mut query);
        query.close().unwrap();
        all().iter().map(|happened| wanted.has(happened, who)).collect()
    }

    #[test]
    fn a_client_gets_what_it_asks_for_and_nothing_else() {
        let ann = Principal::person(user("ann"), Role::User, Arc::default());
        let (array, element) = (TaskId::new(7), TaskId::new(7).element(3));
        let rows = [
            (String::new(), [true, true, true, true]),
            ("types=task,worker".into(), [true, false, true, false]),
            (format!("task={array}"), [true, false, false, false]),
            (format!("task={element}"), [true, false, false, false]),
            (format!("task={}", TaskId::new(7).element(4)), [false; 4]),
            (format!("job={}", JobId::new(6)), [true, true, false, false]),
            (format!("job={}", JobId::new(5)), [false; 4]),
            ("user=ann".into(), [true, true, false, false]),
            ("user=bob".into(), [false; 4]),
        ];
        for (query, expected) in rows {
            assert_eq!(seen(&query, &ann), expected, "{query}");
        }
    }

    #[test]
    fn what_belongs_to_others_is_seen_by_none_but_operators_and_their_team() {
        let bob = |role, team: &[&str]| {
            Principal::person(user("bob"), role, Arc::new(team.iter().map(|name| user(name)).collect()))
        };
        assert_eq!(seen("", &bob(Role::User, &[])), [false, false, true, true]);
        assert_eq!(seen("", &bob(Role::User, &["ann"])), [true; 4]);
        assert_eq!(seen("", &bob(Role::Operator, &[])), [true; 4]);
    }

    #[test]
    fn an_event_is_named_by_its_id_or_its_number() {
        assert_eq!(Place::read("17"), Ok(Place { life: None, seq: 17 }));
        assert_eq!(Place::read("1.3.17"), Ok(Place { life: Some((1, 3)), seq: 17 }));
        for bad in ["", "x", "1.2", "1.2.3.4", "-1", "1..2"] {
            assert!(Place::read(bad).unwrap_err().contains("is no event"), "{bad}");
        }
    }
}
