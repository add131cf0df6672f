//! What a job is made of: fixed when it is accepted.

use super::item;
use super::{Indexes, Item};
use crate::ids::{JobId, TaskId};
use crate::spec::TaskSpec;
use crate::task::DependsWhen;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The most named tasks of one job.
pub const MAX_GROUPS: usize = 200_000;
/// The most tasks of one job, elements counted.
pub const MAX_TASKS: u64 = 10_000_000;

/// The most elements of an array that start together: they are placed by one commit.
pub const MAX_GANG: u32 = 256;

/// The tasks of a job and what each waits for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobPlan {
    /// A name for people; need not be unique.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Arc<str>>,
    /// When more of its tasks than this have failed, what is left is cancelled; never when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_fails: Option<u32>,
    /// In the order of the file, with different names, and so that what they need stands anywhere but in a circle.
    pub groups: Vec<Group>,
}

/// A named task of a job, or all elements of an array: what is alike but for the values of elements.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Unique in its job: 1 to 63 of `a-z A-Z 0-9 . _ -`, and nothing that looks like a task's id.
    pub name: Arc<str>,
    /// What its tasks run; the texts have places for the values of elements.
    pub spec: Arc<TaskSpec>,
    /// Absent for what is one task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elements: Option<Elements>,
    /// What must have ended before any of them starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Need>,
}

/// The elements of an array.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Elements {
    /// Which indexes it has.
    pub indexes: Indexes,
    /// At most so many of them have a record and have not ended; as many as there is room for when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_once: Option<u32>,
    /// They start together or not at all.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gang: bool,
    /// The parameters of each, by its ordinal; empty when they differ by their index alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub each: Vec<Item>,
}

/// Another task whose end is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// Which.
    pub on: On,
    /// Which end of it; an array has completed when all of its elements have.
    pub when: DependsWhen,
}

/// What a need is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum On {
    /// A group of the same job, by its place in the plan.
    Group(u32),
    /// A task outside of the job.
    Task(TaskId),
}

/// A task of a job by its place in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Of its group.
    pub group: u32,
    /// Among the elements of the group; 0 for what is one task.
    pub ordinal: u32,
}

impl Need {
    /// The group that it is about; none for a task outside of the job.
    #[must_use]
    pub const fn group(&self) -> Option<u32> {
        match self.on {
            On::Group(number) => Some(number),
            On::Task(_) => None,
        }
    }
}

impl Group {
    /// How many tasks it has.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.elements.as_ref().map_or(1, |elements| elements.indexes.count())
    }

    /// Whether its elements start together or not at all.
    #[must_use]
    pub fn is_gang(&self) -> bool {
        self.elements.as_ref().is_some_and(|elements| elements.gang)
    }

    /// The index of an element; none for what is no array.
    #[must_use]
    pub fn index(&self, ordinal: u32) -> Option<u32> {
        self.elements.as_ref().and_then(|elements| elements.indexes.nth(ordinal))
    }

    /// What a task of it runs; shared where its elements are alike.
    /// # Errors
    /// The first place for a value that this element has not; never of a plan that was accepted.
    pub fn spec_of(&self, ordinal: u32) -> Result<Arc<TaskSpec>, String> {
        let item = self.elements.as_ref().and_then(|elements| elements.each.get(ordinal as usize));
        let gang = self.is_gang().then(|| self.count());
        if item.is_none() && gang.is_none() && !item::has_places(&self.spec) {
            return Ok(Arc::clone(&self.spec));
        }
        let mut spec = item::of_element(&self.spec, self.index(ordinal), item)?;
        spec.container.env.extend(gang.map(|size| (item::GANG_SIZE.to_owned(), size.to_string())));
        Ok(Arc::new(spec))
    }
}

impl JobPlan {
    /// How many tasks the job has.
    #[must_use]
    pub fn tasks(&self) -> u64 {
        self.groups.iter().map(|group| u64::from(group.count())).sum()
    }

    /// How many of its groups are arrays.
    #[must_use]
    pub fn arrays(&self) -> u32 {
        let arrays = self.groups.iter().filter(|group| group.elements.is_some()).count();
        u32::try_from(arrays).unwrap_or(u32::MAX)
    }

    /// A group by its place.
    #[must_use]
    pub fn group(&self, number: u32) -> Option<&Group> {
        self.groups.get(number as usize)
    }

    /// The place of a group by its name.
    #[must_use]
    pub fn group_named(&self, name: &str) -> Option<u32> {
        let place = self.groups.iter().position(|group| &*group.name == name)?;
        u32::try_from(place).ok()
    }

    /// The id of a task of the job. Ids of groups follow that of the job.
    #[must_use]
    pub fn task_id(&self, job: JobId, place: Place) -> TaskId {
        let id = job.group(place.group);
        let index = self.group(place.group).and_then(|group| group.index(place.ordinal));
        index.map_or(id, |index| id.element(index))
    }

    /// Which task of the job an id names; none for an array as a whole, and for what is not of this job.
    #[must_use]
    pub fn place_of(&self, job: JobId, id: TaskId) -> Option<Place> {
        let group = job.group_of(id)?;
        let ordinal = match (&self.group(group)?.elements, id.index()) {
            (None, None) => 0,
            (Some(elements), Some(index)) => elements.indexes.ordinal_of(index)?,
            (None, Some(_)) | (Some(_), None) => return None,
        };
        Some(Place { group, ordinal })
    }

    /// The place of each group's first task among all tasks of the job, in the order of the plan.
    #[must_use]
    pub fn offsets(&self) -> Vec<u64> {
        let mut sum = 0;
        let before = |group: &Group| {
            let before = sum;
            sum += u64::from(group.count());
            before
        };
        self.groups.iter().map(before).collect()
    }

    /// Bytes of the texts in it, about.
    #[must_use]
    pub fn weight(&self) -> usize {
        const PLAIN: usize = 400;
        let each = |elements: &Elements| elements.each.iter().map(Item::weight).sum::<usize>();
        let group = |group: &Group| {
            PLAIN + group.spec.weight() + group.elements.as_ref().map_or(0, each) + 40 * group.needs.len()
        };
        self.groups.iter().map(group).sum()
    }
}
