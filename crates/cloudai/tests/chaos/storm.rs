//! Carries a schedule out: begins faults, mends them, counts them.

use crate::bed::{Bed, LONG};
use crate::faults::{Direction, Fault, Kind, MASTER, Schedule};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How often each thing was done.
pub(crate) type Tally = BTreeMap<&'static str, u64>;

/// The second half of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mend {
    KillPaused,
    Revive,
    GoOn,
    Heal,
}

/// Breaks things until it is enough, then mends everything. `enough` is asked after each fault.
pub(crate) async fn rage(bed: &RefCell<Bed>, schedule: Schedule, enough: impl Fn(Duration, &Tally) -> bool) -> Tally {
    let begin = Instant::now();
    let (mut tally, mut due) = (Tally::new(), BTreeMap::<(u64, usize, Mend), ()>::new());
    for fault in schedule {
        while let Some(((at, host, mend), ())) = due.first_key_value().map(|(key, ())| (*key, ()))
            && at <= fault.at
        {
            sleep_until(begin + Duration::from_millis(at)).await;
            due.remove(&(at, host, mend));
            apply(&mut bed.borrow_mut(), host, mend);
        }
        if enough(Duration::from_millis(fault.at), &tally) {
            break;
        }
        sleep_until(begin + Duration::from_millis(fault.at)).await;
        count(&mut tally, &fault);
        due.extend(strike(&mut bed.borrow_mut(), &fault).into_iter().map(|mend| (mend, ())));
    }
    let bed = &mut bed.borrow_mut();
    due.into_keys().for_each(|(_, host, mend)| apply(bed, host, mend));
    tally
}

/// Begins a fault; answers when and how it is mended.
fn strike(bed: &mut Bed, fault: &Fault) -> Vec<(u64, usize, Mend)> {
    let Fault { at, lasts, host, kind } = *fault;
    let end = |mend| vec![(at + lasts, host, mend)];
    match kind {
        Kind::Kill => {
            bed.kill(host);
            end(Mend::Revive)
        }
        Kind::Pause => {
            bed.pause(host);
            end(Mend::GoOn)
        }
        Kind::PauseAndKill => {
            bed.pause(host);
            vec![(at + lasts / 2, host, Mend::KillPaused), (at + lasts, host, Mend::Revive)]
        }
        Kind::Cut(direction) => {
            bed.cut(host, direction);
            end(Mend::Heal)
        }
    }
}

fn apply(bed: &mut Bed, host: usize, mend: Mend) {
    match mend {
        Mend::KillPaused => {
            bed.kill(host);
            bed.go_on(host);
        }
        Mend::Revive => bed.revive(host),
        Mend::GoOn => bed.go_on(host),
        Mend::Heal => bed.heal(host),
    }
}

fn count(tally: &mut Tally, fault: &Fault) {
    let of = |master, worker| if fault.host == MASTER { master } else { worker };
    let mut add = |what| *tally.entry(what).or_default() += 1;
    if matches!(fault.kind, Kind::Kill | Kind::PauseAndKill) {
        add("kills");
        add(of("  of the master", "  of a worker"));
    }
    if matches!(fault.kind, Kind::Pause | Kind::PauseAndKill) {
        add("pauses");
        add(of("  the master stands still", "  a worker stands still"));
    }
    if let Kind::Cut(direction) = fault.kind {
        add("cuts");
        add(match direction {
            Direction::Both => "  both ways",
            Direction::ToMaster => "  only towards the master",
            Direction::ToWorker => "  only towards the worker",
        });
    }
    if fault.lasts > LONG {
        add("longer than a lease");
    }
}
