//! The operator's policy.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What tasks may ask for, as it is in force.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Policy {
    /// The file that it was read from; null where there is no policy.
    pub file: Option<String>,
    /// The document as it stood there; null where there is no policy.
    pub rules: Option<serde_json::Value>,
    /// Why what stands there now is not in force; the rules of before are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}
