//! The wish of the system or of a person that the process end.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// A token that is cancelled by SIGTERM, SIGINT or SIGHUP; a second one ends the process at once.
/// # Errors
/// The signals can not be caught.
pub(super) fn on_signal() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let token = stop.clone();
    let mut signals =
        [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?];
    tokio::spawn(async move {
        loop {
            let [term, int, hup] = &mut signals;
            tokio::select! { _ = term.recv() => {}, _ = int.recv() => {}, _ = hup.recv() => {} }
            if token.is_cancelled() {
                std::process::exit(130);
            }
            info!("asked to stop");
            token.cancel();
        }
    });
    Ok(stop)
}
