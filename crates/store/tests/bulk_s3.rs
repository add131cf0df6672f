//! Contents in a bucket: what crashes, absences, other clusters and a lost disk do to them.

#![allow(clippy::unwrap_used, reason = "a test's helpers are tests")]

mod common;
mod s3_server;

use bytes::Bytes;
use cloudai_core::ids::UserId;
use cloudai_core::sha256::Sha256;
use cloudai_core::task::OutputFile;
use cloudai_store::bulk::local::LocalBulk;
use cloudai_store::bulk::s3::{Bucket, S3Settings};
use cloudai_store::bulk::{BlobStore, BulkError, BulkStore, Content, FileReader, Kept, SmallFile, Swept};
use common::{attempt, id};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};
use s3_server::{BUCKET, S3Server};
use sha2::Digest;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;

const MIB: usize = 1 << 20;

fn open(dir: &Path, server: &S3Server) -> LocalBulk {
    LocalBulk::open_with(dir, Bucket::new(&server.settings("p")).unwrap()).unwrap()
}

fn started() -> (LocalBulk, TempDir, S3Server) {
    let (dir, server) = (tempfile::tempdir().unwrap(), S3Server::start());
    (open(dir.path(), &server), dir, server)
}

fn ann() -> UserId {
    "ann".parse().unwrap()
}

fn hash(data: &[u8]) -> Sha256 {
    Sha256(sha2::Sha256::digest(data).into())
}

fn file(sha256: Sha256) -> Content {
    Content { sha256, folder: false }
}

fn small(path: &str, data: &'static str) -> SmallFile {
    SmallFile { path: path.into(), sha256: hash(data.as_bytes()), data: data.into() }
}

/// Bytes that differ from part to part.
fn large(size: usize) -> Bytes {
    (0..size).map(|at| u8::try_from(at / 1000 % 251).unwrap()).collect::<Vec<_>>().into()
}

async fn send(store: &LocalBulk, data: &Bytes) -> Result<Sha256, BulkError> {
    let content = hash(data);
    store.append_blob(&ann(), content, 0, data.clone()).await?;
    store.finish_blob(&ann(), content, data.len() as u64).await?;
    Ok(content)
}

async fn all((size, mut reader): (u64, FileReader)) -> Vec<u8> {
    let mut data = Vec::new();
    reader.read_to_end(&mut data).await.unwrap();
    assert_eq!(data.len() as u64, size);
    data
}

async fn held(store: &LocalBulk, task: u64, content: Sha256) -> Vec<u8> {
    all(store.read_held(id(task), None, content, 0).await.unwrap()).await
}

/// Removes what nobody needed since a time.
async fn sweep_before(store: &LocalBulk, before: SystemTime) -> Result<Swept, BulkError> {
    let (mut part, mut sum) = (0, Swept::default());
    while let Some(swept) = store.sweep(part, before).await? {
        sum.count += swept.count;
        sum.bytes += swept.bytes;
        part += 1;
    }
    Ok(sum)
}

/// Removes all that may go, however young it is.
async fn sweep(store: &LocalBulk) -> Result<Swept, BulkError> {
    sweep_before(store, SystemTime::now() + Duration::from_secs(60)).await
}

/// The name of a content on the disk.
fn name(dir: &TempDir, content: Sha256) -> PathBuf {
    let name = content.to_string();
    dir.path().join("blobs").join(&name[..2]).join(name)
}

fn names(dir: &TempDir, content: Sha256) -> Vec<String> {
    let folder = name(dir, content).parent().unwrap().to_owned();
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = entries.filter(|name| name.starts_with(&content.to_string())).collect();
    names.sort_unstable();
    names
}

fn make_old(path: &Path) {
    let when = SystemTime::now() - Duration::from_secs(30 * 3600);
    let time = Timespec::try_from(when.duration_since(SystemTime::UNIX_EPOCH).unwrap()).unwrap();
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

#[tokio::test]
async fn a_large_content_goes_in_parts_is_read_from_anywhere_and_takes_no_room_on_the_disk() {
    let (store, dir, server) = started();
    let data = large(40 * MIB + 7);
    let content = send(&store, &data).await.unwrap();
    assert_eq!(server.contents(), [content.to_string()]);
    assert_eq!(fs::metadata(server.file(&server.objects()[0])).unwrap().len(), data.len() as u64);
    store.hold_inputs(id(1), &[file(content)]).await.unwrap();
    assert_eq!(held(&store, 1, content).await, data);
    for offset in [1, 16 * MIB - 1, 40 * MIB, data.len(), data.len() + 1] {
        let (size, mut reader) = store.read_held(id(1), None, content, offset as u64).await.unwrap();
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).await.unwrap();
        assert_eq!((size, &rest[..]), (data.len() as u64, &data[offset.min(data.len())..]), "{offset}");
    }
    let bytes = walk(dir.path()).iter().map(|path| path.symlink_metadata().unwrap().len()).sum::<u64>();
    assert!(bytes < 1000, "{bytes}");
    assert_eq!(store.blobs_kept(&ann(), vec![content]).await.unwrap(), [Kept::Whole(data.len() as u64)]);
}

