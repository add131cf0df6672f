//! How far a job is while somebody waits for it: a bar on a terminal, elsewhere a line now and then.

use crate::render::{self, Screen};
use cloudai_master::http::dto::Job;
use std::time::Duration;
use tokio::time::Instant;

/// Between two lines where there is no terminal.
const CALM: Duration = Duration::from_secs(10);
/// Columns of a terminal whose width is not known, without the last.
const NARROW: usize = 79;

/// What of it is seen.
pub(super) struct Progress<'a> {
    screen: &'a Screen,
    /// Columns of the bar that stands there.
    drawn: usize,
    /// The last line, and when.
    told: Option<(String, Instant)>,
}

impl<'a> Progress<'a> {
    pub(super) fn new(screen: &'a Screen) -> Self {
        Self { screen, drawn: 0, told: None }
    }

    /// After so many seconds it is time for the next look.
    pub(super) fn pace(&self) -> u64 {
        match (self.screen.for_people(), self.screen.messages_terminal) {
            (true, true) => 1,
            (true, false) => CALM.as_secs(),
            (false, _) => 60,
        }
    }

    /// Shows it, where people look and there is something new.
    pub(super) fn show(&mut self, job: &Job) {
        if !self.screen.for_people() {
            return;
        }
        let text = render::job::progress(job, self.screen.messages_terminal);
        if self.screen.messages_terminal {
            let room = self.screen.width.map_or(NARROW, |width| width.saturating_sub(1));
            let text: String = text.chars().take(room).collect();
            let wide = text.chars().count();
            self.screen.draw(&format!("\r{text}{}", " ".repeat(self.drawn.saturating_sub(wide))));
            self.drawn = wide;
        } else if self.told.as_ref().is_none_or(|(before, at)| *before != text && at.elapsed() >= CALM) {
            self.screen.note(&text);
            self.told = Some((text, Instant::now()));
        }
    }

    /// Leaves nothing of the bar.
    pub(super) fn clear(&mut self) {
        if self.drawn > 0 {
            self.screen.draw(&format!("\r{}\r", " ".repeat(self.drawn)));
            self.drawn = 0;
        }
    }
}
