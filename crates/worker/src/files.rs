//! Small files that must be whole after a crash.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Replaces a file of a folder; a crash leaves the old content or the new one.
/// # Errors
/// It can not be written.
pub(crate) fn replace(dir: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    replace_with(dir, name, content, 0o666)
}

/// The same for what nobody else may read.
/// # Errors
/// It can not be written.
pub(crate) fn replace_private(dir: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    replace_with(dir, name, content, 0o600)
}

fn replace_with(dir: &Path, name: &str, content: &[u8], mode: u32) -> io::Result<()> {
    let fresh = dir.join(format!("{name}.new"));
    match std::fs::remove_file(&fresh) {
        // One that a crash left may have another mode.
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&fresh)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&fresh, dir.join(name))?;
    File::open(dir)?.sync_all()
}