fn walk(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[tokio::test]
async fn the_same_content_of_many_at_once_is_sent_once() {
    let (store, _dir, server) = started();
    let store = Arc::new(store);
    server.hold("PUT", "blobs/");
    let mut works = tokio::task::JoinSet::new();
    for task in 1..=20 {
        let store = Arc::clone(&store);
        works.spawn(async move {
            let (of, data) = (attempt(task, 1), Bytes::from_static(b"the same"));
            store.append_file(of, "f", 0, data.clone()).await.unwrap();
            store.finish_file(of, "f", 8, hash(&data)).await.unwrap();
            all(store.read_file(of, "f").await.unwrap()).await
        });
    }
    server.held().await;
    server.release();
    while let Some(read) = works.join_next().await {
        assert_eq!(read.unwrap(), b"the same");
    }
    assert_eq!(server.came(), 1, "requests that brought it");
    assert_eq!(server.contents().len(), 1);
}

#[tokio::test]
async fn an_upload_waits_for_a_bucket_that_is_away_and_readers_are_told() {
    let (store, _dir, mut server) = started();
    let content = send(&store, &"first".into()).await.unwrap();
    store.hold_inputs(id(1), &[file(content)]).await.unwrap();
    server.away();
    let second = Bytes::from("second");
    let told = |error: BulkError| match error {
        BulkError::Bucket(error) => error.to_string(),
        other => panic!("{other:?}"),
    };
    let away = told(send(&store, &second).await.unwrap_err());
    assert!(away.contains(&format!("the bucket s3://{BUCKET}/p did not answer")), "{away}");
    told(store.read_held(id(1), None, content, 0).await.map(drop).unwrap_err());
    told(store.put_blobs(vec!["third".into()]).await.map(drop).unwrap_err());
    assert_eq!(
        store.blobs_kept(&ann(), vec![hash(&second)]).await.unwrap(),
        [Kept::Part(6)],
        "it need not be sent again"
    );
    server.again();
    store.finish_blob(&ann(), hash(&second), 6).await.unwrap();
    assert_eq!(held(&store, 1, content).await, b"first");
    assert_eq!(server.contents().len(), 2);
}

#[tokio::test]
async fn an_object_of_which_a_crash_left_only_the_intention_is_used_or_removed() {
    let (store, dir, server) = started();
    let (used, idle) = (send(&store, &"used".into()).await.unwrap(), send(&store, &"idle".into()).await.unwrap());
    for content in [used, idle] {
        let put = name(&dir, content).with_extension("put");
        fs::rename(name(&dir, content), &put).unwrap();
        make_old(&put);
    }
    drop(store);
    let store = open(dir.path(), &server);
    assert_eq!(store.blobs_kept(&ann(), vec![used]).await.unwrap(), [Kept::Part(0)]);
    send(&store, &"used".into()).await.unwrap();
    let day = SystemTime::now() - Duration::from_secs(24 * 3600);
    sweep_before(&store, day).await.unwrap();
    assert_eq!(server.contents(), [used.to_string()]);
    assert_eq!((names(&dir, used).len(), names(&dir, idle).len()), (1, 0));
    store.hold_inputs(id(1), &[file(used)]).await.unwrap();
    assert_eq!(held(&store, 1, used).await, b"used");
}

#[tokio::test]
async fn a_deletion_that_was_interrupted_is_finished_unless_the_content_came_again() {
    let (store, dir, mut server) = started();
    let (again, gone) = (send(&store, &"again".into()).await.unwrap(), send(&store, &"gone".into()).await.unwrap());
    server.away();
    for part in [again.0[0], gone.0[0]] {
        let failed = store.sweep(part.into(), SystemTime::now() + Duration::from_secs(60)).await;
        assert!(matches!(failed, Err(BulkError::Bucket(_))), "{failed:?}");
    }
    assert_eq!([names(&dir, again), names(&dir, gone)], [again, gone].map(|content| vec![format!("{content}.gone")]));
    server.again();
    assert_eq!(server.contents().len(), 2);
    send(&store, &"again".into()).await.unwrap();
    store.hold_inputs(id(1), &[file(again)]).await.unwrap();
    sweep(&store).await.unwrap();
    assert_eq!(server.contents(), [again.to_string()]);
    assert_eq!((names(&dir, again), names(&dir, gone).len()), (vec![again.to_string()], 0));
    assert_eq!(held(&store, 1, again).await, b"again");
    store.release_inputs(id(1)).await.unwrap();
    sweep(&store).await.unwrap();
    assert_eq!(server.contents(), [""; 0]);
}

#[tokio::test]
async fn a_content_on_its_way_is_not_swept() {
    let (store, dir, server) = started();
    let store = Arc::new(store);
    server.hold("PUT", "blobs/");
    let sender = Arc::clone(&store);
    let sending = tokio::spawn(async move { send(&sender, &"x".into()).await });
    server.held().await;
    let content = hash(b"x");
    sweep(&store).await.unwrap();
    assert_eq!(names(&dir, content), [format!("{content}.put")]);
    server.release();
    sending.await.unwrap().unwrap();
    assert_eq!(names(&dir, content), [content.to_string()]);
}

#[tokio::test]
async fn an_object_stays_while_a_stub_with_all_of_its_links_is_needed() {
    let (store, dir, server) = started();
    let content = send(&store, &"x".into()).await.unwrap();
    store.hold_inputs(id(1), &[file(content)]).await.unwrap();
    // What happens when a file system allows no more links.
    let name = name(&dir, content);
    let (target, full) = (fs::read_link(&name).unwrap(), name.with_extension("1-1.full"));
    fs::rename(&name, full).unwrap();
    std::os::unix::fs::symlink(target, &name).unwrap();
    store.hold_inputs(id(2), &[file(content)]).await.unwrap();
    store.release_inputs(id(2)).await.unwrap();
    sweep(&store).await.unwrap();
    assert_eq!(held(&store, 1, content).await, b"x");
    store.hold_inputs_as(id(3), id(1)).await.unwrap();
    store.release_inputs(id(1)).await.unwrap();
    sweep(&store).await.unwrap();
    assert_eq!(held(&store, 3, content).await, b"x");
    store.release_inputs(id(3)).await.unwrap();
    sweep(&store).await.unwrap();
    assert_eq!((server.contents().len(), names(&dir, content).len()), (0, 0));
}

#[tokio::test]
async fn outputs_are_found_by_their_records_when_the_disk_is_lost() {
    let (store, dir, server) = started();
    let output = |path: &str, data: &str| OutputFile {
        path: path.into(),
        size: data.len() as u64,
        sha256: hash(data.as_bytes()),
    };
    let files = [output("a", "one"), output("b/c", "two"), output("d", "one")];
    let of = attempt(1, 1);
    for (output, data) in files.iter().zip(["one", "two", "one"]) {
        store.put_files(of, vec![small(&output.path, data)]).await.unwrap();
    }
    drop((store, dir));
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &server);
    assert!(matches!(store.read_file(of, "a").await.map(drop), Err(BulkError::NotFound)));
    // A sweep starts from names: what has none here is not touched.
    sweep(&store).await.unwrap();
    store.share_output(of, &files[0]).await.unwrap();
    for (output, data) in files.iter().zip(["one", "two", "one"]) {
        assert_eq!(all(store.read_output(of, output).await.unwrap()).await, data.as_bytes());
    }
    sweep(&store).await.unwrap();
    assert_eq!(server.contents().len(), 2, "they are needed again");
    let never = output("e", "never");
    assert!(matches!(store.read_output(of, &never).await.map(drop), Err(BulkError::NotFound)));
    store.remove(id(1)).await.unwrap();
    sweep(&store).await.unwrap();
    assert_eq!(server.contents(), [""; 0]);
}

