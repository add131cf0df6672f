//! What may become wrong when values are written into the places of a spec that was right.

use super::read::is_absolute;
use super::{TaskSpec, outputs};

/// The first field that is wrong since values stand in it, and what is wrong with it.
pub(crate) fn wrong_when_filled(spec: &TaskSpec) -> Option<(String, String)> {
    let container = &spec.container;
    let workdir = container.workdir.as_ref().filter(|workdir| !is_absolute(workdir) || workdir.len() > 4096);
    if let Some(workdir) = workdir {
        return Some(("workdir".into(), format!("becomes {workdir:?}, which is no absolute path, as /data")));
    }
    let patterns = container.outputs.iter().flatten().enumerate();
    let mut wrong = patterns.filter_map(|(index, pattern)| Some((index, pattern, outputs::check(pattern).err()?)));
    wrong
        .next()
        .map(|(index, pattern, problem)| (format!("outputs[{index}]"), format!("becomes {pattern:?}, which {problem}")))
}
