//! The wish of the system or of a person that the process end.

use super::logging::Log;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Two signals within this time are one wish: `timeout` of coreutils sends each to the process and
/// to its group.
const ONE_WISH: Duration = Duration::from_millis(100);

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
        let mut asked: Option<Instant> = None;
        loop {
            let [term, int, hup] = &mut signals;
            let hung_up = tokio::select! { _ = term.recv() => false, _ = int.recv() => false, _ = hup.recv() => true };
            if hung_up && log.reopen() {
                continue;
            }
            match asked {
                Some(at) if at.elapsed() < ONE_WISH => continue,
                Some(_) => {
                    warn!("asked to stop again, ended at once: containers live on");
                    std::process::exit(130);
                }
                None => info!("asked to stop"),
            }
            asked = Some(Instant::now());
            token.cancel();
        }
    });
    Ok(stop)
}
