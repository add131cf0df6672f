//! What can be set of strategies: names, ranges, defaults. One table; docs, configuration, REST and
//! command line are made of it.

use std::fmt;

/// Settings of a strategy; each reads those that it knows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Knobs {
    /// What using everything weighs.
    pub utilization: f64,
    /// What ending early weighs.
    pub makespan: f64,
    /// What even load weighs.
    pub balance: f64,
    /// What having waited weighs.
    pub starvation: f64,
    /// A task that waited so many times its length goes first; 0 for never.
    pub patience: f64,
    /// How much a step of priority counts.
    pub urgency: f64,
    /// How much it counts that its user had less than others.
    pub fair_share: f64,
    /// Moves by which a plan is improved.
    pub planner_evaluations: u32,
    /// The share of runs that are to end within the predicted upper end.
    pub upper_quantile: f64,
    /// By how much a waiting task's priority must be above that of what makes room for it; 0 for never.
    pub preemption: u32,
    /// Of the random moves by which plans are improved. Nothing that anybody sets on a cluster: replays
    /// draw others to see what is chance.
    pub seed: u64,
}

/// One of them.
#[derive(Debug)]
pub struct Knob {
    /// Its name.
    pub name: &'static str,
    /// What it does, one sentence.
    pub about: &'static str,
    /// The least allowed value.
    pub least: f64,
    /// The greatest allowed value.
    pub most: f64,
    /// Its value when nobody sets it.
    pub default: f64,
    /// Only whole numbers.
    pub whole: bool,
    get: fn(&Knobs) -> f64,
    set: fn(&mut Knobs, f64),
}

/// Every knob, in the order in which they are shown.
pub static KNOBS: [Knob; 10] = [
    Knob {
        name: "utilization",
        about: "What using everything weighs in the choice of a worker.",
        least: 0.0,
        most: 1.0,
        default: 0.45,
        whole: false,
        get: |knobs| knobs.utilization,
        set: |knobs, value| knobs.utilization = value,
    },
    Knob {
        name: "makespan",
        about: "What an early end of everything weighs in plans.",
        least: 0.0,
        most: 1.0,
        default: 0.25,
        whole: false,
        get: |knobs| knobs.makespan,
        set: |knobs, value| knobs.makespan = value,
    },
    Knob {
        name: "balance",
        about: "What even load weighs in the choice of a worker.",
        least: 0.0,
        most: 1.0,
        default: 0.20,
        whole: false,
        get: |knobs| knobs.balance,
        set: |knobs, value| knobs.balance = value,
    },
    Knob {
        name: "starvation",
        about: "What waiting weighs in plans.",
        least: 0.0,
        most: 1.0,
        default: 0.10,
        whole: false,
        get: |knobs| knobs.starvation,
        set: |knobs, value| knobs.starvation = value,
    },
    Knob {
        name: "patience",
        about: "A task that waited so many times its length goes first; 0 for never.",
        least: 0.0,
        most: 1000.0,
        default: 50.0,
        whole: false,
        get: |knobs| knobs.patience,
        set: |knobs, value| knobs.patience = value,
    },
    Knob {
        name: "urgency",
        about: "By how many doublings a step of priority makes a task shorter in the eyes of the order.",
        least: 0.0,
        most: 1.0,
        default: 0.05,
        whole: false,
        get: |knobs| knobs.urgency,
        set: |knobs, value| knobs.urgency = value,
    },
    Knob {
        name: "fair_share",
        about: "By how many doublings a task is longer in the eyes of the order, for each doubling of what its user had lately beyond the mean of all.",
        least: 0.0,
        most: 1.0,
        default: 0.05,
        whole: false,
        get: |knobs| knobs.fair_share,
        set: |knobs, value| knobs.fair_share = value,
    },
    Knob {
        name: "planner_evaluations",
        about: "Moves by which a plan is improved: three times as many at first, a fifth of them when something changed, up to three times those for few tasks; 0 for none.",
        least: 0.0,
        most: 1_000_000.0,
        default: 10_000.0,
        whole: true,
        get: |knobs| f64::from(knobs.planner_evaluations),
        set: |knobs, value| knobs.planner_evaluations = to_whole(value),
    },
    Knob {
        name: "upper_quantile",
        about: "The share of runs that are to end within the predicted upper end.",
        least: 0.5,
        most: 0.99,
        default: 0.9,
        whole: false,
        get: |knobs| knobs.upper_quantile,
        set: |knobs, value| knobs.upper_quantile = value,
    },
    Knob {
        name: "preemption",
        about: "By how much the priority of a waiting task must be above that of a running one that is stopped for it; 0 for never.",
        least: 0.0,
        most: 200.0,
        default: 0.0,
        whole: true,
        get: |knobs| f64::from(knobs.preemption),
        set: |knobs, value| knobs.preemption = to_whole(value),
    },
];

impl Default for Knobs {
    fn default() -> Self {
        let mut knobs = Self {
            utilization: 0.0,
            makespan: 0.0,
            balance: 0.0,
            starvation: 0.0,
            patience: 0.0,
            urgency: 0.0,
            fair_share: 0.0,
            planner_evaluations: 0,
            upper_quantile: 0.0,
            preemption: 0,
            seed: 1,
        };
        for knob in &KNOBS {
            (knob.set)(&mut knobs, knob.default);
        }
        knobs
    }
}