#[tokio::test]
async fn what_was_on_the_disk_before_stays_there_and_new_contents_go_to_the_bucket() {
    let (dir, server) = (tempfile::tempdir().unwrap(), S3Server::start());
    let old = LocalBulk::open(dir.path()).unwrap();
    let of = attempt(1, 1);
    old.put_files(of, vec![small("old", "old")]).await.unwrap();
    let content = old.put_blobs(vec!["in".into()]).await.unwrap()[0];
    old.hold_inputs(id(1), &[file(content)]).await.unwrap();
    drop(old);
    let store = open(dir.path(), &server);
    store.put_files(of, vec![small("new", "new"), small("same", "old")]).await.unwrap();
    for (path, data) in [("old", "old"), ("new", "new"), ("same", "old")] {
        assert_eq!(all(store.read_file(of, path).await.unwrap()).await, data.as_bytes(), "{path}");
    }
    assert_eq!(held(&store, 1, content).await, b"in");
    assert_eq!(server.contents(), [hash(b"new").to_string()]);
    let wanted = ["old", "new", "none"].map(|path| {
        let sha256 = hash(path.as_bytes());
        (of, OutputFile { path: path.into(), size: 3, sha256 })
    });
    let told = store.locations(&wanted).await.unwrap();
    assert!(told[0].as_ref().unwrap().starts_with(dir.path().to_str().unwrap()), "{told:?}");
    let new = hash(b"new").to_string();
    assert_eq!(told[1..], [Some(format!("s3://{BUCKET}/p/blobs/{}/{new}", &new[..2])), None]);
    assert_eq!(store.presign(of, &wanted[0].1, "attachment").await.unwrap(), None);
    store.remove(id(1)).await.unwrap();
    sweep(&store).await.unwrap();
    assert_eq!((server.contents().len(), walk(&dir.path().join("blobs")).len()), (0, 0));
}

