//! The wish of the system or of a person that the process end.

use super::logging::Log;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// A token that is cancelled by SIGTERM or SIGINT; a second one ends the process at once.
///
/// SIGHUP opens the log file again where there is one, else it is a terminal that went away: stop.
/// # Errors
/// The signals can not be caught.
pub(super) fn on_signal(log: Log) -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let token = stop.clone();
    let mut signals =
        [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?];
    tokio::spawn(async move {
        loop {
            let [term, int, hup] = &mut signals;
            let hung_up = tokio::select! { _ = term.recv() => false, _ = int.recv() => false, _ = hup.recv() => true };
            if hung_up && log.reopen() {
                continue;
            }
            if token.is_cancelled() {
                std::process::exit(130);
            }
            info!("asked to stop");
            token.cancel();
        }
    });
    Ok(stop)
}
