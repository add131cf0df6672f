//! Brings what an attempt finds before it starts: from the master into the cache, from there to its folder.
//!
//! The master says which contents the inputs are ([`pb::ResolvedInput`]); a folder is a list of files, each a content of
//! its own. What the cache has is not sent again; what breaks off goes on where it was.

mod address;
mod parts;

pub(crate) use address::Addresses;

use crate::absence::why;
use crate::cache::{Cache, Form, Pins};
use crate::client::{Backoff, Master};
use crate::executor::{Placed, Teller};
use crate::upload::{Whose, is_passing, patience};
use address::{Fault, Place};
use cloudai_core::resources::Bytes;
use cloudai_core::sha256::Sha256;
use cloudai_core::spec::tree::{Kind, MAX_BYTES, Tree};
use cloudai_core::task::Cause;
use cloudai_proto::v1 as pb;
use parts::{Part, Unwritten, write_parts};
use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{OwnedMutexGuard, mpsc};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use tracing::debug;

/// Contents of one call.
const TOGETHER: usize = 1000;
/// Pieces on their way to the disk.
const PIECES: usize = 16;
/// How often a content that came damaged is fetched again.
const TRIES: u32 = 3;

/// Brings the inputs of one attempt.
#[derive(Debug)]
pub(crate) struct Bringer {
    pub(crate) cache: Arc<Cache>,
    pub(crate) addresses: Arc<Addresses>,
    pub(crate) master: Master,
    pub(crate) whose: Whose,
    pub(crate) steps: Teller,
    /// Bytes that the copies may have which the attempt can change.
    pub(crate) storage: u64,
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
    #[error("it can not be fetched: {0}")]
    Unserved(String),
    #[error(
        "what is there has the SHA-256 {found}, the task names {named}: it was changed since, or the task is wrong"
    )]
    NotIt { found: Sha256, named: Sha256 },
    #[error("a content came damaged {TRIES} times: the master's copy is damaged, or the line")]
    Damaged,
    #[error("its copy would have {}, more than is left of storage_gb ({})", Bytes(*.0), Bytes(*.1))]
    TooLarge(u64, u64),
    #[error("the worker can not keep it: {0}")]
    Disk(#[from] io::Error),
    #[error("{0}")]
    NoFolder(#[from] cloudai_core::spec::tree::TreeError),
    #[error("the worker made a mistake: {0}")]
    Broken(#[from] tokio::task::JoinError),
}

/// Why an attempt does not find its inputs.
#[derive(Debug)]
pub(crate) struct Unbrought {
    /// Whose fault it is.
    pub(crate) cause: Cause,
    /// For people.
    pub(crate) why: String,
}

impl Failed {
    /// The worker's disk is no fault of the task.
    const fn cause(&self) -> Cause {
        match self {
            Self::Refused(_) | Self::Unserved(_) | Self::NotIt { .. } | Self::Damaged | Self::NoFolder(_) => {
                Cause::InputError
            }
            Self::TooLarge(..) => Cause::StorageExceeded,
            Self::Disk(_) | Self::Broken(_) => Cause::EngineError,
        }
    }

    fn told(&self, of: &str) -> Unbrought {
        Unbrought { cause: self.cause(), why: format!("{of} can not be brought: {self}") }
    }
}

impl Bringer {
    /// Puts every input where it is mounted from.
    /// # Errors
    /// Which one can not be brought, and why, for people.
    pub(crate) async fn bring(mut self, inputs: &[Placed]) -> Result<(), Unbrought> {
        let resolved = self.resolve().await.map_err(|failed| failed.told("its inputs"))?;
        if resolved.len() != inputs.len() {
            let why = "the master does not keep the contents of its inputs any more: submit it again".into();
            return Err(Unbrought { cause: Cause::InputError, why });
        }
        for (number, (input, resolved)) in inputs.iter().zip(resolved).enumerate() {
            let brought = self.bring_one(number, input, &resolved).await;
            brought
                .map_err(|failed| failed.told(&format!("the input for {}{}", input.path, from_where(&resolved.url))))?;
        }
        Ok(())
    }

    async fn resolve(&mut self) -> Result<Vec<pb::ResolvedInput>, Failed> {
        let mut wait = patience();
        loop {
            match self.master.resolve_inputs(self.whose.to_ref()).await {
                Ok(resolved) => return Ok(resolved.into_inner().inputs),
                Err(status) => self.again(status, &mut wait).await?,
            }
        }
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

    async fn bring_one(&mut self, number: usize, input: &Placed, resolved: &pb::ResolvedInput) -> Result<(), Failed> {
        let content = resolved.sha256.parse().map_err(|_| Failed::Refused("its hash is none".into()))?;
        let mut pins = vec![self.cache.pin(vec![content])];
        let (what, copied) = if resolved.url.is_empty() {
            self.fetch_held(content, resolved, &mut pins).await?
        } else {
            (What::File(content), self.fetch_address(number, content, &resolved.url).await?)
        };
        if input.writable {
            self.storage = self.storage.checked_sub(copied).ok_or(Failed::TooLarge(copied, self.storage))?;
            let cache = Arc::clone(&self.cache);
            spawn_blocking(move || cache.check_disk(copied)).await??;
        }
        let unwanted = CancellationToken::new();
        let _nobody_waits = unwanted.clone().drop_guard();
        let (cache, input) = (Arc::clone(&self.cache), input.clone());
        // The pins stay for as long as it works, also when nobody waits for it any more.
        let placed = spawn_blocking(move || {
            let _pins = pins;
            put(&cache, &what, &input, &unwanted)
        });
        Ok(placed.await??)
    }

    /// Has a file, or all of a folder, in the cache that the master keeps; answers it and its bytes.
    async fn fetch_held(
        &mut self,
        content: Sha256,
        resolved: &pb::ResolvedInput,
        pins: &mut Vec<Pins>,
    ) -> Result<(What, u64), Failed> {
        let top = Wanted { content, size: resolved.size };
        // Several attempts that begin together fetch the same once.
        let alone = Arc::new(self.cache.alone(content).await);
        self.fetch(&alone, content, None, vec![top]).await?;
        if !resolved.folder {
            return Ok((What::File(content), resolved.size));
        }
        let tree = self.list(content).await?;
        let files: BTreeSet<_> = tree.files().collect();
        pins.push(self.cache.pin(files.iter().map(|(content, _)| *content).collect()));
        let files = files.into_iter().map(|(content, size)| Wanted { content, size }).collect();
        self.fetch(&alone, content, Some(content), files).await?;
        let size = tree.size();
        Ok((What::Folder(tree), size))
    }

    /// Has a content in the cache that is served at an address, and answers its bytes; the input's place in the task tells
    /// how to have the address anew.
    async fn fetch_address(&mut self, number: usize, content: Sha256, url: &str) -> Result<u64, Failed> {
        let (mut url, mut patience, mut anew) = (url.to_owned(), self.addresses.patience(), false);
        let place = Place::of(&self.cache, content, &url).await;
        while !place.blocking(Place::has).await? {
            let (steps, told) = (&self.steps, AtomicU64::new(0));
            let tell = |came: u64, size: Option<u64>| {
                let percent = size.map_or(0, |size| came.saturating_mul(100) / size.max(1));
                if told.swap(percent, Ordering::Relaxed) != percent {
                    steps.detail(format!("fetching inputs {percent}%"));
                }
            };
            match self.addresses.fetch(&place, &url, tell).await {
                Ok(()) => break,
                Err(Fault::Passing(why, asked)) => {
                    debug!(attempt = %self.whose.attempt, why, "an input waits for its server");
                    self.steps.detail(format!("an input waits for its server: {why}"));
                    let have = place.blocking(Place::have).await??;
                    let Some(wait) = patience.after(have, asked) else { return Err(Failed::Unserved(why)) };
                    tokio::time::sleep(wait).await;
                    url = self.address(number).await?.unwrap_or(url);
                }
                // What was signed may have ended before its turn came.
                Err(Fault::Lasting(failed)) => match self.address(number).await? {
                    Some(again) if again != url && !anew => (url, anew) = (again, true),
                    Some(_) | None => return Err(failed),
                },
            }
        }
        Ok(place.blocking(Place::size).await??)
    }

    /// Where the master has an input fetched from now.
    async fn address(&mut self, number: usize) -> Result<Option<String>, Failed> {
        Ok(self.resolve().await?.into_iter().nth(number).map(|resolved| resolved.url))
    }

    async fn list(&self, content: Sha256) -> Result<Tree, Failed> {
        let cache = Arc::clone(&self.cache);
        let list = spawn_blocking(move || cache.read(content)).await??;
        debug_assert!(list.len() <= MAX_BYTES, "the master checks it");
        Ok(Tree::read(&list)?)
    }

    /// Has all of these in the cache; `key` is what was locked.
    async fn fetch(
        &mut self,
        alone: &Alone,
        key: Sha256,
        tree: Option<Sha256>,
        wanted: Vec<Wanted>,
    ) -> Result<(), Failed> {
        let wanted = self.missing(wanted).await?;
        if wanted.is_empty() {
            return Ok(());
        }
        let (cache, all) = (Arc::clone(&self.cache), bytes(&wanted));
        spawn_blocking(move || cache.make_room(all)).await??;
        let mut before = 0;
        for together in wanted.chunks(TOGETHER) {
            self.fetch_together(alone, key, tree, together.to_vec(), (before, all)).await?;
            before += bytes(together);
        }
        Ok(())
    }

    /// Fetches those of one call, again until the cache has them; so many bytes of all came before.
    async fn fetch_together(
        &mut self,
        alone: &Alone,
        key: Sha256,
        tree: Option<Sha256>,
        mut wanted: Vec<Wanted>,
        (before, all): (u64, u64),
    ) -> Result<(), Failed> {
        let (mut wait, mut damaged) = (patience(), 0);
        let after = before + bytes(&wanted);
        loop {
            wanted = self.missing(wanted).await?;
            if wanted.is_empty() {
                return Ok(());
            }
            let before = after - bytes(&wanted);
            match self.fetch_some(alone, key, tree, &wanted, (before, all)).await? {
                Ok(()) => {}
                Err(status) if status.code() == Code::DataLoss => {
                    damaged += 1;
                    if damaged >= TRIES {
                        return Err(Failed::Damaged);
                    }
                }
                Err(status) => self.again(status, &mut wait).await?,
            }
        }
    }

    /// Those that the cache does not have.
    async fn missing(&self, wanted: Vec<Wanted>) -> Result<Vec<Wanted>, Failed> {
        let cache = Arc::clone(&self.cache);
        let missing = move || wanted.into_iter().filter(|wanted| !cache.has(wanted.content)).collect();
        Ok(spawn_blocking(missing).await?)
    }

    /// Fetches some; what came whole is kept, however the call ended.
    async fn fetch_some(
        &mut self,
        alone: &Alone,
        key: Sha256,
        tree: Option<Sha256>,
        wanted: &[Wanted],
        (before, all): (u64, u64),
    ) -> Result<Result<(), Status>, Failed> {
        let cache = Arc::clone(&self.cache);
        let (parts, mine) = (wanted.to_vec(), Arc::clone(alone));
        // Before the call: what came earlier may take minutes to be hashed.
        let grown = spawn_blocking(move || {
            let _alone = mine;
            parts.iter().map(|wanted| Part::open(&cache, *wanted, key)).collect::<io::Result<Vec<_>>>()
        });
        let grown = grown.await??;
        let contents =
            grown.iter().map(|part| pb::WantedContent { sha256: part.content.to_string(), offset: part.have });
        let tree = tree.map(|tree| tree.to_string()).unwrap_or_default();
        let request = pb::FetchRequest { attempt: Some(self.whose.to_ref()), tree, contents: contents.collect() };
        let mut stream = match self.master.fetch_contents(request).await {
            Ok(stream) => stream.into_inner(),
            Err(status) => return Ok(Err(status)),
        };
        let mut came = before + grown.iter().map(|part| part.have).sum::<u64>();
        let (pieces, taken) = mpsc::channel(PIECES);
        let (cache, mine) = (Arc::clone(&self.cache), Arc::clone(alone));
        // Nobody else fetches the same before this is over, also when nobody waits for it any more.
        let writer = spawn_blocking(move || {
            let _alone = mine;
            write_parts(&cache, grown, taken)
        });
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

/// Where an input comes from, for people: without what is behind the `?`, which may be signed.
fn from_where(url: &str) -> String {
    let shown = url.split('?').next().unwrap_or_default();
    if shown.is_empty() { String::new() } else { format!(" from {shown}") }
}

fn bytes(wanted: &[Wanted]) -> u64 {
    wanted.iter().map(|wanted| wanted.size).sum()
}

/// Nobody else fetches the same while somebody has this.
type Alone = Arc<OwnedMutexGuard<()>>;

/// Puts an input to where it is mounted from.
fn put(cache: &Cache, what: &What, input: &Placed, unwanted: &CancellationToken) -> io::Result<()> {
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
        What::Folder(tree) => place_folder(cache, tree, host, *writable, unwanted),
    }
}

fn place_folder(
    cache: &Cache,
    tree: &Tree,
    host: &Path,
    writable: bool,
    unwanted: &CancellationToken,
) -> io::Result<()> {
    let mode = if writable { 0o777 } else { 0o755 };
    fs::create_dir_all(host)?;
    fs::set_permissions(host, Permissions::from_mode(mode))?;
    let mut made = BTreeSet::new();
    for entry in tree.entries().iter().take_while(|_| !unwanted.is_cancelled()) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::Digest;

    fn wanted(data: &[u8]) -> Wanted {
        Wanted { content: Sha256(sha2::Sha256::digest(data).into()), size: data.len() as u64 }
    }

    fn begin(size: usize) -> pb::content_chunk::What {
        pb::content_chunk::What::Begin(size as u64)
    }

    fn data(data: &[u8]) -> pb::content_chunk::What {
        pb::content_chunk::What::Data(data.to_vec().into())
    }

    /// Fetches what is wanted with these pieces as the answer; whether that was right.
    fn fetched(cache: &Cache, wanted: &[Wanted], pieces: Vec<pb::content_chunk::What>) -> bool {
        let key = wanted[0].content;
        let parts = wanted.iter().map(|wanted| Part::open(cache, *wanted, key)).collect::<io::Result<_>>().unwrap();
        let (sender, receiver) = mpsc::channel(100);
        pieces.into_iter().for_each(|piece| sender.try_send(piece).unwrap());
        drop(sender);
        write_parts(cache, parts, receiver).is_ok()
    }

    fn cache() -> (tempfile::TempDir, Cache) {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path(), 1000).unwrap();
        (dir, cache)
    }

    #[test]
    fn what_came_whole_is_kept_and_the_rest_goes_on_where_it_was() {
        let (_dir, cache) = cache();
        let all = [wanted(b"one"), wanted(b""), wanted(b"three")];
        let pieces = vec![begin(3), data(b"o"), data(b"ne"), begin(0), begin(5), data(b"th")];
        assert!(fetched(&cache, &all, pieces), "a call that breaks off has brought nothing wrong");
        assert_eq!(all.map(|wanted| cache.has(wanted.content)), [true, true, false]);
        let rest = [all[2]];
        // The key is what was locked: the part is found again under the same one only.
        let again = Part::open(&cache, all[2], all[0].content).unwrap();
        assert_eq!(again.have, 2);
        let (sender, receiver) = mpsc::channel(100);
        [begin(5), data(b"ree")].into_iter().for_each(|piece| sender.try_send(piece).unwrap());
        drop(sender);
        assert!(write_parts(&cache, vec![again], receiver).is_ok());
        assert_eq!(cache.read(rest[0].content).unwrap(), b"three");
    }

    #[test]
    fn what_is_not_as_its_name_says_is_thrown_away_and_begun_anew() {
        let (_dir, cache) = cache();
        let right = wanted(b"right");
        for wrong in [
            vec![begin(5), data(b"wrong")],
            vec![begin(5), data(b"righter")],
            vec![data(b"right")],
            vec![begin(5), data(b"right"), begin(1), data(b"x")],
        ] {
            let known = cache.has(right.content);
            assert!(!fetched(&cache, &[right], wrong.clone()), "{wrong:?}");
            assert!(known || cache.read(right.content).is_err() || cache.read(right.content).unwrap() == b"right");
        }
        let (_dir, cache) = self::cache();
        let part = cache.part(right.content, right.content).unwrap();
        fs::write(&part, "much longer than it is").unwrap();
        assert!(fetched(&cache, &[right], vec![begin(5), data(b"right")]), "no beginning of it");
        assert_eq!(cache.read(right.content).unwrap(), b"right");
    }

    #[test]
    fn a_folder_is_placed_with_its_rights_and_its_empty_folders() {
        let (dir, cache) = cache();
        let file = wanted(b"echo");
        assert!(fetched(&cache, &[file], vec![begin(4), data(b"echo")]));
        let at = |path: &str, executable| cloudai_core::spec::tree::Entry {
            path: path.into(),
            kind: Kind::File { sha256: file.content, size: 4, executable },
        };
        let empty = cloudai_core::spec::tree::Entry { path: "c/empty".into(), kind: Kind::Folder };
        let tree = Tree::of(vec![at("a", false), at("b/run", true), empty]).unwrap();
        for (name, writable, modes) in [("read", false, [0o444, 0o555, 0o755]), ("write", true, [0o666, 0o777, 0o777])]
        {
            let host = dir.path().join(name);
            let input = Placed { host: host.clone(), path: "/in".into(), writable };
            for _ in 0..2 {
                put(&cache, &What::Folder(tree.clone()), &input, &CancellationToken::new()).unwrap();
                let mode = |path| fs::metadata(host.join(path)).unwrap().permissions().mode() & 0o777;
                assert_eq!(["a", "b/run", "c/empty"].map(mode), modes, "{name}");
            }
        }
        let stopped = Placed { host: dir.path().join("no"), path: "/in".into(), writable: false };
        let unwanted = CancellationToken::new();
        unwanted.cancel();
        put(&cache, &What::Folder(tree), &stopped, &unwanted).unwrap();
        assert_eq!(fs::read_dir(stopped.host).unwrap().count(), 0, "nobody waits for it any more");
    }
}
