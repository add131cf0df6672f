//! Between this process's streams and the WebSocket, until one side ends it.

use super::input::Input;
use super::output::Output;
use super::terminal::Resized;
use crate::client::Socket;
use crate::exit::Failure;
use bytes::{BufMut, Bytes, BytesMut};
use cloudai_master::http::dto::{ExecEnd, ExecSaid, STDERR, STDIN, STDOUT};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use std::future::pending;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_tungstenite::tungstenite::{Error, Message};

/// The master hears of us so often, also while our own reader stands still: it waits four times as long.
const SIGN: Duration = Duration::from_secs(15);
/// The master gives a sign every 20 s.
const SILENCE: Duration = Duration::from_secs(60);
/// How long a goodbye may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// What is to be passed on.
pub(super) struct Relay {
    pub(super) socket: Socket,
    /// Standard input as well.
    pub(super) stdin: bool,
    /// Of a terminal.
    pub(super) resized: Option<Resized>,
}

/// How it ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// The master said how.
    Said(ExecEnd),
    /// The connection broke.
    Lost(String),
    /// This process was told to end by this signal.
    Signal(u8),
}

type Sink = SplitSink<Socket, Message>;

impl Relay {
    pub(super) async fn run(self) -> Result<Ended, Failure> {
        let mut asked = Asked::listen()?;
        let input = if self.stdin { Some(Input::open()?) } else { None };
        let output = Output::open()?;
        let (mut sink, mut stream) = self.socket.split();
        let ended = tokio::select! {
            biased;
            number = asked.next() => Some(Ended::Signal(number)),
            ended = down(&mut stream, &output) => ended,
            why = up(&mut sink, input, self.resized) => Some(after(&mut stream, &output, why).await),
        };
        match ended {
            Some(Ended::Signal(number)) => {
                let _ = timeout(FAREWELL, sink.close()).await;
                Ok(Ended::Signal(number))
            }
            // All that came is written first.
            Some(ended) => tokio::select! {
                written = output.end() => {
                    written?;
                    let _ = timeout(FAREWELL, sink.close()).await;
                    Ok(ended)
                }
                number = asked.next() => Ok(Ended::Signal(number)),
            },
            None => {
                let _ = timeout(FAREWELL, sink.close()).await;
                output.end().await?;
                Ok(Ended::Lost("its output can not be written any more".into()))
            }
        }
    }
}

/// The signals that end this process.
struct Asked {
    term: tokio::signal::unix::Signal,
    hup: tokio::signal::unix::Signal,
    /// On a terminal of its own the program gets Ctrl-C; a signal that comes all the same was sent by somebody.
    int: tokio::signal::unix::Signal,
}

impl Asked {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            hup: signal(SignalKind::hangup())?,
            int: signal(SignalKind::interrupt())?,
        })
    }

    /// The number of the next one.
    async fn next(&mut self) -> u8 {
        tokio::select! {
            Some(()) = self.term.recv() => 15,
            Some(()) = self.hup.recv() => 1,
            Some(()) = self.int.recv() => 2,
            else => pending().await,
        }
    }
}

/// Reads what the master sends until it says how it ended; none when nobody takes the output any more.
async fn down(stream: &mut SplitStream<Socket>, output: &Output) -> Option<Ended> {
    loop {
        let message = match timeout(SILENCE, stream.next()).await {
            Ok(Some(Ok(message))) => message,
            Ok(Some(Err(error))) => return Some(Ended::Lost(error.to_string())),
            Ok(None) => return Some(Ended::Lost("it was closed".into())),
            Err(_) => return Some(Ended::Lost(format!("nothing was heard for {} s", SILENCE.as_secs()))),
        };
        match message {
            Message::Binary(data) => {
                let is_stderr = match data.first() {
                    Some(&STDOUT) => false,
                    Some(&STDERR) => true,
                    Some(_) | None => continue,
                };
                if !output.write(is_stderr, data.slice(1..)).await {
                    return None;
                }
            }
            Message::Text(text) => {
                // What a newer master may say beside the end is not for us.
                if let Ok(end) = serde_json::from_str::<ExecEnd>(&text) {
                    return Some(Ended::Said(end));
                }
            }
            Message::Close(frame) => {
                let why = frame.map(|frame| frame.reason.to_string()).filter(|why| !why.is_empty());
                return Some(Ended::Lost(why.unwrap_or_else(|| "it was closed".into())));
            }
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }
}

/// Sends what is typed, sizes and signs of life; returns when the connection takes nothing any more.
async fn up(sink: &mut Sink, mut input: Option<Input>, mut resized: Option<Resized>) -> Error {
    let mut signs = interval(SIGN);
    signs.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let message = tokio::select! {
            piece = next_piece(&mut input) => match piece {
                Some(piece) => framed(&piece),
                None => {
                    input = None;
                    said(ExecSaid::Eof)
                }
            },
            (cols, rows) = next_size(&mut resized) => said(ExecSaid::Resize { cols, rows }),
            _ = signs.tick() => Message::Pong(Bytes::new()),
        };
        if let Err(error) = sink.send(message).await {
            return error;
        }
    }
}

/// What was said before the connection broke counts.
async fn after(stream: &mut SplitStream<Socket>, output: &Output, why: Error) -> Ended {
    match timeout(FAREWELL, down(stream, output)).await {
        Ok(Some(Ended::Said(end))) => Ended::Said(end),
        Ok(Some(Ended::Lost(_) | Ended::Signal(_)) | None) | Err(_) => Ended::Lost(why.to_string()),
    }
}

async fn next_piece(input: &mut Option<Input>) -> Option<Bytes> {
    match input {
        Some(input) => input.next().await,
        None => pending().await,
    }
}

async fn next_size(resized: &mut Option<Resized>) -> (u16, u16) {
    match resized {
        Some(resized) => resized.next().await,
        None => pending().await,
    }
}

fn framed(data: &[u8]) -> Message {
    let mut frame = BytesMut::with_capacity(data.len() + 1);
    frame.put_u8(STDIN);
    frame.put_slice(data);
    Message::Binary(frame.freeze())
}

fn said(what: ExecSaid) -> Message {
    // A plain enum always is JSON.
    Message::Text(serde_json::to_string(&what).unwrap_or_default().into())
}
