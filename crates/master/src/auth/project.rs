//! A project as it is stored: whose members see each other's tasks, files and logs.

use cloudai_core::ids::UserId;
use cloudai_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Before the names of the facts of projects.
pub(crate) const PREFIX: &str = "project/";
/// The most projects.
pub(crate) const MOST: usize = 1000;
/// The most members of one.
pub(crate) const MOST_MEMBERS: usize = 1000;

/// A project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Project {
    pub(crate) members: BTreeSet<UserId>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}
