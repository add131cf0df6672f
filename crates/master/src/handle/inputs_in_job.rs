//! What tasks of jobs find: what their job holds for them, and what its other tasks left.
//!
//! A job holds what its file names when it is submitted, once for each named task. What others of the job leave is
//! there when they have ended: it is looked for when the first attempt of a task asks, and held by the task from then
//! on, so that its other attempts find the same.

use super::Handle;
use super::inputs::{Missing, NoInputs};
use crate::model::SeenJob;
use crate::principal::Principal;
use cloudai_core::ids::{JobId, TaskId};
use cloudai_core::job::Place;
use cloudai_core::spec::Source;
use cloudai_core::spec::tree::{Entry, Kind};
use cloudai_core::task::TaskRecord;
use cloudai_store::bulk::{Content, Held};

/// The most files of one input that come from the elements of an array.
const MOST_FILES: usize = 100_000;

impl Handle {
    /// Has a task of a job hold all that it finds.
    pub(super) async fn hold_inputs_in_job(&self, task: &TaskRecord, job: JobId) -> Result<Vec<Held>, NoInputs> {
        let group = job.group_of(task.id).unwrap_or_default();
        let of_group = self.bulk().held_inputs(job.holder(group)).await.map_err(NoInputs::Bulk)?;
        let mut of_group = of_group.into_iter();
        let mut contents = Vec::new();
        for (index, input) in task.spec.container.inputs.iter().enumerate() {
            contents.extend(match &input.from {
                Source::Address(_) => None,
                Source::Blob(_) | Source::Tree(_) | Source::Task { .. } => of_group.next().map(|held| held.content),
                Source::Named { name, index: element, path } => {
                    let left = self.left_in_job(task, name, *element, path.as_deref()).await;
                    Some(left.map_err(|missing| no_input(index, &input.from, missing))?)
                }
            });
        }
        if contents.is_empty() {
            return Ok(Vec::new());
        }
        self.bulk().hold_inputs(task.id, &contents).await.map_err(NoInputs::Bulk)?;
        self.bulk().held_inputs(task.id).await.map_err(NoInputs::Bulk)
    }

    /// What another task of the same job left, or all elements of an array: each in a folder of its index.
    async fn left_in_job(
        &self,
        task: &TaskRecord,
        name: &str,
        element: Option<u32>,
        path: Option<&str>,
    ) -> Result<Content, Missing> {
        let gone = || Missing::Wrong("is of a job that is no longer live".into());
        let job = task.job.and_then(|job| self.shared.model.job(job)).ok_or_else(gone)?;
        let who = self.owner(&task.owner);
        let group = job.plan.group_named(name).ok_or_else(|| Missing::Wrong("names no task of the job".into()))?;
        let id = of_place(&job, Place { group, ordinal: 0 }, None);
        let is_array = job.plan.group(group).is_some_and(|group| group.elements.is_some());
        match element {
            Some(index) => {
                let array = job.plan.group(group).and_then(|group| group.elements.as_ref());
                let ordinal = array.and_then(|elements| elements.indexes.ordinal_of(index));
                let ordinal = ordinal.ok_or_else(|| Missing::Wrong("names no element of the array".into()))?;
                self.left_by(&who, of_place(&job, Place { group, ordinal }, Some(index)), path).await
            }
            None if is_array => self.left_by_array(&who, &job, group, path).await,
            None => self.left_by(&who, id, path).await,
        }
    }

    async fn left_by_array(
        &self,
        who: &Principal,
        job: &SeenJob,
        group: u32,
        path: Option<&str>,
    ) -> Result<Content, Missing> {
        let count = job.plan.group(group).map_or(0, |group| group.count());
        let mut entries = Vec::new();
        for ordinal in 0..count {
            let place = Place { group, ordinal };
            // One that never ran left nothing.
            if !job.was_born(place) && job.record.done_in(place).is_none() {
                continue;
            }
            let index = job.plan.group(group).and_then(|group| group.index(ordinal)).unwrap_or_default();
            let id = of_place(job, place, Some(index));
            for (below, sha256, size) in self.shared_files(who, id, path).await? {
                let name = if below.is_empty() { index.to_string() } else { format!("{index}/{below}") };
                entries.push(Entry { path: name, kind: Kind::File { sha256, size, executable: false } });
            }
            if entries.len() > MOST_FILES {
                let why = format!("has more than {MOST_FILES} files: name fewer of them by a path");
                return Err(Missing::Wrong(why));
            }
        }
        self.as_folder(entries, "names no file that any of the array left").await
    }
}

/// The id under which a task of the job left its files: that of another job, where it completed there.
fn of_place(job: &SeenJob, place: Place, index: Option<u32>) -> TaskId {
    let id = job.record.done_in(place).unwrap_or(job.record.id).group(place.group);
    index.map_or(id, |index| id.element(index))
}

fn no_input(index: usize, from: &Source, missing: Missing) -> NoInputs {
    match missing {
        Missing::Wrong(why) => NoInputs::Wrong(format!("inputs[{index}].from {from:?} {why}", from = from.to_string())),
        Missing::Failed(error) => NoInputs::Ask(error),
    }
}
