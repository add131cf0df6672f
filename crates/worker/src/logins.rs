//! What the master gives a worker of what is stored: secrets of an attempt, and the credentials of its image's registry.

use crate::absence::why;
use crate::client::Master;
use crate::executor::login::{ImageLogins, Password, StoredLogin};
use crate::upload::{Whose, is_passing, patience};
use async_trait::async_trait;
use cloudai_proto::v1 as pb;
use std::fmt;
use tonic::{Code, Response, Status};
use tracing::debug;

/// Asks the master for the secrets of an attempt, for as long as it is away.
/// # Errors
/// The master's refusal.
pub(crate) async fn secrets(master: &Master, whose: Whose) -> Result<pb::ResolvedSecrets, Status> {
    asked(master, whose, |mut master| async move { master.resolve_secrets(whose.to_ref()).await }).await
}

/// Asks again for as long as the master is away.
async fn asked<T, F>(master: &Master, whose: Whose, ask: impl Fn(Master) -> F) -> Result<T, Status>
where
    F: Future<Output = Result<Response<T>, Status>>,
{
    let mut wait = patience();
    loop {
        match ask(master.clone()).await {
            Ok(answer) => return Ok(answer.into_inner()),
            Err(status) if is_passing(&status) => {
                debug!(attempt = %whose.attempt, why = why(&status), "what is stored waits for the master");
                tokio::time::sleep(wait.wait()).await;
            }
            Err(status) => return Err(status),
        }
    }
}

/// The logins of one attempt, asked of its master.
#[derive(Clone)]
pub(crate) struct OfMaster {
    pub(crate) master: Master,
    pub(crate) whose: Whose,
}

impl fmt::Debug for OfMaster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OfMaster").field("whose", &self.whose).finish_non_exhaustive()
    }
}

#[async_trait]
impl ImageLogins for OfMaster {
    async fn of_image(&self) -> Result<Option<StoredLogin>, String> {
        let whose = self.whose;
        let ask = |mut master: Master| async move { master.resolve_registry(whose.to_ref()).await };
        match asked(&self.master, whose, ask).await {
            Ok(stored) if stored.host.is_empty() => Ok(None),
            Ok(stored) => login(stored).map(Some),
            // A master that stores nothing.
            Err(status) if status.code() == Code::Unimplemented => Ok(None),
            Err(status) => Err(status.message().to_owned()),
        }
    }
}

fn login(stored: pb::ResolvedRegistry) -> Result<StoredLogin, String> {
    let pb::ResolvedRegistry { host, username, password, of_cluster, problem } = stored;
    if !problem.is_empty() {
        let whom = if of_cluster { "the cluster" } else { "you" };
        return Err(format!("the credentials of {host} that are stored for {whom} can not be opened: {problem}"));
    }
    Ok(StoredLogin { host, username, password: Password(password), of_cluster })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_be_opened_is_told_and_a_password_is_printed_nowhere() {
        let stored = |problem: &str, of_cluster| pb::ResolvedRegistry {
            host: "ghcr.io".into(),
            username: "ann".into(),
            password: "correct-horse".into(),
            of_cluster,
            problem: problem.into(),
        };
        let good = login(stored("", false)).unwrap();
        assert_eq!((good.username.as_str(), good.password.0.as_str()), ("ann", "correct-horse"));
        assert!(!format!("{good:?} {:?}", stored("", true)).contains("correct-horse"));
        for (of_cluster, whom) in [(false, "stored for you"), (true, "stored for the cluster")] {
            let told = login(stored("its key is gone", of_cluster)).unwrap_err();
            assert!(told.contains(whom) && told.contains("its key is gone") && !told.contains("horse"), "{told}");
        }
    }
}
