//! Logs and files of attempts that restored data knows nothing of.

use super::{folder, make_dir};
use cloudai_core::ids::TaskId;
use std::fs;
use std::io;
use std::path::Path;

/// Moves logs and files of a task's attempts above `known` from one directory to another; answers
/// how many. They would be taken for those of attempts that are still to come.
pub(crate) fn put_aside(from: &Path, to: &Path, task: TaskId, known: u32) -> io::Result<usize> {
    let mut moved = 0;
    for tree in ["logs", "files"] {
        let entries = match fs::read_dir(folder(&from.join(tree), task)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let number = Path::new(&name).file_stem().and_then(|stem| stem.to_str()?.parse::<u32>().ok());
            if number.is_some_and(|number| number > known) {
                let folder = folder(&to.join(tree), task);
                make_dir(&folder)?;
                fs::rename(entry.path(), folder.join(&name))?;
                moved += 1;
            }
        }
    }
    Ok(moved)
}
