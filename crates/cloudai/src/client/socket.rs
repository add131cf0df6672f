//! A `GET` that becomes a WebSocket: what is wrong before that is a failure like that of any other call.

use super::{ANSWER, Client};
use crate::exit::{Exit, Failure};
use reqwest::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use reqwest::{Method, StatusCode, Upgraded};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

/// An open WebSocket.
pub(crate) type Socket = WebSocketStream<Upgraded>;

impl Client {
    /// Opens a WebSocket; tried once, for what it begins would be begun twice.
    /// # Errors
    /// The master's problem, or that it could not be reached.
    pub(crate) async fn web_socket(&self, path: &[&str], query: &[(&str, String)]) -> Result<Socket, Failure> {
        let key = generate_key();
        let request = self.request(Method::GET, path).query(query);
        let request = request.header(CONNECTION, "Upgrade").header(UPGRADE, "websocket");
        let request = request.header(SEC_WEBSOCKET_VERSION, "13").header(SEC_WEBSOCKET_KEY, &key);
        let request = self.signed(request).await?;
        let answer = tokio::time::timeout(ANSWER, request.send()).await;
        let answer = answer.map_err(|_| self.no_socket("it did not answer in time"))?;
        let answer = answer.map_err(|error| self.unreachable(&error))?;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            let refused = self.accept(answer).await.err();
            return Err(refused.unwrap_or_else(|| self.no_socket("it answered without a WebSocket")));
        }
        let accepted = answer.headers().get(SEC_WEBSOCKET_ACCEPT).map(|accept| accept.as_bytes().to_vec());
        if accepted.as_deref() != Some(derive_accept_key(key.as_bytes()).as_bytes()) {
            return Err(self.no_socket("it answered another's question"));
        }
        let upgraded = answer.upgrade().await.map_err(|error| self.unreachable(&error))?;
        Ok(WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await)
    }

    fn no_socket(&self, why: &str) -> Failure {
        Failure::new(Exit::Unreachable, "unreachable", format!("no WebSocket at {}", self.addr()))
            .why(why)
            .next("check --addr: a proxy on the way must let WebSockets through")
    }
}
