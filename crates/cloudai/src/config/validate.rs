//! Looks at everything that is configured at once, also at what another place overrides.

use super::known::{KNOWN, NO_SETTINGS, WORKER_IP, WORKER_PORT};
use super::problem::{Problem, Severity};
use super::sources::{Layer, Source, Texts};
use super::{Facts, Found, Resolver, master};
use crate::addresses::without_passwords;
use cloudai_core::text::distance;

impl Resolver<'_> {
    /// Every problem of every place, errors first.
    #[must_use]
    pub(crate) fn validate(&self) -> Vec<Problem> {
        let mut found = self.problems.clone();
        for setting in KNOWN {
            for given in self.all(setting.facts()) {
                found.extend(setting.problem(&given));
            }
        }
        found.extend(master::discord(self));
        found.extend(master::shared_port(self));
        found.extend(self.port_without_address());
        found.extend(self.hidden_variables());
        found.extend(self.unknown_variables());
        found.sort_by_key(|problem| problem.severity == Severity::Warning);
        found
    }

    fn port_without_address(&self) -> Option<Problem> {
        let port = self.all(&WORKER_PORT.facts).into_iter().next()?;
        self.find(&WORKER_IP.facts).is_none().then(|| Problem {
            severity: Severity::Warning,
            key: Some(WORKER_PORT.facts.key.into()),
            at: port.source,
            value: Some(port.text),
            problem: "it has no effect without worker.ip".into(),
            next: "give CLOUDAI_WORKER_IP as well".into(),
        })
    }

    /// Variables that another name of the same setting hides in the same place, with another value.
    fn hidden_variables(&self) -> Vec<Problem> {
        let given = KNOWN.iter().map(|setting| setting.facts()).filter(|facts| !facts.allowed.is_empty());
        given.flat_map(|facts| hidden(facts, &self.all(facts))).collect()
    }

    /// Names that look like ours and are not; other programs' variables are nobody's business.
    fn unknown_variables(&self) -> Vec<Problem> {
        let environment = self.surroundings.names();
        let environment = environment.iter().map(|name| (name.as_str(), Source::plain(Layer::Environment, Some(name))));
        let dotenv = self.dotenv.iter().flat_map(Texts::names);
        let known = || KNOWN.iter().flat_map(|setting| setting.facts().variables.iter().copied());
        let unknown = environment.chain(dotenv).filter(|(name, _)| {
            name.starts_with("CLOUDAI_") && !NO_SETTINGS.contains(name) && !known().any(|known| known == *name)
        });
        unknown.map(|(name, at)| Problem::of_name(Severity::Warning, at, nearest(name, known()))).collect()
    }
}

/// The keys of a file that are none.
pub(super) fn unknown_keys(file: &Texts) -> Vec<Problem> {
    let known = || KNOWN.iter().map(|setting| setting.facts().key);
    let unknown = file.names().filter(|(name, _)| !known().any(|key| key == *name));
    unknown.map(|(name, at)| Problem::of_name(Severity::Error, at, nearest(name, known()))).collect()
}

/// Of everything that was given for a setting, best first: what the same place gives a better name.
fn hidden(facts: &Facts, given: &[Found]) -> Vec<Problem> {
    let behind = |(at, found): (usize, &Found)| {
        let best = given.iter().take(at).find(|best| best.source.source == found.source.source)?;
        (best.text != found.text).then(|| Problem {
            severity: Severity::Warning,
            key: Some(facts.key.into()),
            at: found.source.clone(),
            value: (!facts.secret).then(|| without_passwords(&found.text)),
            problem: format!("{} is the same setting and wins", best.source.name.as_deref().unwrap_or(facts.key)),
            next: "take one of them out".into(),
        })
    };
    given.iter().enumerate().filter_map(behind).collect()
}

/// The known name that only has a table more, else the one with the fewest slips.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    let in_a_table = |known: &&str| known.rsplit_once('.').is_some_and(|(_, tail)| tail == name);
    if let Some(known) = known.clone().find(in_a_table) {
        return Some(known);
    }
    let (slips, near) = known.map(|known| (distance(name, known), known)).min()?;
    (slips <= 2.max(near.len() / 3)).then_some(near)
}
