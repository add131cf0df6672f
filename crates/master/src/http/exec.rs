//! A program in the container of a task, over a WebSocket: `dto/exec.rs` has its frames.
//!
//! What can be wrong before the program begins is an answer like any other; only then the connection becomes a
//! WebSocket. Both directions go on side by side, each with a message or two under way: a client that does not read
//! stops the program's output, not its own input.

use super::dto::{self, ExecEnd, ExecSaid};
use super::extract::{Caller, TaskPath};
use super::problem::{Code, Problem};
use super::query::Parameters;
use crate::exec::{End, FromWorker, Lost, Opened, Size, ToWorker, Wish};
use crate::handle::Handle;
use crate::handle::exec::{Exec, ExecError};
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use bytes::{BufMut, Bytes, BytesMut};
use cloudai_core::ids::TaskId;
use futures::stream::{BoxStream, SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tracing::info;

/// Between two pings.
const PING: Duration = Duration::from_secs(20);
/// A client that gave no sign for so long is gone; the command line gives one every 15 s, whatever it waits for.
const SILENCE: Duration = Duration::from_secs(60);
/// How long a client may take to answer our closing.
const FAREWELL: Duration = Duration::from_secs(1);
/// The longest frame of a client, in bytes.
const FRAME: usize = 256 << 10;
/// Words of a command, and variables: as many as fit into a request's head anyway.
const WORDS: usize = 1000;

/// The result of the extractor, so that what is wrong with the task is told before what is wrong with the asking.
type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

/// Begins a program, then becomes its WebSocket.
pub(super) async fn open(
    Caller(who): Caller,
    TaskPath(id): TaskPath,
    State(handle): State<Handle>,
    query: Parameters,
    upgrade: Upgrade,
) -> Result<Response, Problem> {
    let wish = wish(query)?;
    handle.task_to_change(&who, id).await?;
    let upgrade = upgrade.map_err(|rejection| {
        Problem::new(Code::Invalid, format!("this is a WebSocket: {}", rejection.body_text()))
            .next(format!("cloudai task exec {id}, or a WebSocket client"))
    })?;
    let stdin = wish.stdin;
    let exec = handle.exec(&who, id, wish).await?;
    // Taken now: a stop that comes before the upgrade is done waits for this client as well.
    let tracked = handle.shared.execs.tasks.token();
    Ok(upgrade.max_message_size(FRAME).max_frame_size(FRAME).write_buffer_size(0).on_upgrade(
        move |socket| async move {
            run(&handle, id, exec, stdin, socket).await;
            drop(tracked);
        },
    ))
}

/// What is to run, from the parameters.
fn wish(mut query: Parameters) -> Result<Wish, Problem> {
    let command = query.all("command");
    if command.len() > WORDS {
        query.wrong("command", None, format!("has more than {WORDS} words"));
    }
    if command.first().is_some_and(String::is_empty) {
        query.wrong("command", Some(""), "is empty: leave it out for a shell");
    }
    let env = query.all("env");
    if env.len() > WORDS {
        query.wrong("env", None, format!("has more than {WORDS} variables"));
    }
    for variable in &env {
        let named = variable.split_once('=').is_some_and(|(name, _)| !name.is_empty());
        if !named {
            query.wrong("env", Some(variable), "is no variable: expected NAME=VALUE");
        }
    }
    let (tty, stdin) = (query.flag("tty"), query.flag("stdin"));
    let (user, workdir) = (query.text("user").unwrap_or_default(), query.text("workdir").unwrap_or_default());
    if !workdir.is_empty() && !workdir.starts_with('/') {
        query.wrong("workdir", Some(&workdir), "is no folder of the container: expected an absolute path");
    }
    for (name, text) in command.iter().map(|word| ("command", word)).chain([("user", &user), ("workdir", &workdir)]) {
        if text.contains('\0') {
            query.wrong(name, Some(text), "has a NUL character");
        }
    }
    let mut side = |name| query.whole(name, 1..=u16::MAX.into()).and_then(|side| u16::try_from(side).ok());
    let size = side("cols").zip(side("rows")).map(|(cols, rows)| Size { cols, rows });
    query.close()?;
    Ok(Wish { command, tty, stdin, user, workdir, env, size })
}

/// What is said last, and how the socket is closed.
#[derive(Debug)]
enum Last {
    /// The client has gone.
    Gone,
    Said(ExecEnd, u16),
}

async fn run(handle: &Handle, id: TaskId, exec: Exec, stdin: bool, socket: WebSocket) {
    let (attempt, worker) = (exec.attempt, exec.worker.clone());
    let stopping = handle.shared.stopping.clone();
    let (Opened { mut from, to }, _place) = exec.apart();
    let (mut sink, mut stream) = socket.split();
    let last = tokio::select! {
        biased;
        () = stopping.cancelled() => error("stopping", "the master is stopping".into(), "cloudai status".into()),
        last = down(&mut sink, &mut from, id) => last,
        last = up(&mut stream, &to, stdin) => last,
    };
    // The program is ended, unless it has ended; its place is free once its client was told.
    drop((to, from));
    let told = match &last {
        Last::Gone => "client gone".into(),
        Last::Said(ExecEnd::Exit { code, .. }, _) => format!("exit code {code}"),
        Last::Said(ExecEnd::Error { code, .. }, _) => code.clone(),
    };
    info!(task = %id, attempt = attempt.number, %worker, end = told, "exec ended");
    if let Last::Said(end, code) = last {
        let farewell = say_goodbye(&mut sink, &mut stream, &end, code);
        tokio::select! {
            () = farewell => {}
            // A master that stops waits for nobody who stands still.
            () = async {
                stopping.cancelled().await;
                tokio::time::sleep(FAREWELL).await;
            } => {}
        }
    }
}

/// Tells the end behind all output. A client that reads slowly is waited for as long as it gives signs.
async fn say_goodbye(
    sink: &mut SplitSink<WebSocket, Message>,
    stream: &mut SplitStream<WebSocket>,
    end: &ExecEnd,
    code: u16,
) {
    // A plain enum always is JSON.
    let text = serde_json::to_string(end).unwrap_or_default();
    let close = Message::Close(Some(CloseFrame { code, reason: "".into() }));
    let said = async { sink.send(Message::Text(text.into())).await.is_ok() && sink.send(close).await.is_ok() };
    let heard = tokio::select! {
        said = said => said,
        () = until_gone(stream) => false,
    };
    if heard {
        let _ = tokio::time::timeout(FAREWELL, until_gone(stream)).await;
    }
}

/// Returns when the client has gone, or gave no sign for too long.
async fn until_gone(stream: &mut SplitStream<WebSocket>) {
    while let Ok(Some(Ok(_))) = tokio::time::timeout(SILENCE, stream.next()).await {}
}

fn error(code: &str, message: String, next: String) -> Last {
    let close = if code == "stopping" { close_code::AWAY } else { close_code::NORMAL };
    Last::Said(ExecEnd::Error { code: code.into(), message, next }, close)
}

/// From the worker to the client, until the program ends.
async fn down(
    sink: &mut SplitSink<WebSocket, Message>,
    from: &mut BoxStream<'static, Result<FromWorker, Lost>>,
    id: TaskId,
) -> Last {
    let mut pings = interval(PING);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let message = tokio::select! {
            message = from.next() => match message {
                Some(Ok(FromWorker::Stdout(data))) => framed(dto::STDOUT, &data),
                Some(Ok(FromWorker::Stderr(data))) => framed(dto::STDERR, &data),
                Some(Ok(FromWorker::Ended(end))) => return ended(end, id),
                Some(Ok(FromWorker::Started | FromWorker::Refused(..))) => continue,
                Some(Err(Lost(why))) => return lost(&why, id),
                None => return lost("it ended the connection", id),
            },
            _ = pings.tick() => Message::Ping(Bytes::new()),
        };
        if sink.send(message).await.is_err() {
            return Last::Gone;
        }
    }
}

