//! Events over a WebSocket: one text for each. Counted with the other live clients, and held to the same.

use super::super::dto::events::Event;
use super::super::extract::Caller;
use super::super::live::{FAREWELL, HEARING, Limits, Upgrade};
use super::super::problem::{Code, Problem};
use super::super::query::Parameters;
use super::follower::{Follower, Step};
use super::wanted::Wanted;
use crate::handle::Handle;
use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use axum::response::Response;
use bytes::Bytes;
use std::collections::VecDeque;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tracing::debug;

/// How listening ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The client went away, or said goodbye.
    Gone,
    /// It takes no messages, or gives no sign.
    Silent,
    /// It was told that it is too slow.
    Slow,
    /// The master stops.
    Stopping,
}

/// Becomes a WebSocket.
pub(in crate::http) async fn open(
    Caller(who): Caller,
    State(handle): State<Handle>,
    mut query: Parameters,
    upgrade: Upgrade,
) -> Result<Response, Problem> {
    let wanted = Wanted::read(&mut query);
    query.close()?;
    let upgrade = upgrade.map_err(|rejection| {
        Problem::new(Code::Invalid, format!("this is a WebSocket: {}", rejection.body_text()))
            .next("GET /api/v1/events tells the same, or connect with a WebSocket client")
    })?;
    let follower = Follower::begin(handle, who, wanted, None)?;
    let place = follower.live().place()?;
    // Taken now: a stop that comes before the upgrade is done waits for this client as well.
    let tracked = follower.live().track();
    Ok(upgrade.max_message_size(HEARING).max_frame_size(HEARING).write_buffer_size(0).on_upgrade(
        move |socket| async move {
            run(follower, socket, place).await;
            drop(tracked);
        },
    ))
}

async fn run(mut follower: Follower, mut socket: WebSocket, _place: OwnedSemaphorePermit) {
    let end = tell(&mut follower, &mut socket).await;
    debug!(?end, "follower of events ended");
    let (code, reason) = match end {
        // A client that hears nothing hears no goodbye either.
        End::Gone | End::Silent => return,
        End::Slow => (close_code::AGAIN, "events were lost: list anew, then follow"),
        End::Stopping => (close_code::AWAY, "the master is stopping"),
    };
    let farewell = async {
        if socket.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await.is_ok() {
            while let Some(Ok(_)) = socket.recv().await {}
        }
    };
    let _ = tokio::time::timeout(FAREWELL, farewell).await;
}

/// Sends what comes until one side ends it.
async fn tell(follower: &mut Follower, socket: &mut WebSocket) -> End {
    let Limits { take, ping, .. } = follower.live().limits();
    let mut waiting = VecDeque::from([follower.start()]);
    let (mut last_sign, mut slow) = (Instant::now(), false);
    let mut pings = tokio::time::interval_at(Instant::now() + ping, ping);
    loop {
        let outgoing = if let Some(event) = waiting.pop_front() {
            message(&event)
        } else if slow {
            return End::Slow;
        } else {
            tokio::select! {
                biased;
                heard = socket.recv() => match heard {
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return End::Gone,
                    Some(Ok(Message::Text(_) | Message::Binary(_) | Message::Ping(_) | Message::Pong(_))) => {
                        last_sign = Instant::now();
                        continue;
                    }
                },
                _ = pings.tick() => {
                    if last_sign.elapsed() > ping * 3 {
                        return End::Silent;
                    }
                    Message::Ping(Bytes::new())
                }
                step = follower.next() => {
                    match step {
                        Step::Events(events) => waiting.extend(events),
                        Step::Quiet => {}
                        Step::Lost(reset) => {
                            waiting.push_back(*reset);
                            slow = true;
                        }
                        Step::Stopping => return End::Stopping,
                    }
                    continue;
                }
            }
        };
        match tokio::time::timeout(take, socket.send(outgoing)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return End::Gone,
            Err(_) => return End::Silent,
        }
    }
}

fn message(event: &Event) -> Message {
    // A plain struct always is JSON.
    Message::Text(serde_json::to_string(event).unwrap_or_default().into())
}
