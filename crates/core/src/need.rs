//! What a task needs of its worker beyond amounts, and what a worker meets it by: one rule for placing, strategies
//! and explanations.

use crate::access::Access;
use crate::ids::WorkerId;
use crate::label::{Constraint, IMAGE};
use crate::resources::Gpu;
use crate::worker::{About, WorkerRecord};
use std::collections::BTreeMap;
use std::fmt;

/// Something that a worker meets or does not, whatever runs there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// It lets the task have this of its host.
    Access(Access),
    /// This holds of its labels and of what it is.
    Label(Constraint),
}

/// What a worker meets needs by. Two workers of which it is equal meet the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traits<'a> {
    id: &'a WorkerId,
    labels: &'a BTreeMap<String, String>,
    gpus: &'a [Gpu],
    offers: &'a [Access],
    os: &'a str,
    arch: &'a str,
    executor: &'a str,
    version: &'a str,
    images: &'a [String],
}

impl<'a> Traits<'a> {
    /// Those of a worker.
    #[must_use]
    pub fn of(worker: &'a WorkerRecord) -> Self {
        let WorkerRecord { id, labels, capacity, about, .. } = worker;
        let About { version, executor, os, arch, offers, images, .. } = about;
        Self { id, labels, gpus: &capacity.gpus, offers, os, arch, executor, version, images: images.names() }
    }

    /// The same as if nothing were known of its images, which change much more often than all else: for whoever asks
    /// about none.
    #[must_use]
    pub const fn without_images(self) -> Self {
        Self { images: &[], ..self }
    }

    /// What stands under a key: of the worker where the key is one of [`crate::label::FACTS`], else its label. A fact
    /// that it never told is none.
    pub fn values(self, key: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let fact = |text: &'a str| Some(text).filter(|text| !text.is_empty());
        let (gpus, images, one): (&'a [Gpu], &'a [String], Option<&'a str>) = match key {
            "arch" => (&[], &[], fact(self.arch)),
            "executor" => (&[], &[], fact(self.executor)),
            "gpu.model" => (self.gpus, &[], None),
            IMAGE => (&[], self.images, None),
            "os" => (&[], &[], fact(self.os)),
            "version" => (&[], &[], fact(self.version)),
            "worker.id" => (&[], &[], Some(self.id.as_str())),
            label => (&[], &[], self.labels.get(label).map(String::as_str)),
        };
        gpus.iter().map(|gpu| &*gpu.model).chain(images.iter().map(String::as_str)).chain(one)
    }

    /// Whether a constraint holds here.
    #[must_use]
    pub fn satisfy(self, constraint: &Constraint) -> bool {
        constraint.holds(self.values(constraint.key()))
    }

    /// Whether a task may have this of the host.
    #[must_use]
    pub fn offer(self, need: &Access) -> bool {
        self.offers.iter().any(|offer| offer.covers(need))
    }

    /// Whether a need is met here.
    #[must_use]
    pub fn meet(self, need: &Need) -> bool {
        match need {
            Need::Access(access) => self.offer(access),
            Need::Label(constraint) => self.satisfy(constraint),
        }
    }
}

impl Need {
    /// Whether it is about the images that a worker's engine has.
    #[must_use]
    pub fn is_of_images(&self) -> bool {
        match self {
            Self::Access(_) => false,
            Self::Label(constraint) => constraint.is_of_images(),
        }
    }

    /// What a worker does that meets it: `offer` or `meet`.
    #[must_use]
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Access(_) => "offer",
            Self::Label(_) => "meet",
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Access(access) => access.origin.fmt(f),
            Self::Label(constraint) => constraint.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::Images;
    use crate::label::FACTS;
    use crate::testing::{TestCluster, cores_and_gpus};

    fn record() -> WorkerRecord {
        let mut c = TestCluster::default();
        c.worker("w1", cores_and_gpus(1, 2));
        WorkerRecord::clone(&c.worker_record("w1"))
    }

    #[test]
    fn a_fact_is_what_the_worker_is_whatever_label_has_its_name() {
        let mut worker = record();
        let images = Images::of(["busybox", "docker.io/team/train:1"]);
        worker.about = About { os: "linux".into(), arch: "x86_64".into(), images, ..About::default() };
        worker.labels = FACTS.iter().map(|fact| ((*fact).to_owned(), "lie".to_owned())).collect();
        worker.labels.insert("zone".into(), String::new());
        let rows: [(&str, &[&str]); 9] = [
            ("os", &["linux"]),
            ("arch", &["x86_64"]),
            ("gpu.model", &["a100", "a100"]),
            ("image", &["busybox:latest", "team/train:1"]),
            ("worker.id", &["w1"]),
            ("executor", &[]), // it never told
            ("version", &[]),
            ("zone", &[""]),
            ("rack", &[]),
        ];
        for (key, values) in rows {
            assert_eq!(Traits::of(&worker).values(key).collect::<Vec<_>>(), values, "{key}");
        }
        for fact in FACTS {
            assert!(!Traits::of(&worker).values(fact).any(|value| value == "lie"), "{fact}");
        }
    }

    #[test]
    fn what_a_worker_meets_is_other_exactly_when_its_traits_are() {
        let before = record();
        let same = WorkerRecord { version: 9, address: Some("h:1".into()), ..before.clone() };
        assert_eq!(Traits::of(&same), Traits::of(&before));
        let mut others = vec![before.clone(); 5];
        others[0].labels.insert("zone".into(), "eu".into());
        others[1].about.offers.push("/data".parse().unwrap());
        others[2].about.executor = "docker".into();
        others[3].capacity.gpus.clear();
        others[4].about.images = Images::of(["busybox"]);
        for other in &others {
            assert_ne!(Traits::of(other), Traits::of(&before), "{other:?}");
        }
        // Where nobody asks about images they make no difference, and all else does.
        let other: Vec<bool> =
            others.iter().map(|other| Traits::of(other).without_images() != Traits::of(&before)).collect();
        assert_eq!(other, [true, true, true, true, false]);
    }
}
