//! What this host has and how much of it is in use.

pub(crate) mod cgroup;
pub mod gpu;
pub mod host;
mod limits;
