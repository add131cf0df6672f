//! The record of a worker.

use crate::access::Access;
use crate::duty::Duty;
use crate::ids::{Session, WorkerId};
use crate::images::Images;
use crate::label;
use crate::resources::Capacity;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A worker: what the store keeps of it. Immutable once published.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkerRecord {
    /// Its name, unique in the cluster.
    pub id: WorkerId,
    /// Grows by one with each change, from 1.
    pub version: u64,
    /// Where people or the worker say that it can be reached (`ip:port`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Whether it takes part.
    pub status: WorkerStatus,
    /// Its latest registration; 0 before the first.
    #[serde(default)]
    pub session: Session,
    /// What it offers, reserve taken off; nothing before the first registration.
    #[serde(default)]
    pub capacity: Capacity,
    /// Free words to choose workers by: as it told them, and changed as operators said.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What operators said of its labels: holds whatever it tells with its next registration.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub operator_labels: label::Changes,
    /// What it is: version, engine, system.
    #[serde(default)]
    pub about: About,
    /// When it was added.
    pub registered_at: Timestamp,
    /// When its latest session began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected_at: Option<Timestamp>,
    /// When it was last heard as far as the store knows; stored rarely.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Timestamp>,
    /// Whether it is kept from work, apart from its status.
    #[serde(default, skip_serializing_if = "Duty::is_open")]
    pub duty: Duty,
    /// Whether it is being taken out by force, which may take more than one commit: a master that
    /// starts in between goes on with it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub removing: bool,
}

/// Why a worker is given no work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Idle {
    /// It is not connected.
    Absent,
    /// It is about to leave by itself.
    Leaving,
    /// Its container engine does not answer.
    EngineAway,
    /// Its disk is too full.
    DiskPressure,
    /// It is heard, and takes no command in.
    Deaf,
    /// An operator keeps work from it.
    Cordoned,
    /// An operator empties it.
    Draining,
    /// An operator emptied it.
    Drained,
    /// It failed too often and is tried now and then.
    Quarantined,
}

impl Idle {
    /// What such a worker is, for people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Absent => "not connected",
            Self::Leaving => "leaving",
            Self::EngineAway => "without its container engine",
            Self::DiskPressure => "short of disk",
            Self::Deaf => "unable to hear the master",
            Self::Cordoned => "cordoned",
            Self::Draining => "draining",
            Self::Drained => "drained",
            Self::Quarantined => "quarantined",
        }
    }
}

/// Whether a worker takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerStatus {
    /// Added by an operator; never came.
    Registered,
    /// Heard of lately.
    Active,
    /// Connected, but about to leave: gets no new work.
    Draining,
    /// Connected, but its container engine does not answer: gets no new work.
    EngineAway,
    /// Connected, but its disk is too full: gets no new work.
    DiskPressure,
    /// Heard, but takes no command in: gets no new work until it has taken one in.
    Deaf,
    /// Silent, or left; gets no new work.
    Inactive,
}

impl WorkerRecord {
    /// Whether it may be given an attempt: it is heard of and well, and nobody keeps it from work.
    #[must_use]
    pub const fn takes_work(&self) -> bool {
        self.idle().is_none()
    }

    /// Why it may be given nothing now.
    #[must_use]
    pub const fn idle(&self) -> Option<Idle> {
        Some(match self.status {
            WorkerStatus::Registered | WorkerStatus::Inactive => Idle::Absent,
            WorkerStatus::Draining => Idle::Leaving,
            WorkerStatus::EngineAway => Idle::EngineAway,
            WorkerStatus::DiskPressure => Idle::DiskPressure,
            WorkerStatus::Deaf => Idle::Deaf,
            WorkerStatus::Active => match &self.duty {
                duty if duty.takes_work() => return None,
                Duty::Open | Duty::Quarantined(_) => Idle::Quarantined,
                Duty::Cordoned(_) => Idle::Cordoned,
                Duty::Draining(_) => Idle::Draining,
            },
        })
    }

    /// The same, where it is known whether it holds any attempt.
    #[must_use]
    pub fn idle_while(&self, holds: bool) -> Option<Idle> {
        self.idle().map(|why| if why == Idle::Draining && !holds { Idle::Drained } else { why })
    }

    /// Why it can take no work, while that keeps it from work.
    #[must_use]
    pub fn unfit(&self) -> Option<&Unfit> {
        let unfit = matches!(self.status, WorkerStatus::EngineAway | WorkerStatus::DiskPressure);
        self.about.unfit.as_ref().filter(|_| unfit)
    }
}

impl WorkerStatus {
    /// The word for people and APIs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Active => "active",
            Self::Draining => "draining",
            Self::EngineAway => "engine_away",
            Self::DiskPressure => "disk_pressure",
            Self::Deaf => "deaf",
            Self::Inactive => "inactive",
        }
    }

    /// How a worker takes part that is heard of and does not leave.
    #[must_use]
    pub const fn of(unfit: Option<&Unfit>) -> Self {
        match unfit {
            None => Self::Active,
            Some(Unfit::EngineAway(_)) => Self::EngineAway,
            Some(Unfit::DiskPressure(_)) => Self::DiskPressure,
        }
    }

    /// Whether it is heard of: what runs there is known to run.
    #[must_use]
    pub const fn is_connected(self) -> bool {
        matches!(self, Self::Active | Self::Draining | Self::EngineAway | Self::DiskPressure)
    }

    /// Whether its heartbeats come, also of one that hears nothing.
    #[must_use]
    pub const fn is_heard(self) -> bool {
        self.is_connected() || matches!(self, Self::Deaf)
    }
}

/// What a worker says of itself at registration; heartbeats keep current what changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct About {
    /// CloudAI's version.
    pub version: String,
    /// `docker` or `fake`.
    pub executor: String,
    /// The engine's own name and version.
    pub engine: String,
    /// Operating system.
    pub os: String,
    /// Processor architecture.
    pub arch: String,
    /// Abilities beyond the basic ones, as `gpu`.
    pub capabilities: Vec<String>,
    /// Folders and volumes of its host that it lets tasks see.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub offers: Vec<Access>,
    /// The data folder that it runs from, as a random word: tells a worker that starts again from
    /// another one of the same name. Empty once it left in good order.
    pub instance: String,
    /// Why it can take no work although it is connected; none while it can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unfit: Option<Unfit>,
    /// The images that its engine has, as far as it told; of the same worker stored now and then.
    #[serde(skip_serializing_if = "Images::is_empty")]
    pub images: Images,
}

/// Why a connected worker can take no work, in its own words: told with every heartbeat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unfit {
    /// Its container engine does not answer.
    EngineAway(String),
    /// Its disk is too full.
    DiskPressure(String),
}

impl Unfit {
    /// The worker's words.
    #[must_use]
    pub fn why(&self) -> &str {
        match self {
            Self::EngineAway(why) | Self::DiskPressure(why) => why,
        }
    }
}
