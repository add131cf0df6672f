//! What to say, and what to do, where no worker meets what a task needs.

use crate::access::Access;
use crate::label::{self, Changes, Constraint, IMAGE, Words};
use crate::need::{Need, Traits};
use crate::resources::Free;
use crate::spec::TaskSpec;
use crate::worker::WorkerRecord;

/// So many constraints are named in a sentence, and so many images.
const NAMED: usize = 3;

/// A worker that does not meet all that a task needs.
#[derive(Debug)]
pub(crate) struct Unmet<'s, 'w> {
    spec: &'s TaskSpec,
    worker: &'w WorkerRecord,
    /// What of it; at least one.
    needs: Vec<Need>,
}

impl<'s, 'w> Unmet<'s, 'w> {
    /// Of these workers, which come in the order of their names, the first that misses the fewest needs; those that could
    /// hold the task if nothing ran there go before others. None where one misses nothing.
    pub(crate) fn nearest(spec: &'s TaskSpec, workers: impl Iterator<Item = &'w WorkerRecord>) -> Option<Self> {
        let unmet = |worker: &'w WorkerRecord| Self { spec, worker, needs: spec.unmet(Traits::of(worker)).collect() };
        let small = |worker: &WorkerRecord| {
            let whole = Free::all(&worker.capacity);
            spec.demands().all(|demand| whole.pick(demand).is_err())
        };
        let nearest = workers.map(unmet).min_by_key(|unmet| (small(unmet.worker), unmet.needs.len()));
        nearest.filter(|unmet| !unmet.needs.is_empty())
    }

    /// Why the task can never run: none of the workers that are known meets all that it needs.
    pub(crate) fn never(&self, known: impl Iterator<Item = &'w WorkerRecord> + Clone) -> String {
        let somebody_meets = |need: &Need| known.clone().any(|worker| Traits::of(worker).meet(need));
        let Some(access) = self.access() else {
            // Where each is met by somebody it is all of them together that nobody meets.
            let nobodys: Vec<&Need> = self.needs.iter().filter(|need| !somebody_meets(need)).collect();
            let all = || self.spec.constraints.iter().map(ToString::to_string).collect();
            let told = |needs: &[&Need]| needs.iter().map(ToString::to_string).collect();
            let asked = named(if nobodys.is_empty() { all() } else { told(&nobodys) });
            return match &self.spec.worker_id {
                Some(pinned) => format!("it needs {asked}, and {pinned} {}", self.has()),
                None => format!("no worker meets {asked}: {}", self.is_nearest()),
            };
        };
        let who = match &self.spec.worker_id {
            Some(pinned) => format!("{pinned} does not offer"),
            None if somebody_meets(&Need::Access(access.clone())) => {
                format!("{}, the nearest worker, does not offer", self.worker.id)
            }
            None => "no worker offers".to_owned(),
        };
        let how = if access.writable { "to be written to" } else { "to be read" };
        format!("it needs {} {how}, which {who}; {}", access.origin, access.advice("start a worker with"))
    }

    /// The first thing of the host that is missing.
    pub(crate) fn access(&self) -> Option<&Access> {
        self.needs.iter().find_map(|need| match need {
            Need::Access(access) => Some(access),
            Need::Label(_) => None,
        })
    }

    /// The constraints that do not hold, in words.
    pub(crate) fn asked(&self) -> String {
        named(self.labels().map(ToString::to_string).collect())
    }

    /// As `the nearest is w3, which has zone = us; set it with: cloudai worker label w3 zone=eu`.
    pub(crate) fn is_nearest(&self) -> String {
        format!("the nearest is {}, which {}", self.worker.id, self.has())
    }

    /// What it has instead, and how that is changed.
    fn has(&self) -> String {
        let mut told: Vec<String> = Vec::new();
        for key in self.labels().map(Constraint::key) {
            let values: Vec<&str> = Traits::of(self.worker).values(key).collect();
            let said = match values.as_slice() {
                [] => format!("no {key}"),
                [""] => format!("{key} without a value"),
                some if key == IMAGE => images(some),
                some => format!("{key} = {}", some.join(", ")),
            };
            if !told.contains(&said) {
                told.push(said);
            }
        }
        let how = match self.remedy() {
            Some(changes) => {
                format!("set it with: cloudai worker label {} {}", self.worker.id, Words(&changes))
            }
            None => match self.image() {
                Some(image) => format!("pull it there with: {} pull {image}", self.engine()),
                None => "start one that does with: cloudai worker start".into(),
            },
        };
        format!("has {}; {how}", named(told))
    }

