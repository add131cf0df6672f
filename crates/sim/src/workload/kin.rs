//! Tasks of one name that keep away from each other, or would rather be spread.

use super::Workload;
use crate::rng::Rng;
use cloudai_core::kin::Spread;
use cloudai_core::spec::TaskSpec;
use std::sync::Arc;

impl Workload {
    /// Gives some tasks, and the tasks of some groups of jobs, kin that they keep away from or are spread with. Of a
    /// generator of its own: what else a seed draws stays what it was.
    #[must_use]
    pub fn with_kin(mut self, rng: &mut Rng) -> Self {
        for arrival in &mut self.tasks {
            if rng.chance(300) {
                let name = ["kin-a", "kin-b"][rng.index(2)];
                ask(rng, Arc::make_mut(&mut arrival.spec), name, true);
            }
        }
        for job in &mut self.jobs {
            // Sent again under the same key it must be the same.
            if job.key.is_some() || !rng.chance(500) {
                continue;
            }
            for group in &mut Arc::make_mut(&mut job.plan).groups {
                if rng.chance(500) {
                    let name = group.name.to_string();
                    // A gang that stands apart needs a worker for each, and workers leave for good.
                    let may_wait = !group.is_gang();
                    ask(rng, Arc::make_mut(&mut group.spec), &name, may_wait);
                }
            }
        }
        self
    }
}

fn ask(rng: &mut Rng, spec: &mut TaskSpec, name: &str, may_wait: bool) {
    spec.name = Some(name.to_owned());
    if rng.chance(700) && may_wait {
        spec.anti_affinity.push("worker.id".into());
    }
    if spec.anti_affinity.is_empty() || rng.chance(300) {
        spec.spread.push(Spread { label: "worker.id".into(), weight: 50 });
    }
}
