//! Names of contents that are kept elsewhere: symbolic links that lead nowhere and say hash and size.
//!
//! `<hash in base64url>.<size in hexadecimal digits>` has less than 60 bytes, which file systems keep without a block. Who opens one as a
//! file finds none: a stub is never taken for a content.

use crate::bulk::BulkError;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloudai_core::sha256::Sha256;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT, utimensat};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// What a stub says of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stub {
    pub(super) content: Sha256,
    pub(super) size: u64,
}

/// Where a content is.
#[derive(Debug)]
pub(super) enum Place {
    /// In this file.
    Here(File),
    /// Elsewhere.
    There(Stub),
}

impl Stub {
    /// Makes a name of this content; `modified` is when it was needed last.
    pub(super) fn make(self, path: &Path, modified: SystemTime) -> io::Result<()> {
        symlink(self.text(), path)?;
        set_modified(path, modified)
    }

    /// The stub of this name; none where a file has it.
    /// # Errors
    /// Also when nothing has this name.
    pub(super) fn at(path: &Path) -> io::Result<Option<Self>> {
        if !fs::symlink_metadata(path)?.is_symlink() {
            return Ok(None);
        }
        let text = fs::read_link(path)?;
        let stub = text.to_str().and_then(Self::read);
        stub.map(Some).ok_or_else(|| {
            io::Error::new(ErrorKind::InvalidData, format!("{} is a link that CloudAI did not make", path.display()))
        })
    }

    fn text(self) -> String {
        format!("{}.{:x}", URL_SAFE_NO_PAD.encode(self.content.0), self.size)
    }

    fn read(text: &str) -> Option<Self> {
        let (hash, size) = text.split_once('.')?;
        let content = Sha256(URL_SAFE_NO_PAD.decode(hash).ok()?.try_into().ok()?);
        Some(Self { content, size: u64::from_str_radix(size, 16).ok()? })
    }
}

/// The size of a content by one of its names, and where it is.
pub(super) fn open(path: &Path) -> Result<(u64, Place), BulkError> {
    let opened = || match Stub::at(path)? {
        Some(stub) => Ok((stub.size, Place::There(stub))),
        None => {
            let file = File::open(path)?;
            Ok((file.metadata()?.len(), Place::Here(file)))
        }
    };
    opened().map_err(|error: io::Error| match error.kind() {
        ErrorKind::NotFound => BulkError::NotFound,
        _ => error.into(),
    })
}

/// Copies a content, or its stub, to a new name, on disk when it returns.
pub(super) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if let Some(stub) = Stub::at(from)? {
        return stub.make(to, SystemTime::now());
    }
    fs::copy(from, to)?;
    File::open(to)?.sync_all()
}

/// Tells when a content was needed last, whichever it is.
pub(super) fn set_modified(path: &Path, time: SystemTime) -> io::Result<()> {
    let since = time.duration_since(UNIX_EPOCH).map_err(io::Error::other)?;
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec::try_from(since).map_err(io::Error::other)?,
    };
    Ok(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stub_is_read_back_as_it_was_made_and_needs_no_block() {
        let dir = tempfile::tempdir().unwrap();
        for size in [0, 1, 0x1000_0000_0000] {
            let stub = Stub { content: Sha256([0xfe; 32]), size };
            let path = dir.path().join(size.to_string());
            stub.make(&path, UNIX_EPOCH).unwrap();
            assert_eq!(Stub::at(&path).unwrap(), Some(stub));
            assert!(stub.text().len() < 60, "{}", stub.text());
            assert_eq!(fs::symlink_metadata(&path).unwrap().modified().unwrap(), UNIX_EPOCH);
            assert_eq!(File::open(&path).unwrap_err().kind(), ErrorKind::NotFound, "it is no file");
        }
        fs::write(dir.path().join("file"), "x").unwrap();
        assert_eq!(Stub::at(&dir.path().join("file")).unwrap(), None);
        symlink("/etc/passwd", dir.path().join("other")).unwrap();
        assert!(matches!(open(&dir.path().join("other")), Err(BulkError::Unavailable(_))));
    }
}
