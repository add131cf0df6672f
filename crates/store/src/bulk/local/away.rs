//! Contents that are kept in a bucket, by their names on this disk (ADR 11).
//!
//! ```text
//! DIR/bucket                                     which one
//! DIR/blobs/<first 2 digits>/<sha-256>           a stub
//! DIR/blobs/<first 2 digits>/<sha-256>.put       a content on its way there
//! DIR/blobs/<first 2 digits>/<sha-256>.gone      one whose object is deleted
//! DIR/blobs/<first 2 digits>/<sha-256>.*.full    a stub that has all the links it can have
//! ```
//! An object is made after its `.put` is on disk and deleted after its `.gone` is: what a crash interrupts is known.

use super::blobs::Blobs;
use super::parts::size_of;
use super::stub::{Stub, set_modified};
use super::{make_dir, sync_names};
use crate::bulk::BulkError;
use crate::bulk::s3::Bucket;
use bytes::Bytes;
use cloudai_core::sha256::Sha256;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Calls that may wait for the bucket at a time: each has a thread, of which logs and files of this disk need some too.
const AT_A_TIME: usize = 64;

/// The bucket, and who may change what is in it.
#[derive(Debug)]
pub(super) struct Away {
    pub(super) bucket: Bucket,
    /// One for each first byte: read by who relies on an object that was found, written by who deletes some.
    gates: Vec<RwLock<()>>,
    runtime: Handle,
    /// Nobody waits for the bucket any more.
    pub(super) stop: CancellationToken,
    pub(super) few: Semaphore,
}

impl Away {
    /// Contents in this bucket; waits for it on this runtime.
    pub(super) fn new(bucket: Bucket, runtime: Handle) -> Self {
        let gates = (0..=u8::MAX).map(|_| RwLock::default()).collect();
        Self { bucket, gates, runtime, stop: CancellationToken::new(), few: Semaphore::new(AT_A_TIME) }
    }

