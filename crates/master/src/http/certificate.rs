//! The operator's certificate for users: two files that are read again when they change. What can not be used never
//! takes the place of what can.

use arc_swap::ArcSwap;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tracing::{info, warn};

/// Between two looks at the files.
const EVERY: Duration = Duration::from_secs(5);

/// Why a certificate can not be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file can not be read.
    #[error("{} can not be read", .file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file has not what it is to have.
    #[error("{} has no {what} that can be read as PEM", .file.display())]
    Missing {
        /// Which.
        file: PathBuf,
        /// What it is to have.
        what: &'static str,
        /// Why.
        source: pem::Error,
    },
    /// The two do not go together, or are of a kind that can not be used.
    #[error("{} and {} can not be used together", .cert.display(), .key.display())]
    Unusable {
        /// The certificate.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

/// A certificate and its key in files, as they were when they could be used last.
#[derive(Debug)]
pub struct CertificateFiles {
    cert: PathBuf,
    key: PathBuf,
    current: ArcSwap<CertifiedKey>,
    /// How the files were at the last look.
    seen: Mutex<[Option<Stamp>; 2]>,
}

/// What is another when a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    changed: [(i64, i64); 2],
    size: u64,
    inode: u64,
}

impl From<Metadata> for Stamp {
    fn from(told: Metadata) -> Self {
        let changed = [(told.mtime(), told.mtime_nsec()), (told.ctime(), told.ctime_nsec())];
        Self { changed, size: told.size(), inode: told.ino() }
    }
}

impl CertificateFiles {
    /// Reads a chain, that of the server first, and its key.
    /// # Errors
    /// [`CertificateError`].
    pub fn open(cert: PathBuf, key: PathBuf) -> Result<Self, CertificateError> {
        // Before they are read: what changes meanwhile is seen by the first look.
        let seen = [&cert, &key].map(|file| stamp(file));
        let current = read(&cert, &key)?;
        Ok(Self { cert, key, current: ArcSwap::from_pointee(current), seen: Mutex::new(seen) })
    }

    /// Looks at the files again and again.
    pub(crate) async fn watch(self: Arc<Self>) {
        loop {
            tokio::time::sleep(EVERY).await;
            let files = Arc::clone(&self);
            match tokio::task::spawn_blocking(move || files.look()).await {
                Ok(None) | Err(_) => {}
                Ok(Some(Ok(()))) => info!(cert = %self.cert.display(), "certificate of users was read again"),
                Ok(Some(Err(error))) => {
                    let why = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                    warn!(%error, why, "changed certificate can not be used, the one before it is shown");
                }
            }
        }
    }

    /// Reads the files again if they have changed since the last look; says whether what they have now could be used.
    fn look(&self) -> Option<Result<(), CertificateError>> {
        let now = [&self.cert, &self.key].map(|file| stamp(file));
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == now {
            return None;
        }
        *seen = now;
        drop(seen);
        Some(read(&self.cert, &self.key).map(|fresh| self.current.store(Arc::new(fresh))))
    }
}

