//! One attempt from its launch to the moment when its log and its files are kept.

use crate::archive;
use crate::cache::Cache;
use crate::client::Master;
use crate::executor::{Executor, Identity, Job, JobIo, LogRecord, Placed, Stop, Teller};
use crate::inputs::{Bringer, Unbrought};
use crate::outputs::{self, Collected, Limits, OutputProblem};
use crate::upload::{self, Whose};
use cloudai_core::effect::StartOrder;
use cloudai_core::spec::{Input, Outputs};
use cloudai_core::task::{Cause, LogEnd, Outcome};
use cloudai_proto::v1 as pb;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// Records between the engine and the master's door; beyond that the engine keeps them.
const LOG_QUEUE: usize = 4096;

/// What every attempt of a worker needs.
#[derive(Clone, Debug)]
pub(crate) struct Runner {
    pub(crate) executor: Arc<dyn Executor>,
    pub(crate) identity: Identity,
    pub(crate) master: Master,
    /// The same over a connection of its own: what nobody reads for a while holds up no heartbeat.
    pub(crate) contents: Master,
    pub(crate) data_dir: PathBuf,
    /// Contents of inputs.
    pub(crate) cache: Arc<Cache>,
}

/// One attempt to run.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) order: Arc<StartOrder>,
    pub(crate) identity: Identity,
    pub(crate) resume: bool,
}

impl Runner {
    /// Where an attempt's `/out` lies on this host.
    pub(crate) fn out_dir(&self, whose: Whose) -> PathBuf {
        self.attempt_dir(whose).join("out")
    }

    fn attempt_dir(&self, whose: Whose) -> PathBuf {
        self.attempts_dir().join(folder_name(whose))
    }

    fn attempts_dir(&self) -> PathBuf {
        self.data_dir.join("attempts")
    }

    /// Runs the attempt to its end; then its log and files are with the master.
    pub(crate) async fn run(&self, run: Run, steps: Teller, stop: watch::Receiver<Option<Stop>>) -> Outcome {
        let attempt = run.order.attempt;
        if let Some(why) = &run.order.unreadable {
            let why =
                format!("its worker does not understand the task ({why}): bring worker and master to one version");
            return Outcome::of(Cause::StartError, why);
        }
        let whose = Whose { attempt, incarnation: run.identity.incarnation };
        let out_dir = self.out_dir(whose);
        let mut master = self.master.clone();
        let inputs = self.placed(whose, &run.order);
        // Without them no container was made, and nothing is to be taken over.
        let resume = run.resume && (inputs.is_empty() || self.inputs_note(whose).exists());
        if !resume
            && let Err(outcome) = self.bring(whose, (&inputs, run.order.allocation.storage), &steps, stop.clone()).await
        {
            return outcome;
        }
        let (skip, skip_records) = watch::channel((!resume).then_some(0));
        let (logs, records) = mpsc::channel::<LogRecord>(LOG_QUEUE);
        let job = Job {
            attempt,
            identity: run.identity,
            job: run.order.job,
            spec: Arc::clone(&run.order.spec),
            allocation: run.order.allocation.clone(),
            out_dir: out_dir.clone(),
            inputs,
            resume,
            skip_records,
        };
        let pump = async {
            let kept = if resume { upload::kept_records(&mut self.master.clone(), whose).await } else { None };
            let kept = kept.unwrap_or(pb::LogAck { records: 0, bytes: 0 });
            // Until then the log waits; the container is looked after all the same.
            skip.send_replace(Some(kept.records));
            upload::pump_logs(self.master.clone(), whose, kept, records).await
        };
        let running = self.executor.run(&job, JobIo { steps, logs, stop });
        let (mut outcome, log) = tokio::join!(running, pump);
        let read_whole = outcome.run.is_none() || outcome.log.complete;
        outcome.log = LogEnd { complete: log.complete && read_whole, ..log };
        if outcome.run.is_some() {
            self.keep_outputs(&mut master, whose, &job, &mut outcome).await;
        }
        outcome
    }

    /// Where the inputs of an attempt lie on this host.
    fn placed(&self, whose: Whose, order: &StartOrder) -> Vec<Placed> {
        let dir = self.attempt_dir(whose).join("inputs");
        let inputs = order.spec.container.inputs.iter().enumerate();
        let placed = |(place, input): (usize, &Input)| Placed {
            host: dir.join(place.to_string()),
            path: input.path.clone(),
            writable: input.writable,
        };
        inputs.map(placed).collect()
    }

    /// There once an attempt's inputs are where its container finds them.
    fn inputs_note(&self, whose: Whose) -> PathBuf {
        self.attempt_dir(whose).join("inputs").join("placed")
    }

