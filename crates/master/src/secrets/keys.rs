//! The keys that stored values are sealed with: in a file of their own, never in the database.
//!
//! Sealing is XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha): a random nonce of 24 bytes for each value, and what the value
//! belongs to as associated data, so that a sealed text that was moved to another name can not be opened.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use std::fmt;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use zeroize::Zeroizing;

/// Bytes of a key, and of a nonce.
const KEY: usize = 32;
const NONCE: usize = 24;
/// The first line of the file.
const HEAD: &str = "# Keys of the secrets of a CloudAI cluster, newest first. Keep a copy apart from its backups.";

/// Why a value can not be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file can not be read or written.
    #[error("the key file {0} can not be used: {1}")]
    File(PathBuf, io::Error),
    /// A line of the file is no key.
    #[error("the key file {path} is damaged: line {line} is no key")]
    Damaged {
        /// Where.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
    /// The key is not there that the value was sealed with.
    #[error("it was sealed with the key {key}, which {place} does not have: bring back the file that had it")]
    NoKey {
        /// Which.
        key: String,
        /// Where it was looked for.
        place: String,
    },
    /// There are values that a key sealed, and no key at all.
    #[error(
        "{secrets} stored secrets and credentials of registries were sealed with keys that {place} does not have: bring back \
         the file that had them, or remove those; until then no new key is made beside them"
    )]
    Lost {
        /// How many, credentials of registries included.
        secrets: usize,
        /// Where the keys were looked for.
        place: String,
    },
    /// The sealed text is none, or was changed.
    #[error("what is stored of it was changed, or belongs to another secret")]
    Broken,
}

/// The keys of a cluster. Its `Debug` shows none.
pub(crate) struct Keyring {
    /// Without a file they live as long as the master.
    file: Option<PathBuf>,
    /// Newest first; none before the first secret.
    keys: Mutex<Vec<Key>>,
}

#[derive(Clone)]
struct Key {
    id: String,
    bytes: Zeroizing<[u8; KEY]>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Keyring {
    /// The keys of a file, which may not be there yet; without one, keys that nobody has after this master's end.
    /// # Errors
    /// [`KeyError::File`], [`KeyError::Damaged`].
    pub(crate) fn open(file: Option<PathBuf>) -> Result<Self, KeyError> {
        let keys = match &file {
            Some(path) => match std::fs::read_to_string(path).map(Zeroizing::new) {
                Ok(text) => read(path, &text)?,
                Err(why) if why.kind() == io::ErrorKind::NotFound => Vec::new(),
                Err(why) => return Err(KeyError::File(path.clone(), why)),
            },
            None => Vec::new(),
        };
        Ok(Self { file, keys: Mutex::new(keys) })
    }

    /// Seals a value with the newest key; the first one makes it. Blocks for the disk then.
    /// # Errors
    /// [`KeyError::File`] when a new key can not be kept.
    pub(crate) fn seal(&self, of: &str, value: &[u8]) -> Result<String, KeyError> {
        let mut keys = self.keys();
        if keys.is_empty() {
            self.add(&mut keys)?;
        }
        let key = keys.first().ok_or(KeyError::Broken)?;
        let nonce: [u8; NONCE] = rand::random();
        let payload = Payload { msg: value, aad: of.as_bytes() };
        let cipher = key.cipher().encrypt(&XNonce::from(nonce), payload).map_err(|_| KeyError::Broken)?;
        Ok(format!("{}.{}", key.id, STANDARD.encode([&nonce[..], &cipher].concat())))
    }

    /// Opens what was sealed.
    /// # Errors
    /// [`KeyError::NoKey`], [`KeyError::Broken`].
    pub(crate) fn open_sealed(&self, of: &str, sealed: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let (id, text) = sealed.split_once('.').ok_or(KeyError::Broken)?;
        let bytes = STANDARD.decode(text).map_err(|_| KeyError::Broken)?;
        let (nonce, cipher) = bytes.split_first_chunk::<NONCE>().ok_or(KeyError::Broken)?;
        let keys = self.keys();
        let key = keys.iter().find(|key| key.id == id).ok_or_else(|| self.no_key(id))?;
        let payload = Payload { msg: cipher, aad: of.as_bytes() };
        let opened = key.cipher().decrypt(&XNonce::from(*nonce), payload);
        opened.map(Zeroizing::new).map_err(|_| KeyError::Broken)
    }

    /// Whether a value was sealed with a key that is here.
    pub(crate) fn knows(&self, sealed: &str) -> bool {
        sealed.split_once('.').is_some_and(|(id, _)| self.keys().iter().any(|key| key.id == id))
    }

    /// Where the keys are, for people.
    pub(crate) fn place(&self) -> String {
        self.file.as_ref().map_or_else(|| "this master".into(), |path| path.display().to_string())
    }

    fn no_key(&self, id: &str) -> KeyError {
        KeyError::NoKey { key: id.chars().take(16).collect(), place: self.place() }
    }

    /// Makes a new key, which everything is sealed with from now on. Blocks for the disk.
    /// # Errors
    /// [`KeyError::File`]: then the keys are what they were.
    pub(crate) fn renew(&self) -> Result<(), KeyError> {
        self.add(&mut self.keys())
    }

    /// Forgets all but the newest: nothing may be sealed with the others any more. Answers how many went. Blocks for the
    /// disk.
    /// # Errors
    /// [`KeyError::File`]: then the keys are what they were.
    pub(crate) fn forget_old(&self) -> Result<usize, KeyError> {
        let mut keys = self.keys();
        let newest: Vec<Key> = keys.first().cloned().into_iter().collect();
        self.write(&newest)?;
        let gone = keys.len() - newest.len();
        *keys = newest;
        Ok(gone)
    }

    fn add(&self, keys: &mut Vec<Key>) -> Result<(), KeyError> {
        let fresh = Key { id: hex::encode(rand::random::<[u8; 4]>()), bytes: Zeroizing::new(rand::random()) };
        let all: Vec<Key> = std::iter::once(fresh).chain(keys.iter().cloned()).collect();
        self.write(&all)?;
        *keys = all;
        Ok(())
    }

    /// The file is another one wholly, or the one that it was.
    fn write(&self, keys: &[Key]) -> Result<(), KeyError> {
        let Some(path) = &self.file else { return Ok(()) };
        let lines = keys.iter().map(|key| format!("{} {}\n", key.id, hex::encode(&key.bytes[..])));
        let text = Zeroizing::new(format!("{HEAD}\n{}", lines.collect::<String>()));
        replace(path, text.as_bytes()).map_err(|why| KeyError::File(path.clone(), why))
    }

    fn keys(&self) -> MutexGuard<'_, Vec<Key>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Key {
    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.bytes).into())
    }
}

fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    use std::io::Write as _;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let mut file = tempfile::Builder::new().permissions(PermissionsExt::from_mode(0o600)).tempfile_in(folder)?;
    file.write_all(text)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    std::fs::File::open(folder)?.sync_all()
}

fn read(path: &Path, text: &str) -> Result<Vec<Key>, KeyError> {
    let lines = (1..).zip(text.lines().map(str::trim)).filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let key = |(line, text): (usize, &str)| {
        let damaged = || KeyError::Damaged { path: path.to_owned(), line };
        let (id, key) = text.split_once(' ').ok_or_else(damaged)?;
        let mut bytes = Zeroizing::new([0; KEY]);
        hex::decode_to_slice(key.trim(), &mut bytes[..]).map_err(|_| damaged())?;
        Ok(Key { id: id.to_owned(), bytes })
    };
    lines.map(key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_opened_under_its_own_name_alone_and_by_a_later_master() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secrets.key");
        let keys = Keyring::open(Some(file.clone())).unwrap();
        assert!(!file.exists(), "a cluster without secrets needs no key");
        let sealed = keys.seal("ann/token", b"value").unwrap();
        assert!(!sealed.contains("value") && sealed != keys.seal("ann/token", b"value").unwrap());
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let later = Keyring::open(Some(file)).unwrap();
        assert_eq!(later.open_sealed("ann/token", &sealed).unwrap().as_slice(), b"value");
        for (of, sealed) in
            [("bob/token", sealed.as_str()), ("ann/token", &sealed[..sealed.len() - 4]), ("a", "x.y"), ("a", "")]
        {
            assert!(
                matches!(later.open_sealed(of, sealed), Err(KeyError::Broken | KeyError::NoKey { .. })),
                "{of} {sealed}"
            );
        }
        let told = Keyring::open(None).unwrap().open_sealed("ann/token", &sealed).unwrap_err().to_string();
        assert!(told.contains("bring back the file"), "{told}");
        assert!(!format!("{later:?}").contains(&hex::encode(&later.keys()[0].bytes[..])));
    }

    #[test]
    fn a_new_key_seals_and_the_old_one_opens_until_it_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let keys = Keyring::open(Some(dir.path().join("k"))).unwrap();
        let old = keys.seal("a", b"1").unwrap();
        keys.renew().unwrap();
        let new = keys.seal("a", b"1").unwrap();
        assert_ne!(old.split('.').next(), new.split('.').next());
        assert!(keys.open_sealed("a", &old).is_ok());
        assert_eq!(keys.forget_old().unwrap(), 1);
        let keys = Keyring::open(Some(dir.path().join("k"))).unwrap();
        assert!(keys.open_sealed("a", &new).is_ok());
        assert!(matches!(keys.open_sealed("a", &old), Err(KeyError::NoKey { .. })));
    }

    #[test]
    fn a_damaged_file_is_refused_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("k");
        for (text, line) in [("# x\nnonsense\n", 2), ("aa bb\n", 1), ("aa 00\n", 1)] {
            std::fs::write(&file, text).unwrap();
            let told = Keyring::open(Some(file.clone())).unwrap_err().to_string();
            assert!(told.contains(&format!("line {line} ")), "{told}");
        }
    }
}
