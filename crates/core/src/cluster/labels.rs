//! Labels that operators give workers while those run: they outlast what a worker tells of itself.

use super::{Cluster, Out};
use crate::event::{Answer, LabelOrder, Rejected};
use crate::label;

/// Of how many labels of a worker operators may have said something: each stands in every version of its record.
const MOST: usize = 256;

impl Cluster {
    /// Carries out an operator's order. What he said of other labels before stays.
    pub(super) fn set_labels(&mut self, out: &mut Out, order: LabelOrder) -> Result<Answer, Rejected> {
        let LabelOrder { worker: id, set, remove, by: _ } = order;
        let worker = self.workers.get(&id).ok_or_else(|| Rejected::NoSuchWorker(id.clone()))?;
        let before = &worker.record.operator_labels;
        let mut after = before.clone();
        after.extend(remove.into_iter().map(|key| (key, None)));
        after.extend(set.into_iter().map(|(key, value)| (key, Some(value))));
        if after.len() > MOST {
            return Err(Rejected::TooManyLabels { worker: id, given: after.len(), most: MOST });
        }
        if after != *before {
            self.change_worker(out, &id, |record| {
                label::change(&mut record.labels, &after);
                record.operator_labels = after;
            });
        }
        Ok(Answer::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Registration};
    use crate::ids::UserId;
    use crate::testing::{TestCluster, cores, worker_id};
    use crate::worker::About;
    use std::collections::BTreeMap;

    fn pairs(text: &str) -> BTreeMap<String, String> {
        let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    /// A registration of `w1` that tells these labels.
    fn told(labels: &str) -> Event {
        Event::Register(Box::new(Registration {
            worker: worker_id("w1"),
            address: None,
            capacity: cores(1),
            labels: pairs(labels),
            about: About::default(),
            held: vec![],
        }))
    }

    fn order(set: &str, remove: &[&str]) -> Event {
        let remove = remove.iter().map(ToString::to_string).collect();
        Event::SetLabels(LabelOrder { worker: worker_id("w1"), set: pairs(set), remove, by: UserId::local() })
    }

    fn labels(c: &TestCluster) -> String {
        let record = c.worker_record("w1");
        record.labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_an_operator_says_of_labels_holds_whatever_the_worker_tells_and_after_a_restart_of_the_master() {
        let mut c = TestCluster::default();
        assert_eq!(c.apply(order("zone=eu", &[])), Err(Rejected::NoSuchWorker(worker_id("w1"))));
        c.ok(told("zone=us disk=ssd rack=1"));
        c.ok(order("zone=eu team=a", &["disk", "none"]));
        assert_eq!(labels(&c), "rack=1 team=a zone=eu");
        c.ok(told("zone=us disk=hdd rack=2"));
        assert_eq!(labels(&c), "rack=2 team=a zone=eu");
        let mut c = c.restarted();
        c.ok(told("zone=us disk=hdd"));
        assert_eq!(labels(&c), "team=a zone=eu");
        c.ok(order("disk=nvme", &["team", "disk"]));
        assert_eq!(labels(&c), "disk=nvme zone=eu");
    }

    #[test]
    fn the_same_order_again_stores_nothing() {
        let mut c = TestCluster::default();
        c.ok(told("zone=us"));
        c.ok(order("zone=eu", &["disk"]));
        let rows = c.rows.len();
        c.ok(order("zone=eu", &["disk"]));
        c.ok(order("", &[]));
        assert_eq!(c.rows.len(), rows);
    }

    #[test]
    fn operators_say_something_of_so_many_labels_at_most() {
        let mut c = TestCluster::default();
        c.ok(told(""));
        let many = |count: usize| (0..count).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(" ");
        let refused = c.apply(order(&many(MOST + 1), &[]));
        assert_eq!(refused, Err(Rejected::TooManyLabels { worker: worker_id("w1"), given: MOST + 1, most: MOST }));
        c.ok(order(&many(MOST), &[]));
        c.ok(order("", &["k0"]));
        assert!(c.apply(order("one-more=v", &[])).is_err());
    }
}