#[tokio::test]
async fn a_directory_and_its_bucket_stay_together() {
    let (store, dir, server) = started();
    drop(store);
    let none = LocalBulk::open(dir.path()).unwrap_err().to_string();
    assert!(none.contains(&format!("its contents are in s3://{BUCKET}/p, and files.s3.url is not set")), "{none}");
    let other = Bucket::new(&server.settings("other")).unwrap();
    let other = LocalBulk::open_with(dir.path(), other).unwrap_err().to_string();
    assert!(other.contains(&format!("files.s3.url is s3://{BUCKET}/other")), "{other}");
    open(dir.path(), &server);
}

#[tokio::test]
async fn a_prefix_belongs_to_the_cluster_that_came_first() {
    let (store, _dir, server) = started();
    store.claim("one").await.unwrap();
    store.claim("one").await.unwrap();
    let told = store.claim("two").await.unwrap_err().to_string();
    assert!(told.contains("another cluster, \"one\"") && told.contains(&format!("s3://{BUCKET}/p/owner")), "{told}");
    let dir = tempfile::tempdir().unwrap();
    let beside = LocalBulk::open_with(dir.path(), Bucket::new(&server.settings("q")).unwrap()).unwrap();
    beside.claim("two").await.unwrap();
    LocalBulk::open(tempfile::tempdir().unwrap().path()).unwrap().claim("three").await.unwrap();
}

#[tokio::test]
async fn a_bucket_that_can_not_be_used_is_named_with_the_reason() {
    let mut server = S3Server::start();
    let probe = async |change: &dyn Fn(&mut S3Settings)| {
        let mut settings = server.settings("p");
        change(&mut settings);
        Bucket::new(&settings).unwrap().probe().await.map_err(|error| error.to_string())
    };
    assert_eq!(probe(&|_| {}).await, Ok(()));
    assert_eq!(server.objects(), [""; 0], "nothing is left");
    let bad_secret = probe(&|to| to.server.keys.as_mut().unwrap().secret = "x".into()).await.unwrap_err();
    assert!(bad_secret.ends_with("does not accept the keys (SignatureDoesNotMatch)"), "{bad_secret}");
    let bad_key = probe(&|to| to.server.keys.as_mut().unwrap().id = "x".into()).await.unwrap_err();
    assert!(bad_key.contains(&format!("s3://{BUCKET}/p does not accept the keys")), "{bad_key}");
    let mut settings = server.settings("p");
    settings.server.allow_http = false;
    let plain = Bucket::new(&settings).unwrap_err().to_string();
    assert!(plain.contains("without encryption"), "{plain}");
    let endpoint = server.endpoint();
    server.away();
    let mut settings = server.settings("p");
    settings.server.endpoint = Some(endpoint);
    let away = Bucket::new(&settings).unwrap().probe().await.unwrap_err().to_string();
    assert!(away.contains("did not answer"), "{away}");
}

#[tokio::test]
async fn a_presigned_address_serves_one_file_to_whoever_has_it_and_to_nobody_else() {
    let (store, _dir, _server) = started();
    let of = attempt(1, 1);
    store.put_files(of, vec![small("a", "hello")]).await.unwrap();
    let output = OutputFile { path: "a".into(), size: 5, sha256: hash(b"hello") };
    let saved_as = "attachment; filename=\"a\"";
    let url = store.presign(of, &output, saved_as).await.unwrap().unwrap().url;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.get(&url).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-disposition"], saved_as);
    assert_eq!(answer.bytes().await.unwrap(), "hello");
    let (bare, _) = url.split_once('?').unwrap();
    assert_eq!(client.get(bare).send().await.unwrap().status(), 403, "without a signature");
    let forged = url.replace("X-Amz-Expires=60", "X-Amz-Expires=6000");
    assert_ne!(forged, url);
    assert_eq!(client.get(forged).send().await.unwrap().status(), 403, "changed");
}
