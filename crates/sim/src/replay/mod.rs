//! Schedules of recorded workloads: the strategies of the core on a trace, without any protocol.
//!
//! [`workload`] is what is read, [`run`] makes a schedule of it. The world of `crate::world` runs the
//! whole master; this runs its strategies alone, so that 100,000 tasks take seconds.

mod clock;
pub mod run;
pub mod workload;

pub use run::{Assignment, Replay, ReplayError, Runtimes, schedule};
pub use workload::{Machine, Task, Workload};
