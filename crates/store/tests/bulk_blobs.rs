//! What every bulk store must do with contents, and what the local one does with what a crash left.

#![allow(clippy::unwrap_used, reason = "a test's helpers are tests")]

mod common;
mod s3_server;

use bytes::Bytes;
use cloudai_core::ids::UserId;
use cloudai_core::sha256::Sha256;
use cloudai_core::spec::tree::{Entry, Kind, Tree};
use cloudai_core::task::OutputFile;
use cloudai_store::bulk::local::LocalBulk;
use cloudai_store::bulk::s3::Bucket;
use cloudai_store::bulk::{BlobStore, BulkError, BulkStore, Content, Kept, SmallFile, Swept};
use common::{attempt, id};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};
use s3_server::S3Server;
use sha2::Digest;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;

fn local() -> (LocalBulk, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (LocalBulk::open(dir.path()).unwrap(), dir)
}

/// Contents in a bucket, their names in a directory.
fn s3() -> (LocalBulk, TempDir, S3Server) {
    let (dir, server) = (tempfile::tempdir().unwrap(), S3Server::start());
    let bucket = Bucket::new(&server.settings("of-tests")).unwrap();
    (LocalBulk::open_with(dir.path(), bucket).unwrap(), dir, server)
}

macro_rules! both {
    ($($claim:ident)+) => {
        mod disk {
            $(#[tokio::test]
            async fn $claim() {
                let (store, dir) = super::local();
                super::$claim(store, dir).await;
            })+
        }
        mod bucket {
            $(#[tokio::test]
            async fn $claim() {
                let (store, dir, _server) = super::s3();
                super::$claim(store, dir).await;
            })+
        }
    };
}

both!(
    an_upload_goes_on_where_it_was_and_is_whole_once_its_hash_is_right
    nobody_spoils_the_upload_of_another
    several_small_contents_are_kept_at_once
    a_task_reads_what_it_holds_and_nothing_else
    a_folder_is_held_with_all_of_its_files_or_not_at_all
    what_a_task_holds_stays_until_it_is_removed_and_no_longer
    what_was_used_lately_is_not_removed
    holders_are_listed_from_a_time_on
    the_same_content_of_many_tasks_is_kept_once
    a_file_of_before_contents_had_names_is_shared_when_it_is_asked_for
    what_a_crash_left_half_made_is_removed_and_never_taken_for_whole
    many_at_once_hold_the_same_folder_while_all_that_may_go_is_swept
    a_folder_that_is_held_stays_whatever_becomes_of_its_lists_own_name
    a_folder_that_a_crash_left_half_removed_is_made_anew
    what_only_an_output_needed_goes_with_it_and_not_a_day_later
    a_folder_that_more_tasks_hold_than_a_file_has_names_stays_until_the_last_lets_it_go
    a_file_that_more_tasks_hold_than_it_can_have_names_is_kept_for_all_of_them
);

fn ann() -> UserId {
    "ann".parse().unwrap()
}

fn hash(data: &[u8]) -> Sha256 {
    Sha256(sha2::Sha256::digest(data).into())
}

fn file(sha256: Sha256) -> Content {
    Content { sha256, folder: false }
}

fn folder(sha256: Sha256) -> Content {
    Content { sha256, folder: true }
}

async fn put(store: &LocalBulk, data: &'static [u8]) -> Sha256 {
    store.put_blobs(vec![Bytes::from_static(data)]).await.unwrap()[0]
}

/// The list of a folder with these files.
fn list(files: &[(&str, Sha256, u64)]) -> Bytes {
    let entry = |(path, sha256, size): &(&str, Sha256, u64)| Entry {
        path: (*path).into(),
        kind: Kind::File { sha256: *sha256, size: *size, executable: false },
    };
    Tree::of(files.iter().map(entry).collect()).unwrap().write().into()
}

async fn read(store: &LocalBulk, task: u64, tree: Option<Sha256>, content: Sha256, from: u64) -> Option<Vec<u8>> {
    match store.read_held(id(task), tree, content, from).await {
        Ok((size, mut reader)) => {
            let mut data = Vec::new();
            reader.read_to_end(&mut data).await.unwrap();
            assert_eq!(size, from + data.len() as u64);
            Some(data)
        }
        Err(BulkError::NotFound) => None,
        Err(other) => panic!("{other}"),
    }
}

