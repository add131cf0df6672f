//! `/api/v1/tasks/{id}/archive`: the files that a task left, as one tar or zip.

mod pack;

use super::extract::{Caller, TaskPath};
use super::files::{disposition, left, no_file};
use super::problem::Problem;
use super::query::Parameters;
use crate::handle::{Handle, LeftFile};
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use cloudai_core::path::is_within;
use cloudai_core::sha256::Sha256 as Content;
use cloudai_store::bulk::BulkStore;
use futures::Stream;
use pack::{Pack, Tar, Zip};
use sha2::{Digest, Sha256};
use std::io;
use std::sync::Arc;
use tokio::io::AsyncReadExt;

/// Bytes read from a file at a time.
const PIECE: usize = 256 * 1024;

/// The files, or those in one folder: `under`, or those that each `path` names, files and folders; as `format` says.
pub(super) async fn get(
    Caller(who): Caller,
    TaskPath(id): TaskPath,
    State(handle): State<Handle>,
    mut query: Parameters,
) -> Result<Response, Problem> {
    let wanted: Vec<String> = query.text("under").into_iter().chain(query.all("path")).collect();
    let format = query.parsed("format", |text| match text {
        "tar" => Ok(false),
        "zip" => Ok(true),
        _ => Err("is not one of tar, zip".to_owned()),
    });
    query.close()?;
    let left = left(&handle, &who, id).await?;
    let mut files = handle.left_files(left).await?;
    if !wanted.is_empty() {
        let wanted: Vec<&str> = wanted.iter().map(|path| path.trim_end_matches('/')).collect();
        let under = |left: &LeftFile, path: &str| left.file.path == path || is_within(&left.file.path, path);
        if let Some(missing) = wanted.iter().find(|path| !files.iter().any(|left| under(left, path))) {
            return Err(no_file(id, missing));
        }
        files.retain(|left| wanted.iter().any(|path| under(left, path)));
    }
    let bulk = Arc::clone(handle.logs(&who).bulk());
    let time_s = left.ended.as_millis() / 1000;
    let (kind, ending, pack): (_, _, Box<dyn Pack>) = match format {
        Some(true) => ("application/zip", "zip", Box::new(Zip::new(time_s))),
        Some(false) | None => ("application/x-tar", "tar", Box::new(Tar { time_s })),
    };
    let headers = [(CONTENT_TYPE, kind.to_owned()), (CONTENT_DISPOSITION, disposition(&format!("{id}.{ending}")))];
    Ok((headers, Body::from_stream(archive(bulk, files, pack))).into_response())
}

