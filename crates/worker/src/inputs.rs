//! Brings what an attempt finds before it starts: from the master into the cache, from there to its folder.
//!
//! The master says which contents the inputs are ([`pb::ResolvedInput`]); a folder is a list of files, each a content of
//! its own. What the cache has is not sent again; what breaks off goes on where it was.

use crate::absence::why;
use crate::cache::{Cache, Came, Form};
use crate::client::{Backoff, Master};
use crate::executor::{Placed, Teller};
use crate::upload::{Whose, is_passing, patience};
use cloudai_core::sha256::Sha256;
use cloudai_core::spec::tree::{Kind, MAX_BYTES, Tree};
use cloudai_proto::v1 as pb;
use sha2::Digest;
use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tonic::{Code, Status};
use tracing::debug;

/// Contents of one call.
const TOGETHER: usize = 1000;
/// Pieces on their way to the disk.
const PIECES: usize = 16;
/// How often a content that came damaged, or was let go before it was placed, is fetched again.
const TRIES: u32 = 3;
/// Bytes hashed at a time of what came earlier.
const CHUNK: usize = 256 * 1024;

/// Brings the inputs of one attempt.
#[derive(Debug)]
pub(crate) struct Bringer {
    pub(crate) cache: Arc<Cache>,
    pub(crate) master: Master,
    pub(crate) whose: Whose,
    pub(crate) steps: Teller,
}

/// A content that is still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wanted {
    content: Sha256,
    size: u64,
}

/// What one input is.
#[derive(Debug)]
enum What {
    File(Sha256),
    Folder(Tree),
}

