//! How commands reach workers.

pub mod subscribe;

use cloudai_core::effect::Dispatch;

/// Hands commands over for sending. Never waits: what can not be handed over is lost, and a
/// heartbeat shows it.
pub trait Delivery: Send + Sync + std::fmt::Debug {
    /// Takes commands, in order.
    fn deliver(&self, dispatches: Vec<Dispatch>);
}
