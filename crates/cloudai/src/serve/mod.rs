//! Starts what the settings describe; returns when it was asked to stop.

mod local;
mod logging;
mod master;
mod policy;
mod stop;
mod up;
mod worker;

pub(crate) use master::run_master;
pub(crate) use up::run_up;
pub(crate) use worker::{folder as worker_folder, run_worker};
