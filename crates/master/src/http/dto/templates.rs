//! Stored templates.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A stored template in one of its versions; in lists in the latest.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Template {
    /// What it is called.
    pub name: String,
    /// From 1.
    pub version: u32,
    /// What it makes: `task` or `job`.
    pub kind: String,
    /// For people.
    pub description: Option<String>,
    /// The names of its parameters.
    pub params: Vec<String>,
    /// When this version was kept.
    pub created_at: String,
    /// Those that are kept, the earliest first; only where one template is asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<TemplateVersion>,
    /// The template as it was put; only where one is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<serde_json::Value>,
}

/// A version of a template.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TemplateVersion {
    /// From 1.
    pub version: u32,
    /// When it was kept.
    pub created_at: String,
    /// Of its document.
    pub bytes: usize,
}
