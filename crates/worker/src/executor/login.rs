//! What is stored for the registry of an attempt's image, and who is asked for it. Executors know no master: they ask the
//! job, and only when an image is going to be pulled.

use async_trait::async_trait;
use std::fmt;

/// Knows what is stored for the registry of one attempt's image.
#[async_trait]
pub trait ImageLogins: Send + Sync + fmt::Debug {
    /// The credentials; none where none are stored. May wait for as long as whoever knows them is away.
    /// # Errors
    /// Why they can not be had, for people.
    async fn of_image(&self) -> Result<Option<StoredLogin>, String>;
}

/// Stored credentials of a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredLogin {
    /// `HOST[:PORT]`; `docker.io` is Docker Hub.
    pub host: String,
    /// The name.
    pub username: String,
    /// The password.
    pub password: Password,
    /// Whether they are the whole cluster's, not the task owner's own.
    pub of_cluster: bool,
}

/// A password. Its `Debug` shows none of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(pub String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

/// Where nothing is stored.
#[derive(Clone, Copy, Debug)]
pub struct NoLogins;

#[async_trait]
impl ImageLogins for NoLogins {
    async fn of_image(&self) -> Result<Option<StoredLogin>, String> {
        Ok(None)
    }
}
