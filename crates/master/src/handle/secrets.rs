//! Stored secrets: kept and removed by their owners, opened for the workers of tasks that name them.

use super::Handle;
use crate::mailbox::AskError;
use crate::principal::Principal;
use crate::secrets::{About, MAX_SECRETS};
use cloudai_core::event::NewTask;
use cloudai_core::ids::{Attempt, SecretName};
use cloudai_core::spec::{FieldError, SecretPlace, SpecError, TaskSpec};
use std::sync::Arc;
use tracing::info;
use zeroize::Zeroizing;

/// Why a task's secrets can not be given to its worker.
#[derive(Debug)]
pub(crate) enum NoSecret {
    /// Another try finds the same: a sentence for people.
    Wrong(String),
    /// They could not be looked for.
    Failed(AskError),
}

/// Why a secret is not kept.
#[derive(Debug)]
pub(crate) enum NotKept {
    /// The caller has as many as one may have.
    TooMany,
    /// It could not be stored.
    Failed(AskError),
}

impl<E: Into<AskError>> From<E> for NotKept {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Handle {
    /// Keeps a secret of the caller's, in the place of an earlier one of the name; answers whether it is a new one.
    pub(crate) async fn put_secret(
        &self,
        who: &Principal,
        name: &SecretName,
        value: &[u8],
    ) -> Result<(About, bool), NotKept> {
        let secrets = &self.shared.secrets;
        if !secrets.knows(&who.user, name).await? && secrets.of(&who.user).await?.len() >= MAX_SECRETS {
            return Err(NotKept::TooMany);
        }
        let kept = secrets.put(self.facts().term, self.shared.clock.now(), &who.user, name, value).await?;
        info!(user = %who.user, secret = %name, "a secret was kept");
        Ok(kept)
    }

    /// The caller's secrets, without their values.
    pub(crate) async fn secrets(&self, who: &Principal) -> Result<Vec<About>, AskError> {
        self.shared.secrets.of(&who.user).await
    }

    /// Removes one of the caller's; answers whether it was there.
    pub(crate) async fn remove_secret(&self, who: &Principal, name: &SecretName) -> Result<bool, AskError> {
        let removed = self.shared.secrets.remove(self.facts().term, &who.user, name).await?;
        if removed {
            info!(user = %who.user, secret = %name, "a secret was removed");
        }
        Ok(removed)
    }

    /// Seals all secrets of the cluster with a new key; answers how many.
    pub(crate) async fn rotate_secrets(&self, who: &Principal) -> Result<usize, AskError> {
        let sealed = self.shared.secrets.rotate(self.facts().term).await?;
        info!(user = %who.user, secrets = sealed, "all secrets were sealed with a new key");
        Ok(sealed)
    }

    /// Looks whether new tasks may have the secrets that they name; `places` are their numbers in the caller's list.
    /// # Errors
    /// [`AskError::Specs`] with every secret that they may not.
    pub(super) async fn check_secrets(&self, fresh: &[NewTask], places: &[usize]) -> Result<(), AskError> {
        let mut wrong = Vec::new();
        for (new, place) in fresh.iter().zip(places) {
            let errors = self.wrong_secrets(new).await?;
            wrong.extend((!errors.is_empty()).then_some((*place, SpecError(errors))));
        }
        if wrong.is_empty() { Ok(()) } else { Err(AskError::Specs(Arc::new(wrong))) }
    }

    async fn wrong_secrets(&self, new: &NewTask) -> Result<Vec<FieldError>, AskError> {
        let mut wrong = Vec::new();
        for (index, used) in new.spec.container.secrets.iter().enumerate() {
            let mut error = |field: &str, value: &str, problem: String| {
                let path = format!("secrets[{index}].{field}");
                wrong.push(FieldError { path, value: Some(format!("{value:?}")), problem });
            };
            if let SecretPlace::Env(variable) = &used.place
                && !self.shared.secrets.allow_env
            {
                let problem = "is a variable, which this cluster does not give secrets by (secrets.allow_env): everybody \
                               sees it who may ask the container engine; take a file";
                error("env", variable, problem.into());
            }
            if !self.shared.secrets.knows(&new.owner, &used.name).await? {
                let name = used.name.as_str();
                error("name", name, format!("is not stored: cloudai secret put {name} keeps it"));
            }
        }
        Ok(wrong)
    }

    /// The values of an attempt's secrets, in the order of its spec.
    pub(crate) async fn secrets_of(&self, attempt: Attempt) -> Result<Vec<(SecretName, Zeroizing<Vec<u8>>)>, NoSecret> {
        let gone = || NoSecret::Wrong("the task is not there any more".into());
        let task = self.shared.model.task(attempt.task).ok_or_else(gone)?;
        let spec: &TaskSpec = &task.spec;
        let mut values = Vec::with_capacity(spec.container.secrets.len());
        for used in &spec.container.secrets {
            let name = &used.name;
            match self.shared.secrets.value(&task.owner, name).await.map_err(NoSecret::Failed)? {
                Some(Ok(value)) => values.push((name.clone(), value)),
                Some(Err(why)) => return Err(NoSecret::Wrong(format!("the secret {name} can not be opened: {why}"))),
                None => {
                    let why =
                        format!("the secret {name} is not stored any more: cloudai secret put {name} keeps it again");
                    return Err(NoSecret::Wrong(why));
                }
            }
        }
        Ok(values)
    }
}
