//! The same for several things: one that is refused keeps nothing from the others.

use super::Context;
use crate::exit::{Exit, Failure};

/// What was refused of several things that a command was asked for.
#[derive(Debug)]
pub(super) struct Refused {
    of: usize,
    /// What should have become of each.
    word: &'static str,
    /// By the name of the thing.
    failures: Vec<(String, Failure)>,
    done: usize,
}

impl Refused {
    /// Nothing yet, of so many things that are to be `word`.
    pub(super) fn none(of: usize, word: &'static str) -> Self {
        Self { of, word, failures: Vec::new(), done: 0 }
    }

    /// What became of the next one, if it was not refused.
    pub(super) fn sort<T>(&mut self, name: impl Into<String>, answer: Result<T, Failure>) -> Option<T> {
        match answer {
            Ok(answer) => {
                self.done += 1;
                Some(answer)
            }
            Err(failure) => {
                self.failures.push((name.into(), failure));
                None
            }
        }
    }

    /// Whether the next one may go better: without a master none does.
    pub(super) fn goes_on(&self) -> bool {
        self.failures.last().is_none_or(|(_, failure)| failure.exit != Exit::Unreachable)
    }

    /// Whether there was one thing alone.
    pub(super) const fn of_one(&self) -> bool {
        self.of == 1
    }

    /// Whether anything was refused.
    pub(super) const fn any(&self) -> bool {
        !self.failures.is_empty()
    }

    /// Removes what has these names below a path of the master's, and says so of each.
    /// # Errors
    /// As [`Self::end`].
    pub(super) async fn remove(mut self, path: &[&str], names: &[&str], cx: &Context) -> Result<Exit, Failure> {
        for name in names {
            let answer = cx.client.delete(&[path, &[name]].concat(), &[]).await;
            if self.sort(*name, answer).is_some() {
                cx.screen.note(&format!("{name}  removed"));
            }
            if !self.goes_on() {
                break;
            }
        }
        self.end()
    }

    /// The end of the command.
    /// # Errors
    /// What was refused: the failure itself of one thing alone, else one of all, with the exit that they
    /// have in common.
    pub(super) fn end(mut self) -> Result<Exit, Failure> {
        if self.of_one()
            && let Some((_, failure)) = self.failures.pop()
        {
            return Err(failure);
        }
        let Some((_, first)) = self.failures.first() else { return Ok(Exit::Ok) };
        let same = self.failures.iter().all(|(_, failure)| (failure.exit, &failure.code) == (first.exit, &first.code));
        let (exit, code) = if same { (first.exit, first.code.as_str()) } else { (Exit::Error, "error") };
        let (left, of, word) = (self.of - self.done, self.of, self.word);
        let mut all = Failure::new(exit, code, format!("{left} of {of} could not be {word}"));
        for (name, failure) in &self.failures {
            let whys: String = failure.why.iter().map(|why| format!("; {why}")).collect();
            all = all.why(format!("{name}: {}{whys}", failure.what));
        }
        if left > self.failures.len() {
            all = all.why("those after it were not tried");
        }
        let next = self.failures.into_iter().map(|(_, failure)| failure.next).find(|next| !next.is_empty());
        Err(all.next(next.unwrap_or_default()))
    }
}

/// Each of these names once, in the order in which they were given.
pub(super) fn each_once(given: &[String]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for name in given {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(answers: &[Result<(), Failure>]) -> Result<Exit, Failure> {
        let mut refused = Refused::none(answers.len(), "cancelled");
        for (at, answer) in answers.iter().enumerate() {
            if refused.goes_on() {
                refused.sort(format!("t{at}"), answer.clone());
            }
        }
        refused.end()
    }

    #[test]
    fn what_is_refused_is_told_of_each_and_in_one_exit() {
        let gone = || Failure::not_found("no task").why("it was deleted").next("cloudai task list");
        let unreachable = || Failure::new(Exit::Unreachable, "unreachable", "no master");
        assert_eq!(ended(&[Ok(()), Ok(())]), Ok(Exit::Ok));
        assert_eq!(ended(&[Err(gone())]), Err(gone()));
        let told = ended(&[Err(gone()), Ok(()), Err(gone())]).unwrap_err();
        assert_eq!(
            (told.exit, told.code.as_str(), told.next.as_str()),
            (Exit::NotFound, "not_found", "cloudai task list")
        );
        assert_eq!(told.what, "2 of 3 could not be cancelled");
        assert_eq!(told.why, ["t0: no task; it was deleted", "t2: no task; it was deleted"]);
        let told = ended(&[Err(gone()), Err(Failure::usage("no")), Ok(())]).unwrap_err();
        assert_eq!((told.exit, told.what.as_str()), (Exit::Error, "2 of 3 could not be cancelled"));
        let told = ended(&[Ok(()), Err(unreachable()), Ok(()), Ok(())]).unwrap_err();
        assert_eq!((told.exit, told.what.as_str()), (Exit::Unreachable, "3 of 4 could not be cancelled"));
        assert_eq!(told.why, ["t1: no master", "those after it were not tried"]);
    }
}