fn framed(stream: u8, data: &[u8]) -> Message {
    let mut frame = BytesMut::with_capacity(data.len() + 1);
    frame.put_u8(stream);
    frame.put_slice(data);
    Message::Binary(frame.freeze())
}

fn ended(end: End, id: TaskId) -> Last {
    match end {
        End::Exited(code, message) => {
            let message = Some(message).filter(|message| !message.is_empty());
            Last::Said(ExecEnd::Exit { code, message }, close_code::NORMAL)
        }
        End::TaskEnded => {
            error("task_ended", format!("{id} ended, and with it what ran in it"), format!("cloudai task info {id}"))
        }
        End::WorkerStopped => {
            let why = "its worker stops, or lost its master for a while: what was begun here was ended";
            error("worker_stopped", why.into(), format!("cloudai task info {id}"))
        }
        End::Engine(why) => error("engine", format!("the container engine failed: {why}"), "try again".into()),
    }
}

fn lost(why: &str, id: TaskId) -> Last {
    let message = format!("the connection to the worker was lost: {why}");
    error("worker_lost", message, format!("cloudai task info {id}"))
}

/// From the client to the worker, until the client goes.
async fn up(stream: &mut SplitStream<WebSocket>, to: &mpsc::Sender<ToWorker>, stdin: bool) -> Last {
    let mut open = stdin;
    loop {
        let message = match tokio::time::timeout(SILENCE, stream.next()).await {
            Ok(Some(Ok(Message::Close(_)) | Err(_)) | None) | Err(_) => return Last::Gone,
            Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => continue,
            Ok(Some(Ok(Message::Binary(data)))) => match data.first() {
                Some(&dto::STDIN) if open => ToWorker::Stdin(data.slice(1..)),
                Some(&dto::STDIN) if stdin => return bad_frame("standard input was ended already"),
                Some(&dto::STDIN) => return bad_frame("standard input was not asked for: stdin=true"),
                Some(_) | None => return bad_frame("a binary frame of a client begins with the byte 0"),
            },
            Ok(Some(Ok(Message::Text(text)))) => match serde_json::from_str(&text) {
                Ok(ExecSaid::Resize { cols, rows }) if cols > 0 && rows > 0 => ToWorker::Resize(Size { cols, rows }),
                Ok(ExecSaid::Resize { .. }) => return bad_frame("cols and rows are 1 to 65535"),
                Ok(ExecSaid::Eof) if !std::mem::take(&mut open) => continue,
                Ok(ExecSaid::Eof) => ToWorker::EndOfInput,
                Err(why) => return bad_frame(&format!("a text frame of a client is a resize or an eof: {why}")),
            },
        };
        if to.send(message).await.is_err() {
            // The worker has gone, or is about to say how it ended.
            std::future::pending::<()>().await;
        }
    }
}

