//! Which strategy places: what the configuration says, what was set at run time, and what holds.
//!
//! What is set at run time is stored, so that the next start goes on with it; a configuration that
//! names a strategy or a knob itself holds against that.

use crate::serve::BindError;
use cloudai_core::strategy::{self, KnobError, Knobs, Strategy};
use cloudai_store::Store;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use tracing::{info, warn};

/// The name of the stored fact.
pub(crate) const FACT: &str = "strategy";

/// What the configuration says.
#[derive(Clone, Debug, PartialEq)]
pub struct Configured {
    /// The strategy's name.
    pub name: String,
    /// Its knobs.
    pub knobs: Knobs,
    /// Whether somebody wrote any of it down: it holds against what was set at run time.
    pub explicit: bool,
}

impl From<&str> for Configured {
    /// A default of this name.
    fn from(name: &str) -> Self {
        Self { name: name.into(), knobs: Knobs::default(), explicit: false }
    }
}

/// A strategy that there is, and its knobs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chosen {
    name: &'static str,
    /// Its knobs.
    pub knobs: Knobs,
}

impl Chosen {
    /// The strategy of this name.
    #[must_use]
    pub fn of(name: &str, knobs: Knobs) -> Option<Self> {
        strategy::names().into_iter().find(|known| *known == name).map(|name| Self { name, knobs })
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The same with other knobs.
    #[must_use]
    pub const fn with(self, knobs: Knobs) -> Self {
        Self { knobs, ..self }
    }

    /// Makes it; none when the core has forgotten it.
    pub(crate) fn make(&self) -> Option<Box<dyn Strategy>> {
        strategy::make(self.name, &self.knobs)
    }

    /// Reads what [`fmt::Display`] wrote.
    fn parse(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let name = words.next().unwrap_or_default();
        let mut chosen = Self::of(name, Knobs::default()).ok_or_else(|| format!("there is no strategy {name:?}"))?;
        for word in words {
            let (knob, value) = word.split_once('=').unwrap_or((word, ""));
            chosen.knobs.set(knob, value).map_err(|error: KnobError| error.to_string())?;
        }
        Ok(chosen)
    }
}

/// The name and the knobs that are not at their defaults, as they are stored.
impl fmt::Display for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        self.knobs.changed().try_for_each(|(knob, value)| write!(f, " {}={value}", knob.name))
    }
}

/// What holds now.
#[derive(Debug)]
pub(crate) struct Choice {
    now: Mutex<Chosen>,
    /// Held by whoever changes it: what is stored last also places.
    pub(crate) changing: tokio::sync::Mutex<()>,
}

impl Choice {
    pub(crate) fn new(chosen: Chosen) -> Self {
        Self { now: Mutex::new(chosen), changing: tokio::sync::Mutex::default() }
    }

    pub(crate) fn now(&self) -> Chosen {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set(&self, chosen: Chosen) -> Chosen {
        std::mem::replace(&mut self.now.lock().unwrap_or_else(PoisonError::into_inner), chosen)
    }
}

/// What a master begins with.
/// # Errors
/// [`BindError`].
pub(crate) async fn at_start(store: &dyn Store, configured: Configured) -> Result<Chosen, BindError> {
    let Configured { name, knobs, explicit } = configured;
    let chosen = Chosen::of(&name, knobs).ok_or(BindError::Strategy { given: name })?;
    let Some(stored) = store.fact(FACT).await? else { return Ok(chosen) };
    match Chosen::parse(&stored) {
        Err(problem) => {
            warn!(stored, problem, strategy = %chosen, "the strategy that was set at run time can not go on");
            Ok(chosen)
        }
        Ok(before) if before == chosen => Ok(chosen),
        Ok(before) if explicit => {
            info!(strategy = %chosen, left = %before, "the configuration holds against the strategy that was set at run time");
            Ok(chosen)
        }
        Ok(before) => {
            info!(strategy = %before, "the strategy that was set at run time goes on");
            Ok(before)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudai_store::memory::MemoryStore;

    #[test]
    fn a_choice_reads_back_as_it_was_written() {
        let mut chosen = Chosen::of("greedy_skip", Knobs::default()).unwrap();
        assert_eq!((chosen.to_string().as_str(), Chosen::parse("greedy_skip")), ("greedy_skip", Ok(chosen)));
        chosen.knobs.set("patience", "2.5").unwrap();
        chosen.knobs.set("upper_quantile", "0.95").unwrap();
        assert_eq!(chosen.to_string(), "greedy_skip patience=2.5 upper_quantile=0.95");
        assert_eq!(Chosen::parse(&chosen.to_string()), Ok(chosen));
        for wrong in ["", "best", "greedy patience", "greedy patience=-1", "greedy speed=1"] {
            assert!(Chosen::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn what_was_set_at_run_time_goes_on_unless_the_configuration_says_otherwise() {
        let store = MemoryStore::new();
        let start = async |name: &str, explicit| {
            let configured = Configured { explicit, ..name.into() };
            at_start(&store, configured).await.map(|chosen| chosen.to_string()).map_err(|error| error.to_string())
        };
        assert_eq!(start("greedy", false).await, Ok("greedy".into()));
        let term = store.lead().await.unwrap();
        store.set_fact(term, FACT, "balanced patience=3").await.unwrap();
        assert_eq!(start("greedy", false).await, Ok("balanced patience=3".into()));
        assert_eq!(start("greedy", true).await, Ok("greedy".into()));
        assert!(start("best", false).await.unwrap_err().contains("allowed are greedy"));
        store.set_fact(term, FACT, "one_of_tomorrow").await.unwrap();
        assert_eq!(start("greedy", false).await, Ok("greedy".into()));
    }
}
