//! Why this worker can take no work now, as its watches see it and its heartbeats tell it.

use std::sync::Arc;

/// What stands against new work; nothing while all is well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unfit {
    /// Why the container engine does not answer.
    pub(crate) engine_away: Option<Arc<str>>,
    /// How full the disk is.
    pub(crate) disk_pressure: Option<Arc<str>>,
}

impl Unfit {
    /// In the words of the wire: empty while all is well.
    pub(crate) fn told(&self) -> (String, String) {
        let words = |why: &Option<Arc<str>>| why.as_deref().unwrap_or_default().to_owned();
        (words(&self.engine_away), words(&self.disk_pressure))
    }
}
