//! Chaos on real processes: a master and three workers that are killed, paused and cut off at
//! random moments, held to what they promise by witnesses that are not theirs.
//!
//! `network` and `bed` are what is broken, `faults` says when, `storm` does it, `workload` asks for
//! work meanwhile; `witness` tells what really ran, and `checker` judges. Needs root for the
//! networks: without it no link is cut, which is said.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

#[allow(dead_code, reason = "shared with the end-to-end tests, which need more of it")]
#[path = "../e2e/engine.rs"]
mod engine;
#[allow(dead_code, reason = "shared with the end-to-end tests, which need more of it")]
#[path = "../e2e/process.rs"]
mod process;
#[allow(dead_code, reason = "shared with the end-to-end tests, which need more of it")]
#[path = "../e2e/rest.rs"]
mod rest;

mod bed;
mod checker;
mod clock;
mod events;
mod faults;
mod forms;
mod network;
mod report;
mod run;
mod storm;
mod witness;
mod workload;
