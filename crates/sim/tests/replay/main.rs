//! Recorded workloads: read, judged and reported.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod judged;
mod protocol;
mod read;
mod reported;
mod strategies;
