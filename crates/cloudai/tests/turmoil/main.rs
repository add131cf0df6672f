//! The real master and real workers over the real gRPC stack, in one thread: `turmoil` has the network
//! and the time, so that links are cut, held and slow at the same moment in every run.
//!
//! `world` puts a cluster together, `gate` stands between workers and master where a single message is
//! to be lost, held back or repeated. What is proved is read from the master's own records and from the
//! executor's journal of what was started and ended.

#![allow(clippy::unwrap_used, reason = "a test that can not go on fails")]

mod commands;
mod contents;
mod deaf;
mod gate;
mod leases;
mod links;
mod names;
mod net;
mod reports;
mod restarts;
mod schedules;
mod waiting;
mod world;
