//! How commands reach workers: over the streams that they keep open, or by calls to those that asked for it.
//!
//! Both take commands from outlets (`outlets`), one for each worker; what they put on the wire is `grpc`'s.

mod outlets;
pub mod push;
pub mod subscribe;

use cloudai_core::effect::Dispatch;
use push::Pushes;
use std::sync::Arc;
use subscribe::Subscriptions;

/// Commands that go over the wire in one message at most.
pub(crate) const COMMANDS: usize = 256;

/// The longest address: a host name has at most 253 characters.
const MAX_ADDRESS: usize = 260;

/// Hands commands over for sending. Never waits: what can not be handed over is lost, and a
/// heartbeat shows it.
pub trait Delivery: Send + Sync + std::fmt::Debug {
    /// Takes commands, in order; answers those of sessions that it does not serve.
    #[must_use]
    fn deliver(&self, dispatches: Vec<Dispatch>) -> Vec<Dispatch>;

    /// Sends nothing more.
    fn close_all(&self);
}

/// Each worker by the way that it asked for.
#[derive(Clone, Debug, Default)]
pub struct Deliveries {
    /// Those that keep a stream open.
    pub subscriptions: Arc<Subscriptions>,
    /// Those that are called.
    pub pushes: Arc<Pushes>,
}

impl Delivery for Deliveries {
    fn deliver(&self, dispatches: Vec<Dispatch>) -> Vec<Dispatch> {
        let rest = self.pushes.deliver(dispatches);
        self.subscriptions.deliver(rest)
    }

    fn close_all(&self) {
        self.pushes.close_all();
        self.subscriptions.close_all();
    }
}

/// Whether workers can be called there: `ip:port` or `host:port`; else why not, for people.
pub(crate) fn check_address(text: &str) -> Result<(), String> {
    let wrong = || "is no address: expected ip:port, as 10.0.0.7:50052".to_owned();
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port: Option<u16> = port.parse().ok().filter(|port| *port > 0);
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let good = match bare {
        Some(ip) => ip.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c)),
    };
    if good && port.is_some() && text.len() <= MAX_ADDRESS { Ok(()) } else { Err(wrong()) }
}