impl ResolvesServerCert for CertificateFiles {
    fn resolve(&self, _client: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

/// None of a file that is not there.
fn stamp(file: &Path) -> Option<Stamp> {
    std::fs::metadata(file).ok().map(Stamp::from)
}

fn read(cert: &Path, key: &Path) -> Result<CertifiedKey, CertificateError> {
    let bytes = |file: &Path| {
        std::fs::read(file).map_err(|source| CertificateError::Unreadable { file: file.to_owned(), source })
    };
    let missing = |file: &Path, what, source| CertificateError::Missing { file: file.to_owned(), what, source };
    let chain = CertificateDer::pem_slice_iter(&bytes(cert)?).collect::<Result<Vec<_>, _>>();
    let chain = chain.and_then(|chain| if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) });
    let chain = chain.map_err(|source| missing(cert, "certificate", source))?;
    let private = PrivateKeyDer::from_pem_slice(&bytes(key)?);
    let private = private.map_err(|source| missing(key, "private key without a password", source))?;
    CertifiedKey::from_der(chain, private, &ring::default_provider()).map_err(|source| CertificateError::Unusable {
        cert: cert.to_owned(),
        key: key.to_owned(),
        source,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use tempfile::TempDir;

    /// A certificate of a test and its key, both as PEM.
    pub(in crate::http) struct Pair {
        pub(in crate::http) cert: String,
        pub(in crate::http) key: String,
        pub(in crate::http) der: CertificateDer<'static>,
    }

    /// A new pair for `localhost`.
    pub(in crate::http) fn pair() -> Pair {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        Pair { cert: made.cert.pem(), key: made.signing_key.serialize_pem(), der: made.cert.der().clone() }
    }

    /// Writes a file as those who care do: whole, in the place of the one before.
    fn put(dir: &TempDir, name: &str, text: &str) {
        let fresh = dir.path().join("fresh");
        std::fs::write(&fresh, text).unwrap();
        std::fs::rename(fresh, dir.path().join(name)).unwrap();
    }

    /// Puts a pair in the place of the one before.
    pub(in crate::http) fn put_both(dir: &TempDir, pair: &Pair) {
        put(dir, "cert.pem", &pair.cert);
        put(dir, "key.pem", &pair.key);
    }

    /// Opens the pair of a folder.
    pub(in crate::http) fn open(dir: &TempDir) -> Result<CertificateFiles, CertificateError> {
        CertificateFiles::open(dir.path().join("cert.pem"), dir.path().join("key.pem"))
    }

    /// Looks now, and says whether there was something new that could be used.
    pub(in crate::http) fn look(files: &CertificateFiles) -> Option<bool> {
        files.look().map(|read| read.is_ok())
    }

    fn shown(files: &CertificateFiles) -> CertificateDer<'static> {
        files.current.load().cert[0].clone()
    }

    #[test]
    fn files_that_change_are_read_again_once() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (pair(), pair());
        put_both(&dir, &first);
        let files = open(&dir).unwrap();
        assert_eq!((look(&files), shown(&files)), (None, first.der.clone()));
        put_both(&dir, &second);
        assert_eq!((look(&files), shown(&files)), (Some(true), second.der));
        assert_eq!(look(&files), None);
    }

    #[test]
    fn what_can_not_be_used_leaves_the_pair_before_it_and_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (pair(), pair());
        put_both(&dir, &first);
        let files = open(&dir).unwrap();
        for broken in ["no certificate", second.cert.as_str()] {
            put(&dir, "cert.pem", broken);
            assert_eq!((look(&files), shown(&files)), (Some(false), first.der.clone()), "{broken}");
            assert_eq!(look(&files), None, "told twice");
        }
        std::fs::remove_file(dir.path().join("cert.pem")).unwrap();
        assert_eq!((look(&files), shown(&files)), (Some(false), first.der.clone()));
        // The other half comes.
        put_both(&dir, &second);
        assert_eq!((look(&files), shown(&files)), (Some(true), second.der));
    }

    #[test]
    fn a_first_pair_that_can_not_be_used_is_refused_with_the_file_that_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (pair(), pair());
        let said = || open(&dir).unwrap_err().to_string();
        assert!(said().contains("cert.pem can not be read"), "{}", said());
        put(&dir, "cert.pem", &one.cert);
        assert!(said().contains("key.pem can not be read"), "{}", said());
        put(&dir, "key.pem", &one.cert);
        assert!(said().contains("key.pem has no private key"), "{}", said());
        put(&dir, "key.pem", &other.key);
        assert!(said().contains("can not be used together"), "{}", said());
        put(&dir, "cert.pem", &one.key);
        assert!(said().contains("cert.pem has no certificate"), "{}", said());
    }
}
