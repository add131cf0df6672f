//! Images that come and go on workers: told by heartbeats, stored now and then.

use super::{Cluster, Out};
use crate::ids::WorkerId;
use crate::images::Images;
use crate::time::Timestamp;
use std::time::Duration;

/// Between two rows of a worker for nothing but its images: it pulls much more often, and there are thousands of it.
const EVERY: Duration = Duration::from_secs(30);

/// What a worker told of its images since it registered; memory only, a master that starts is told anew.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// When that was last stored.
    stored: Option<Timestamp>,
    /// What is not stored yet.
    waiting: Option<Images>,
}

impl Cluster {
    /// Takes in what a heartbeat tells of images, and stores it when the worker's turn has come: with one of the next
    /// heartbeats at the latest, whatever those tell.
    pub(super) fn note_images(&mut self, out: &mut Out, id: &WorkerId, told: Option<&Images>) {
        let Some(worker) = self.workers.get_mut(id) else { return };
        if let Some(told) = told {
            worker.images.waiting = Some(told.clone());
        }
        if worker.images.stored.is_some_and(|at| out.now.since(at) < EVERY) {
            return;
        }
        let waiting = worker.images.waiting.take();
        let Some(images) = waiting.filter(|images| *images != worker.record.about.images) else { return };
        worker.images.stored = Some(out.now);
        self.change_worker(out, id, |record| record.about.images = images);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::Row;
    use crate::event::{Event, Heartbeat, Registration};
    use crate::ids::{CommandSeq, Session};
    use crate::testing::{TestCluster, cores, worker_id};
    use crate::worker::About;
    use std::collections::BTreeMap;

    fn beat(c: &mut TestCluster, session: Session, images: Option<&[&str]>) {
        c.ok(Event::Heartbeat(Heartbeat {
            worker: worker_id("w1"),
            session,
            seen: CommandSeq(0),
            held: Vec::new(),
            draining: false,
            unfit: None,
            images: images.map(Images::of),
        }));
    }

    /// The images of each row of the worker, in order.
    fn rows(c: &TestCluster) -> Vec<String> {
        let of = |row: &Row| match row {
            Row::Worker(worker) => Some(worker.about.images.names().join(" ")),
            Row::Task(_)
            | Row::WorkerRemoved(_)
            | Row::Outputs(..)
            | Row::TaskRemoved(..)
            | Row::Job(..)
            | Row::JobPlanned(..)
            | Row::JobRemoved(_) => None,
        };
        c.rows.iter().filter_map(of).collect()
    }

    #[test]
    fn images_that_change_all_the_time_are_stored_once_in_30_seconds_and_the_last_ones_in_the_end() {
        let mut c = TestCluster::default();
        let session = c.worker("w1", cores(1));
        beat(&mut c, session, Some(&["a"]));
        assert_eq!(rows(&c), ["", "a:latest"], "the first list is stored at once");
        for second in 0..29 {
            c.now = c.now + Duration::from_secs(1);
            beat(&mut c, session, Some(&["a", &format!("b:{second}")]));
        }
        assert_eq!(rows(&c).len(), 2);
        c.now = c.now + Duration::from_secs(1);
        beat(&mut c, session, None);
        assert_eq!(rows(&c), ["", "a:latest", "a:latest b:28"], "what was told last waited for its turn");
        c.now = c.now + Duration::from_secs(3600);
        beat(&mut c, session, None);
        beat(&mut c, session, Some(&["b:28", "a:latest"]));
        assert_eq!(rows(&c).len(), 3, "the same again is no news");
        beat(&mut c, session, Some(&[]));
        assert_eq!(rows(&c)[3..], [""]);
    }

    #[test]
    fn what_changed_back_before_its_turn_makes_no_row() {
        let mut c = TestCluster::default();
        let session = c.worker("w1", cores(1));
        beat(&mut c, session, Some(&["a"]));
        beat(&mut c, session, Some(&["a", "b"]));
        beat(&mut c, session, Some(&["a"]));
        c.now = c.now + EVERY;
        beat(&mut c, session, None);
        assert_eq!(rows(&c), ["", "a:latest"]);
    }

    #[test]
    fn a_registration_tells_all_images_at_once_and_what_waited_of_the_session_before_is_forgotten() {
        let mut c = TestCluster::default();
        let session = c.worker("w1", cores(1));
        beat(&mut c, session, Some(&["a"]));
        beat(&mut c, session, Some(&["a", "b"]));
        c.ok(Event::Register(Box::new(Registration {
            worker: worker_id("w1"),
            address: None,
            capacity: cores(1),
            labels: BTreeMap::new(),
            about: About { images: Images::of(["c"]), ..About::default() },
            held: Vec::new(),
        })));
        assert_eq!(rows(&c), ["", "a:latest", "c:latest"]);
        let session = c.worker_record("w1").session;
        c.now = c.now + EVERY;
        beat(&mut c, session, None);
        assert_eq!(rows(&c).len(), 3);
    }
}
