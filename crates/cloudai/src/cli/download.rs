//! `cloudai task download`: files of a task, each checked against its size and SHA-256.
//!
//! A name from the master never leads out of the chosen folder, and a file only gets its name
//! when it is whole.

use super::Context;
use super::beside::Beside;
use crate::exit::{Exit, Failure};
use crate::id::{self, short};
use crate::render;
use cloudai_core::path::{is_plain, is_within};
use cloudai_core::resources::Bytes;
use cloudai_master::http::dto::{File, List};
use futures::stream::{self, StreamExt};
use sha2::{Digest, Sha256};
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};
use std::time::Instant;
use tokio::io::{AsyncWrite, AsyncWriteExt};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Its id, the last 4 characters of it or more, or `last`
    #[arg(value_name = "ID")]
    id: String,
    /// The folder; made when it is not there [default: the last 8 characters of the id]; not with --tar and --zip
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Only these files or folders
    #[arg(value_name = "PATH")]
    paths: Vec<String>,
    /// As one archive in this file, which must not be there yet, all of them or those of each PATH behind the id; - is stdout
    #[arg(long, value_name = "FILE")]
    tar: Option<PathBuf>,
    /// The same as a zip
    #[arg(long, value_name = "FILE", conflicts_with = "tar")]
    zip: Option<PathBuf>,
    /// Replaces files that are there already and are others
    #[arg(long, conflicts_with_all = ["tar", "zip"])]
    force: bool,
}

impl Args {
    /// All files of a task, into a folder.
    pub(super) fn of(id: String, dir: PathBuf) -> Self {
        Self { id, dir: Some(dir), paths: Vec::new(), tar: None, zip: None, force: false }
    }
}

/// Files on their way at once.
const AT_ONCE: usize = 8;
/// How often a file is begun when its connection is lost.
const TRIES: u32 = 3;

pub(super) async fn run(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    let id = id::resolve(&cx.client, &args.id).await?;
    if let Some((to, format)) =
        args.tar.iter().map(|to| (to, "tar")).chain(args.zip.iter().map(|to| (to, "zip"))).next()
    {
        // No folder is filled: the word in its place is a path too.
        let first = args.dir.iter().map(|path| path.display().to_string());
        let paths: Vec<String> = first.chain(args.paths.iter().cloned()).collect();
        return archive(&id, to, (format, &paths), cx).await;
    }
    let list: List<File> = cx.client.get(&["api", "v1", "tasks", &id, "files"], &[]).await?;
    let files = chosen(list.items, &args.paths)?;
    let dir = args.dir.clone().unwrap_or_else(|| PathBuf::from(short(&id)));
    let targets: Vec<PathBuf> = files.iter().map(|file| target(&dir, &file.path)).collect::<Result<_, _>>()?;
    if !args.force {
        nothing_else_there(&files, &targets)?;
    }
    if files.is_empty() {
        cx.screen.note(&format!("{} left no files", short(&id)));
    }
    let (id, dir) = (&*id, &*dir);
    let fetches = files.iter().zip(&targets).map(|(file, to)| async move {
        let began = Instant::now();
        fetch_again(id, file, to, dir, cx).await.map(|()| (file, to, began.elapsed()))
    });
    let mut fetches = stream::iter(fetches).buffered(AT_ONCE);
    while let Some(fetched) = fetches.next().await {
        let (file, to, took) = fetched?;
        if cx.screen.for_people() {
            cx.screen.line(&render::task::downloaded(to, file, took))?;
        }
    }
    drop(fetches);
    if !cx.screen.for_people() {
        let name =
            |file: &File| target(dir, &file.path).map_or_else(|_| file.path.clone(), |to| to.display().to_string());
        cx.screen.list(&List { items: files, next_cursor: None }, name, String::new)?;
    }
    Ok(Exit::Ok)
}

/// What an archive is to be: its form, and what it is to hold; everything where nothing is named.
type Wanted<'a> = (&'a str, &'a [String]);

/// Files as one archive. The master checks each against its SHA-256, and breaks off where one is damaged.
async fn archive(id: &str, to: &Path, wanted: Wanted<'_>, cx: &Context) -> Result<Exit, Failure> {
    if to == Path::new("-") {
        pour((id, wanted), tokio::io::stdout(), Path::new("stdout"), cx).await?;
        return Ok(Exit::Ok);
    }
    let beside = Beside::new(to, "an archive")?;
    let file = tokio::fs::File::create(beside.part()).await.map_err(|error| at(to, &error))?;
    let poured = pour((id, wanted), file, to, cx).await;
    let size = beside.done(poured, at)?;
    cx.screen.note(&format!("{}  {}", to.display(), Bytes(size)));
    Ok(Exit::Ok)
}

