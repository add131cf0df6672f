//! Which tasks of a job are meant.

use cloudai_core::job::Indexes;

#[derive(Debug, clap::Args)]
pub(super) struct Selection {
    /// Only this task, by its name in the job
    #[arg(long, value_name = "NAME")]
    task: Option<String>,
    /// Of an array only these elements: 0-99, 0-99:2 (every second one) or 4,7,9
    #[arg(long, value_name = "RANGES", requires = "task")]
    index: Option<Indexes>,
}

impl Selection {
    /// Whether all of them are.
    pub(super) const fn is_all(&self) -> bool {
        self.task.is_none()
    }

    /// As the master is asked for them.
    pub(super) fn query(&self) -> Vec<(&'static str, String)> {
        let task = self.task.clone().map(|task| ("task", task));
        task.into_iter().chain(self.index.as_ref().map(|index| ("index", index.to_string()))).collect()
    }
}
