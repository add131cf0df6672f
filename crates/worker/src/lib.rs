//! The worker of CloudAI: runs attempts as containers and tells the master.
//!
//! Reading order: `serve` (from a configuration to a running worker), `shell` (drives the core's
//! agent: decide, journal, do), `link` (the session with the master; `identity` and `tls`: who this worker is to it, and what
//! makes it the right one), `door`, `caller` and `whereabouts` (for workers that it calls), `run` (one attempt),
//! [`executor`] (what runs it), `engine_watch` (whether it answers), `image_watch` (which images it has), `inputs` and `cache` (what it finds before it starts),
//! `logins` (what is stored for it on the master), `upload` (its log and files; `kept` and `pace` say how much of a log and how
//! fast), [`reaper`] (containers that nobody holds).
//! The worker knows the master by protobuf alone.

mod absence;
mod archive;
mod cache;
mod caller;
mod client;
pub mod clock;
mod convert;
mod disk_watch;
mod door;
mod engine_watch;
mod exec;
pub mod executor;
mod files;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod identity;
mod image_watch;
mod inputs;
pub mod journal;
mod kept;
mod link;
mod logins;
pub mod machine;
mod mask;
mod membership;
mod messages;
pub mod outputs;
mod pace;
mod prepare;
pub mod probe;
pub mod reaper;
mod run;
mod serve;
mod shell;
mod steps;
mod tls;
mod unfit;
mod upload;
pub mod vault;
pub mod volumes;
mod whereabouts;

pub use client::AddressError;
pub use disk_watch::DiskLimits;
pub use door::{Called, Listening};
pub use link::{Because, Refused};
pub use serve::{Config, Engine, StartError, Worker};
