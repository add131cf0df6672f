//! What an operator says of tasks, of what they find, print and leave, and of users.

use crate::addresses::InputRules;
use crate::auth::AuthRules;
use crate::http::Https;
use crate::policy::Policies;
use crate::quota::FileLimits;
use crate::retention::Retention;
use crate::secrets::SecretRules;

/// The rules of a master. Without a word nothing goes by age and no log is cut, files have the limits of
/// [`FileLimits::default`], nothing beyond the plain is allowed, and no policy
/// denies anything.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// How long ended tasks are kept.
    pub retention: Retention,
    /// Bytes of output at most of the log of one attempt; 0 for any number.
    pub max_log_bytes: u64,
    /// What tasks may leave.
    pub files: FileLimits,
    /// What is said of stored secrets.
    pub secrets: SecretRules,
    /// What tasks may ask for.
    pub policies: Policies,
    /// From which addresses tasks may have inputs.
    pub inputs: InputRules,
    /// Whether users may run programs in containers.
    pub exec: bool,
    /// How users come in, where there are any.
    pub auth: AuthRules,
    /// How users are talked to.
    pub https: Https,
}
