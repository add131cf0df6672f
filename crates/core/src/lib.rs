//! The decisions of CloudAI as pure code.
//!
//! Reading order: [`ids`], [`time`], [`resources`], [`spec`], [`state`] (words); [`task`],
//! [`worker`] (records); [`event`] and [`effect`] (everything that goes in and comes out);
//! [`cluster`] (the master's decisions, one file for each family of events) with [`feasible`], [`need`], [`label`], [`kin`],
//! [`verdict`] and [`retry`]; [`waiting`] (why a task has no place); [`batch`] (what is committed together); [`images`] (what a worker has of them); [`log_room`] (what of a log is kept); [`debug`] (what is shown of all this); [`strategy`] (proposals); [`predict`] (how long tasks will run); [`sizing`] (what they should ask for);
//! [`policy`] (what an operator lets tasks ask for);
//! [`template`] (documents with places for parameters); [`planted`] (faults that suites must catch); [`agent`] (the worker's decisions).
//!
//! Forbidden here: IO, clocks, randomness, `HashMap` order, async, protobuf, `serde_json::Value`.
//! Callers pass the time and the ids in; the same code runs in the master, in the worker and in
//! the simulator.

#![warn(clippy::wildcard_enum_match_arm)]

pub mod access;
mod advice;
pub mod agent;
pub mod batch;
pub mod cluster;
pub mod debug;
pub mod duty;
pub mod effect;
pub mod event;
pub mod feasible;
pub mod ids;
pub mod images;
pub mod job;
pub mod kin;
pub mod label;
pub mod ledger;
pub mod log_room;
pub mod need;
pub mod path;
pub mod planted;
pub mod policy;
pub mod predict;
pub mod preemption;
pub mod queue;
pub mod resources;
pub mod retry;
pub mod rfc3339;
pub mod sha256;
pub mod sizing;
pub mod spec;
pub mod state;
pub mod strategy;
pub mod task;
pub mod template;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod text;
pub mod time;
pub mod timing;
mod unmet;
pub mod verdict;
pub mod waiting;
pub mod worker;
