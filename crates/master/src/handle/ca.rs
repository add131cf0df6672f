//! What everybody may know of the cluster's certificates.

use super::Handle;

impl Handle {
    /// The certificate of the cluster's authority, as PEM; none of a cluster without users, which has no authority.
    #[must_use]
    pub fn ca_pem(&self) -> Option<&str> {
        self.shared.pki.as_ref().map(|pki| pki.ca_pem())
    }
}
