//! Schedules of recorded workloads: the strategies of the core on a trace, without any protocol.
//!
//! [`workload`] is what is read (by [`csv`] and [`swf`]), [`run`] makes a schedule of it, [`metrics`] and [`bounds`]
//! judge it, [`actual`] is the schedule that really was, [`report`] writes all down with the drawings of `plot`. The world of `crate::world` runs the
//! whole master; this runs its strategies alone, so that 100,000 tasks take seconds.

pub mod actual;
pub mod bounds;
mod clock;
pub mod csv;
mod feasible;
pub mod figure;
pub mod meaning;
pub mod metrics;
mod oracle;
mod page;
mod plot;
pub mod protocol;
mod read;
pub mod report;
pub mod run;
mod stats;
mod sweep;
pub mod swf;
pub mod workload;
pub mod written;

pub use actual::Actual;
pub use bounds::Bounds;
pub use metrics::{Metrics, judge};
pub use read::ReadError;
pub use report::{Comparison, Outcome};
pub use run::{Assignment, Replay, ReplayError, Runtimes};
pub use workload::{Machine, Task, Workload};
