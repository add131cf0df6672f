//! The operator's policy: read from its file at the start, and again when that has changed.

use crate::exit::Failure;
use crate::policy;
use cloudai_core::policy::InForce;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{info, warn};

/// How often the file is looked at.
const EVERY: Duration = Duration::from_secs(2);

/// A policy that is followed for as long as this lives.
#[derive(Debug)]
pub(super) struct Followed {
    now: watch::Receiver<Arc<InForce>>,
    /// Ended when this is dropped.
    _look: JoinSet<()>,
}

impl Followed {
    /// Reads the policy of a file and looks at the file from then on; without a file nothing is denied, ever.
    /// # Errors
    /// No policy can be read there: nobody starts without the rules that were meant.
    pub(super) async fn of(file: Option<&Path>) -> Result<Self, Failure> {
        let mut look = JoinSet::new();
        let Some(file) = file else {
            return Ok(Self { now: watch::Sender::new(Arc::default()).subscribe(), _look: look });
        };
        let text = text(file).await;
        let read = text.as_deref().map_err(ToOwned::to_owned).and_then(|text| in_force(file, text));
        let read = read.map_err(|why| {
            let file = file.display();
            Failure::usage(format!("the policy {file} can not be read: nothing is started without its rules"))
                .why(why)
                .next(format!("cloudai policy check {file}"))
        })?;
        info!(file = %file.display(), "policy read");
        let sender = watch::Sender::new(Arc::new(read));
        let now = sender.subscribe();
        look.spawn(follow(file.to_owned(), text, sender));
        Ok(Self { now, _look: look })
    }

    /// What is in force, now and later.
    pub(super) fn now(&self) -> watch::Receiver<Arc<InForce>> {
        self.now.clone()
    }
}

/// Reads the file again whenever it has changed; what can not be read leaves the rules of before in force.
async fn follow(file: PathBuf, mut known: Result<String, String>, sender: watch::Sender<Arc<InForce>>) {
    loop {
        tokio::time::sleep(EVERY).await;
        let found = text(&file).await;
        if found == known {
            continue;
        }
        match found.as_deref().map_err(ToOwned::to_owned).and_then(|text| in_force(&file, text)) {
            Ok(read) => {
                info!(file = %file.display(), "policy read again");
                sender.send_replace(Arc::new(read));
            }
            Err(why) => {
                warn!(file = %file.display(), why, "policy not read again, the rules of before stay in force");
                sender.send_modify(|now| *now = Arc::new(InForce { problem: Some(why), ..(**now).clone() }));
            }
        }
        known = found;
    }
}

async fn text(file: &Path) -> Result<String, String> {
    tokio::fs::read_to_string(file).await.map_err(|why| why.to_string())
}

fn in_force(file: &Path, text: &str) -> Result<InForce, String> {
    let (document, policy) = policy::read(text).map_err(|wrong| wrong.join("; "))?;
    Ok(InForce { policy, file: Some(file.display().to_string()), document: Some(document), problem: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn changed(now: &mut watch::Receiver<Arc<InForce>>) -> Arc<InForce> {
        now.changed().await.unwrap();
        Arc::clone(&now.borrow_and_update())
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_policy_is_read_again_and_a_broken_one_leaves_the_old_one_in_force() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("policy.toml");
        let refused = Followed::of(Some(&file)).await.unwrap_err();
        assert!(refused.to_string().contains("nothing is started without its rules"), "{refused}");
        std::fs::write(&file, "[max]\npids = 100\n").unwrap();
        let followed = Followed::of(Some(&file)).await.unwrap();
        let mut now = followed.now();
        assert_eq!(now.borrow().policy.pids(), 100);
        std::fs::write(&file, "[max]\npids = 200\n").unwrap();
        assert_eq!(changed(&mut now).await.policy.pids(), 200);
        std::fs::write(&file, "[max]\npid = 300\n").unwrap();
        let broken = changed(&mut now).await;
        assert_eq!(broken.policy.pids(), 200);
        assert!(broken.problem.as_ref().unwrap().contains("did you mean pids?"), "{broken:?}");
        std::fs::remove_file(&file).unwrap();
        assert_eq!(changed(&mut now).await.policy.pids(), 200, "a file that is gone takes no rule away");
        std::fs::write(&file, "").unwrap();
        let none = changed(&mut now).await;
        assert_eq!((none.policy.pids(), none.problem.as_ref()), (4096, None));
        assert_eq!(Followed::of(None).await.unwrap().now().borrow().file, None);
    }
}
