//! One attempt from its launch to the moment when its log and its files are kept.

use crate::archive;
use crate::cache::Cache;
use crate::client::Master;
use crate::executor::fences::Fences;
use crate::executor::{Executor, Identity, Job, JobIo, LogRecord, Stop, Teller};
use crate::inputs::Addresses;
use crate::kept::Kept;
use crate::logins::OfMaster;
use crate::mask::{self, Masker};
use crate::outputs::{self, Collected, Limits, OutputProblem};
use crate::pace::Pace;
use crate::prepare::Prepared;
use crate::upload::{self, Whose};
use crate::vault::{Given, Vault};
use crate::volumes::Offers;
use cloudai_core::effect::StartOrder;
use cloudai_core::policy::InForce;
use cloudai_core::spec::{Outputs, SecretPlace};
use cloudai_core::task::{Cause, LogEnd, Outcome};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
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
    /// What fetches inputs from addresses.
    pub(crate) addresses: Arc<Addresses>,
    /// What of its host tasks may see.
    pub(crate) offers: Arc<Offers>,
    /// The sockets of container engines, which no task is given.
    pub(crate) sockets: Arc<[PathBuf]>,
    /// What tasks may ask for here.
    pub(crate) policy: watch::Receiver<Arc<InForce>>,
    /// Secrets of attempts.
    pub(crate) vault: Vault,
    /// Bytes a second of each attempt's log that go to the master; 0 for any number.
    pub(crate) log_rate: u64,
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

    pub(crate) fn attempt_dir(&self, whose: Whose) -> PathBuf {
        self.attempts_dir().join(whose.folder_name())
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
        let prepared = match self.prepare(whose, &run, &steps, stop.clone()).await {
            Ok(prepared) => prepared,
            Err(outcome) => return outcome,
        };
        let Prepared { inputs, volumes, secrets, resume } = prepared;
        let (skip, skip_records) = watch::channel((!resume).then_some(0));
        let (logs, records) = match masked_logs(&secrets) {
            Ok(channel) => channel,
            Err(why) => return Outcome::of(Cause::InputError, why),
        };
        let job = Job {
            attempt,
            identity: run.identity,
            job: run.order.job,
            spec: Arc::clone(&run.order.spec),
            allocation: run.order.allocation.clone(),
            out_dir: out_dir.clone(),
            inputs,
            volumes,
            secrets,
            fences: Fences::from(&self.policy.borrow().policy),
            logins: Arc::new(OfMaster { master: self.master.clone(), whose }),
            resume,
            skip_records,
        };
        let pump = async {
            let kept = if resume { upload::kept_records(&mut self.master.clone(), whose).await } else { None };
            let kept = kept.unwrap_or_default();
            // Until then the log waits; the container is looked after all the same.
            skip.send_replace(Some(kept.records));
            upload::pump_logs(self.master.clone(), whose, Kept::of(&kept), Pace::of(self.log_rate), records).await
        };
        let running = self.executor.run(&job, JobIo { steps, logs, stop });
        let (mut outcome, log) = tokio::join!(running, pump);
        let read_whole = outcome.run.is_none() || outcome.log.complete;
        // Of what could not be read nobody knows how much was cut.
        outcome.log = LogEnd { complete: log.complete && read_whole, cut: log.cut.filter(|_| read_whole), ..log };
        if outcome.run.is_some() {
            self.keep_outputs(&mut master, whose, &job, &mut outcome).await;
        }
        outcome
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
            Err((_, why)) => {
                outcome.message = join_sentences(&outcome.message, &format!("its files were not kept: {why}"));
            }
        }
    }

    /// Finds what is to be kept.
    async fn collect(&self, whose: Whose, job: &Job) -> Result<Collected, OutputProblem> {
        let limits = Limits::of_storage(job.allocation.storage);
        let secrets = job.secrets.iter().filter_map(|secret| match &secret.place {
            SecretPlace::File(path) => Some(path.clone()),
            SecretPlace::Env(_) => None,
        });
        let wanted = Outputs::of(job.spec.container.outputs.as_deref()).without(secrets.collect());
        let wanted = Arc::new(wanted);
        let found = outputs::collect(&job.out_dir, limits, Arc::clone(&wanted)).await?;
        let to = self.attempt_dir(whose).join("kept");
        archive::collect(&*self.executor, job, (wanted, limits), &to, found).await
    }

    /// Removes the folders of all other attempts: a crash may have come between the removal of a
    /// container and that of its folder.
    pub(crate) async fn remove_other_folders(&self, attempts: &BTreeSet<Whose>) -> std::io::Result<()> {
        let kept: BTreeSet<_> = attempts.iter().map(|whose| whose.folder_name()).collect();
        let mut folders = match tokio::fs::read_dir(self.attempts_dir()).await {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            folders => folders?,
        };
        while let Some(folder) = folders.next_entry().await? {
            if !folder.file_name().to_str().is_some_and(|name| kept.contains(name)) {
                tokio::fs::remove_dir_all(folder.path()).await?;
            }
        }
        self.vault.remove_others(attempts)
    }

    /// Removes what is left of an attempt here.
    pub(crate) async fn discard(&self, whose: Whose) -> Result<(), String> {
        let Whose { attempt, incarnation } = whose;
        self.executor.remove(attempt, incarnation).await.map_err(|error| error.to_string())?;
        self.vault.remove(whose).map_err(|error| error.to_string())?;
        let dir = self.attempt_dir(whose);
        // A look costs a microsecond, a thread for nothing twenty.
        if !dir.exists() {
            return Ok(());
        }
        tokio::fs::remove_dir_all(dir).await.map_err(|error| error.to_string())
    }
}

/// Where the engine's records go in, and where they come out without these secrets.
fn masked_logs(secrets: &[Given]) -> Result<(mpsc::Sender<LogRecord>, mpsc::Receiver<LogRecord>), String> {
    let (logs, records) = mpsc::channel(LOG_QUEUE);
    let values = secrets.iter().map(|secret| secret.value.0.as_slice());
    let masker = Masker::of(values).map_err(|why| format!("its log can not be kept free of its secrets: {why}"))?;
    let Some(masker) = masker else { return Ok((logs, records)) };
    let (out, masked) = mpsc::channel(LOG_QUEUE);
    tokio::spawn(mask::through(masker, records, out));
    Ok((logs, masked))
}

/// A sentence without the place of this worker's data on its host: users are not told where that is.
pub(crate) fn without_places(sentence: String, data_dir: &Path) -> String {
    match data_dir.to_str().map(|dir| dir.trim_end_matches('/')) {
        Some(dir) if !dir.is_empty() => sentence.replace(dir, "<worker data>"),
        Some(_) | None => sentence,
    }
}

fn join_sentences(first: &str, second: &str) -> String {
    if first.is_empty() { second.to_owned() } else { format!("{first}; {second}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_not_told_where_a_worker_keeps_its_data() {
        let said = "bind source path does not exist: /data/workers/w1/attempts/x/out";
        let told = |dir: &str| without_places(said.to_owned(), Path::new(dir));
        for dir in ["/data/workers/w1", "/data/workers/w1/"] {
            assert_eq!(told(dir), "bind source path does not exist: <worker data>/attempts/x/out");
        }
        for dir in ["/", "/other"] {
            assert_eq!(told(dir), said);
        }
    }
}
