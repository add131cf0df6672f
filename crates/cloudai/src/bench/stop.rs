//! The wish that a benchmark end before its time: Ctrl-C, SIGTERM, a terminal that went away.
//!
//! A benchmark that is stopped ends its processes and removes its folder as it always does; see
//! [`super::measure`]. Who ends them when it can not do so itself is told in `bound.rs`.

use crate::exit::{Exit, Failure};
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Hears the signals as long as one of its clones lives.
#[derive(Clone, Debug)]
pub(crate) struct Stop {
    /// The number of the signal that came.
    heard: watch::Receiver<Option<u8>>,
    _listener: Arc<JoinSet<()>>,
}

impl Stop {
    /// Listens from now on; a second signal ends the process at once.
    /// # Errors
    /// The signals can not be caught.
    pub(crate) fn on_signals() -> Result<Self, Failure> {
        let mut signals =
            [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?];
        let (told, heard) = watch::channel(None);
        let mut listener = JoinSet::new();
        listener.spawn(async move {
            loop {
                let [int, term, hup] = &mut signals;
                let number = tokio::select! { _ = int.recv() => 2, _ = term.recv() => 15, _ = hup.recv() => 1 };
                if told.send_replace(Some(number)).is_some() {
                    std::process::exit(Exit::Signal(number).code().into());
                }
            }
        });
        Ok(Self { heard, _listener: Arc::new(listener) })
    }

    /// What `work` comes to, unless a signal comes before: then it is dropped where it stands.
    /// # Errors
    /// The failure of the work, or that it was stopped.
    pub(crate) async fn unless<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let mut heard = self.heard.clone();
        tokio::select! {
            biased;
            Ok(number) = async { heard.wait_for(Option::is_some).await.map(|number| *number) } => Err(stopped(number)),
            done = work => done,
        }
    }

    /// Nothing, as long as no signal came.
    /// # Errors
    /// That it was stopped.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let number = *self.heard.borrow();
        if number.is_some() { Err(stopped(number)) } else { Ok(()) }
    }
}

fn stopped(number: Option<u8>) -> Failure {
    let number = number.unwrap_or_default();
    let name = match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        _ => "SIGTERM",
    };
    Failure::new(Exit::Signal(number), "stopped", format!("the benchmark was stopped by {name}"))
        .why("its processes are ended and its data is removed")
}