/// Removes all that may go, however young it is.
async fn sweep(store: &LocalBulk) -> Swept {
    let (mut part, mut sum) = (0, Swept::default());
    let before = SystemTime::now() + Duration::from_secs(60);
    while let Some(swept) = store.sweep(part, before).await.unwrap() {
        sum.count += swept.count;
        sum.bytes += swept.bytes;
        part += 1;
    }
    sum
}

async fn an_upload_goes_on_where_it_was_and_is_whole_once_its_hash_is_right(store: LocalBulk, _dir: TempDir) {
    let content = hash(b"hello");
    let kept = async || store.blobs_kept(&ann(), vec![content]).await.unwrap()[0];
    assert_eq!(kept().await, Kept::Part(0));
    let append = async |offset, data: &'static str| store.append_blob(&ann(), content, offset, data.into()).await;
    assert_eq!(append(0, "hel").await.unwrap(), Kept::Part(3));
    assert!(matches!(append(4, "o").await, Err(BulkError::Gap { have: 3 })));
    assert_eq!(append(1, "ell").await.unwrap(), Kept::Part(4));
    assert!(matches!(store.finish_blob(&ann(), content, 4).await, Err(BulkError::Checksum)), "not whole");
    assert_eq!(kept().await, Kept::Part(0), "what was wrong is gone");
    append(0, "hello").await.unwrap();
    store.finish_blob(&ann(), content, 5).await.unwrap();
    store.finish_blob(&ann(), content, 5).await.unwrap();
    assert_eq!(kept().await, Kept::Whole(5));
    assert_eq!(append(0, "xxxxxxx").await.unwrap(), Kept::Whole(5), "what is whole stays");
}

async fn nobody_spoils_the_upload_of_another(store: LocalBulk, _dir: TempDir) {
    let content = hash(b"hello");
    let bob: UserId = "bob".parse().unwrap();
    store.append_blob(&bob, content, 0, "evil".into()).await.unwrap();
    assert_eq!(store.blobs_kept(&ann(), vec![content]).await.unwrap(), [Kept::Part(0)]);
    store.append_blob(&ann(), content, 0, "hello".into()).await.unwrap();
    store.finish_blob(&ann(), content, 5).await.unwrap();
    assert_eq!(store.blobs_kept(&bob, vec![content]).await.unwrap(), [Kept::Whole(5)]);
}

async fn several_small_contents_are_kept_at_once(store: LocalBulk, dir: TempDir) {
    let many: Vec<Bytes> = (0..300).map(|n| Bytes::from(format!("{}", n % 200))).collect();
    let hashes = store.put_blobs(many.clone()).await.unwrap();
    assert_eq!(hashes, many.iter().map(|data| hash(data)).collect::<Vec<_>>());
    assert_eq!(store.put_blobs(many).await.unwrap(), hashes);
    let kept = store.blobs_kept(&ann(), hashes).await.unwrap();
    assert!(kept.iter().all(|kept| matches!(kept, Kept::Whole(1..=3))));
    assert_eq!(files(&dir.path().join("blobs")), 200);
}

async fn a_task_reads_what_it_holds_and_nothing_else(store: LocalBulk, _dir: TempDir) {
    let (one, other) = (put(&store, b"one").await, put(&store, b"other").await);
    store.hold_inputs(id(1), &[file(one)]).await.unwrap();
    assert_eq!(read(&store, 1, None, one, 0).await.unwrap(), b"one");
    assert_eq!(read(&store, 1, None, one, 2).await.unwrap(), b"e");
    assert_eq!(read(&store, 1, None, other, 0).await, None, "not held");
    assert_eq!(read(&store, 2, None, one, 0).await, None, "another task");
    assert_eq!(read(&store, 1, Some(one), one, 0).await, None, "no folder");
    let held = store.held_inputs(id(1)).await.unwrap();
    assert_eq!(held.iter().map(|held| (held.content, held.size)).collect::<Vec<_>>(), [(file(one), 3)]);
    assert_eq!(store.held_inputs(id(2)).await.unwrap(), []);
}

