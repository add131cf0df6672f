//! `GET /api/v1/advice`.

use super::List;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What tasks of some names took, and what the next should ask for.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Advice {
    /// The share of runs for which a proposal is to be enough.
    pub quantile: f64,
    /// Each name, in their order.
    #[serde(flatten)]
    pub list: List<Advised>,
}

/// What tasks of one name took, and what the next should ask for. What is not known is absent.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Advised {
    /// The name.
    pub name: String,
    /// How many attempts count: the latest that completed or were killed for their memory.
    pub attempts: usize,
    /// Of how many of them memory and cores are known.
    pub measured: usize,
    /// In how many of them a process was killed for its memory.
    pub oom_killed: usize,
    /// What the latest asked for.
    pub requested: Requested,
    /// The most memory that they needed at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_memory_bytes: Option<Spread<u64>>,
    /// The cores that they used in the mean over their run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_cores: Option<Spread<f64>>,
    /// How long they ran; without those that were killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_s: Option<Spread<f64>>,
    /// How much of what they asked for they did not use.
    pub wasted: Wasted,
    /// Whether most of them used nearly all the cores that they asked for: with more they may be faster.
    pub cpu_bound: bool,
    /// What the next should ask for; absent while fewer than 5 were measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposed: Option<Proposed>,
}

/// Fields of the task document.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Requested {
    /// Cores.
    pub cpu_cores: f64,
    /// GiB.
    pub memory_gb: f64,
}

/// How an amount lies over attempts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Spread<T> {
    /// What half of them did not exceed.
    pub p50: T,
    /// What the share `quantile` of them did not exceed.
    pub high: T,
    /// What none of them exceeded.
    pub max: T,
}

/// Parts of what was asked for, over all runs, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Wasted {
    /// Of the cores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<f64>,
    /// Of the memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<f64>,
}

/// Fields of the task document, and flags that say the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Proposed {
    /// Cores.
    pub cpu_cores: f64,
    /// GiB.
    pub memory_gb: f64,
    /// Seconds; absent while none of them completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u64>,
    /// For `cloudai task submit`.
    pub flags: String,
}
