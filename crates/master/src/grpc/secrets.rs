//! What an attempt's worker is given of what is stored: the values of its secrets, or the credentials of its image's
//! registry.

use super::logs::known_attempt;
use super::master_service::status;
use crate::handle::Handle;
use crate::handle::registries::Found;
use crate::handle::secrets::NoSecret;
use crate::principal::Principal;
use crate::secrets::registries::Whose;
use cloudai_proto::v1 as pb;
use tonic::Status;

/// All of its secrets, in the order of the task's spec.
pub(super) async fn resolve(
    who: &Principal,
    handle: &Handle,
    of: &pb::AttemptRef,
) -> Result<pb::ResolvedSecrets, Status> {
    let attempt = known_attempt(who, handle, Some(of)).await?;
    let values = handle.secrets_of(attempt).await.map_err(|why| match why {
        NoSecret::Wrong(why) => Status::failed_precondition(why),
        NoSecret::Failed(error) => status(error),
    })?;
    let shown = |(name, value): (cloudai_core::ids::SecretName, zeroize::Zeroizing<Vec<u8>>)| pb::ResolvedSecret {
        name: name.to_string(),
        value: value.to_vec().into(),
    };
    Ok(pb::ResolvedSecrets { secrets: values.into_iter().map(shown).collect() })
}

/// What is stored for the registry of its image.
pub(super) async fn resolve_registry(
    who: &Principal,
    handle: &Handle,
    of: &pb::AttemptRef,
) -> Result<pb::ResolvedRegistry, Status> {
    let attempt = known_attempt(who, handle, Some(of)).await?;
    Ok(handle.registry_of(attempt).await.map_err(status)?.map(registry_shown).unwrap_or_default())
}

fn registry_shown(found: Found) -> pb::ResolvedRegistry {
    let (host, of_cluster) = (found.host.to_string(), found.whose == Whose::Cluster);
    match found.credentials {
        Ok(credentials) => pb::ResolvedRegistry {
            host,
            of_cluster,
            username: credentials.username,
            password: credentials.password.to_string(),
            problem: String::new(),
        },
        Err(why) => pb::ResolvedRegistry { host, of_cluster, problem: why.to_string(), ..Default::default() },
    }
}
