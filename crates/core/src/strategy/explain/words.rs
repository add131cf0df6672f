//! The same in sentences for people.

use super::{Against, Amount, Asked, Change, Explanation, Outlook, Standing, Turn};
use crate::label::Words;
use crate::resources::{Bytes, Kind, Thousandths};
use crate::state::Phase;
use std::fmt;

impl fmt::Display for Against {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pinned(to) => write!(f, "pinned to {to}"),
            Self::Idle(why) => f.write_str(why.word()),
            Self::Unmet(need) => write!(f, "does not {} {need}", need.verb()),
            Self::Model(model) => write!(f, "no gpu of model {model}"),
            Self::Short(amount) => amount.fmt(f),
            Self::Beside(beside) => beside.fmt(f),
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |amount: u64| match self.kind {
            Kind::Cpu | Kind::Gpu => Thousandths(amount).to_string(),
            Kind::Memory | Kind::Storage => Bytes(amount).to_string(),
        };
        write!(f, "{} need {} free {} of {}", self.kind, show(self.need), show(self.free), show(self.total))
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = Vec::new();
        parts.extend(self.any_model.then(|| "a gpu of any model".to_owned()));
        parts.extend(self.at_most.iter().map(|(kind, amount)| kind.show(*amount)));
        let less = if self.at_most.is_empty() { "" } else { " or less" };
        let of_it = self.request.map(|request| format!(" in its request {}", u32::from(request) + 1));
        write!(f, "{}{less}{}", parts.join(" and "), of_it.unwrap_or_default())
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ask(asked) => write!(f, "with {asked} it fits {}", asked.worker),
            Self::Unpin(worker) => write!(f, "pinned to no worker it fits {worker}"),
            Self::Label(worker, changes) => {
                let words = Words(changes);
                write!(f, "with the labels {words} it fits {worker}: cloudai worker label {worker} {words}")
            }
            Self::Open(worker, why) => {
                write!(
                    f,
                    "{worker} has room and is {}; give it work again: cloudai worker undrain {worker}",
                    why.word()
                )
            }
        }
    }
}

impl fmt::Display for Outlook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { strategy, turn, starts, planned, .. } = self;
        let does = planned
            .as_ref()
            .map_or_else(|| "lets it wait".into(), |planned| format!("plans it for {}", planned.worker));
        match turn {
            Turn::Now(worker) if *starts == 0 => write!(f, "{strategy} starts it next, on {worker}"),
            Turn::Now(worker) if *starts == 1 => write!(f, "{strategy} starts it now on {worker}, after one other"),
            Turn::Now(worker) => write!(f, "{strategy} starts it now on {worker}, after {starts} others"),
            Turn::NoRoom => write!(f, "{strategy} {does}: no worker has room"),
            Turn::Gang => write!(f, "{strategy} {does}: its gang starts together, and can not now"),
            Turn::Taken => write!(f, "{strategy} {does}: the {starts} tasks that it starts now leave no room"),
            Turn::Behind(task, Some(start)) if start.after.is_some() => {
                write!(f, "{strategy} lets it wait: {task} goes first, which waits until others end")
            }
            Turn::Behind(task, _) => write!(f, "{strategy} lets it wait: {task} goes first"),
            Turn::Kept if planned.is_some() => {
                write!(f, "{strategy} {does}, and keeps the room that there is for others")
            }
            Turn::Kept => write!(f, "{strategy} lets it wait: it keeps the room for tasks that go first"),
            Turn::Outside => {
                write!(f, "it has room, and waits for the program that places while the strategy is {strategy}")
            }
        }
    }
}

impl Explanation {
    /// Where the task stands, in one sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let why = || self.why.clone().unwrap_or_default();
        match &self.standing {
            Standing::Waits => match &self.now {
                Some(Outlook { turn: Turn::NoRoom | Turn::Gang, .. }) | None => format!("waits: {}", why()),
                Some(outlook) => outlook.to_string(),
            },
            Standing::Never => why(),
            Standing::NotReady(Phase::Held) => "it is held: nothing places it until it is released".into(),
            Standing::NotReady(phase) => format!("it waits for something else than a place: {phase}"),
            Standing::Placed { worker, .. } => {
                format!("it has its place on {worker}; the figures are of now, those of its placement are not kept")
            }
            Standing::Ended => "it has ended: nothing places it any more".into(),
        }
    }
}
