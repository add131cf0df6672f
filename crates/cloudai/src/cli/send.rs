//! Sends contents of this machine to the master: what it has is not sent again, what broke off goes on where it was.

use super::Context;
use super::local::{Content, Shipment};
use crate::exit::{Exit, Failure};
use bytes::{BufMut, Bytes, BytesMut};
use cloudai_core::resources;
use cloudai_core::sha256::Sha256;
use cloudai_master::http::dto::{Blob, List};
use reqwest::Method;
use serde_json::json;
use std::io::SeekFrom;
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

/// Hashes of one question.
const ASKED: usize = 10_000;
/// Contents up to this size go together.
const SMALL: u64 = 256 * 1024;
/// Bytes of small contents in one request.
const TOGETHER: usize = 8 << 20;
/// Small contents in one request.
const MOST: usize = 5_000;
/// Bytes of a large content in one request: what is sent again when it breaks off.
const PART: usize = 32 << 20;

/// How often a large content is begun again when what the master has of it is not right.
const TRIES: u32 = 2;

const BLOBS: [&str; 3] = ["api", "v1", "blobs"];

/// Has the master keep all contents of a shipment.
/// # Errors
/// The master's problem, that it could not be reached, or a file that changed meanwhile.
pub(super) async fn send(shipment: &Shipment, cx: &Context) -> Result<(), Failure> {
    for note in shipment.notes() {
        cx.screen.note(&format!("note: {note}"));
    }
    let missing = missing(shipment, cx).await?;
    if missing.is_empty() {
        return Ok(());
    }
    let bytes: u64 = missing.iter().map(|missing| missing.content.size()).sum();
    let (count, all) = (missing.len(), shipment.contents.len());
    let others = match (count, all) {
        (1, 1) => String::new(),
        (count, all) if count == all => format!(", {count} contents"),
        (count, all) => format!(", {count} of {all} contents: the master has the others"),
    };
    cx.screen.note(&format!("sending {}{others}", resources::Bytes(bytes)));
    let (small, large): (Vec<_>, Vec<_>) = missing.into_iter().partition(|missing| missing.content.size() <= SMALL);
    send_small(&small, cx).await?;
    for missing in &large {
        send_large(missing, cx).await?;
    }
    Ok(())
}

/// A content that the master does not have whole.
struct Missing<'a> {
    sha256: Sha256,
    content: &'a Content,
    /// Bytes that it has.
    kept: u64,
}

async fn missing<'a>(shipment: &'a Shipment, cx: &Context) -> Result<Vec<Missing<'a>>, Failure> {
    let all: Vec<_> = shipment.contents.iter().collect();
    let mut missing = Vec::new();
    for some in all.chunks(ASKED) {
        let hashes: Vec<_> = some.iter().map(|(sha256, _)| **sha256).collect();
        for ((sha256, content), kept) in some.iter().zip(kept(&hashes, cx).await?) {
            if !kept.whole {
                missing.push(Missing { sha256: **sha256, content, kept: kept.bytes });
            }
        }
    }
    Ok(missing)
}

/// How much the master has of each content.
async fn kept(contents: &[Sha256], cx: &Context) -> Result<Vec<Blob>, Failure> {
    let hashes: Vec<_> = contents.iter().map(ToString::to_string).collect();
    let path = ["api", "v1", "blobs", "kept"];
    let (_, kept) = cx.client.post::<List<Blob>>(&path, Some(&json!({"sha256": hashes})), None).await?;
    Ok(kept.items)
}

async fn send_small(small: &[Missing<'_>], cx: &Context) -> Result<(), Failure> {
    let mut waiting = small.iter().peekable();
    while waiting.peek().is_some() {
        let (mut body, mut sent) = (BytesMut::new(), Vec::new());
        while let Some(missing) = waiting.next_if(|_| body.len() < TOGETHER && sent.len() < MOST) {
            let data = match missing.content {
                Content::List(list) => Bytes::from(list.clone()),
                Content::File(path, _) => tokio::fs::read(path).await.map_err(|error| unreadable(path, &error))?.into(),
            };
            body.put_slice(format!("{}\n", data.len()).as_bytes());
            body.put(data);
            sent.push(missing);
        }
        let kept: List<Blob> = cx.client.send_bytes(Method::POST, &BLOBS, &[], body.freeze()).await?;
        for (missing, kept) in sent.iter().zip(&kept.items) {
            if kept.sha256 != missing.sha256.to_string() {
                return Err(changed(missing.content));
            }
        }
    }
    Ok(())
}

async fn send_large(missing: &Missing<'_>, cx: &Context) -> Result<(), Failure> {
    let sha256 = missing.sha256.to_string();
    let path = [BLOBS[0], BLOBS[1], BLOBS[2], sha256.as_str()];
    let (mut offset, size) = (missing.kept, missing.content.size());
    let mut again = 0;
    loop {
        let part = match missing.content {
            Content::List(list) => {
                let from = usize::try_from(offset).unwrap_or(usize::MAX);
                Bytes::copy_from_slice(list.as_bytes().get(from..).unwrap_or_default())
            }
            Content::File(path, _) => read_part(path, offset, size).await.map_err(|error| unreadable(path, &error))?,
        };
        if part.is_empty() && offset < size {
            return Err(changed(missing.content));
        }
        let query = [("offset", offset.to_string()), ("size", size.to_string())];
        let kept: Blob = match cx.client.send_bytes(Method::PUT, &path, &query, part).await {
            Ok(kept) => kept,
            // What was there was damaged, or went in between: from where it is now.
            Err(failure) if matches!(failure.code.as_str(), "invalid" | "conflict") && again < TRIES => {
                again += 1;
                kept(&[missing.sha256], cx).await?.pop().ok_or(failure)?
            }
            Err(failure) if failure.code == "invalid" => return Err(changed(missing.content).why(failure.to_string())),
            Err(failure) => return Err(failure),
        };
        if kept.whole {
            return Ok(());
        }
        offset = kept.bytes;
    }
}

async fn read_part(path: &Path, offset: u64, size: u64) -> std::io::Result<Bytes> {
    let mut file = tokio::fs::File::open(path).await?;
    file.seek(SeekFrom::Start(offset)).await?;
    let most = (PART as u64).min(size.saturating_sub(offset));
    let mut part = Vec::with_capacity(usize::try_from(most).unwrap_or(PART));
    file.take(most).read_to_end(&mut part).await?;
    Ok(part.into())
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::error(format!("{} can not be read", path.display())).why(error.to_string())
}

fn changed(content: &Content) -> Failure {
    let what = match content {
        Content::File(path, _) => path.display().to_string(),
        Content::List(_) => "the list of a folder".into(),
    };
    Failure::new(Exit::Conflict, "conflict", format!("{what} changed while it was sent; no task was submitted"))
        .next("submit again once nothing writes to it")
}
