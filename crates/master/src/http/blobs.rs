//! `/api/v1/blobs`: contents on their way in, by their SHA-256. A task names them as its inputs.

use super::dto::{Blob, List};
use super::extract::{BlobPath, Caller, Document, Pieces};
use super::problem::{Code, Problem};
use super::query::Parameters;
use crate::handle::Handle;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use bytes::{Buf, Bytes, BytesMut};
use cloudai_core::sha256::Sha256;
use cloudai_core::spec::Value;
use cloudai_store::bulk::{BulkError, Kept};

/// Where all calls of this file begin; the body of one may take long to come.
pub(super) const PATH: &str = "/api/v1/blobs";
/// The most contents that one call asks for or brings.
const MOST: usize = 10_000;
/// The largest body that asks.
const MAX_ASKED: usize = 1 << 20;
/// The largest body of several contents.
const MAX_SEVERAL: usize = 16 << 20;
/// The largest content.
const MAX_SIZE: u64 = 1 << 44;
/// Bytes that are written at a time.
const PIECE: usize = 1 << 20;

/// How much is kept of each content; what is whole stays for a day from now on.
pub(super) async fn kept(
    Caller(who): Caller,
    State(handle): State<Handle>,
    query: Parameters,
    document: Document<MAX_ASKED>,
) -> Result<Json<List<Blob>>, Problem> {
    query.close()?;
    let hashes = hashes(document.parse()?)?;
    let kept = handle.logs(&who).bulk().blobs_kept(&who.user, hashes.clone()).await?;
    let items = hashes.into_iter().zip(kept).map(|(hash, kept)| shown(hash, kept)).collect();
    Ok(Json(List { items, next_cursor: None }))
}

fn hashes(document: Value) -> Result<Vec<Sha256>, Problem> {
    let expected = "expected {\"sha256\": [...]} with 1 to 10,000 hashes";
    let list = match document {
        Value::Map(fields) => match <[_; 1]>::try_from(fields) {
            Ok([(name, Value::List(list))]) if name == "sha256" && (1..=MOST).contains(&list.len()) => Some(list),
            Ok(_) | Err(_) => None,
        },
        _ => None,
    };
    let list = list.ok_or_else(|| Problem::new(Code::Invalid, expected))?;
    let hash = |(index, value): (usize, Value)| {
        let parsed = if let Value::Text(text) = &value { text.parse().ok() } else { None };
        parsed.ok_or_else(|| Problem::field(&format!("sha256[{index}]"), format!("{value} is no SHA-256")))
    };
    list.into_iter().enumerate().map(hash).collect()
}

fn shown(sha256: Sha256, kept: Kept) -> Blob {
    let (bytes, whole) = match kept {
        Kept::Whole(bytes) => (bytes, true),
        Kept::Part(bytes) => (bytes, false),
    };
    Blob { sha256: sha256.to_string(), bytes, whole }
}

/// A piece of a content, from `offset` on; the one that ends at `size` makes it whole.
pub(super) async fn put(
    Caller(who): Caller,
    BlobPath(sha256): BlobPath,
    State(handle): State<Handle>,
    mut query: Parameters,
    request: Request,
) -> Result<(StatusCode, Json<Blob>), Problem> {
    let offset = query.whole("offset", 0..=MAX_SIZE).unwrap_or_default();
    let size = query.whole("size", 0..=MAX_SIZE);
    query.close()?;
    let size = size.ok_or_else(|| Problem::field("size", "is missing: how many bytes the whole content has"))?;
    let bulk = handle.logs(&who).bulk();
    let (mut pieces, mut at, mut waiting) = (Pieces::of(request)?, offset, BytesMut::new());
    loop {
        let piece = pieces.next().await?;
        let ended = piece.is_none();
        waiting.extend_from_slice(&piece.unwrap_or_default());
        if at.saturating_add(waiting.len() as u64) > size {
            return Err(Problem::field("size", format!("{size} is less than what was sent")));
        }
        if waiting.len() >= PIECE || (ended && !waiting.is_empty()) {
            let data = waiting.split().freeze();
            at += data.len() as u64;
            bulk.append_blob(&who.user, sha256, at - data.len() as u64, data).await.map_err(not_taken)?;
        }
        if ended {
            break;
        }
    }
    if at < size {
        let kept = bulk.blobs_kept(&who.user, vec![sha256]).await?.first().copied().unwrap_or(Kept::Part(0));
        return Ok((StatusCode::ACCEPTED, Json(shown(sha256, kept))));
    }
    bulk.finish_blob(&who.user, sha256, size).await.map_err(not_taken)?;
    Ok((StatusCode::CREATED, Json(shown(sha256, Kept::Whole(size)))))
}

fn not_taken(error: BulkError) -> Problem {
    match error {
        BulkError::Gap { have } => Problem::new(Code::Conflict, format!("only {have} bytes before it are kept"))
            .next(format!("send on from offset={have}")),
        BulkError::Checksum => {
            Problem::new(Code::Invalid, "what came is not of this size and SHA-256: it was thrown away")
                .next("send it again from offset=0")
        }
        other => other.into(),
    }
}

/// Several small contents, each behind its length and a line feed; kept when the answer comes, all or none.
pub(super) async fn several(
    Caller(who): Caller,
    State(handle): State<Handle>,
    query: Parameters,
    request: Request,
) -> Result<(StatusCode, Json<List<Blob>>), Problem> {
    query.close()?;
    let (mut pieces, mut body) = (Pieces::of(request)?, BytesMut::new());
    while let Some(piece) = pieces.next().await? {
        body.extend_from_slice(&piece);
        if body.len() > MAX_SEVERAL {
            return Err(Problem::new(Code::TooLarge, "the body is larger than 16 MiB, the most that this call takes")
                .next(format!("send large contents with PUT {PATH}/{{sha256}}")));
        }
    }
    let contents = split(body.freeze())?;
    let sizes: Vec<_> = contents.iter().map(|content| content.len() as u64).collect();
    let hashes = handle.logs(&who).bulk().put_blobs(contents).await?;
    let items = hashes.into_iter().zip(sizes).map(|(hash, size)| shown(hash, Kept::Whole(size))).collect();
    Ok((StatusCode::CREATED, Json(List { items, next_cursor: None })))
}

fn split(mut body: Bytes) -> Result<Vec<Bytes>, Problem> {
    let wrong = |place| {
        let why = format!("content {place} is not its length in digits, a line feed, and that many bytes");
        Problem::new(Code::Invalid, why)
    };
    let mut contents = Vec::new();
    while !body.is_empty() {
        let place = contents.len();
        let end = body.iter().take(20).position(|byte| *byte == b'\n').ok_or_else(|| wrong(place))?;
        let length = std::str::from_utf8(&body[..end]).ok().and_then(|text| text.parse::<usize>().ok());
        body.advance(end + 1);
        let length = length.filter(|length| *length <= body.len()).ok_or_else(|| wrong(place))?;
        contents.push(body.split_to(length));
        if contents.len() > MOST {
            return Err(Problem::new(Code::TooLarge, format!("more than {MOST} contents in one body")));
        }
    }
    Ok(contents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_contents_are_told_apart_by_their_lengths() {
        let body = Bytes::from_static(b"3\nabc0\n2\n1\n");
        assert_eq!(split(body).unwrap(), ["abc", "", "1\n"].map(Bytes::from));
        assert!(split(Bytes::new()).unwrap().is_empty());
        for bad in ["3\nab", "x\nabc", "-1\n", "3", "99999999999999999999999\nx", "\n"] {
            assert!(split(Bytes::from(bad)).is_err(), "{bad:?}");
        }
    }
}
