//! The simulator: the real core under a seeded clock, network and faults.
//!
//! Reading order: [`world`] (clock, loop, verdict), [`faults`] (what goes wrong, from a seed),
//! [`workload`] (what is run); then the simulated shells `master`, `worker` and `client` with what
//! they stand on (`store`, `engine`, `network`), and `check` with `promises`, which hold every rule of
//! SPEC 3.3 against what happens. All decisions are the core's: nothing here decides about tasks. [`foresee`] plays the
//! core ahead of a real cluster, to tell what would become of a job.

mod check;
mod client;
mod context;
mod engine;
pub mod faults;
pub mod foresee;
pub mod hostile;
mod lives;
mod master;
mod network;
mod promises;
pub mod replay;
pub mod rng;
mod store;
mod trace;
mod worker;
pub mod workload;
pub mod world;