async fn pour(
    (id, (format, paths)): (&str, Wanted<'_>),
    mut out: impl AsyncWrite + Unpin,
    name: &Path,
    cx: &Context,
) -> Result<u64, Failure> {
    let mut query = vec![("format", format.to_owned())];
    query.extend(paths.iter().map(|path| ("path", plain(path).to_owned())));
    let mut response = cx.client.stream(&["api", "v1", "tasks", id, "archive"], &query).await?;
    let mut size = 0;
    while let Some(chunk) = response.chunk().await.map_err(|error| cx.client.unreachable(&error))? {
        size += chunk.len() as u64;
        out.write_all(&chunk).await.map_err(|error| at(name, &error))?;
    }
    out.flush().await.map_err(|error| at(name, &error))?;
    Ok(size)
}

/// A path as a list of files has it.
fn plain(typed: &str) -> &str {
    typed.trim_start_matches("./").trim_end_matches('/')
}

/// The files that were asked for; each path has to name at least one.
fn chosen(files: Vec<File>, paths: &[String]) -> Result<Vec<File>, Failure> {
    if paths.is_empty() {
        return Ok(files);
    }
    let wanted: Vec<&str> = paths.iter().map(|path| plain(path)).collect();
    let under = |file: &File, path: &str| file.path == path || is_within(&file.path, path);
    if let Some(missing) = wanted.iter().find(|path| !files.iter().any(|file| under(file, path))) {
        let names: Vec<_> = files.iter().take(10).map(|file| file.path.as_str()).collect();
        let why =
            if names.is_empty() { "it left no files".to_owned() } else { format!("there is: {}", names.join(", ")) };
        return Err(Failure::not_found(format!("no file {missing:?} of the task")).why(why));
    }
    Ok(files.into_iter().filter(|file| wanted.iter().any(|path| under(file, path))).collect())
}

/// Where a file goes: always below `dir`.
fn target(dir: &Path, path: &str) -> Result<PathBuf, Failure> {
    let unsafe_name = !is_plain(path)
        || path.contains('\\')
        || !Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    if unsafe_name {
        return Err(Failure::error(format!("the master names a file {path:?}"))
            .why("that would lead out of the chosen folder; nothing was fetched"));
    }
    Ok(dir.join(path))
}

async fn fetch_again(id: &str, file: &File, to: &Path, dir: &Path, cx: &Context) -> Result<(), Failure> {
    let mut tries = 0;
    loop {
        tries += 1;
        match fetch(id, file, to, dir, cx).await {
            Err(failure) if failure.exit == Exit::Unreachable && tries < TRIES => {}
            done => return done,
        }
    }
}

/// Fetches one file under a name of its own, checks it, and gives it its name.
async fn fetch(id: &str, file: &File, to: &Path, dir: &Path, cx: &Context) -> Result<(), Failure> {
    make_folders(dir, to)?;
    let beside = Beside::of(to)?;
    let fetched = fetch_to(id, file, (beside.part(), to), cx).await;
    beside.done(fetched, at)
}

/// `part` is where it is written for now, `to` where it will be.
async fn fetch_to(id: &str, file: &File, (part, to): (&Path, &Path), cx: &Context) -> Result<(), Failure> {
    let mut path = vec!["api", "v1", "tasks", id, "files"];
    path.extend(file.path.split('/'));
    let mut response = cx.client.stream(&path, &[]).await?;
    let mut out = tokio::fs::File::create(part).await.map_err(|error| at(to, &error))?;
    let (mut size, mut hash) = (0u64, Sha256::new());
    while let Some(chunk) = response.chunk().await.map_err(|error| cx.client.unreachable(&error))? {
        size += chunk.len() as u64;
        hash.update(&chunk);
        out.write_all(&chunk).await.map_err(|error| at(to, &error))?;
    }
    out.flush().await.map_err(|error| at(to, &error))?;
    let sha256 = hex::encode(hash.finalize());
    if size == file.size && sha256 == file.sha256 {
        return Ok(());
    }
    Err(Failure { code: "checksum".into(), ..Failure::error(format!("{} is not what the task wrote", file.path)) }
        .why(format!("expected {} bytes with SHA-256 {}", file.size, file.sha256))
        .why(format!("got {size} bytes with {sha256}; they were thrown away"))
        .next("the same command again; if it stays so, the master's files are damaged"))
}

/// Whether no file is there that is another than the one to come: it might be somebody's work.
fn nothing_else_there(files: &[File], targets: &[PathBuf]) -> Result<(), Failure> {
    for (file, to) in files.iter().zip(targets) {
        let found = std::fs::symlink_metadata(to).is_ok_and(|found| found.is_file());
        if found && !is_the_same(file, to).map_err(|error| at(to, &error))? {
            return Err(Failure::new(Exit::Conflict, "conflict", format!("{} is another file", to.display()))
                .why("nothing was fetched: a download replaces no file that it did not bring itself")
                .next("--force replaces it; or choose another folder: cloudai task download ID DIR"));
        }
    }
    Ok(())
}

fn is_the_same(file: &File, to: &Path) -> std::io::Result<bool> {
    let mut found = std::fs::File::open(to)?;
    if found.metadata()?.len() != file.size {
        return Ok(false);
    }
    let mut hash = Sha256::new();
    std::io::copy(&mut found, &mut hash)?;
    Ok(hex::encode(hash.finalize()) == file.sha256)
}

/// Makes the folders of a file; one that is a link could lead anywhere.
fn make_folders(dir: &Path, to: &Path) -> Result<(), Failure> {
    let inside = to.parent().and_then(|parent| parent.strip_prefix(dir).ok()).unwrap_or_else(|| Path::new(""));
    std::fs::create_dir_all(dir).map_err(|error| at(dir, &error))?;
    let mut folder = dir.to_owned();
    for part in inside.components() {
        folder.push(part);
        match std::fs::symlink_metadata(&folder) {
            Ok(found) if found.is_symlink() => {
                return Err(Failure::new(Exit::Conflict, "conflict", format!("{} is a link", folder.display()))
                    .why("what it leads to is not below the chosen folder")
                    .next(OTHER_PLACE));
            }
            Ok(found) if !found.is_dir() => return Err(in_the_way(&folder).why("a folder is to be there")),
            Ok(_) => {}
            Err(_) => std::fs::create_dir(&folder).map_err(|error| at(&folder, &error))?,
        }
    }
    Ok(())
}

const OTHER_PLACE: &str = "remove it, or choose another folder: cloudai task download ID DIR";

fn in_the_way(path: &Path) -> Failure {
    Failure::new(Exit::Conflict, "conflict", format!("{} is in the way", path.display())).next(OTHER_PLACE)
}

fn at(path: &Path, error: &std::io::Error) -> Failure {
    match error.kind() {
        ErrorKind::AlreadyExists => in_the_way(path).why("it is no folder"),
        ErrorKind::IsADirectory => in_the_way(path).why("it is a folder, where a file is to be"),
        _ => Failure::error(format!("{} can not be written", path.display())).why(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_never_leads_out_of_the_folder() {
        for bad in ["", "/etc/x", "../x", "a/../x", "a//b", "a/", "./x", "a\\b", "a\0b", ".."] {
            assert!(target(Path::new("d"), bad).is_err(), "{bad:?}");
        }
        assert_eq!(target(Path::new("d"), "a/b c.txt").unwrap(), Path::new("d/a/b c.txt"));
    }

    #[test]
    fn a_file_of_before_is_replaced_only_by_itself() {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("a");
        let file = |text: &str| File {
            path: "a".into(),
            size: text.len() as u64,
            sha256: hex::encode(Sha256::digest(text)),
            location: None,
        };
        let look =
            |text: &str| nothing_else_there(&[file(text)], std::slice::from_ref(&to)).map_err(|failure| failure.exit);
        assert_eq!(look("mine"), Ok(()));
        std::fs::write(&to, "mine").unwrap();
        assert_eq!((look("mine"), look("your"), look("longer")), (Ok(()), Err(Exit::Conflict), Err(Exit::Conflict)));
    }

    #[test]
    fn a_path_takes_a_file_or_a_folder() {
        let files = || {
            ["a/x", "a/y", "ab"]
                .map(|path| File { path: path.into(), size: 0, sha256: String::new(), location: None })
                .to_vec()
        };
        let names = |paths: &[&str]| {
            let paths: Vec<_> = paths.iter().map(ToString::to_string).collect();
            chosen(files(), &paths).map(|files| files.into_iter().map(|file| file.path).collect::<Vec<_>>())
        };
        assert_eq!(names(&["a"]).unwrap(), ["a/x", "a/y"]);
        assert_eq!(names(&["./ab", "a/y"]).unwrap(), ["a/y", "ab"]);
        assert_eq!(names(&["b"]).unwrap_err().exit, Exit::NotFound);
        assert_eq!(names(&[]).unwrap().len(), 3);
    }
}