impl Knobs {
    /// Sets one from a text.
    /// # Errors
    /// [`KnobError`]; nothing changes then.
    pub fn set(&mut self, name: &str, text: &str) -> Result<(), KnobError> {
        let knob = Knob::of(name).ok_or_else(|| KnobError::Unknown(name.chars().take(80).collect()))?;
        (knob.set)(self, knob.parse(text)?);
        Ok(())
    }

    /// Every knob with its value.
    pub fn each(&self) -> impl Iterator<Item = (&'static Knob, f64)> {
        KNOBS.iter().map(|knob| (knob, (knob.get)(self)))
    }

    /// Those that are not at their default.
    pub fn changed(&self) -> impl Iterator<Item = (&'static Knob, f64)> {
        self.each().filter(|(knob, value)| value.total_cmp(&knob.default).is_ne())
    }

    /// A knob as a multiple of its default; 1 for one that there is not.
    pub(super) fn relative(&self, name: &str) -> f64 {
        Knob::of(name).map_or(1.0, |knob| (knob.get)(self) / knob.default)
    }

    /// [`Knobs::preemption`] as a difference of priorities; none where nothing is stopped for another.
    #[must_use]
    pub fn margin(&self) -> Option<i32> {
        i32::try_from(self.preemption).ok().filter(|margin| *margin > 0)
    }

    /// [`Knobs::upper_quantile`] in thousandths.
    #[must_use]
    pub fn upper_permille(&self) -> u16 {
        u16::try_from(to_whole(self.upper_quantile * 1000.0)).unwrap_or(1000)
    }
}

impl Knob {
    /// The knob of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<&'static Self> {
        KNOBS.iter().find(|knob| knob.name == name)
    }

    /// Reads a value of it.
    /// # Errors
    /// [`KnobError::Value`].
    pub fn parse(&self, text: &str) -> Result<f64, KnobError> {
        let value = text.trim().parse::<f64>().ok();
        let value = value.filter(|value| (self.least..=self.most).contains(value));
        value.filter(|value| !self.whole || value.fract() == 0.0).map(|value| value + 0.0).ok_or_else(|| {
            KnobError::Value { knob: self.name, given: text.chars().take(80).collect(), allowed: self.allowed() }
        })
    }

    /// Sets it to a value that [`Knob::parse`] answered.
    pub fn put(&self, knobs: &mut Knobs, value: f64) {
        (self.set)(knobs, value.clamp(self.least, self.most));
    }

    /// What its value may be.
    #[must_use]
    pub fn allowed(&self) -> String {
        let what = if self.whole { "a whole number" } else { "a number" };
        format!("{what} from {} to {}", self.least, self.most)
    }
}

/// Why a knob can not be set so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KnobError {
    /// There is none of this name.
    Unknown(String),
    /// Its value is not allowed.
    Value {
        /// Which.
        knob: &'static str,
        /// What was given.
        given: String,
        /// What may be.
        allowed: String,
    },
}

impl std::error::Error for KnobError {}

impl fmt::Display for KnobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => {
                let names: Vec<_> = KNOBS.iter().map(|knob| knob.name).collect();
                write!(f, "there is no knob {name:?}: there are {}", names.join(", "))
            }
            Self::Value { knob, given, allowed } => write!(f, "{knob} can not be {given:?}: it takes {allowed}"),
        }
    }
}

/// A number of a checked range, rounded.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the range of the table")]
fn to_whole(value: f64) -> u32 {
    value.round().clamp(0.0, f64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_knob_can_be_set_to_its_bounds_and_to_nothing_beyond() {
        for knob in &KNOBS {
            let mut knobs = Knobs::default();
            for bound in [knob.least, knob.most] {
                knobs.set(knob.name, &bound.to_string()).unwrap();
                let others = knobs.changed().filter(|(other, _)| other.name != knob.name);
                assert_eq!((others.count(), (knob.get)(&knobs)), (0, bound), "{}", knob.name);
            }
            for beyond in [knob.least - 0.01, knob.most + 0.01, f64::NAN] {
                let error = knobs.set(knob.name, &beyond.to_string()).unwrap_err().to_string();
                assert!(error.contains(knob.name) && error.contains(&knob.most.to_string()), "{error}");
            }
        }
        assert_eq!(Knobs::default().changed().count(), 0);
        assert_eq!(Knobs::default().upper_permille(), 900);
        assert_eq!((Knobs::default().margin(), Knobs { preemption: 7, ..Knobs::default() }.margin()), (None, Some(7)));
    }

    #[test]
    fn a_wrong_knob_names_itself_its_value_and_what_is_allowed() {
        let wrong = |name, text| Knobs::default().set(name, text).unwrap_err().to_string();
        assert_eq!(wrong("balance", "lots"), "balance can not be \"lots\": it takes a number from 0 to 1");
        let whole = "planner_evaluations can not be \"1.5\": it takes a whole number from 0 to 1000000";
        assert_eq!(wrong("planner_evaluations", "1.5"), whole);
        assert!(wrong("weight", "1").starts_with("there is no knob \"weight\": there are utilization, "));
    }
}
