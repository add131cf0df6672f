//! Credentials of registries: kept and removed by people, opened for the worker that pulls a task's image.

use super::Handle;
use super::secrets::NotKept;
use crate::mailbox::AskError;
use crate::principal::{Principal, Role};
use crate::secrets::KeyError;
use crate::secrets::registries::{AboutRegistry, Credentials, MAX_REGISTRIES, Whose};
use cloudai_core::ids::Attempt;
use cloudai_core::spec::RegistryName;
use tracing::info;

/// What is stored for the registry of an image.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) host: RegistryName,
    pub(crate) whose: Whose,
    /// An error when they can not be opened.
    pub(crate) credentials: Result<Credentials, KeyError>,
}

impl Handle {
    /// Keeps credentials, in the place of earlier ones; answers whether they are new.
    pub(crate) async fn put_registry(
        &self,
        who: &Principal,
        (whose, host): (&Whose, &RegistryName),
        credentials: &Credentials,
    ) -> Result<(AboutRegistry, bool), NotKept> {
        may_change(who, whose)?;
        let secrets = &self.shared.secrets;
        if !secrets.knows_registry(whose, host).await? && secrets.registries_of(whose).await?.len() >= MAX_REGISTRIES {
            return Err(NotKept::TooMany);
        }
        let kept = secrets.put_registry(self.facts().term, self.shared.clock.now(), (whose, host), credentials).await?;
        info!(user = %who.user, registry = %host, ?whose, "credentials of a registry were kept");
        Ok(kept)
    }

    /// The caller's credentials and the cluster's, without their passwords.
    pub(crate) async fn registries(&self, who: &Principal) -> Result<Vec<AboutRegistry>, AskError> {
        let secrets = &self.shared.secrets;
        let mut all = secrets.registries_of(&Whose::User(who.user.clone())).await?;
        all.extend(secrets.registries_of(&Whose::Cluster).await?);
        Ok(all)
    }

    /// Removes those of a registry; answers whether there were any.
    pub(crate) async fn remove_registry(
        &self,
        who: &Principal,
        whose: &Whose,
        host: &RegistryName,
    ) -> Result<bool, AskError> {
        may_change(who, whose)?;
        let removed = self.shared.secrets.remove_registry(self.facts().term, whose, host).await?;
        if removed {
            info!(user = %who.user, registry = %host, ?whose, "credentials of a registry were removed");
        }
        Ok(removed)
    }

    /// What an attempt's image is pulled with: what its task's owner stored, else what is stored for the cluster.
    pub(crate) async fn registry_of(&self, attempt: Attempt) -> Result<Option<Found>, AskError> {
        let Some(task) = self.shared.model.task(attempt.task) else { return Ok(None) };
        let host = RegistryName::of_image(&task.spec.image);
        for whose in [Whose::User(task.owner.clone()), Whose::Cluster] {
            if let Some(credentials) = self.shared.secrets.credentials(&whose, &host).await? {
                return Ok(Some(Found { host, whose, credentials }));
            }
        }
        Ok(None)
    }
}

/// The cluster's credentials are used by everybody's tasks: those who look after it keep them.
fn may_change(who: &Principal, whose: &Whose) -> Result<(), AskError> {
    if *whose == Whose::Cluster && !who.has(Role::Operator) {
        let why = format!(
            "credentials for the whole cluster take the role operator, and {} has not: store your own",
            who.user
        );
        return Err(AskError::Forbidden(why.into()));
    }
    Ok(())
}
