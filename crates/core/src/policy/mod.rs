//! What an operator lets tasks ask for: images, places of hosts, networks, amounts, fences (SPEC 9).
//!
//! A document becomes a [`Policy`] in `read.rs`; `check.rs` holds a task against it: at the master when a task is
//! submitted, at a worker before a container is made. What a document does not say, nothing is denied by: a policy only
//! ever takes away from what a cluster allows without one.

mod check;
mod pattern;
mod read;
#[cfg(test)]
mod tests;

pub use check::Denied;

use crate::access::Access;
use crate::spec::{Network, SpecError, TaskSpec, Value};
use pattern::{Glob, ImagePattern, VolumePattern};
use std::collections::BTreeSet;
use std::time::Duration;

/// What ordinary images need as root inside: installing files for other users (CHOWN,
/// DAC_OVERRIDE, FOWNER), starting a service under its own user and ending it (SETGID, SETUID,
/// KILL), listening below port 1024 (NET_BIND_SERVICE). Not: raw sockets, device nodes, audit,
/// chroot, file capabilities. No task can ask for more; a policy takes some of these away.
pub const CAPABILITIES: [&str; 7] = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID", "KILL", "NET_BIND_SERVICE"];

/// Processes and threads of one container: enough for a build or a JVM with many threads, while
/// eight runaway containers still leave room below the kernel's default of 32,768 ids. A policy sets fewer.
pub const PIDS: u32 = 4096;

/// The rules of an operator. The default is no rule at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    images: Option<Vec<ImagePattern>>,
    denied_images: Vec<ImagePattern>,
    registries: Option<Vec<Glob>>,
    host_paths: Option<Vec<Access>>,
    volumes: Option<Vec<VolumePattern>>,
    networks: Option<Vec<Network>>,
    dropped: BTreeSet<&'static str>,
    most: Most,
    forbids_root: bool,
    wants_user_namespaces: bool,
    wants_read_only_root: bool,
    forbids_env_secrets: bool,
}

/// The most that one task may have of each; any amount when absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Most {
    cpu_milli: Option<u64>,
    memory: Option<u64>,
    storage: Option<u64>,
    gpu_milli: Option<u64>,
    run: Option<Duration>,
    pids: Option<u32>,
}

/// A policy as it is in force, and where it comes from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InForce {
    /// The rules.
    pub policy: Policy,
    /// The file that they were read from; none where nobody named one.
    pub file: Option<String>,
    /// The document as it stands there.
    pub document: Option<Value>,
    /// Why what stands there now is not in force: these are the rules of before.
    pub problem: Option<String>,
}

/// The path of every rule that a document may have.
#[must_use]
pub fn rules() -> Vec<String> {
    read::rules()
}

impl Policy {
    /// Reads a document, checking every field.
    /// # Errors
    /// All wrong fields at once: unknown (with the nearest name), of a wrong type, out of range.
    pub fn from_value(document: &Value) -> Result<Self, SpecError> {
        read::policy(document)
    }

    /// Whether a task may ask for all that it asks for.
    /// # Errors
    /// Every field that a rule denies.
    pub fn check(&self, spec: &TaskSpec) -> Result<(), Vec<Denied>> {
        check::check(self, spec)
    }

    /// Whether a program beside a task's own may run in its container as this user.
    /// # Errors
    /// What denies it.
    pub fn check_exec(&self, user: &str) -> Result<(), Denied> {
        check::exec(self, user)
    }

    /// How many processes and threads a container may have.
    #[must_use]
    pub fn pids(&self) -> u32 {
        self.most.pids.unwrap_or(PIDS).min(PIDS)
    }

    /// Those of [`CAPABILITIES`] that containers keep.
    #[must_use]
    pub fn capabilities(&self) -> Vec<&'static str> {
        CAPABILITIES.into_iter().filter(|name| !self.dropped.contains(name)).collect()
    }

    /// Whether containers run only where their root is nobody on the host.
    #[must_use]
    pub const fn wants_user_namespaces(&self) -> bool {
        self.wants_user_namespaces
    }
}