async fn a_folder_is_held_with_all_of_its_files_or_not_at_all(store: LocalBulk, dir: TempDir) {
    let (a, b) = (put(&store, b"aa").await, put(&store, b"b").await);
    let whole = list(&[("x/a", a, 2), ("x/again", a, 2), ("b", b, 1)]);
    let tree = store.put_blobs(vec![whole.clone()]).await.unwrap()[0];
    store.hold_inputs(id(1), &[file(b), folder(tree)]).await.unwrap();
    assert_eq!(read(&store, 1, Some(tree), a, 0).await.unwrap(), b"aa");
    assert_eq!(read(&store, 1, None, tree, 0).await.unwrap(), whole);
    assert_eq!(read(&store, 1, None, a, 0).await, None, "only as a file of the folder");
    let held = store.held_inputs(id(1)).await.unwrap();
    assert_eq!(held.iter().map(|held| held.content).collect::<Vec<_>>(), [file(b), folder(tree)], "in their order");
    // What is not whole.
    let gone = hash(b"never sent");
    let rows = [
        (list(&[("a", a, 2), ("gone", gone, 9)]), "not kept"),
        (list(&[("a", a, 3)]), "another size"),
        (Bytes::from_static(b"f x\n"), "line 1"),
    ];
    for (bad, why) in rows {
        let bad = store.put_blobs(vec![bad]).await.unwrap()[0];
        let error = store.hold_inputs(id(2), &[file(b), folder(bad)]).await.unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        assert_eq!(store.held_inputs(id(2)).await.unwrap(), [], "nothing half held");
        assert!(!dir.path().join(format!("trees/{}/{bad}", &bad.to_string()[..2])).exists());
    }
    assert!(matches!(store.hold_inputs(id(2), &[file(gone)]).await, Err(BulkError::NotFound)));
}

async fn what_a_task_holds_stays_until_it_is_removed_and_no_longer(store: LocalBulk, dir: TempDir) {
    let (a, b, idle) = (put(&store, b"aa").await, put(&store, b"b").await, put(&store, b"idle").await);
    let tree = store.put_blobs(vec![list(&[("a", a, 2)])]).await.unwrap()[0];
    store.hold_inputs(id(1), &[folder(tree)]).await.unwrap();
    store.hold_inputs_as(id(2), id(1)).await.unwrap();
    store.hold_inputs(id(3), &[file(b)]).await.unwrap();
    store.append_blob(&ann(), hash(b"never finished"), 0, "never".into()).await.unwrap();
    assert_eq!(sweep(&store).await, Swept { count: 2, bytes: 4 + 5 }, "what nobody holds, and the upload");
    assert_eq!(store.blobs_kept(&ann(), vec![idle]).await.unwrap(), [Kept::Part(0)]);
    store.remove(id(1)).await.unwrap();
    sweep(&store).await;
    assert_eq!(read(&store, 2, Some(tree), a, 0).await.unwrap(), b"aa", "the other one has it still");
    store.remove(id(2)).await.unwrap();
    store.release_inputs(id(3)).await.unwrap();
    store.release_inputs(id(3)).await.unwrap();
    // First the folder lets its files go, then they go.
    sweep(&store).await;
    sweep(&store).await;
    let left = ["blobs", "trees", "uploads"].map(|tree| files(&dir.path().join(tree)));
    assert_eq!(left, [0, 0, 0]);
}

async fn what_was_used_lately_is_not_removed(store: LocalBulk, dir: TempDir) {
    let content = put(&store, b"x").await;
    let path = blob(dir.path(), content);
    let hour = Duration::from_secs(3600);
    make_old(&path, 30 * hour);
    // Whoever asks for it may name it in the next moment.
    store.blobs_kept(&ann(), vec![content]).await.unwrap();
    for part in 0..256 {
        store.sweep(part, SystemTime::now() - 24 * hour).await.unwrap();
    }
    assert!(path.symlink_metadata().is_ok());
    make_old(&path, 30 * hour);
    for part in 0..256 {
        store.sweep(part, SystemTime::now() - 24 * hour).await.unwrap();
    }
    assert!(path.symlink_metadata().is_err());
}

