//! Files that tasks left, and contents that they find.

use super::List;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A kept file.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct File {
    /// Relative to `/out`.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// 64 hex digits.
    pub sha256: String,
    /// Where its content is kept: a path on the machine of the master, or the address of an object (`s3://BUCKET/KEY`). Absent
    /// where it is not kept any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
}

/// `GET /api/v1/files`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Files {
    /// How many files there are, on all pages.
    pub files: u64,
    /// Bytes of all of them; a content that several have counts for each.
    pub bytes: u64,
    /// One page of them.
    #[serde(flatten)]
    pub list: List<KeptFile>,
}

/// A kept file, and which task left it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct KeptFile {
    /// The task.
    pub task_id: String,
    /// The task's name.
    pub task_name: Option<String>,
    /// Which attempt of it.
    pub attempt: u32,
    /// When that ended.
    pub kept_since: String,
    /// The file.
    #[serde(flatten)]
    pub file: File,
}

/// Where a file can be fetched without the master, by whoever has this address.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Link {
    /// The presigned address.
    pub url: String,
    /// Until then.
    pub expires_at: String,
}

/// A content and how much of it is kept.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Blob {
    /// 64 hex digits.
    pub sha256: String,
    /// Bytes that are kept: of what is not whole, those of the caller's own upload.
    pub bytes: u64,
    /// Whether a task may name it as its input.
    pub whole: bool,
}