    /// The changes of its labels with which it meets everything; none where labels alone do not help.
    pub(crate) fn remedy(&self) -> Option<Changes> {
        let fixed = |need: &Need| match need {
            Need::Access(_) => true,
            Need::Label(constraint) => constraint.is_of_fact(),
        };
        if self.needs.iter().any(fixed) {
            return None;
        }
        label::remedy(&self.spec.constraints, &self.worker.labels)
    }

    /// An image with which it meets all that is missing.
    fn image(&self) -> Option<&str> {
        let mut missing = self.needs.iter().map(|need| match need {
            Need::Access(_) => None,
            Need::Label(constraint) => constraint.image(),
        });
        missing.next().flatten().filter(|_| missing.next().is_none())
    }

    /// The command of its engine.
    fn engine(&self) -> &'static str {
        if self.worker.about.engine.starts_with("podman") { "podman" } else { "docker" }
    }

    fn labels(&self) -> impl Iterator<Item = &Constraint> {
        self.needs.iter().filter_map(|need| match need {
            Need::Access(_) => None,
            Need::Label(constraint) => Some(constraint),
        })
    }
}

/// The first of the images that a worker has.
fn images(names: &[&str]) -> String {
    let more = names.len().saturating_sub(NAMED);
    let and_more = if more == 0 { String::new() } else { format!(", {more} more") };
    format!("image = {}{and_more}", names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", "))
}

/// `a and b`, or the first of many.
fn named(mut texts: Vec<String>) -> String {
    let more = texts.len().saturating_sub(NAMED);
    texts.truncate(NAMED);
    let and_more = if more == 0 { String::new() } else { format!(" and {more} more") };
    texts.join(" and ") + &and_more
}

#[cfg(test)]
mod tests {
    use crate::event::{Event, Registration};
    use crate::images::Images;
    use crate::resources::{Capacity, Gpu};
    use crate::spec::Value;
    use crate::testing::{TestCluster, cores, spec, worker_id};
    use crate::worker::About;

    /// A worker with these labels.
    fn worker(c: &mut TestCluster, name: &str, capacity: Capacity, labels: &str, offers: &str) {
        let pairs = labels.split_whitespace().filter_map(|pair| pair.split_once('='));
        c.ok(Event::Register(Box::new(Registration {
            worker: worker_id(name),
            address: None,
            capacity,
            labels: pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            about: About {
                os: "linux".into(),
                offers: offers.split_whitespace().map(|offer| offer.parse().unwrap()).collect(),
                ..About::default()
            },
            held: vec![],
        })));
    }

    /// What is said when a task with these constraints is submitted.
    fn said(c: &mut TestCluster, constraints: &[&str], more: &[(&str, Value)]) -> Option<String> {
        let list = constraints.iter().map(|text| Value::Text((*text).to_owned())).collect();
        let mut fields = more.to_vec();
        fields.push(("constraints", Value::List(list)));
        let refused = c.submit(99, spec(&fields)).err()?;
        Some(refused.to_string().strip_prefix("no worker can run this: ").unwrap().to_owned())
    }