async fn holders_are_listed_from_a_time_on(store: LocalBulk, _dir: TempDir) {
    let content = put(&store, b"x").await;
    let tasks: Vec<_> = (1..=5).map(id).collect();
    for task in &tasks {
        store.hold_inputs(*task, &[file(content)]).await.unwrap();
    }
    let mut found = Vec::new();
    let mut none = 0;
    for part in 0.. {
        let Some(holders) = store.holders(part, SystemTime::now() + Duration::from_secs(60)).await.unwrap() else {
            break;
        };
        found.extend(holders);
        let past = SystemTime::now() - Duration::from_secs(60);
        none += store.holders(part, past).await.unwrap().unwrap().len();
    }
    found.sort_unstable();
    assert_eq!((found, none), (tasks, 0));
}

async fn the_same_content_of_many_tasks_is_kept_once(store: LocalBulk, dir: TempDir) {
    let data = Bytes::from_static(b"the same");
    let sha256 = hash(&data);
    for task in 1..=5 {
        for path in ["a", "b"] {
            store.append_file(attempt(task, 1), path, 0, data.clone()).await.unwrap();
            store.finish_file(attempt(task, 1), path, 8, sha256).await.unwrap();
        }
    }
    assert_eq!((files(&dir.path().join("files")), inodes(&dir.path().join("files"))), (10, 1));
    // An input is the very same.
    store.hold_inputs(id(9), &[file(hash(&data))]).await.unwrap();
    for task in 1..=5 {
        store.remove(id(task)).await.unwrap();
    }
    sweep(&store).await;
    assert_eq!(read(&store, 9, None, hash(&data), 0).await.unwrap(), data, "its source is gone");
}

async fn a_file_of_before_contents_had_names_is_shared_when_it_is_asked_for(store: LocalBulk, dir: TempDir) {
    let output = OutputFile { path: "a".into(), size: 3, sha256: hash(b"old") };
    store.append_file(attempt(1, 1), "a", 0, "old".into()).await.unwrap();
    store.finish_file(attempt(1, 1), "a", 3, output.sha256).await.unwrap();
    fs::remove_dir_all(dir.path().join("blobs")).unwrap();
    assert!(matches!(store.hold_inputs(id(2), &[file(hash(b"old"))]).await, Err(BulkError::NotFound)));
    store.share_output(attempt(1, 1), &output).await.unwrap();
    store.hold_inputs(id(2), &[file(hash(b"old"))]).await.unwrap();
    let other = OutputFile { path: "b".into(), sha256: hash(b"none"), ..output };
    assert!(matches!(store.share_output(attempt(1, 1), &other).await, Err(BulkError::NotFound)));
}

async fn what_a_crash_left_half_made_is_removed_and_never_taken_for_whole(store: LocalBulk, dir: TempDir) {
    let a = put(&store, b"aa").await;
    let tree = store.put_blobs(vec![list(&[("a", a, 2)])]).await.unwrap()[0];
    let digits = tree.to_string()[..2].to_owned();
    let half = dir.path().join(format!("trees/{digits}/{tree}.1-1.new"));
    fs::create_dir_all(&half).unwrap();
    fs::write(dir.path().join(format!("blobs/{digits}/{tree}.1-2.new")), "half").unwrap();
    store.hold_inputs(id(1), &[folder(tree)]).await.unwrap();
    assert_eq!(read(&store, 1, Some(tree), a, 0).await.unwrap(), b"aa");
    sweep(&store).await;
    assert!(!half.exists());
    assert_eq!(files(&dir.path().join("blobs")), 2);
}

