//! The values of an attempt's secrets, for its worker.

use super::logs::known_attempt;
use super::master_service::status;
use crate::handle::Handle;
use crate::handle::secrets::NoSecret;
use cloudai_proto::v1 as pb;
use tonic::Status;

/// All of them, in the order of the task's spec.
pub(super) async fn resolve(handle: &Handle, of: &pb::AttemptRef) -> Result<pb::ResolvedSecrets, Status> {
    let attempt = known_attempt(handle, Some(of)).await?;
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