    /// Brings an attempt's inputs; a stop ends that at once.
    async fn bring(
        &self,
        whose: Whose,
        (inputs, storage): (&[Placed], u64),
        steps: &Teller,
        mut stop: watch::Receiver<Option<Stop>>,
    ) -> Result<(), Outcome> {
        if inputs.is_empty() {
            return Ok(());
        }
        let bringer = Bringer {
            cache: Arc::clone(&self.cache),
            master: self.contents.clone(),
            whose,
            steps: steps.clone(),
            storage,
        };
        let without_run = |cause, why: String| {
            let log = LogEnd { complete: true, ..LogEnd::default() };
            Outcome { log, ..Outcome::of(cause, why) }
        };
        let brought = tokio::select! {
            biased;
            Ok(stop) = stop.wait_for(Option::is_some) => {
                let cause = stop.map_or(Cause::Stopped, |stop| stop.cause);
                return Err(without_run(cause, "stopped while its inputs were brought".into()));
            }
            brought = bringer.bring(inputs) => brought,
        };
        brought.map_err(|Unbrought { cause, why }| without_run(cause, why))?;
        tokio::fs::write(self.inputs_note(whose), "").await.map_err(|why| {
            without_run(Cause::EngineError, format!("the worker can not note that its inputs are there: {why}"))
        })
    }

    /// A program that ended well but whose files can not be kept has failed.
    async fn keep_outputs(&self, master: &mut Master, whose: Whose, job: &Job, outcome: &mut Outcome) {
        let kept = match self.collect(whose, job).await {
            Ok(found) => {
                if let Some(patterns) = job.spec.container.outputs.as_ref().filter(|_| found.files.is_empty())
                    && !patterns.is_empty()
                {
                    let why = format!("it left no file that outputs name ({})", patterns.join(", "));
                    outcome.message = join_sentences(&outcome.message, &why);
                }
                upload::upload_files(master, whose, found.files).await.map_err(|why| (Cause::OutputError, why))
            }
            Err(problem) => Err((problem.cause(), problem.to_string())),
        };
        match kept {
            Ok(files) => outcome.outputs = files,
            Err((cause, why)) if outcome.cause == Cause::Exited && outcome.exit_code == Some(0) => {
                outcome.cause = cause;
                outcome.message = why;
            }
            Err((_, why)) => outcome.message = join_sentences(&outcome.message, &why),
        }
    }

    /// Finds what is to be kept.
    async fn collect(&self, whose: Whose, job: &Job) -> Result<Collected, OutputProblem> {
        let limits = Limits::of_storage(job.allocation.storage);
        let wanted = Arc::new(Outputs::of(job.spec.container.outputs.as_deref()));
        let found = outputs::collect(&job.out_dir, limits, Arc::clone(&wanted)).await?;
        let to = self.attempt_dir(whose).join("kept");
        archive::collect(&*self.executor, job, (wanted, limits), &to, found).await
    }

    /// Removes the folders of all other attempts: a crash may have come between the removal of a
    /// container and that of its folder.
    pub(crate) async fn remove_other_folders(&self, attempts: &BTreeSet<Whose>) -> std::io::Result<()> {
        let kept: BTreeSet<_> = attempts.iter().map(|whose| folder_name(*whose)).collect();
        let mut folders = match tokio::fs::read_dir(self.attempts_dir()).await {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            folders => folders?,
        };
        while let Some(folder) = folders.next_entry().await? {
            if !folder.file_name().to_str().is_some_and(|name| kept.contains(name)) {
                tokio::fs::remove_dir_all(folder.path()).await?;
            }
        }
        Ok(())
    }

    /// Removes what is left of an attempt here.
    pub(crate) async fn discard(&self, whose: Whose) -> Result<(), String> {
        let Whose { attempt, incarnation } = whose;
        self.executor.remove(attempt, incarnation).await.map_err(|error| error.to_string())?;
        let dir = self.attempt_dir(whose);
        // A look costs a microsecond, a thread for nothing twenty.
        if !dir.exists() {
            return Ok(());
        }
        tokio::fs::remove_dir_all(dir).await.map_err(|error| error.to_string())
    }
}

/// As a container's name: data that was restored may number its attempts as before.
fn folder_name(Whose { attempt, incarnation }: Whose) -> String {
    format!("{}-a{}-i{incarnation}", attempt.task, attempt.number)
}

fn join_sentences(first: &str, second: &str) -> String {
    if first.is_empty() { second.to_owned() } else { format!("{first}; {second}") }
}