/// What is wrong beyond what another try would mend.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("the master does not give it: {0}")]
    Refused(String),
    #[error("it came damaged {TRIES} times")]
    Damaged,
    #[error("the worker can not keep it: {0}")]
    Disk(#[from] io::Error),
    #[error("{0}")]
    NoFolder(#[from] cloudai_core::spec::tree::TreeError),
    #[error("the worker made a mistake: {0}")]
    Broken(#[from] tokio::task::JoinError),
}

impl Bringer {
    /// Puts every input where it is mounted from.
    /// # Errors
    /// Which one can not be brought, and why, for people.
    pub(crate) async fn bring(mut self, inputs: &[Placed]) -> Result<(), String> {
        let resolved = self.resolve().await.map_err(|why| format!("its inputs can not be brought: {why}"))?;
        if resolved.len() != inputs.len() {
            return Err("the master does not keep the contents of its inputs any more: submit it again".into());
        }
        for (input, resolved) in inputs.iter().zip(resolved) {
            let brought = self.bring_one(input, &resolved).await;
            brought.map_err(|why| format!("the input for {} can not be brought: {why}", input.path))?;
        }
        Ok(())
    }

    async fn resolve(&mut self) -> Result<Vec<pb::ResolvedInput>, Failed> {
        let mut wait = patience();
        loop {
            match self.master.resolve_inputs(self.of()).await {
                Ok(resolved) => return Ok(resolved.into_inner().inputs),
                Err(status) => self.again(status, &mut wait).await?,
            }
        }
    }

    fn of(&self) -> pb::AttemptRef {
        let Whose { attempt, incarnation } = self.whose;
        pb::AttemptRef { task_id: attempt.task.to_string(), attempt: attempt.number, incarnation: incarnation.0 }
    }

    /// Waits where another try may help.
    async fn again(&self, status: Status, wait: &mut Backoff) -> Result<(), Failed> {
        if !is_passing(&status) {
            return Err(Failed::Refused(status.message().to_owned()));
        }
        debug!(attempt = %self.whose.attempt, why = why(&status), "inputs wait for the master");
        tokio::time::sleep(wait.wait()).await;
        Ok(())
    }

    async fn bring_one(&mut self, input: &Placed, resolved: &pb::ResolvedInput) -> Result<(), Failed> {
        let content = resolved.sha256.parse().map_err(|_| Failed::Refused("its hash is none".into()))?;
        let top = Wanted { content, size: resolved.size };
        for _ in 0..TRIES {
            // Several attempts that begin together fetch the same once.
            let alone = self.cache.alone(content).await;
            self.fetch(content, None, vec![top]).await?;
            let what = if resolved.folder { What::Folder(self.list(content).await?) } else { What::File(content) };
            if let What::Folder(tree) = &what {
                let files: BTreeSet<_> = tree.files().collect();
                let files = files.into_iter().map(|(content, size)| Wanted { content, size }).collect();
                self.fetch(content, Some(content), files).await?;
            }
            drop(alone);
            let (cache, input) = (Arc::clone(&self.cache), input.clone());
            match spawn_blocking(move || place(&cache, &what, &input)).await? {
                // It was let go in between.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                placed => return Ok(placed?),
            }
        }
        Err(Failed::Disk(io::Error::other("the cache is too small for what is brought at the same time")))
    }

    async fn list(&self, content: Sha256) -> Result<Tree, Failed> {
        let cache = Arc::clone(&self.cache);
        let list = spawn_blocking(move || cache.read(content)).await??;
        debug_assert!(list.len() <= MAX_BYTES, "the master checks it");
        Ok(Tree::read(&list)?)
    }

    /// Has all of these in the cache; `key` is what was locked.
    async fn fetch(&mut self, key: Sha256, tree: Option<Sha256>, mut wanted: Vec<Wanted>) -> Result<(), Failed> {
        let (mut wait, mut damaged) = (patience(), 0);
        let cache = Arc::clone(&self.cache);
        wanted = spawn_blocking(move || missing(&cache, wanted)).await?;
        let all: u64 = wanted.iter().map(|wanted| wanted.size).sum();
        let (cache, room) = (Arc::clone(&self.cache), all);
        if !wanted.is_empty() {
            spawn_blocking(move || cache.make_room(room)).await??;
        }
        while !wanted.is_empty() {
            let together: Vec<_> = wanted.iter().take(TOGETHER).copied().collect();
            let left: u64 = wanted.iter().map(|wanted| wanted.size).sum();
            let came = self.fetch_some(key, tree, &together, (all - left.min(all), all)).await?;
            match came {
                Ok(()) => {}
                Err(status) if status.code() == Code::DataLoss => {
                    damaged += 1;
                    if damaged >= TRIES {
                        return Err(Failed::Damaged);
                    }
                }
                Err(status) => self.again(status, &mut wait).await?,
            }
            let cache = Arc::clone(&self.cache);
            wanted = spawn_blocking(move || missing(&cache, wanted)).await?;
        }
        Ok(())
    }

    /// Fetches some; what came whole is kept, however the call ended.
    async fn fetch_some(
        &mut self,
        key: Sha256,
        tree: Option<Sha256>,
        wanted: &[Wanted],
        (before, all): (u64, u64),
    ) -> Result<Result<(), Status>, Failed> {
        let cache = Arc::clone(&self.cache);
        let mut grown = Vec::with_capacity(wanted.len());
        for wanted in wanted {
            let part = cache.part(wanted.content, key)?;
            let have = fs::metadata(&part).map_or(0, |part| part.len());
            // What is longer than it should be is no beginning of it.
            let have = if have <= wanted.size { have } else { 0 };
            grown.push(Part { content: wanted.content, path: part, have });
        }
        let contents =
            grown.iter().map(|part| pb::WantedContent { sha256: part.content.to_string(), offset: part.have });
        let tree = tree.map(|tree| tree.to_string()).unwrap_or_default();
        let request = pb::FetchRequest { attempt: Some(self.of()), tree, contents: contents.collect() };
        let mut stream = match self.master.fetch_contents(request).await {
            Ok(stream) => stream.into_inner(),
            Err(status) => return Ok(Err(status)),
        };
        let mut came = before + grown.iter().map(|part| part.have).sum::<u64>();
        let (pieces, taken) = mpsc::channel(PIECES);
        let writer = spawn_blocking(move || write_parts(&cache, grown, taken));
        let mut told = None;
        let ended = loop {
            match stream.message().await {
                Ok(Some(pb::ContentChunk { what: Some(what) })) => {
                    if let pb::content_chunk::What::Data(data) = &what {
                        came += data.len() as u64;
                    }
                    let percent = came.saturating_mul(100) / all.max(1);
                    if told.replace(percent) != Some(percent) {
                        self.steps.detail(format!("fetching inputs {percent}%"));
                    }
                    // The writer ended: it says why.
                    if pieces.send(what).await.is_err() {
                        break Ok(());
                    }
                }
                Ok(Some(pb::ContentChunk { what: None })) => {}
                Ok(None) => break Ok(()),
                Err(status) => break Err(status),
            }
        };
        drop(pieces);
        let written = writer.await?;
        Ok(match written {
            Err(Unwritten::Disk(error)) => return Err(error.into()),
            Err(Unwritten::Damaged) => Err(Status::data_loss("a content is not what its name says")),
            Ok(()) => ended,
        })
    }
}

/// Those that the cache does not have.
fn missing(cache: &Cache, wanted: Vec<Wanted>) -> Vec<Wanted> {
    wanted.into_iter().filter(|wanted| !cache.has(wanted.content)).collect()
}

/// A content that grows.
#[derive(Debug)]
struct Part {
    content: Sha256,
    path: PathBuf,
    have: u64,
}

enum Unwritten {
    Disk(io::Error),
    Damaged,
}

impl From<io::Error> for Unwritten {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

/// Writes contents as they come; keeps those that are whole and right.
fn write_parts(
    cache: &Cache,
    parts: Vec<Part>,
    mut pieces: mpsc::Receiver<pb::content_chunk::What>,
) -> Result<(), Unwritten> {
    let mut whole = Vec::new();
    let written = write_in_turn(parts, &mut whole, &mut pieces);
    cache.keep(&whole)?;
    written
}

fn write_in_turn(
    parts: Vec<Part>,
    whole: &mut Vec<Came>,
    pieces: &mut mpsc::Receiver<pb::content_chunk::What>,
) -> Result<(), Unwritten> {
    let mut parts = parts.into_iter();
    let mut now: Option<Growing> = None;
    while let Some(piece) = pieces.blocking_recv() {
        match piece {
            pb::content_chunk::What::Begin(size) => {
                let Some(part) = parts.next() else { return Err(Unwritten::Damaged) };
                now = Some(Growing::open(part, size)?);
            }
            pb::content_chunk::What::Data(data) => match &mut now {
                Some(growing) => growing.write(&data)?,
                None => return Err(Unwritten::Damaged),
            },
        }
        if now.as_ref().is_some_and(|growing| growing.left == 0)
            && let Some(growing) = now.take()
        {
            whole.push(growing.check()?);
        }
    }
    Ok(())
}

/// A content while it is written.
struct Growing {
    part: Part,
    file: File,
    hash: sha2::Sha256,
    left: u64,
}

impl Growing {
    fn open(part: Part, size: u64) -> io::Result<Self> {
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(part.have == 0).open(&part.path)?;
        let (mut hash, mut left) = (sha2::Sha256::new(), part.have);
        let mut chunk = vec![0; if left > 0 { CHUNK } else { 0 }];
        while left > 0 {
            let most = CHUNK.min(usize::try_from(left).unwrap_or(CHUNK));
            file.read_exact(&mut chunk[..most])?;
            hash.update(&chunk[..most]);
            left -= most as u64;
        }
        let left = size.saturating_sub(part.have);
        Ok(Self { part, file, hash, left })
    }

    fn write(&mut self, data: &[u8]) -> Result<(), Unwritten> {
        self.left = self.left.checked_sub(data.len() as u64).ok_or(Unwritten::Damaged)?;
        self.hash.update(data);
        Ok(self.file.write_all(data)?)
    }

    fn check(self) -> Result<Came, Unwritten> {
        let Part { content, path, .. } = self.part;
        if Sha256(self.hash.finalize().into()) == content {
            return Ok(Came { content, part: path });
        }
        fs::remove_file(path)?;
        Err(Unwritten::Damaged)
    }
}

/// Puts an input to where it is mounted from.
fn place(cache: &Cache, what: &What, input: &Placed) -> io::Result<()> {
    let Placed { host, writable, .. } = input;
    // What an earlier try left.
    match fs::symlink_metadata(host) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(host)?,
        Ok(_) => fs::remove_file(host)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    match what {
        What::File(content) => {
            host.parent().map_or(Ok(()), fs::create_dir_all)?;
            cache.place(*content, Form { executable: false, writable: *writable }, host)
        }
        What::Folder(tree) => place_folder(cache, tree, host, *writable),
    }
}

fn place_folder(cache: &Cache, tree: &Tree, host: &Path, writable: bool) -> io::Result<()> {
    let mode = if writable { 0o777 } else { 0o755 };
    fs::create_dir_all(host)?;
    fs::set_permissions(host, Permissions::from_mode(mode))?;
    let mut made = BTreeSet::new();
    for entry in tree.entries() {
        let to = host.join(&entry.path);
        let folder = match entry.kind {
            Kind::File { .. } => to.parent().unwrap_or(host),
            Kind::Folder => &to,
        };
        make_folders(host, folder, mode, &mut made)?;
        if let Kind::File { sha256, executable, .. } = entry.kind {
            cache.place(sha256, Form { executable, writable }, &to)?;
        }
    }
    Ok(())
}

/// Makes a folder and those above it, below a root, whatever mask the process has.
fn make_folders(root: &Path, folder: &Path, mode: u32, made: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    if folder == root || made.contains(folder) {
        return Ok(());
    }
    if let Some(above) = folder.parent() {
        make_folders(root, above, mode, made)?;
    }
    DirBuilder::new().create(folder)?;
    fs::set_permissions(folder, Permissions::from_mode(mode))?;
    made.insert(folder.to_owned());
    Ok(())
}
