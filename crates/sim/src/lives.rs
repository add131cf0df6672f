//! Lives of the cluster's data. A backup that is restored begins another one, which knows nothing of
//! what was committed after the backup and counts its attempts from there once more.

use crate::context::Short;
use cloudai_core::ids::{Attempt, Incarnation};
use std::fmt;

/// An attempt, and in which life it was ordered: another life may order one of the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ordered {
    pub(crate) attempt: Attempt,
    pub(crate) incarnation: Incarnation,
}

impl fmt::Display for Ordered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { attempt: Attempt { task, number }, incarnation } = self;
        write!(f, "{}#{number}", Short(*task))?;
        if incarnation.0 > 1 { write!(f, " of life {incarnation}") } else { Ok(()) }
    }
}