async fn many_at_once_hold_the_same_folder_while_all_that_may_go_is_swept(store: LocalBulk, _dir: TempDir) {
    let store = Arc::new(store);
    let a = put(&store, b"aa").await;
    let list = list(&[("a", a, 2)]);
    let tree = store.put_blobs(vec![list.clone()]).await.unwrap()[0];
    let future = || SystemTime::now() + Duration::from_secs(60);
    let mut works = tokio::task::JoinSet::new();
    for task in 1..=40_u64 {
        let (store, list) = (Arc::clone(&store), list.clone());
        works.spawn(async move {
            // What was swept in between is sent again, as clients do.
            loop {
                store.put_blobs(vec![Bytes::from_static(b"aa"), list.clone()]).await.unwrap();
                match store.hold_inputs(id(task), &[folder(tree)]).await {
                    Ok(()) => break,
                    Err(BulkError::NotFound | BulkError::NotWhole(_)) => {}
                    Err(other) => panic!("{other:?}"),
                }
            }
            for part in [tree.0[0], a.0[0]] {
                store.sweep(u32::from(part), future()).await.unwrap();
            }
            assert_eq!(read(&store, task, Some(tree), a, 0).await.unwrap(), b"aa", "what is held stays");
            if task % 2 == 0 {
                store.release_inputs(id(task)).await.unwrap();
            }
        });
    }
    while let Some(work) = works.join_next().await {
        work.unwrap();
    }
    sweep(&store).await;
    assert_eq!(read(&store, 1, Some(tree), a, 0).await.unwrap(), b"aa");
    assert_eq!(read(&store, 2, Some(tree), a, 0).await, None);
}

async fn a_folder_that_is_held_stays_whatever_becomes_of_its_lists_own_name(store: LocalBulk, dir: TempDir) {
    let a = put(&store, b"aa").await;
    let list = list(&[("a", a, 2)]);
    let tree = store.put_blobs(vec![list.clone()]).await.unwrap()[0];
    store.hold_inputs(id(1), &[folder(tree)]).await.unwrap();
    // As where a file system allows no more links to it: the name leads to another file.
    let blob = blob(dir.path(), tree);
    fs::remove_file(&blob).unwrap();
    assert_eq!(store.put_blobs(vec![list]).await.unwrap(), [tree]);
    store.hold_inputs(id(2), &[folder(tree)]).await.unwrap();
    store.release_inputs(id(2)).await.unwrap();
    sweep(&store).await;
    assert!(blob.symlink_metadata().is_err(), "nobody needs that one");
    assert_eq!(read(&store, 1, Some(tree), a, 0).await.unwrap(), b"aa");
    store.release_inputs(id(1)).await.unwrap();
    sweep(&store).await;
    assert_eq!(files(&dir.path().join("trees")), 0);
}

async fn a_folder_that_a_crash_left_half_removed_is_made_anew(store: LocalBulk, dir: TempDir) {
    let (a, b) = (put(&store, b"aa").await, put(&store, b"b").await);
    let tree = store.put_blobs(vec![list(&[("a", a, 2), ("b", b, 1)])]).await.unwrap()[0];
    store.hold_inputs(id(1), &[folder(tree)]).await.unwrap();
    store.release_inputs(id(1)).await.unwrap();
    let digits = dir.path().join("trees").join(&tree.to_string()[..2]);
    // A sweep takes the name away first: what is half removed has another.
    let half = digits.join(format!("{tree}.1-7.new"));
    fs::rename(digits.join(tree.to_string()), &half).unwrap();
    fs::remove_file(half.join(a.to_string())).unwrap();
    store.hold_inputs(id(2), &[folder(tree)]).await.unwrap();
    assert_eq!(read(&store, 2, Some(tree), a, 0).await.unwrap(), b"aa");
    sweep(&store).await;
    assert!(!half.exists());
    assert_eq!(read(&store, 2, Some(tree), a, 0).await.unwrap(), b"aa");
}

async fn what_only_an_output_needed_goes_with_it_and_not_a_day_later(store: LocalBulk, dir: TempDir) {
    let small = SmallFile { path: "small".into(), sha256: hash(b"s"), data: "s".into() };
    store.put_files(attempt(1, 1), vec![small]).await.unwrap();
    store.append_file(attempt(1, 1), "large", 0, "large".into()).await.unwrap();
    store.finish_file(attempt(1, 1), "large", 5, hash(b"large")).await.unwrap();
    store.remove(id(1)).await.unwrap();
    let mut swept = 0;
    for part in 0..256 {
        swept += store.sweep(part, SystemTime::now() - Duration::from_secs(3600)).await.unwrap().unwrap().bytes;
    }
    assert_eq!((swept, files(&dir.path().join("blobs"))), (6, 0));
}

