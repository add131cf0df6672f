//! One attempt from its image to its last log record.

use super::create::{Host, Kind, Rights, body, name};
use super::error::{Backoff, Fault};
use super::logs::{Manner, Reader};
use super::outcome::{ended, engine_failed, no_image, not_started, without_run};
use super::pull::Unpulled;
use super::seen::{Seen, Stage, inspect};
use super::storage::Watch;
use super::wait::{End, Running};
use super::{Engine, doer, meter, ownership, pull, stamp};
use crate::executor::login::StoredLogin;
use crate::executor::{Job, JobIo, Stop, Teller};
use bollard::query_parameters::{CreateContainerOptionsBuilder, StartContainerOptions};
use cloudai_core::spec::PullPolicy;
use cloudai_core::task::{Cause, Outcome, Step, Used};
use cloudai_core::time::millis;
use std::future::pending;
use std::os::unix::fs::PermissionsExt;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

/// What is wrong, and what helps.
pub(crate) const NO_NAMESPACES: &str = "\
    its policy wants user namespaces (containers.require_user_namespaces), which its engine does not use: set userns-remap \
    in the engine's daemon.json and restart it, or name an engine of a user (rootless) with --engine";

/// Runs an attempt; every way out of it is an outcome.
pub(super) async fn run(engine: &Engine, job: &Job, mut io: JobIo) -> Outcome {
    let host = match engine.host().await {
        Ok(host) => host,
        Err(fault) => return engine_failed("say what it can do", &fault),
    };
    let attempt = Run { engine, job, host, name: name(&job.identity, job.attempt), pulled: OnceLock::new() };
    let (Ok(outcome) | Err(outcome)) = attempt.drive(&mut io).await;
    let used = Used { pulled: attempt.pulled.into_inner(), ..outcome.used };
    Outcome { used, ..outcome }
}

struct Run<'a> {
    engine: &'a Engine,
    job: &'a Job,
    host: Host,
    name: String,
    /// How long its image was pulled, once it was.
    pulled: OnceLock<Duration>,
}