    #[test]
    fn a_constraint_that_nobody_satisfies_is_told_with_the_nearest_miss_and_what_helps() {
        let mut c = TestCluster::default();
        worker(&mut c, "w1", cores(1), "", "");
        worker(&mut c, "w2", cores(8), "disk=ssd", "");
        worker(&mut c, "w3", cores(8), "zone=us disk=ssd", "");
        worker(&mut c, "w4", cores(8), "zone=as disk=hdd", "");
        let large = ("cpu_cores", Value::Int(4));
        let rows = [
            (
                &["zone = eu"][..],
                "no worker meets zone = eu: the nearest is w2, which has no zone; set it with: cloudai worker label w2 zone=eu",
            ),
            (
                &["zone = eu", "exists zone"],
                "no worker meets zone = eu: the nearest is w3, which has zone = us; set it with: cloudai worker label w3 zone=eu",
            ),
            (
                &["zone = as", "disk = ssd"],
                "no worker meets zone = as and disk = ssd: the nearest is w2, which has no zone; set it with: cloudai worker label w2 zone=as",
            ),
            (
                &["zone notin (as, us)", "disk = hdd"],
                "no worker meets zone notin (as, us) and disk = hdd: the nearest is w2, which has disk = ssd; set it with: cloudai worker label w2 disk=hdd",
            ),
            (
                &["os = plan9"],
                "no worker meets os = plan9: the nearest is w2, which has os = linux; start one that does with: cloudai worker start",
            ),
            (
                &["gpu.model = a100"],
                "no worker meets gpu.model = a100: the nearest is w2, which has no gpu.model; start one that does with: cloudai worker start",
            ),
            (
                &["a = 1", "b = 1", "c = 1", "d = 1"],
                "no worker meets a = 1 and b = 1 and c = 1 and 1 more: the nearest is w2, which has no a and no b and no c and 1 more; set it with: cloudai worker label w2 a=1 b=1 c=1 d=1",
            ),
        ];
        for (constraints, expected) in rows {
            let told = said(&mut c, constraints, std::slice::from_ref(&large)).unwrap();
            assert_eq!(told, expected, "{constraints:?}");
        }
        assert_eq!(said(&mut c, &["disk = ssd", "zone != us"], &[large]), None, "w2 does");
    }

    #[test]
    fn an_image_that_no_worker_has_is_told_with_some_of_those_that_there_are_and_how_it_gets_there() {
        let mut c = TestCluster::default();
        worker(&mut c, "w1", cores(1), "", "");
        let refused = |c: &mut TestCluster, constraints: &[&str]| said(c, constraints, &[]).unwrap();
        assert_eq!(
            refused(&mut c, &["image = docker.io/library/a"]),
            "no worker meets image = a:latest: the nearest is w1, which has no image; pull it there with: \
             docker pull a:latest"
        );
        c.ok(Event::Register(Box::new(Registration {
            worker: worker_id("w1"),
            address: None,
            capacity: cores(1),
            labels: [].into(),
            about: About {
                engine: "podman 4.3.1".into(),
                images: Images::of(["e", "d", "c", "b", "busybox"]),
                ..About::default()
            },
            held: vec![],
        })));
        assert_eq!(
            refused(&mut c, &["image in (x:1, y)"]),
            "no worker meets image in (x:1, y:latest): the nearest is w1, which has image = b:latest, busybox:latest, \
             c:latest, 2 more; pull it there with: podman pull x:1"
        );
        for constraints in [&["image = x:1", "zone = eu"][..], &["image != b"], &["!image"]] {
            let told = refused(&mut c, constraints);
            assert!(told.ends_with("start one that does with: cloudai worker start"), "{told}");
        }
        assert_eq!(said(&mut c, &["image = docker.io/library/busybox", "image != x:1"], &[]), None, "w1 has it");
    }

    #[test]
    fn a_pinned_task_a_missing_folder_and_too_little_room_are_told_of_the_workers_that_matter() {
        let mut c = TestCluster::default();
        let gpus = vec![Gpu { id: "0".into(), model: "t4".into() }, Gpu { id: "1".into(), model: "a100".into() }];
        worker(&mut c, "w1", Capacity { gpus, ..cores(2) }, "zone=eu", "");
        worker(&mut c, "w2", cores(8), "zone=us", "/data");
        let pinned = ("worker_id", Value::Text("w1".into()));
        let told = said(&mut c, &["gpu.model = h100"], &[pinned]).unwrap();
        assert_eq!(
            told,
            "it needs gpu.model = h100, and w1 has gpu.model = t4, a100; start one that does with: cloudai worker start"
        );
        let map = |entries: &[(&str, &str)]| {
            Value::Map(entries.iter().map(|(key, text)| ((*key).to_owned(), Value::Text((*text).to_owned()))).collect())
        };
        let volume = map(&[("host_path", "/data"), ("container_path", "/data")]);
        let told = said(&mut c, &["zone = eu"], &[("volumes", Value::List(vec![volume]))]).unwrap();
        assert!(
            told.starts_with("it needs host path /data to be read, which w1, the nearest worker, does not offer;"),
            "{told}"
        );
        let told = said(&mut c, &["zone = eu"], &[("cpu_cores", Value::Int(4))]).unwrap();
        assert_eq!(told, "it asks for 4 cpu, the largest worker that meets its needs offers 2 cpu");
    }
}