/// As if a content had been needed last so long ago.
fn make_old(path: &Path, age: Duration) {
    let when = (SystemTime::now() - age).duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let time = Timespec::try_from(when).unwrap();
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

fn blob(dir: &Path, content: Sha256) -> PathBuf {
    let name = content.to_string();
    dir.join("blobs").join(&name[..2]).join(&name)
}

/// Gives a file so many names that the file system allows no more; they go with the folder that is answered.
fn filled(file: &Path) -> TempDir {
    let names = tempfile::tempdir_in(file.parent().unwrap()).unwrap();
    let full = (0..200_000).map(|number| fs::hard_link(file, names.path().join(number.to_string())));
    let error = full.into_iter().find_map(Result::err).expect("a file system that limits the names of a file, as ext4");
    assert_eq!(error.kind(), ErrorKind::TooManyLinks, "{error}");
    names
}

async fn a_folder_that_more_tasks_hold_than_a_file_has_names_stays_until_the_last_lets_it_go(
    store: LocalBulk,
    dir: TempDir,
) {
    let a = put(&store, b"aa").await;
    let tree = store.put_blobs(vec![list(&[("a", a, 2)])]).await.unwrap()[0];
    store.hold_inputs(id(1), &[folder(tree)]).await.unwrap();
    let sealed = dir.path().join("trees").join(&tree.to_string()[..2]).join(tree.to_string());
    let others = filled(&sealed.join("holders-0"));
    store.hold_inputs(id(2), &[folder(tree)]).await.unwrap();
    store.hold_inputs_as(id(3), id(1)).await.unwrap();
    assert_eq!(inodes(&dir.path().join("held")), 2, "the first has one list, both others the next");
    for task in [2, 3] {
        store.release_inputs(id(1)).await.unwrap();
        sweep(&store).await;
        assert_eq!(read(&store, task, Some(tree), a, 0).await.unwrap(), b"aa");
    }
    drop(others);
    store.release_inputs(id(2)).await.unwrap();
    sweep(&store).await;
    assert_eq!(read(&store, 3, Some(tree), a, 0).await.unwrap(), b"aa", "held by the second list alone");
    store.release_inputs(id(3)).await.unwrap();
    sweep(&store).await;
    assert!(!sealed.exists());
}

async fn a_file_that_more_tasks_hold_than_it_can_have_names_is_kept_for_all_of_them(store: LocalBulk, dir: TempDir) {
    let content = put(&store, b"one").await;
    store.hold_inputs(id(1), &[file(content)]).await.unwrap();
    let others = filled(&blob(dir.path(), content));
    store.hold_inputs_as(id(2), id(1)).await.unwrap();
    store.hold_inputs(id(3), &[file(content)]).await.unwrap();
    store.hold_inputs(id(4), &[file(content)]).await.unwrap();
    // Without bytes the second shares that one too.
    let different = if blob(dir.path(), content).is_symlink() { 2 } else { 3 };
    assert_eq!(
        inodes(&dir.path().join("held")),
        different,
        "a copy for the second, the third shares one with the fourth"
    );
    drop(others);
    for task in 1..=4 {
        assert_eq!(read(&store, task, None, content, 0).await.unwrap(), b"one");
        store.release_inputs(id(task)).await.unwrap();
    }
    sweep(&store).await;
    assert!(blob(dir.path(), content).symlink_metadata().is_err());
    assert_eq!(files(&dir.path().join("blobs")), 0);
}

/// Files below a folder.
fn files(dir: &Path) -> usize {
    walk(dir).len()
}

fn inodes(dir: &Path) -> usize {
    use std::os::unix::fs::MetadataExt;
    walk(dir)
        .iter()
        .map(|path| fs::symlink_metadata(path).unwrap().ino())
        .collect::<std::collections::BTreeSet<_>>()
        .len()
}

fn walk(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(walk(&path)) } else { found.push(path) }
    }
    found
}
