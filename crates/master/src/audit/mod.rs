//! The audit log: who did what, from where, with which outcome, in rows that are tied to each other.
//!
//! [`Auditor`] is what the rest of the master has: room for a row before a change ([`Auditor::begin`]), a note of what
//! changed nothing ([`Auditor::note`]), lists, and whether the log is whole. `row.rs` says what stands in a row,
//! `chain.rs` ties rows and signs the head, `opened.rs` finds where the log of an earlier master goes on, `writer.rs` is
//! the one task that writes, `verify.rs` walks. It knows neither HTTP nor gRPC: they say what happened.

mod chain;
mod opened;
mod row;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

pub(crate) use opened::{KEYS, unwritten};
pub(crate) use row::{Body, Entry, Outcome};
pub(crate) use verify::{Expected, Verdict};
pub(crate) use writer::{Auditor, Open, Writer};
