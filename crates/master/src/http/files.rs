//! `/api/v1/tasks/{id}/files`: the files that the accepted attempt left in `/out`.

use super::dto::{File, Link, List};
use super::extract::{Caller, FilePath, TaskPath};
use super::problem::{Code, Problem};
use super::query::Parameters;
use super::view::time;
use crate::handle::{Handle, Left, LeftFile};
use crate::principal::Principal;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use cloudai_core::ids::{Attempt, TaskId};
use cloudai_core::path::is_plain;
use cloudai_core::state::Status;
use cloudai_core::task::OutputFile;
use cloudai_store::bulk::Presigned;
use std::fmt::Write as _;
use tokio_util::io::ReaderStream;

/// Bytes read from a file at a time.
const PIECE: usize = 64 * 1024;

/// The files of a task.
pub(super) async fn list(
    Caller(who): Caller,
    TaskPath(id): TaskPath,
    State(handle): State<Handle>,
    query: Parameters,
) -> Result<Json<List<File>>, Problem> {
    query.close()?;
    let left = left(&handle, &who, id).await?;
    let left: Vec<_> = handle.left_files(left).await?.into_iter().map(|left| (left.attempt, left.file)).collect();
    let locations = handle.logs(&who).bulk().locations(&left).await?;
    let items = left.into_iter().zip(locations).map(|((_, OutputFile { path, size, sha256 }), location)| File {
        path,
        size,
        sha256: sha256.to_string(),
        location,
    });
    Ok(Json(List { items: items.collect(), next_cursor: None }))
}

/// The contents of a file.
pub(super) async fn download(
    Caller(who): Caller,
    TaskPath(id): TaskPath,
    FilePath(path): FilePath,
    State(handle): State<Handle>,
    mut query: Parameters,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let presign = query.flag("presign");
    query.close()?;
    // One that can be no name on any disk is not there.
    if !path.contains('\0') && !is_plain(&path) {
        return Err(Problem::field("path", "is no path of a file: it has empty parts, or . or .. among them"));
    }
    let left = left(&handle, &who, id).await?;
    // Only what is listed is read: no path leads anywhere else.
    let LeftFile { attempt, file } = handle.left_file(left, &path).await?.ok_or_else(|| no_file(id, &path))?;
    if presign {
        return presigned(&handle, &who, attempt, &file).await;
    }
    let etag = format!("\"{}\"", file.sha256);
    if is_known(&headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, etag)]).into_response());
    }
    let (size, reader) = handle.logs(&who).bulk().read_output(attempt, &file).await?;
    let headers = [
        (CONTENT_TYPE, "application/octet-stream".to_owned()),
        (CONTENT_LENGTH, size.to_string()),
        (CONTENT_DISPOSITION, disposition(&file.path)),
        (ETAG, etag),
    ];
    Ok((headers, Body::from_stream(ReaderStream::with_capacity(reader, PIECE))).into_response())
}

/// Where the bucket itself serves a file, for a while.
async fn presigned(handle: &Handle, who: &Principal, attempt: Attempt, file: &OutputFile) -> Result<Response, Problem> {
    let now = handle.now();
    let signed = handle.logs(who).bulk().presign(attempt, file, &disposition(&file.path)).await?;
    let Some(Presigned { url, valid }) = signed else {
        let why = format!("{:?} is on the disk of the master, which serves it itself", file.path);
        return Err(Problem::new(Code::Conflict, why).next("the same without presign"));
    };
    Ok(Json(Link { url, expires_at: time(now + valid) }).into_response())
}

/// A task that has ended, for what it left; a conflict where it has not: later there may be something.
pub(super) async fn left(handle: &Handle, who: &Principal, id: TaskId) -> Result<Left, Problem> {
    handle.left(who, id).await?.map_err(|status| left_later(id, status))
}

/// A task that has not ended has left nothing yet.
pub(super) fn left_later(id: TaskId, status: Status) -> Problem {
    let why = format!("{id} is {status}: its files are there once it has ended");
    Problem::new(Code::Conflict, why).next(format!("cloudai task wait {id}"))
}

pub(super) fn no_file(id: TaskId, path: &str) -> Problem {
    let shown: String = path.chars().take(200).collect();
    let why = format!("{id} has no file {shown:?}");
    Problem::new(Code::NotFound, why).next(format!("GET /api/v1/tasks/{id}/files lists what it has"))
}

/// Whether the client has this very content.
fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    known
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == etag)
}

/// Saves under the last part of the path, whatever characters it has (RFC 6266).
pub(super) fn disposition(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    let plain = |c: char| c.is_ascii_alphanumeric() || "._- ".contains(c);
    let ascii: String = name.chars().map(|c| if plain(c) { c } else { '_' }).collect();
    let mut header = format!("attachment; filename=\"{ascii}\"");
    if ascii != name {
        header.push_str("; filename*=UTF-8''");
        for byte in name.bytes() {
            if byte.is_ascii_alphanumeric() || b"._-".contains(&byte) {
                header.push(char::from(byte));
            } else {
                // Writing to a text can not fail.
                let _ = write!(header, "%{byte:02X}");
            }
        }
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_is_saved_under_its_own_name_in_any_alphabet() {
        let rows = [
            ("result.json", "attachment; filename=\"result.json\""),
            ("plots/a b.svg", "attachment; filename=\"a b.svg\""),
            ("x/\u{e9}\".txt", "attachment; filename=\"__.txt\"; filename*=UTF-8''%C3%A9%22.txt"),
            (
                "a\r\nSet-Cookie: b",
                "attachment; filename=\"a__Set-Cookie_ b\"; filename*=UTF-8''a%0D%0ASet-Cookie%3A%20b",
            ),
        ];
        for (path, header) in rows {
            assert_eq!(disposition(path), header, "{path:?}");
        }
    }

    #[test]
    fn a_client_that_has_the_content_is_recognised() {
        for (given, known) in
            [("\"a\"", true), ("W/\"a\"", true), ("\"b\", \"a\"", true), ("*", true), ("\"b\"", false)]
        {
            let headers = HeaderMap::from_iter([(IF_NONE_MATCH, given.parse().unwrap())]);
            assert_eq!(is_known(&headers, "\"a\""), known, "{given}");
        }
    }
}
