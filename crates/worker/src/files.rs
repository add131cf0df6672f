//! Small files that must be whole after a crash.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Replaces a file of a folder; a crash leaves the old content or the new one.
/// # Errors
/// It can not be written.
pub(crate) fn replace(dir: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let fresh = dir.join(format!("{name}.new"));
    let mut file = File::create(&fresh)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&fresh, dir.join(name))?;
    File::open(dir)?.sync_all()
}