fn bad_frame(why: &str) -> Last {
    let end =
        ExecEnd::Error { code: "bad_frame".into(), message: why.into(), next: "docs/exec.md lists the frames".into() };
    Last::Said(end, close_code::POLICY)
}

impl From<ExecError> for Problem {
    fn from(error: ExecError) -> Self {
        let text = error.to_string();
        match error {
            ExecError::Ask(error) => error.into(),
            ExecError::NotRunning(_, next) => Self::new(Code::Conflict, text).next(next),
            ExecError::Forbidden(_) => {
                Self::new(Code::Forbidden, text).next("cloudai task logs ID shows what it prints")
            }
            ExecError::NotPossible(_) => {
                Self::new(Code::NotPossible, text).next("bring its worker to the version of its master")
            }
            ExecError::TooMany(_) => Self::new(Code::Conflict, text),
            ExecError::Unavailable(_) => Self::new(Code::Unavailable, text).next("cloudai worker list").retry_after(5),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::query::tests::{of, refused};
    use super::*;

    #[tokio::test]
    async fn everything_wrong_with_the_wish_is_named() {
        let query = "command=&env=A&env=B%3D1&workdir=tmp&cols=0&user=a%00b&tty=perhaps";
        let said = refused(wish(of(query)).unwrap_err()).await;
        let expected = [
            ("command", "is empty"),
            ("env", "NAME=VALUE"),
            ("tty", "neither true nor false"),
            ("workdir", "an absolute path"),
            ("user", "a NUL character"),
            ("cols", "from 1 to 65535"),
        ];
        assert_eq!(said.len(), expected.len(), "{said:?}");
        for ((path, problem), (name, part)) in said.iter().zip(expected) {
            assert!(path == name && problem.contains(part), "{path}: {problem}");
        }
    }

    #[test]
    fn a_wish_is_read_as_it_is_given() {
        let read = wish(of("command=ls&command=&command=-l&tty&stdin=1&cols=80&rows=24&env=A%3D&user=1000:5")).unwrap();
        let expected = Wish {
            command: vec!["ls".into(), String::new(), "-l".into()],
            tty: true,
            stdin: true,
            user: "1000:5".into(),
            workdir: String::new(),
            env: vec!["A=".into()],
            size: Some(Size { cols: 80, rows: 24 }),
        };
        assert_eq!(read, expected);
        assert_eq!(wish(of("")).unwrap(), Wish::default(), "a shell without a terminal");
    }
}
