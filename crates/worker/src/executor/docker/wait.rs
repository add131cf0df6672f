//! The end of a running container: by itself, by order or by its time limit.

use super::doer::Doer;
use super::error::{Backoff, Fault};
use super::seen::{Seen, Stage, inspect};
use super::stamp;
use super::storage::Usage;
use crate::executor::Stop;
use bollard::Docker;
use bollard::query_parameters::{
    KillContainerOptionsBuilder, StopContainerOptionsBuilder, WaitContainerOptionsBuilder,
};
use cloudai_core::task::Cause;
use futures::StreamExt;
use futures::future::{BoxFuture, pending};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

/// The wait call tells the end at once; should the engine lose it, an inspection this often finds it.
const RECHECK: Duration = Duration::from_secs(30);
/// What the engine may need beyond the grace to kill and clean up before it answers a stop.
const STOP_MARGIN: Duration = Duration::from_secs(15);
/// The engine hears of an out-of-memory kill and of the exit by two ways: the first came up to
/// 26 ms after the second on a busy host with cgroup v1. So the flag is read this long after the
/// end. (Sometimes such an engine misses the kernel's notice for good: the flag then stays false.)
const OOM_SETTLE: Duration = Duration::from_millis(50);
/// The same for a program that something killed with SIGKILL.
const OOM_SETTLE_KILLED: Duration = Duration::from_millis(300);
/// How long a container may survive its SIGKILL: longer only when the kernel holds a process, in
/// a dead network file system for one, and then no patience helps.
const UNKILLABLE: Duration = Duration::from_secs(120);

/// A wish to end a container that was passed on to the engine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) cause: Cause,
    /// When it was passed on, by the clock of the engine's times, in nanoseconds.
    at: u64,
    pub(super) grace: Duration,
    kill_at: Instant,
}

impl Asked {
    fn new(stop: Stop) -> Self {
        Self { cause: stop.cause, at: stamp::now(), grace: stop.grace, kill_at: Instant::now() + stop.grace }
    }
}

/// How a container ended.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) seen: Seen,
    pub(super) asked: Option<Asked>,
    /// Who ended it when nobody asked.
    pub(super) doer: Doer,
    /// What it took of the disk when that was too much.
    pub(super) excess: Option<Usage>,
}

impl End {
    /// An end that nobody asked for.
    pub(super) fn of(seen: Seen) -> Self {
        Self { seen, asked: None, doer: Doer::Program, excess: None }
    }

    /// The wish that ended it; none when it ended by itself, perhaps just before.
    pub(super) fn by_wish(&self) -> Option<Asked> {
        self.asked.filter(|asked| self.seen.finished.is_none_or(|finished| finished >= asked.at))
    }
}

/// A running container.
#[derive(Clone, Copy, Debug)]
pub(super) struct Running<'a> {
    pub(super) docker: &'a Docker,
    pub(super) id: &'a str,
    pub(super) patience: Duration,
}

impl<'a> Running<'a> {
    /// Waits for the end, passing on wishes for it; none when the container was taken away.
    ///
    /// `limits` comes when the attempt exceeds one of its limits; once it was asked to end that
    /// does not matter any more.
    /// The first wish gives the cause; a later one only shortens the time until SIGKILL.
    /// # Errors
    /// The engine stayed silent, or can not end the container.
    pub(super) async fn end(
        self,
        wishes: &mut watch::Receiver<Option<Stop>>,
        limits: impl Future<Output = Stop>,
    ) -> Result<Option<End>, Fault> {
        let mut asked: Option<Asked> = None;
        let mut stopping: BoxFuture<'a, Fault> = Box::pin(pending());
        let mut ended = std::pin::pin!(self.ended());
        let mut limits = std::pin::pin!(limits);
        loop {
            let stop = tokio::select! {
                biased;
                seen = &mut ended => return Ok(self.settled(seen?).await?.map(|seen| End { asked, ..End::of(seen) })),
                stop = wish(wishes, asked.map(|asked| asked.kill_at)) => stop,
                stop = &mut limits, if asked.is_none() => stop,
                fault = &mut stopping => return Err(fault),
            };
            info!(container = self.id, grace_ms = stop.grace.as_millis(), "stop asked for");
            let new = Asked::new(stop);
            asked = Some(asked.map_or(new, |first| Asked { kill_at: new.kill_at, grace: new.grace, ..first }));
            stopping = Box::pin(self.stop(stop.grace));
        }
    }