impl Run<'_> {
    async fn drive(&self, io: &mut JobIo) -> Result<Outcome, Outcome> {
        let found = self.find().await?;
        let mut seen = match found {
            Some(seen) => {
                info!(stage = ?seen.stage, "container found");
                if seen.stage == Stage::Created {
                    io.steps.step(Step::Starting).await;
                }
                seen
            }
            None if self.job.resume => {
                let message = "the worker came back and the container is not there any more: somebody removed it";
                return Err(without_run(Cause::Vanished, message));
            }
            None => {
                self.fenced()?;
                self.image(io).await?;
                self.not_stopped(io)?;
                io.steps.step(Step::Starting).await;
                self.create().await?
            }
        };
        // One that was found dead is not told as running: its end has perhaps another's cause.
        let runs = seen.stage != Stage::Ended;
        if seen.stage == Stage::Created {
            self.not_stopped(io)?;
            ownership::give(self.engine, self.job, &seen.id).await?;
            seen = self.start(seen).await?;
        }
        if runs {
            io.steps.step(Step::Running).await;
        }
        Ok(self.attend(io, seen).await)
    }

    /// No container is made where it could not be fenced as the worker's operator wants.
    fn fenced(&self) -> Result<(), Outcome> {
        if self.job.fences.user_namespaces && !self.host.user_namespaces {
            let worker = &self.job.identity.worker;
            return Err(without_run(
                Cause::PolicyDenied,
                format!("worker {worker} makes no container: {NO_NAMESPACES}"),
            ));
        }
        Ok(())
    }

    /// A stop that came before the start: then there is none.
    fn not_stopped(&self, io: &JobIo) -> Result<(), Outcome> {
        let stop = *io.stop.borrow();
        stop.map_or(Ok(()), |stop| Err(without_run(stop.cause, "stopped before its container was started")))
    }

    /// This attempt's container, if there is one.
    async fn find(&self) -> Result<Option<Seen>, Outcome> {
        let found = inspect(&self.engine.docker, &self.name, self.engine.patience).await;
        let found = found.map_err(|fault| engine_failed("look for the container", &fault))?;
        match found {
            Some(seen) if !seen.is_of(&self.job.identity, self.job.attempt) => {
                // Not the task's fault: its next attempt has another name.
                let text = format!(
                    "a container named {0} exists that is not this worker's, so the attempt's own can not be made: \
                     look with `docker inspect {0}` on this worker, and remove it if nobody needs it",
                    self.name
                );
                Err(without_run(Cause::EngineError, text))
            }
            found => Ok(found),
        }
    }

    /// Makes the image be there, within its own time limit; a stop ends the waiting at once.
    async fn image(&self, io: &mut JobIo) -> Result<(), Outcome> {
        let spec = &self.job.spec;
        let policy = spec.container.pull_policy;
        let present = pull::present(&self.engine.docker, &spec.image, self.engine.patience).await;
        let before = present.map_err(|fault| engine_failed("look for the image", &fault))?;
        match policy {
            PullPolicy::Missing | PullPolicy::Never if before.is_some() => return Ok(()),
            PullPolicy::Never => return Err(without_run(Cause::ImageAbsent, no_image(spec))),
            PullPolicy::Missing | PullPolicy::Always => {}
        }
        self.not_stopped(io)?;
        io.steps.step(Step::Pulling).await;
        // The master may be away: that is neither the image's nor this worker's fault.
        let stored = tokio::select! {
            biased;
            stop = wished(&mut io.stop) => return Err(without_run(stop.cause, "stopped before its image was pulled")),
            stored = self.job.logins.of_image() => stored.map_err(|why| without_run(Cause::InputError, why))?,
        };
        let begin = Instant::now();
        let pulling = self.pull(stored, &io.steps);
        let result = tokio::select! {
            biased;
            stop = wished(&mut io.stop) => return Err(without_run(stop.cause, "stopped while its image was pulled")),
            result = timeout(spec.limits.pull, pulling) => result,
        };
        match result {
            Ok(id) => {
                let id = id?;
                self.pulled.get_or_init(|| Duration::from_millis(millis(begin.elapsed())));
                self.engine.images.note(&spec.image, before.as_deref(), &id).await;
                Ok(())
            }
            Err(_) => {
                let limit = spec.limits.pull.as_secs_f64();
                let text = format!("image {} was not pulled within {limit} s: raise pull_timeout_s", spec.image);
                Err(without_run(Cause::ImagePull, text))
            }
        }
    }

    /// Pulls the image with what is stored for its registry, else with the logins of this host; answers the engine's id of it.
    async fn pull(&self, stored: Option<StoredLogin>, steps: &Teller) -> Result<String, Outcome> {
        let image = &self.job.spec.image;
        match self.engine.pulls.pull(&self.engine.docker, image, stored, steps).await {
            Ok(id) => Ok(id),
            Err(Unpulled { fault: fault @ Fault::Away(_), .. }) => Err(engine_failed("pull the image", &fault)),
            Err(unpulled) => Err(without_run(unpulled.cause(), pull::advice(image, &unpulled))),
        }
    }

    /// Makes the container, or takes the one that an unheard answer left.
    async fn create(&self) -> Result<Seen, Outcome> {
        self.open_output_folder().await?;
        let rights = self.rights().await?;
        let begin = Instant::now();
        let mut backoff = Backoff::new();
        loop {
            let options = CreateContainerOptionsBuilder::new().name(&self.name).build();
            let made = self.engine.docker.create_container(Some(options), body(self.job, self.host, rights)).await;
            match made.map_err(Fault::from) {
                Ok(made) => made.warnings.iter().for_each(|warning| warn!(warning, "container created with a warning")),
                Err(Fault::Conflict(_)) => {}
                Err(Fault::Away(why)) if begin.elapsed() < self.engine.patience => {
                    warn!(why, "create was not answered");
                    backoff.pause().await;
                }
                Err(fault @ Fault::Gone(_)) => {
                    return Err(without_run(Cause::ImagePull, pull::lost(&self.job.spec.image, &fault)));
                }
                Err(fault) => return Err(not_started(self.job, &fault)),
            }
            if let Some(seen) = self.find().await? {
                return Ok(seen);
            }
        }
    }

    /// Docker gives a user who is not root no capability; Podman gives one all that are added.
    async fn rights(&self) -> Result<Rights, Outcome> {
        match (self.host.kind, &self.job.spec.container.user) {
            (Kind::Docker, _) => Ok(Rights::Few),
            (Kind::Podman, Some(user)) => Ok(Rights::of_user(user)),
            (Kind::Podman, None) => {
                let image = &self.job.spec.image;
                let user = pull::user(&self.engine.docker, image, self.engine.patience).await;
                let user = user.map_err(|fault| engine_failed("look at the image", &fault))?;
                Ok(Rights::of_user(&user))
            }
        }
    }

    /// Lets whatever user the container runs as write its results; the parent keeps others out.
    async fn open_output_folder(&self) -> Result<(), Outcome> {
        let open = std::fs::Permissions::from_mode(0o777);
        let made = tokio::fs::create_dir_all(&self.job.out_dir).await;
        let done = match made {
            Ok(()) => tokio::fs::set_permissions(&self.job.out_dir, open).await,
            Err(why) => Err(why),
        };
        done.map_err(|why| {
            let text = format!("the output folder {} can not be prepared: {why}", self.job.out_dir.display());
            without_run(Cause::OutputError, text)
        })
    }

    /// Starts a container that never ran; the engine's word is checked by what is there.
    async fn start(&self, created: Seen) -> Result<Seen, Outcome> {
        let begin = Instant::now();
        let mut backoff = Backoff::new();
        loop {
            let started = self.engine.docker.start_container(&created.id, None::<StartContainerOptions>).await;
            let fault = started.map_err(Fault::from).err();
            let seen = self.find().await?;
            match (seen, fault) {
                (Some(seen), fault) if seen.stage != Stage::Created => {
                    if let Some(fault) = fault {
                        warn!(why = fault.text(), "start was refused, yet the container ran");
                    }
                    return Ok(seen);
                }
                (_, Some(Fault::Away(_))) | (Some(_), None) if begin.elapsed() < self.engine.patience => {
                    backoff.pause().await;
                }
                (_, Some(fault)) => return Err(not_started(self.job, &fault)),
                (None, None) => return Err(vanished()),
                (Some(_), None) => {
                    let fault = Fault::Away("it says that it started the container, which never runs".into());
                    return Err(engine_failed("start the container", &fault));
                }
            }
        }
    }

    /// Reads the output, measures what it takes and waits for the end, side by side.
    async fn attend(&self, io: &mut JobIo, seen: Seen) -> Outcome {
        let engine = self.engine;
        let (tell_end, ended_rx) = watch::channel(false);
        let measured = meter::used(engine, &seen, io.stop.clone(), ended_rx.clone());
        let (logs, log_bytes) = (&io.logs, &AtomicU64::new(0));
        let manner = match self.host.kind {
            Kind::Docker => Manner::Follow,
            Kind::Podman => Manner::Repeat,
        };
        let reader = async {
            let skip = self.job.skip().await;
            let reader = Reader::new(&engine.docker, &seen.id, logs, log_bytes).skipping(skip);
            reader.until(ended_rx, manner, engine.patience).run().await
        };
        let stop = &mut io.stop;
        let end = async {
            let end = Box::pin(self.end(&seen, stop, log_bytes)).await;
            tell_end.send_replace(true);
            end
        };
        let (end, handed, used) = tokio::join!(Box::pin(end), Box::pin(reader), Box::pin(measured));
        let outcome = match end {
            Ok(Some(end)) => {
                info!(exit_code = end.seen.exit_code, oom = end.seen.oom_killed, "container ended");
                ended(self.job, self.host.kind, &end, handed)
            }
            Ok(None) => Outcome { log: handed.log, ..vanished() },
            Err(fault) => Outcome { log: handed.log, ..engine_failed("tell how the container ended", &fault) },
        };
        Outcome { used, ..outcome }
    }

    async fn end(
        &self,
        seen: &Seen,
        stop: &mut watch::Receiver<Option<Stop>>,
        log: &AtomicU64,
    ) -> Result<Option<End>, Fault> {
        if seen.stage == Stage::Ended {
            // It ended while nobody looked; what that means is judged where the journal is known.
            return Ok(Some(End::of(seen.clone())));
        }
        let running = Running { docker: &self.engine.docker, id: &seen.id, patience: self.engine.patience };
        let excess = OnceLock::new();
        let limits = async {
            let storage = Watch { engine: self.engine, id: &seen.id, job: self.job, log };
            let grace = self.job.spec.limits.kill_after;
            tokio::select! {
                () = self.time_out(seen) => Stop { grace, cause: Cause::TimedOut },
                usage = storage.excess() => {
                    excess.get_or_init(|| usage);
                    Stop { grace, cause: Cause::StorageExceeded }
                }
            }
        };
        let Some(mut end) = Box::pin(running.end(stop, limits)).await? else { return Ok(None) };
        end.excess = excess.into_inner();
        if end.asked.is_none() {
            end.doer = doer::of(self.engine, self.host.kind, &end.seen).await?;
        }
        Ok(Some(end))
    }

    /// The run-time limit, counted from the container's start, also of one that was taken over.
    async fn time_out(&self, seen: &Seen) {
        let Some(limit) = self.job.spec.limits.run else { return pending().await };
        let ran = seen.started.map_or(Duration::ZERO, |at| Duration::from_nanos(stamp::now().saturating_sub(at)));
        sleep(limit.saturating_sub(ran)).await;
    }
}

fn vanished() -> Outcome {
    without_run(Cause::Vanished, "the container is gone: somebody removed it while it ran")
}

/// The first wish to end; never comes when nobody can wish.
pub(super) async fn wished(stop: &mut watch::Receiver<Option<Stop>>) -> Stop {
    let wish = stop.wait_for(Option::is_some).await.ok().and_then(|wish| *wish);
    match wish {
        Some(wish) => wish,
        None => pending().await,
    }
}