/// The bytes of an archive, in the order of the files; breaks off where one is not what it was when it was kept, so that no
/// archive looks whole that is not.
fn archive(
    bulk: Arc<dyn BulkStore>,
    files: Vec<LeftFile>,
    mut pack: Box<dyn Pack>,
) -> impl Stream<Item = io::Result<Bytes>> {
    async_stream::try_stream! {
        for LeftFile { attempt, file } in files {
            yield pack.begin(&file)?;
            let (_, mut reader) = bulk.read_output(attempt, &file).await.map_err(io::Error::other)?;
            let (mut left, mut hash) = (file.size, Sha256::new());
            while left > 0 {
                let mut piece = vec![0; PIECE.min(usize::try_from(left).unwrap_or(PIECE))];
                reader.read_exact(&mut piece).await?;
                hash.update(&piece);
                left -= piece.len() as u64;
                yield pack.data(Bytes::from(piece))?;
            }
            if Content(hash.finalize().into()) != file.sha256 {
                Err(io::Error::other(format!("{} is damaged", file.path)))?;
            }
            yield pack.end_file(&file)?;
        }
        yield pack.end()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudai_core::ids::{Attempt, TaskId};
    use cloudai_core::task::OutputFile;
    use cloudai_store::bulk::local::LocalBulk;
    use futures::StreamExt;
    use std::io::Read;

    fn attempt() -> Attempt {
        Attempt { task: TaskId::new(1), number: 1 }
    }

    async fn kept(files: &[(&str, Vec<u8>)]) -> (tempfile::TempDir, Arc<dyn BulkStore>, Vec<LeftFile>) {
        let dir = tempfile::tempdir().unwrap();
        let bulk = LocalBulk::open(dir.path()).unwrap();
        let mut known = Vec::new();
        for (path, data) in files {
            let (size, sha256) = (data.len() as u64, Content(Sha256::digest(data).into()));
            bulk.append_file(attempt(), path, 0, data.clone().into()).await.unwrap();
            bulk.finish_file(attempt(), path, size, sha256).await.unwrap();
            let file = OutputFile { path: (*path).into(), size, sha256 };
            known.push(LeftFile { attempt: attempt(), file });
        }
        (dir, Arc::new(bulk), known)
    }

    const TIME_S: u64 = 1_700_000_000;

    async fn bytes(bulk: Arc<dyn BulkStore>, files: Vec<LeftFile>) -> io::Result<Vec<u8>> {
        packed(bulk, files, Box::new(Tar { time_s: TIME_S })).await
    }

    async fn packed(bulk: Arc<dyn BulkStore>, files: Vec<LeftFile>, pack: Box<dyn Pack>) -> io::Result<Vec<u8>> {
        let mut stream = Box::pin(archive(bulk, files, pack));
        let mut all = Vec::new();
        while let Some(piece) = stream.next().await {
            all.extend_from_slice(&piece?);
        }
        Ok(all)
    }

    #[tokio::test]
    async fn an_archive_holds_every_file_as_it_was_under_its_own_name() {
        let long = format!("{}/x", "deep/".repeat(100).trim_end_matches('/'));
        let files =
            [("a", Vec::new()), ("b/\u{e9} c", b"1".to_vec()), (long.as_str(), vec![7; 700_001]), ("z", vec![0; 512])];
        let (_dir, bulk, known) = kept(&files).await;
        let all = bytes(bulk, known).await.unwrap();
        assert_eq!(all.len() % 512, 0);
        let mut found = Vec::new();
        let mut archive = tar::Archive::new(all.as_slice());
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().to_str().unwrap().to_owned();
            let mut data = Vec::new();
            entry.read_to_end(&mut data).unwrap();
            assert_eq!((entry.header().mode().unwrap(), entry.header().mtime().unwrap()), (0o644, 1_700_000_000));
            found.push((path, data));
        }
        let expected: Vec<_> = files.into_iter().map(|(path, data)| (path.to_owned(), data)).collect();
        assert!(found == expected, "{:?}", found.iter().map(|(path, data)| (path, data.len())).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_damaged_file_breaks_the_archive_off() {
        let (_dir, bulk, mut known) = kept(&[("a", vec![1; 10])]).await;
        known[0].file.sha256 = Content(Sha256::digest(b"other").into());
        assert!(bytes(Arc::clone(&bulk), known.clone()).await.unwrap_err().to_string().contains("a is damaged"));
        known[0].file.size = 11;
        assert!(bytes(bulk, known).await.is_err(), "shorter than it was");
    }

    #[tokio::test]
    async fn a_zip_holds_every_file_as_it_was_too() {
        let files = [("a", Vec::new()), ("b/\u{e9} c", b"1".to_vec()), ("z", vec![7; 700_001])];
        let (_dir, bulk, known) = kept(&files).await;
        let all = packed(Arc::clone(&bulk), known.clone(), Box::new(Zip::new(TIME_S))).await.unwrap();
        let mut archive = zip::ZipArchive::new(io::Cursor::new(all)).unwrap();
        assert_eq!(archive.len(), files.len());
        for (path, data) in &files {
            let mut file = archive.by_name(path).unwrap();
            let mut found = Vec::new();
            file.read_to_end(&mut found).unwrap();
            assert!(found == *data, "{path}");
            let time = file.last_modified().unwrap();
            assert_eq!((file.unix_mode(), time.year(), time.minute()), (Some(0o100_644), 2023, 13), "{path}");
        }
        let mut damaged = known;
        damaged[2].file.sha256 = Content(Sha256::digest(b"other").into());
        assert!(packed(bulk, damaged, Box::new(Zip::new(TIME_S))).await.is_err());
    }
}
