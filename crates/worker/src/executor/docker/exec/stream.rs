//! The connection that carries a program's bytes. The client library's own decoder takes the bytes 0 to 2 of a terminal
//! for the head of a frame, so the engine's stream is read here: raw from a terminal, in frames otherwise.

use super::super::error::{Fault, clean};
use super::Output;
use crate::executor::exec::{ExecWish, Piece, WindowSize};
use bytes::{Buf, Bytes, BytesMut};
use futures::stream::try_unfold;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, UPGRADE};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use hyper::client::conn::http1;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::io;
use std::pin::Pin;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadHalf};
use tokio::net::{TcpStream, UnixStream};

/// The most that is taken at once, in bytes.
const PIECE: usize = 32 << 10;
/// Of an engine's refusal, in bytes.
const REFUSAL: usize = 64 << 10;
/// The head of a frame: its stream, three zeros, its length.
const HEAD: usize = 8;

/// The two halves of a program.
pub(super) type Halves = (Pin<Box<dyn AsyncWrite + Send>>, Output);

/// As engines read a size: height, width. Those before API 1.42 ignore it.
pub(super) fn console(size: WindowSize) -> Vec<usize> {
    vec![size.rows.into(), size.cols.into()]
}

/// Begins a program that was made, on a connection of its own.
pub(super) async fn start(address: &str, id: &str, wish: &ExecWish) -> Result<Halves, Fault> {
    let away = |error: io::Error| Fault::Away(error.to_string());
    let upgraded = if let Some(path) = address.strip_prefix("unix://") {
        upgrade(UnixStream::connect(path).await.map_err(away)?, id, wish).await?
    } else {
        let host = address.strip_prefix("tcp://").or_else(|| address.strip_prefix("http://")).unwrap_or(address);
        let stream = TcpStream::connect(host.trim_end_matches('/')).await.map_err(away)?;
        stream.set_nodelay(true).map_err(away)?;
        upgrade(stream, id, wish).await?
    };
    let (read, write) = tokio::io::split(TokioIo::new(upgraded));
    Ok((Box::pin(write), output(read, wish.tty)))
}

async fn upgrade<S>(stream: S, id: &str, wish: &ExecWish) -> Result<Upgraded, Fault>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let away = |error: hyper::Error| Fault::Away(error.to_string());
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(away)?;
    // It ends with the answer: then the connection is ours.
    tokio::spawn(connection.with_upgrades());
    let mut body = json!({ "Detach": false, "Tty": wish.tty });
    if let Some(size) = wish.size.filter(|_| wish.tty) {
        body["ConsoleSize"] = json!(console(size));
    }
    let request = Request::post(format!("/exec/{id}/start"))
        .header(HOST, "engine")
        .header(CONTENT_TYPE, "application/json")
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "tcp")
        .body(body.to_string())
        .map_err(|error| Fault::Away(error.to_string()))?;
    let answer = sender.send_request(request).await.map_err(away)?;
    let status = answer.status();
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return hyper::upgrade::on(answer).await.map_err(away);
    }
    let limited = http_body_util::Limited::new(answer.into_body(), REFUSAL);
    let body = limited.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let told: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = told["message"].as_str().map_or_else(|| String::from_utf8_lossy(&body).into_owned(), Into::into);
    Err(match status {
        StatusCode::NOT_FOUND => Fault::Gone(clean(&text)),
        StatusCode::CONFLICT => Fault::Conflict(clean(&text)),
        other => Fault::Refused { status: other.as_u16(), text: clean(&text) },
    })
}

/// What is read, and how far the frame under way is.
struct Reading<R> {
    read: R,
    buffer: BytesMut,
    tty: bool,
    /// Stream and rest of a frame.
    frame: Option<(u8, usize)>,
}

fn output<S>(read: ReadHalf<S>, tty: bool) -> Output
where
    ReadHalf<S>: AsyncRead + Send + 'static,
{
    let reading = Reading { read, buffer: BytesMut::with_capacity(PIECE), tty, frame: None };
    Box::pin(try_unfold(reading, |mut reading| async { Ok(reading.next().await?.map(|piece| (piece, reading))) }))
}

impl<R: AsyncRead + Unpin> Reading<R> {
    /// The next piece; none at the end.
    async fn next(&mut self) -> io::Result<Option<Piece>> {
        loop {
            if let Some(piece) = self.piece()? {
                return Ok(Some(piece));
            }
            self.buffer.reserve(PIECE);
            if (&mut self.read).take(PIECE as u64).read_buf(&mut self.buffer).await? == 0 {
                // What is left of a frame that broke off is output all the same.
                return Ok(None);
            }
        }
    }

    /// What of the buffer is a piece.
    fn piece(&mut self) -> io::Result<Option<Piece>> {
        if self.buffer.is_empty() {
            return Ok(None);
        }
        if self.tty {
            return Ok(Some(Piece { stderr: false, data: self.cut(usize::MAX) }));
        }
        loop {
            match self.frame {
                Some((_, 0)) => self.frame = None,
                Some((stream, rest)) => {
                    if self.buffer.is_empty() {
                        return Ok(None);
                    }
                    let data = self.cut(rest);
                    self.frame = Some((stream, rest - data.len()));
                    return Ok(Some(Piece { stderr: stream == 2, data }));
                }
                None => {
                    if self.buffer.len() < HEAD {
                        return Ok(None);
                    }
                    let stream = self.buffer[0];
                    self.buffer.advance(4);
                    let length = self.buffer.get_u32();
                    if !(1..=2).contains(&stream) {
                        let why = format!("the engine sent a frame of stream {stream}");
                        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
                    }
                    self.frame = Some((stream, usize::try_from(length).unwrap_or(usize::MAX)));
                }
            }
        }
    }

    fn cut(&mut self, most: usize) -> Bytes {
        let length = self.buffer.len().min(most).min(PIECE);
        self.buffer.split_to(length).freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8], tty: bool) -> (Vec<u8>, Vec<u8>) {
        let mut reading = Reading { read: bytes, buffer: BytesMut::new(), tty, frame: None };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        while let Some(piece) = reading.next().await.unwrap() {
            assert!(!piece.data.is_empty() && piece.data.len() <= PIECE);
            if piece.stderr { err.extend(&piece.data) } else { out.extend(&piece.data) }
        }
        (out, err)
    }

    #[tokio::test]
    async fn every_byte_of_a_terminal_is_output_whatever_it_is() {
        let all: Vec<u8> = (0..=255).cycle().take(3 * PIECE + 7).collect();
        assert_eq!(read(&all, true).await, (all, Vec::new()));
        assert_eq!(read(&[1, 0, 0], true).await, (vec![1, 0, 0], Vec::new()));
    }

    #[tokio::test]
    async fn frames_are_taken_apart_however_long_they_are() {
        let frame = |stream: u8, data: &[u8]| {
            let length = u32::try_from(data.len()).unwrap().to_be_bytes();
            [&[stream, 0, 0, 0][..], &length, data].concat()
        };
        let long = vec![7; 2 * PIECE + 5];
        let bytes = [frame(1, b"one"), frame(2, b""), frame(2, &long), frame(1, &[0, 1, 2])].concat();
        assert_eq!(read(&bytes, false).await, (b"one\0\x01\x02".to_vec(), long));
        assert_eq!(read(&frame(1, b"cut")[..10], false).await, (b"cu".to_vec(), Vec::new()));
        let mut reading =
            Reading { read: &[9, 0, 0, 0, 0, 0, 0, 1, 5][..], buffer: BytesMut::new(), tty: false, frame: None };
        assert!(reading.next().await.is_err(), "no stream has this number");
    }
}
