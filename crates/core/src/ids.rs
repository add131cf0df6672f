//! The names of things: types that are printed with their prefix and made only by parsing.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use ulid::Ulid;

/// Why a text is not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is no {kind}: {allowed}")]
pub struct IdError {
    /// What was asked for, as `task id`.
    pub kind: &'static str,
    /// The refused text, shortened.
    pub value: String,
    /// The form that is allowed.
    pub allowed: &'static str,
}

impl IdError {
    fn new(kind: &'static str, value: &str, allowed: &'static str) -> Self {
        Self { kind, value: value.chars().take(80).collect(), allowed }
    }
}

/// Serialises a type by its text form.
macro_rules! as_text {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

/// A ulid as its halves, high and low: there are millions of them, and the alignment of a `u128`
/// would make every record that holds one larger.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Halves(u64, u64);

impl Halves {
    #[allow(clippy::cast_possible_truncation, reason = "the halves are cut out here")]
    const fn of(ulid: u128) -> Self {
        Self((ulid >> 64) as u64, ulid as u64)
    }

    const fn whole(self) -> u128 {
        ((self.0 as u128) << 64) | self.1 as u128
    }
}

/// What a user submitted; one for life. An array element carries its index.
///
/// Printed as `task-<ulid>` or `task-<ulid>.<index>`; the stored key is the pair.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    ulid: Halves,
    index: Option<u32>,
}

impl TaskId {
    const KIND: &'static str = "task id";
    const FORM: &'static str = "task-<26 characters>, an array element with .<index>";
    /// What every task id begins with.
    pub const PREFIX: &'static str = "task-";

    /// The id of a task, or of a whole array.
    #[must_use]
    pub const fn new(ulid: u128) -> Self {
        Self { ulid: Halves::of(ulid), index: None }
    }

    /// The id of one element of this array.
    #[must_use]
    pub const fn element(self, index: u32) -> Self {
        Self { ulid: self.ulid, index: Some(index) }
    }

    /// The first half of the key: 48 bits of milliseconds, 80 bits of randomness.
    #[must_use]
    pub const fn ulid(self) -> u128 {
        self.ulid.whole()
    }

    /// The second half of the key; none for a task that is no array element.
    #[must_use]
    pub const fn index(self) -> Option<u32> {
        self.index
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Self::PREFIX, Ulid(self.ulid()))?;
        self.index.map_or(Ok(()), |index| write!(f, ".{index}"))
    }
}

impl FromStr for TaskId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let wrong = || IdError::new(Self::KIND, text, Self::FORM);
        let rest = text.strip_prefix(Self::PREFIX).ok_or_else(wrong)?;
        let (ulid, index) = rest.split_once('.').map_or((rest, None), |(u, i)| (u, Some(i)));
        let ulid = Ulid::from_string(ulid).map_err(|_| wrong())?.0;
        let index = index.map(|i| parse_index(i).ok_or_else(wrong)).transpose()?;
        Ok(Self { index, ..Self::new(ulid) })
    }
}

/// A decimal number in its only form: no sign, no leading zero.
fn parse_index(text: &str) -> Option<u32> {
    let index: u32 = text.parse().ok()?;
    (index.to_string() == text).then_some(index)
}

as_text!(TaskId);

/// One execution of a task: the fencing token of every report.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Attempt {
    /// The task that is executed.
    pub task: TaskId,
    /// 1 for the first execution, then one more each time.
    pub number: u32,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} attempt {}", self.task, self.number)
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.task, self.number)
    }
}

/// A named group of tasks; printed as `job-<ulid>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(Halves);

impl JobId {
    /// The id of a job.
    #[must_use]
    pub const fn new(ulid: u128) -> Self {
        Self(Halves::of(ulid))
    }

    /// The number behind its text: 48 bits of milliseconds, 80 bits of randomness.
    #[must_use]
    pub const fn ulid(self) -> u128 {
        self.0.whole()
    }

    /// The id of the task, or array, at a place of its plan. Such ids follow the job's own number, so that nothing has
    /// to be kept to find the one by the other.
    #[must_use]
    pub const fn group(self, place: u32) -> TaskId {
        TaskId::new(self.ulid().wrapping_add(1 + place as u128))
    }