    /// Waits until the container does not run; none when it is not there any more.
    async fn ended(self) -> Result<Option<Seen>, Fault> {
        let mut backoff = Backoff::new();
        loop {
            let options = WaitContainerOptionsBuilder::new().condition("not-running").build();
            let mut answers = std::pin::pin!(self.docker.wait_container(self.id, Some(options)));
            let told = tokio::select! {
                // An exit code that is not 0 comes as an error; either way an inspection decides.
                answer = answers.next() => answer.is_some(),
                () = sleep(RECHECK) => false,
            };
            match inspect(self.docker, self.id, self.patience).await? {
                None => return Ok(None),
                Some(seen) if seen.stage == Stage::Ended => return Ok(Some(seen)),
                Some(_) if told => backoff.pause().await,
                Some(_) => {}
            }
        }
    }

    /// What an ended container shows once the engine has heard everything about it.
    async fn settled(self, seen: Option<Seen>) -> Result<Option<Seen>, Fault> {
        let Some(seen) = seen else { return Ok(None) };
        if seen.oom_killed {
            return Ok(Some(seen));
        }
        sleep(if seen.exit_code == Some(137) { OOM_SETTLE_KILLED } else { OOM_SETTLE }).await;
        // One that was removed meanwhile has told enough.
        Ok(Some(inspect(self.docker, self.id, self.patience).await?.unwrap_or(seen)))
    }

    /// SIGTERM, the grace, SIGKILL, by the engine; returns only when it can not.
    ///
    /// The engine goes on with it should this worker die meanwhile.
    async fn stop(self, grace: Duration) -> Fault {
        let begin = Instant::now();
        let mut backoff = Backoff::new();
        loop {
            let left = grace.saturating_sub(begin.elapsed());
            match self.stop_once(left, begin.elapsed() > grace).await {
                Ok(()) | Err(Fault::Gone(_)) => {}
                Err(fault) => warn!(container = self.id, why = fault.text(), "stop failed"),
            }
            if begin.elapsed() > grace + UNKILLABLE {
                let text = format!("a process of the container survives SIGKILL for {} s", UNKILLABLE.as_secs());
                return Fault::Refused { status: 500, text };
            }
            backoff.pause().await;
        }
    }

    async fn stop_once(self, grace: Duration, kill: bool) -> Result<(), Fault> {
        if kill {
            let options = KillContainerOptionsBuilder::new().signal("SIGKILL").build();
            return Ok(self.docker.kill_container(self.id, Some(options)).await?);
        }
        // The engine counts in whole seconds; a part of one counts as one.
        let seconds = i32::try_from(grace.as_millis().div_ceil(1000)).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::new().t(seconds).build();
        // The engine answers when the container has ended, so the call takes as long as the grace.
        let docker = self.docker.clone().with_timeout(grace + STOP_MARGIN);
        Ok(docker.stop_container(self.id, Some(options)).await?)
    }
}

/// The next wish that would end the container before `kill_at`; never comes when nobody can wish.
async fn wish(wishes: &mut watch::Receiver<Option<Stop>>, kill_at: Option<Instant>) -> Stop {
    loop {
        let wish = *wishes.borrow_and_update();
        if let Some(stop) = wish
            && kill_at.is_none_or(|kill_at| Instant::now() + stop.grace < kill_at)
        {
            return stop;
        }
        if wishes.changed().await.is_err() {
            pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_a_wish_that_comes_sooner_is_heard_after_the_first() {
        let (tell, mut hear) = watch::channel(None);
        let stop = |seconds| Stop { grace: Duration::from_secs(seconds), cause: Cause::Stopped };
        tell.send_replace(Some(stop(10)));
        let kill_at = Instant::now() + wish(&mut hear, None).await.grace;
        tell.send_replace(Some(stop(20)));
        let waited = tokio::time::timeout(Duration::from_secs(1), wish(&mut hear, Some(kill_at))).await;
        assert!(waited.is_err(), "{waited:?}");
        tell.send_replace(Some(stop(2)));
        assert_eq!(wish(&mut hear, Some(kill_at)).await, stop(2));
    }
}
