//! What an attempt finds before its container is made: inputs, volumes, secrets.

use crate::executor::{Placed, Stop, Teller};
use crate::inputs::{Bringer, Unbrought};
use crate::logins;
use crate::run::{Run, Runner};
use crate::upload::Whose;
use crate::vault::Given;
use crate::volumes::Mounted;
use cloudai_core::effect::StartOrder;
use cloudai_core::spec::{Input, SecretPlace};
use cloudai_core::task::{Cause, LogEnd, Outcome};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;

/// All of it.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) inputs: Vec<Placed>,
    pub(crate) volumes: Vec<Mounted>,
    pub(crate) secrets: Vec<Given>,
    /// Whether a container may have been made of it in an earlier life.
    pub(crate) resume: bool,
}

/// The wish that the attempt end.
type Stopped = watch::Receiver<Option<Stop>>;

impl Runner {
    /// Brings everything that is not there already; a stop ends that at once.
    /// # Errors
    /// The end of the attempt, which never had a container.
    pub(crate) async fn prepare(
        &self,
        whose: Whose,
        run: &Run,
        steps: &Teller,
        mut stop: Stopped,
    ) -> Result<Prepared, Outcome> {
        let container = &run.order.spec.container;
        let inputs = self.placed(whose, &run.order);
        let nothing = inputs.is_empty() && container.secrets.is_empty();
        // Until it was noted no container was made, and nothing is to be taken over.
        let resume = run.resume && (nothing || self.note(whose).exists());
        if !resume {
            self.allowed(&run.order)?;
        }
        let preparing = async {
            if !resume {
                self.bring(whose, (&inputs, run.order.allocation.storage), steps).await?;
            }
            let volumes = match self.offers.find(&container.volumes, &self.sockets).await {
                // A container that was made with them goes on.
                Err(_) if resume => Vec::new(),
                found => found.map_err(|why| without_run(Cause::InputError, why))?,
            };
            let secrets = self.secrets(whose, &run.order, resume).await?;
            if !resume && !nothing {
                self.write_note(whose).await?;
            }
            Ok((volumes, secrets))
        };
        let (volumes, secrets) = tokio::select! {
            biased;
            Ok(wish) = stop.wait_for(Option::is_some), if !resume => {
                let cause = wish.map_or(Cause::Stopped, |stop| stop.cause);
                return Err(without_run(cause, "stopped before all that it was to find was there".into()));
            }
            prepared = preparing => prepared?,
        };
        Ok(Prepared { inputs, volumes, secrets, resume })
    }

    /// What the master checked when the task was submitted is checked again where it runs: the policy may be another here,
    /// or another by now.
    fn allowed(&self, order: &StartOrder) -> Result<(), Outcome> {
        let denied = self.policy.borrow().policy.check(&order.spec).err().unwrap_or_default();
        let Some(first) = denied.first() else { return Ok(()) };
        let more = match denied.len() {
            1 => String::new(),
            all => format!(" (and {} more)", all - 1),
        };
        let why = format!(
            "worker {} made no container for it: {first}{more}; submit it within these rules, or ask the worker's operator",
            self.identity.worker
        );
        Err(without_run(Cause::PolicyDenied, why))
    }

    /// There once an attempt has all that its container is made with.
    fn note(&self, whose: Whose) -> PathBuf {
        self.attempt_dir(whose).join("prepared")
    }

    async fn write_note(&self, whose: Whose) -> Result<(), Outcome> {
        let note = async {
            tokio::fs::create_dir_all(self.attempt_dir(whose)).await?;
            tokio::fs::write(self.note(whose), "").await
        };
        note.await.map_err(|why| {
            without_run(Cause::EngineError, format!("the worker can not note that all is there for it: {why}"))
        })
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

    async fn bring(&self, whose: Whose, (inputs, storage): (&[Placed], u64), steps: &Teller) -> Result<(), Outcome> {
        if inputs.is_empty() {
            return Ok(());
        }
        let bringer = Bringer {
            cache: Arc::clone(&self.cache),
            addresses: Arc::clone(&self.addresses),
            master: self.contents.clone(),
            whose,
            steps: steps.clone(),
            storage,
        };
        bringer.bring(inputs).await.map_err(|Unbrought { cause, why }| without_run(cause, why))
    }

    /// The secrets of an attempt: those of an earlier life of this worker, else asked for anew.
    async fn secrets(&self, whose: Whose, order: &StartOrder, resume: bool) -> Result<Vec<Given>, Outcome> {
        let uses = &order.spec.container.secrets;
        if uses.is_empty() {
            return Ok(Vec::new());
        }
        if resume && let Some(kept) = self.vault.kept(whose, uses) {
            return Ok(kept);
        }
        let values = self.fetch_secrets(whose).await?;
        if values.len() != uses.len() {
            let why = "the master gives other secrets than the task names: bring worker and master to one version";
            return Err(without_run(Cause::InputError, why.into()));
        }
        let texts = uses.iter().zip(&values).filter(|(used, _)| matches!(used.place, SecretPlace::Env(_)));
        for (used, value) in texts {
            if value.contains(&0) || std::str::from_utf8(value).is_err() {
                let why = format!("the secret {} is no text, which a variable must be: take a file", used.name);
                return Err(without_run(Cause::InputError, why));
            }
        }
        self.vault.put(whose, uses, values).map_err(|why| {
            without_run(Cause::EngineError, format!("the worker can not keep the secrets of the task: {why}"))
        })
    }

    async fn fetch_secrets(&self, whose: Whose) -> Result<Vec<Vec<u8>>, Outcome> {
        let resolved = logins::secrets(&self.master, whose).await;
        let resolved = resolved.map_err(|status| without_run(Cause::InputError, status.message().to_owned()))?;
        Ok(resolved.secrets.into_iter().map(|secret| secret.value.to_vec()).collect())
    }
}

/// The end of an attempt that never had a container.
fn without_run(cause: Cause, why: String) -> Outcome {
    let log = LogEnd { complete: true, ..LogEnd::default() };
    Outcome { log, ..Outcome::of(cause, why) }
}
