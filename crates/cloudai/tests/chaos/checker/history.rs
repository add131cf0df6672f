//! What is known of a run when it is over.

use crate::clock;
use crate::witness::{Attempt, Mark};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What a task takes, and what a worker has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Demand {
    pub(crate) cpu_milli: u64,
    pub(crate) memory_mib: u64,
}

/// What the client asked for under a name of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) demand: Demand,
    /// The code with which the program ends by itself.
    pub(crate) exit: i32,
}

/// What was done to whom, in seconds since boot.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Span {
    pub(crate) what: Harm,
    /// None: the master.
    pub(crate) worker: Option<String>,
    pub(crate) from: f64,
    pub(crate) to: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Harm {
    Killed,
    Paused,
    Cut,
}

/// A task as the master lists it in the end.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) status: String,
    pub(crate) reason: String,
    pub(crate) exit_code: Option<i32>,
    pub(crate) attempts: Vec<Tried>,
}

/// An attempt as the master lists it.
#[derive(Clone, Debug)]
pub(crate) struct Tried {
    pub(crate) number: u32,
    pub(crate) worker: String,
    pub(crate) reason: String,
    pub(crate) exit_code: Option<i32>,
    pub(crate) accepted: bool,
    pub(crate) assigned: f64,
    pub(crate) ended: Option<f64>,
}

impl Task {
    /// Reads a task of the API.
    pub(crate) fn read(task: &Value, boot: f64) -> Self {
        let tried = task["attempts"].as_array().unwrap().iter().map(|attempt| Tried::read(attempt, boot));
        Self {
            id: text(&task["id"]),
            name: text(&task["name"]),
            status: text(&task["status"]),
            reason: text(&task["reason"]),
            exit_code: code(&task["exit_code"]),
            attempts: tried.collect(),
        }
    }
}

impl Tried {
    fn read(attempt: &Value, boot: f64) -> Self {
        Self {
            number: u32::try_from(attempt["attempt"].as_u64().unwrap()).unwrap(),
            worker: text(&attempt["worker_id"]),
            reason: text(&attempt["reason"]),
            exit_code: code(&attempt["exit_code"]),
            accepted: attempt["accepted"].as_bool().unwrap(),
            assigned: clock::read(attempt["assigned_at"].as_str().unwrap(), boot),
            ended: attempt["ended_at"].as_str().map(|at| clock::read(at, boot)),
        }
    }

    /// Whether it counts against the budget of lost workers.
    pub(crate) fn lost(&self) -> bool {
        self.reason == "worker_lost"
    }

    /// Whether it went back to the queue uncounted: nobody drains workers here, so its worker was deaf
    /// (`core/src/cluster/deaf.rs`), and it must never have begun.
    pub(crate) fn given_back(&self) -> bool {
        self.reason == "drained"
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn code(value: &Value) -> Option<i32> {
    value.as_i64().map(|code| i32::try_from(code).unwrap())
}

/// Everything that the checker judges by.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    /// By name.
    pub(crate) asked: BTreeMap<String, Asked>,
    /// Ids that the master answered, with the names that they were answered for.
    pub(crate) acknowledged: Vec<(String, String)>,
    /// Ids whose cancel was asked for, answered or not.
    pub(crate) cancelled: BTreeSet<String>,
    pub(crate) listed: Vec<Task>,
    /// In the order of their times.
    pub(crate) marks: Vec<Mark>,
    pub(crate) harm: Vec<Span>,
    pub(crate) capacities: BTreeMap<String, Demand>,
    /// Whether containers run on when their worker is killed.
    pub(crate) outlive: bool,
}

/// How a container came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Exit(i32),
    /// With its worker.
    Killed,
}

/// A container as it was witnessed.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) worker: String,
    pub(crate) started: f64,
    pub(crate) end: Option<(f64, End)>,
}

/// All containers, and what is wrong with the marks alone.
pub(crate) fn runs(marks: &[Mark]) -> (BTreeMap<Attempt, Run>, Vec<String>) {
    let (mut runs, mut wrong) = (BTreeMap::<Attempt, Run>::new(), Vec::new());
    for mark in marks {
        match mark {
            Mark::Start { t, worker, attempt } => {
                let run = Run { worker: worker.clone(), started: *t, end: None };
                if let Some(earlier) = runs.insert(attempt.clone(), run) {
                    wrong.push(format!("{attempt:?} was started twice: on {} and on {worker}", earlier.worker));
                }
            }
            Mark::End { t, attempt, exit } => match runs.get_mut(attempt) {
                Some(run) if run.end.is_none() => run.end = Some((*t, End::Exit(*exit))),
                Some(_) => wrong.push(format!("{attempt:?} ended twice")),
                None => wrong.push(format!("{attempt:?} ended and was never started")),
            },
            Mark::Killed { t, worker } => {
                for run in runs.values_mut().filter(|run| run.worker == *worker && run.end.is_none()) {
                    run.end = Some((*t, End::Killed));
                }
            }
        }
    }
    (runs, wrong)
}
