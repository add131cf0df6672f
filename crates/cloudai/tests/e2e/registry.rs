//! A registry that wants a password: the one of the executor's own tests.

use crate::engine::{IMAGE, docker};

#[path = "../../../worker/tests/support/registry.rs"]
#[allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]
mod server;

pub(crate) use server::{PASSWORD, Registry, USER, limiting};
