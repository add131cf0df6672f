//! The forms in which chaos runs: a short one of each executor for every change, long ones for `make chaos`.

use crate::bed::Fleet;
use crate::checker::Demand;
use crate::faults::{Direction, Fault, Kind, MASTER, Pace};
use crate::run::{Form, Least, run};
use crate::workload::Work;
use std::time::Duration;

/// Longer than lease and margin, in milliseconds.
const OVER: std::ops::RangeInclusive<u64> = 12_000..=18_000;
/// The length for which the counts of the long form are meant.
const WHOLE_S: u64 = 600;

fn seconds(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number of seconds")))
}

fn fake() -> Form {
    let whole = Demand { cpu_milli: 24_000, memory_mib: 64 << 10 };
    let (gap, spared_gap, master_gap, short) = (1000..=12_000, 1000..=40_000, 1000..=35_000, 50..=5000);
    Form {
        name: "fake workers",
        fleet: Fleet { executor: "fake", capacity: whole },
        pace: Pace { gap, spared_gap, master_gap, short, long: OVER, long_percent: 10, opening: Vec::new() },
        work: Work {
            image: "fake:chaos",
            rate: 60,
            clients: 4,
            batch: 40,
            backlog: 1500,
            longest: 22_000,
            usual: (5, 50),
            whole,
        },
        storm: Duration::from_secs(WHOLE_S),
        least: Least { kills: 100, pauses: 50, cuts: 50, tasks: 20_000 },
        calm: Duration::from_secs(180),
    }
}

fn docker() -> Form {
    // One core, which every machine has.
    let whole = Demand { cpu_milli: 1000, memory_mib: 2048 };
    Form {
        name: "real containers",
        fleet: Fleet { executor: "docker", capacity: whole },
        work: Work {
            image: crate::engine::IMAGE,
            rate: 4,
            clients: 2,
            batch: 4,
            backlog: 12,
            longest: 2500,
            usual: (50, 250),
            whole,
        },
        ..fake()
    }
}

/// Long faults of workers come first, so that there are some in little time; then the master's.
fn short(form: Form, mut opening: Vec<Fault>) -> Form {
    opening.push(Fault { at: 13_800, lasts: 200, host: MASTER, kind: Kind::Kill });
    let (gap, master_gap, short) = (300..=2500, 300..=1500, 50..=1500);
    Form {
        pace: Pace { spared_gap: gap.clone(), gap, master_gap, short, long_percent: 0, opening, ..form.pace },
        storm: Duration::from_secs(18),
        calm: Duration::from_secs(45),
        ..form
    }
}

#[test]
fn a_short_storm_over_fake_workers_breaks_no_promise() {
    let opening = vec![
        Fault { at: 400, lasts: 12_500, host: 3, kind: Kind::Pause },
        Fault { at: 900, lasts: 12_200, host: 2, kind: Kind::Cut(Direction::Both) },
        Fault { at: 14_500, lasts: 300, host: 2, kind: Kind::Kill },
    ];
    let form = short(fake(), opening);
    let work = Work { longest: 4000, backlog: 200, ..form.work };
    run(Form { work, least: Least { kills: 5, pauses: 2, cuts: 3, tasks: 200 }, ..form });
}

#[test]
#[ignore = "ten minutes: make chaos"]
fn a_long_storm_over_fake_workers_breaks_no_promise() {
    let length = seconds("CHAOS_SECONDS", WHOLE_S);
    let form = fake();
    // Of a shorter storm less is asked.
    let part = |count: u64| count * length.min(WHOLE_S) / WHOLE_S;
    let Least { kills, pauses, cuts, tasks } = form.least;
    let least = Least { kills: part(kills), pauses: part(pauses), cuts: part(cuts), tasks: part(tasks) };
    run(Form { storm: Duration::from_secs(length), least, ..form });
}

/// On this machine's engine.
mod docker {
    use super::*;

    #[test]
    fn a_short_storm_over_real_containers_breaks_no_promise() {
        let opening = vec![Fault { at: 1500, lasts: 12_200, host: 3, kind: Kind::Kill }];
        run(Form { least: Least { kills: 4, pauses: 1, cuts: 2, tasks: 10 }, ..short(docker(), opening) });
    }

    #[test]
    #[ignore = "minutes: make chaos"]
    fn a_long_storm_over_real_containers_breaks_no_promise() {
        let form = docker();
        let work = Work { longest: 22_000, ..form.work };
        let storm = Duration::from_secs(seconds("CHAOS_DOCKER_SECONDS", 120));
        run(Form { storm, work, least: Least { kills: 10, pauses: 5, cuts: 5, tasks: 100 }, ..form });
    }
}
