//! Jobs: named groups of tasks that are submitted, watched and ended together.
//!
//! A [`JobPlan`] says what a job is made of and never changes. Its tasks have no records of their own until they may
//! be placed: what is known of those follows from the plan, from the [`JobRecord`] and from the records of the others
//! ([`Progress`]). People write a plan as a [`JobFile`] and see it as a [`graph`].

pub mod graph;
mod groups;
mod indexes;
mod item;
mod order;
mod plan;
mod progress;
mod ranges;
mod read;
mod record;
mod schema;
mod shape;
mod single;
mod stored;
mod unborn;

pub use groups::Groups;
pub use indexes::{Indexes, Span};
pub use item::Item;
pub use plan::{Elements, Group, JobPlan, MAX_GANG, MAX_GROUPS, MAX_TASKS, Need, On, Place};
pub use progress::{Fate, GroupProgress, Progress, Stage};
pub use ranges::Ranges;
pub use read::JobFile;
pub use record::{Counts, Done, Dropped, JobEnd, JobRecord, JobStatus, Stop, StoredJob, Sweep};
pub use schema::{schema, task_schema};
pub use single::TaskFile;
pub use stored::StoredJobs;
pub use unborn::Whole;