    /// Under which id the job holds what the tasks at a place of its plan find: no task has it, for no array has so large
    /// an index.
    #[must_use]
    pub const fn holder(self, place: u32) -> TaskId {
        self.group(place).element(u32::MAX)
    }

    /// The place in its plan that a task's id would have.
    #[must_use]
    pub fn group_of(self, task: TaskId) -> Option<u32> {
        u32::try_from(task.ulid().wrapping_sub(self.ulid()).wrapping_sub(1)).ok()
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "job-{}", Ulid(self.0.whole()))
    }
}

impl FromStr for JobId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        text.strip_prefix("job-")
            .and_then(|ulid| Ulid::from_string(ulid).ok())
            .map(|ulid| Self::new(ulid.0))
            .ok_or_else(|| IdError::new("job id", text, "job-<26 characters>"))
    }
}

as_text!(JobId);

/// A name that people choose: 1 to 63 of `a-z A-Z 0-9 . _ -`, beginning with a letter or digit.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                let form = "1 to 63 of a-z A-Z 0-9 . _ -, beginning with a letter or digit";
                let first = text.starts_with(|c: char| c.is_ascii_alphanumeric());
                let rest = text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
                if first && rest && text.len() <= 63 {
                    Ok(Self(text.into()))
                } else {
                    Err(IdError::new($kind, text, form))
                }
            }
        }

        as_text!($name);
    };
}

name!(
    /// An agent on a host.
    WorkerId,
    "worker id"
);
name!(
    /// What a stored secret is called by its owner.
    SecretName,
    "secret's name"
);
name!(
    /// What a stored template is called by its owner.
    TemplateName,
    "template's name"
);
name!(
    /// What a schedule is called by its owner.
    ScheduleName,
    "schedule's name"
);
name!(
    /// What a team is called.
    ProjectName,
    "project's name"
);
name!(
    /// Who owns a task. `local` on a cluster without identities.
    UserId,
    "user name"
);

impl UserId {
    /// The one user of a cluster without identities.
    #[must_use]
    pub fn local() -> Self {
        Self("local".into())
    }

    /// Whom workers act as towards their master; owns nothing.
    #[must_use]
    pub fn workers() -> Self {
        Self("system.workers".into())
    }

    /// Whom external schedulers act as; owns nothing.
    #[must_use]
    pub fn agents() -> Self {
        Self("system.agents".into())
    }

    /// Whom those act as who look at what is open on the master's own machine; owns nothing.
    #[must_use]
    pub fn guests() -> Self {
        Self("system.guests".into())
    }

    /// Whether no person is called so: the cluster itself is.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        *self == Self::local() || self.as_str().starts_with("system.")
    }
}

/// A number that only grows.
macro_rules! counter {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// The number after this one.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

counter!(
    /// Fences masters: a commit or command under an older term is refused.
    Term
);
counter!(
    /// Which life of the cluster's data this is: a restored backup is a new one.
    Incarnation
);
counter!(
    /// One registration of a worker; commands of an older one are dropped by the agent.
    Session
);
counter!(
    /// The place of a command in its session, from 1.
    CommandSeq
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_id_is_read_back_as_printed() {
        let id = TaskId::new(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        for id in [id, id.element(0), id.element(u32::MAX)] {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
    }

    #[test]
    fn a_text_that_is_no_id_is_refused_with_the_form() {
        let good = TaskId::new(7).to_string();
        for bad in ["", "task-", "7", &good[5..], &format!("{good}."), &format!("{good}.01"), &format!("{good}.-1")] {
            let error = bad.parse::<TaskId>().unwrap_err();
            assert!(error.to_string().contains("task-<26 characters>"), "{bad}: {error}");
        }
    }

    #[test]
    fn a_name_has_63_plain_characters_at_most() {
        for good in ["a", "gpu-01", "w.x_y", &"a".repeat(63)] {
            assert!(good.parse::<WorkerId>().is_ok(), "{good}");
        }
        for bad in ["", "-a", ".a", "a b", "ä", "a/b", &"a".repeat(64)] {
            assert!(bad.parse::<WorkerId>().is_err(), "{bad}");
        }
    }
}