    /// Waits, on a thread that may block.
    pub(super) fn wait<T>(&self, answer: impl Future<Output = Result<T, BulkError>>) -> Result<T, BulkError> {
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => Err(self.bucket.given_up().into()),
                answer = answer => answer,
            }
        })
    }

    fn gate(&self, content: Sha256) -> RwLockReadGuard<'_, ()> {
        self.gates[usize::from(content.0[0])].read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody sends contents that begin with this byte while this lives; none when somebody does.
    pub(super) fn alone(&self, part: u32) -> Option<RwLockWriteGuard<'_, ()>> {
        match self.gates.get(part as usize)?.try_write() {
            Ok(alone) => Some(alone),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// Looks whether the contents of a directory are where the settings say, and writes it down.
pub(super) fn settle(dir: &Path, bucket: Option<&Bucket>) -> io::Result<()> {
    let note = dir.join("bucket");
    let known = match fs::read_to_string(&note) {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        text => Some(text?.trim().to_owned()),
    };
    let given = bucket.map(|bucket| bucket.address().to_string());
    match (known, given) {
        (Some(known), Some(given)) if known == given => Ok(()),
        (None, None) => Ok(()),
        (None, Some(given)) => {
            try_links(dir)?;
            let fresh = dir.join("bucket.new");
            let mut file = File::create(&fresh)?;
            writeln!(file, "{given}")?;
            file.sync_all()?;
            fs::rename(&fresh, &note)?;
            File::open(dir)?.sync_all()
        }
        (Some(known), given) => Err(io::Error::other(format!(
            "its contents are in {known}, and files.s3.url is {}: set it to {known} (after moving the objects: write the new address into {})",
            given.as_deref().unwrap_or("not set"),
            note.display()
        ))),
    }
}

/// The names of contents need both kinds of links.
fn try_links(dir: &Path) -> io::Result<()> {
    let (stub, link) = (dir.join("links-1.new"), dir.join("links-2.new"));
    let clean = || [&stub, &link].map(|path| drop(fs::remove_file(path)));
    clean();
    let made =
        Stub { content: Sha256([0; 32]), size: 0 }.make(&stub, UNIX_EPOCH).and_then(|()| fs::hard_link(&stub, &link));
    clean();
    made.map_err(|error| {
        let why = format!(
            "the file system of {} has no hard links to symbolic links, which a bucket needs: {error}",
            dir.display()
        );
        io::Error::new(error.kind(), why)
    })
}

impl Blobs {
    /// Brings the content of a part that was checked into the bucket and gives it its name, and another one where that is wanted:
    /// then it goes with that one. The part is gone then.
    pub(super) fn send(&self, away: &Away, stub: Stub, part: &Path, to: Option<&Path>) -> Result<(), BulkError> {
        let sent = self.send_part(away, stub, part, to);
        if matches!(sent, Ok(()) | Err(BulkError::Checksum)) {
            remove_if_there(part)?;
        }
        sent
    }

    fn send_part(&self, away: &Away, stub: Stub, part: &Path, to: Option<&Path>) -> Result<(), BulkError> {
        let _gate = away.gate(stub.content);
        let put = self.intend(stub)?;
        sync_names(&put, &self.root)?;
        away.wait(away.bucket.put(stub.content, stub.size, part))?;
        self.name_stub(stub, to)?;
        remove_if_there(&put)?;
        Ok(())
    }

    /// The same with small contents, all with one sync.
    pub(super) fn send_several(
        &self,
        away: &Away,
        contents: BTreeMap<Sha256, Bytes>,
        needed: SystemTime,
    ) -> Result<(), BulkError> {
        let _gates: BTreeMap<_, _> = contents.keys().map(|content| (content.0[0], away.gate(*content))).collect();
        let stubs: Vec<_> =
            contents.iter().map(|(content, data)| Stub { content: *content, size: data.len() as u64 }).collect();
        let puts: Vec<_> = stubs.iter().map(|stub| self.intend(*stub)).collect::<Result<_, _>>()?;
        self.sync_all()?;
        away.wait(away.bucket.put_several(contents.into_iter().collect()))?;
        stubs.iter().try_for_each(|stub| self.make_name(*stub, needed))?;
        self.sync_all()?;
        Ok(puts.iter().try_for_each(|put| remove_if_there(put))?)
    }

    /// Gives a content that the bucket has its names again; whether it has it.
    pub(super) fn recover(&self, stub: Stub, to: &Path) -> Result<bool, BulkError> {
        let Some(away) = &self.away else { return Ok(false) };
        let _gate = away.gate(stub.content);
        if away.wait(away.bucket.size(stub.content))? != Some(stub.size) {
            return Ok(false);
        }
        to.parent().map_or(Ok(()), make_dir)?;
        self.name_stub(stub, Some(to))?;
        sync_names(to, &self.root)?;
        Ok(true)
    }

    /// Writes down that an object may be there from now on.
    fn intend(&self, stub: Stub) -> io::Result<PathBuf> {
        let put = self.blob(stub.content).with_extension("put");
        put.parent().map_or(Ok(()), make_dir)?;
        match stub.make(&put, SystemTime::now()) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => set_modified(&put, SystemTime::now())?,
            made => made?,
        }
        Ok(put)
    }

    fn name_stub(&self, stub: Stub, to: Option<&Path>) -> io::Result<()> {
        self.make_name(stub, if to.is_some() { UNIX_EPOCH } else { SystemTime::now() })?;
        if let Some(to) = to {
            let _found = self.rely();
            self.link(stub.content, to)?;
        }
        sync_names(&self.blob(stub.content), &self.root)
    }

    fn make_name(&self, stub: Stub, needed: SystemTime) -> io::Result<()> {
        let blob = self.blob(stub.content);
        blob.parent().map_or(Ok(()), make_dir)?;
        let beside = self.beside(&blob);
        stub.make(&beside, needed)?;
        self.name(&beside, &blob)
    }

    /// Has a fresh stub take the place of one that can have no more links. The old one keeps a name: while somebody needs it the object stays.
    pub(super) fn refresh(&self, blob: &Path, stub: Stub) -> io::Result<()> {
        let full = self.beside(blob).with_extension("full");
        stub.make(&full, SystemTime::now())?;
        Ok(renameat_with(CWD, &full, CWD, blob, RenameFlags::EXCHANGE)?)
    }

    /// Deletes the objects of contents that have lost their names, and then what said so.
    pub(super) fn delete(
        &self,
        away: &Away,
        gone: &[(Stub, PathBuf)],
        full: &BTreeSet<Sha256>,
    ) -> Result<(), BulkError> {
        let Some((_, first)) = gone.first() else { return Ok(()) };
        sync_names(first, &self.root)?;
        let mut objects = Vec::new();
        for (stub, _) in gone {
            // One that has its name was sent again meanwhile.
            if size_of(&self.blob(stub.content))?.is_none() && !full.contains(&stub.content) {
                objects.push(stub.content);
            }
        }
        away.wait(away.bucket.remove(objects))?;
        Ok(gone.iter().try_for_each(|(_, path)| remove_if_there(path))?)
    }
}

pub(super) fn is_full(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "full")
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
