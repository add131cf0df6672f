//! Whether callers have to say who they are, and what that stands on.

use crate::pki::Pki;
use crate::secrets::Secrets;
use crate::serve::BindError;
use cloudai_core::ids::Term;
use cloudai_store::Store;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// The mode of a master.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Security {
    /// No users and no encryption: everybody is the one local user, and workers show the one join token.
    #[default]
    Insecure,
    /// Everybody says who they are; machines by certificates of the cluster's CA.
    Secured(Secured),
}

/// What an operator says of a master that asks who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secured {
    /// Names and addresses of the master beside those that it finds out.
    pub names: Vec<String>,
    /// Where it listens.
    pub addresses: Vec<IpAddr>,
    /// Which workers are let in.
    pub registration: Registration,
    /// How long the certificates of workers are valid.
    pub worker_life: Duration,
}

impl Default for Secured {
    fn default() -> Self {
        Self {
            names: Vec::new(),
            addresses: Vec::new(),
            registration: Registration::default(),
            worker_life: Duration::from_secs(30 * 24 * 60 * 60),
        }
    }
}

/// Which workers get a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Registration {
    /// Those that show a join token.
    #[default]
    Token,
    /// Of those, the ones whose name was registered before.
    Preregistered,
    /// All: for one machine.
    Open,
}

impl Security {
    /// The same for a master that listens at these addresses as well.
    #[must_use]
    pub(crate) fn at(self, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        match self {
            Self::Insecure => Self::Insecure,
            Self::Secured(mut secured) => {
                secured.addresses.extend(addresses);
                Self::Secured(secured)
            }
        }
    }

    /// What it stands on, from the store; the first start makes it.
    pub(crate) async fn open(
        self,
        store: &Arc<dyn Store>,
        secrets: &Secrets,
        of: (Term, &str, fn() -> Duration),
    ) -> Result<Standing, BindError> {
        match self {
            Self::Insecure => {
                let fresh = new_join_token();
                let join_token = store.keep_fact("join_token", &fresh).await?;
                let first_start = join_token == fresh;
                Ok(Standing { pki: None, join_token, first_start })
            }
            Self::Secured(secured) => {
                let (pki, first_start) = Pki::open(store, secrets, of, &secured).await?;
                let join_token = pki.first_token().to_owned();
                Ok(Standing { pki: Some(Arc::new(pki)), join_token, first_start })
            }
        }
    }
}

/// What a master knows its machines by.
#[derive(Debug)]
pub(crate) struct Standing {
    /// Certificates; none without security.
    pub(crate) pki: Option<Arc<Pki>>,
    /// What a worker shows to join.
    pub(crate) join_token: String,
    /// Whether that was made by this start.
    pub(crate) first_start: bool,
}

/// 128 random bits. The middle part of one that pins a CA is its hash; this cluster has none.
fn new_join_token() -> String {
    format!("cai1-0-{}", hex::encode(rand::random::<[u8; 16]>()))
}
