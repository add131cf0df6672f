//! What tasks find before they start: looked for when they are submitted, and held until they are removed.
//!
//! A task that is accepted has all of its inputs: whatever becomes of the task that left them, or of the upload.

use super::Handle;
use super::left::{Left, LeftFile};
use crate::addresses::NoPlace;
use crate::mailbox::AskError;
use crate::principal::Principal;
use bytes::Bytes;
use cloudai_core::event::{NewTask, Rejected};
use cloudai_core::ids::Attempt;
use cloudai_core::ids::TaskId;
use cloudai_core::sha256::Sha256;
use cloudai_core::spec::tree::{Entry, Kind, Tree};
use cloudai_core::spec::{FieldError, IN_NO_JOB, Source, SpecError, wrong_input};
use cloudai_store::bulk::{BulkError, BulkStore, Content, Kept};
use std::collections::BTreeMap;
use std::sync::Arc;
use tracing::warn;

/// Why an input has no content.
pub(super) enum Missing {
    /// What is wrong with it, for people.
    Wrong(String),
    /// It could not be looked for.
    Failed(AskError),
}

/// Why a task can not hold its inputs.
enum Refused {
    /// What is wrong with them.
    Wrong(Vec<FieldError>),
    /// They could not be looked for, or held.
    Failed(AskError),
}

/// Why it can not be said where a worker has the inputs of an attempt from.
#[derive(Debug)]
pub(crate) enum NoInputs {
    /// They could not be looked for.
    Bulk(BulkError),
    /// One comes from an address of which there is none.
    Place(NoPlace),
    /// What it needs of its job is not there.
    Wrong(String),
    /// It could not be looked for.
    Ask(AskError),
}

/// What an attempt finds, and where its worker fetches that.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) content: Content,
    /// Bytes; 0 where they are not known.
    pub(crate) size: u64,
    /// None for what the master keeps.
    pub(crate) url: Option<String>,
}

/// The contents that were found, by their sources; none for what workers fetch themselves.
type Known = BTreeMap<String, Option<Content>>;

impl From<BulkError> for Refused {
    fn from(error: BulkError) -> Self {
        Self::Failed(error.into())
    }
}

impl<E: Into<AskError>> From<E> for Missing {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Handle {
    pub(super) fn bulk(&self) -> &Arc<dyn BulkStore> {
        self.shared.logs.bulk()
    }

    /// Has new tasks hold their inputs, all or none; answers which ones have any. `places` are their numbers in the caller's
    /// list.
    /// # Errors
    /// [`AskError::Specs`] with every input that has no content.
    pub(super) async fn hold_inputs(
        &self,
        who: &Principal,
        fresh: &[NewTask],
        places: &[usize],
    ) -> Result<Vec<TaskId>, AskError> {
        let mut wrong = Vec::new();
        let mut held = Ok(());
        // What many tasks name is looked for once.
        let mut known = Known::new();
        let mut holders = Vec::new();
        for (new, place) in fresh.iter().zip(places).filter(|(new, _)| !new.spec.container.inputs.is_empty()) {
            holders.push(new.id);
            match self.hold_inputs_of(who, new, &mut known).await {
                Ok(()) => {}
                Err(Refused::Wrong(errors)) => wrong.push((*place, SpecError(errors))),
                Err(Refused::Failed(error)) => {
                    held = Err(error);
                    break;
                }
            }
        }
        if held.is_ok() && !wrong.is_empty() {
            held = Err(AskError::Specs(Arc::new(wrong)));
        }
        match held {
            Ok(()) => Ok(holders),
            Err(error) => {
                self.release_inputs(holders.into_iter()).await;
                Err(error)
            }
        }
    }

    /// Looks for what new tasks would find, and holds none of it. What is sent before a submission need not be there yet.
    /// # Errors
    /// As of [`Handle::hold_inputs`].
    pub(super) async fn look_for_inputs(
        &self,
        who: &Principal,
        fresh: &[NewTask],
        places: &[usize],
    ) -> Result<(), AskError> {
        let mut wrong = Vec::new();
        for (new, place) in fresh.iter().zip(places) {
            let mut errors = Vec::new();
            for (index, input) in new.spec.container.inputs.iter().enumerate() {
                match &input.from {
                    Source::Task { .. } | Source::Address(_) => {}
                    Source::Blob(_) | Source::Tree(_) | Source::Named { .. } => continue,
                }
                match self.content(who, &input.from).await {
                    Ok(_) => {}
                    Err(Missing::Wrong(problem)) => errors.push(wrong_input(index, &input.from, problem)),
                    Err(Missing::Failed(error)) => return Err(error),
                }
            }
            if !errors.is_empty() {
                wrong.push((*place, SpecError(errors)));
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(AskError::Specs(Arc::new(wrong))) }
    }

    async fn hold_inputs_of(&self, who: &Principal, new: &NewTask, known: &mut Known) -> Result<(), Refused> {
        // What an ended task found, the one that runs it again finds: also when its source is gone.
        let held = new.spec.container.inputs.iter().filter(|input| input.from.is_held()).count();
        if held > 0
            && let Some(old) = new.retry_of
            && self.bulk().held_inputs(old).await?.len() == held
        {
            return Ok(self.bulk().hold_inputs_as(new.id, old).await?);
        }
        let contents = self.contents(who, new, known).await?;
        if contents.is_empty() {
            return Ok(());
        }
        match self.bulk().hold_inputs(new.id, &contents).await {
            Err(error @ (BulkError::NotFound | BulkError::NoFolder(_) | BulkError::NotWhole(_))) => {
                let problem = format!("can not be placed: {error}");
                Err(Refused::Wrong(vec![FieldError { path: "inputs".into(), value: None, problem }]))
            }
            held => Ok(held?),
        }
    }

    /// Lets go what tasks hold that were not accepted. What is missed is found by its age.
    pub(super) async fn release_inputs(&self, tasks: impl Iterator<Item = TaskId>) {
        for task in tasks {
            if let Err(error) = self.bulk().release_inputs(task).await {
                warn!(%task, %error, "the inputs of a task that was not accepted are still held");
            }
        }
    }

    /// What an attempt finds before it starts, in the order of its spec; fewer where the master keeps some no longer.
    pub(crate) async fn inputs_of(&self, attempt: Attempt) -> Result<Vec<Found>, NoInputs> {
        let Some(task) = self.shared.model.task(attempt.task) else { return Ok(Vec::new()) };
        let mut held = self.bulk().held_inputs(attempt.task).await.map_err(NoInputs::Bulk)?;
        if let Some(job) = task.job {
            // Fewer where a hold was not completed.
            let inputs = task.spec.container.inputs.iter();
            if held.len() != inputs.filter(|input| !matches!(input.from, Source::Address(_))).count() {
                held = self.hold_inputs_in_job(&task, job).await?;
            }
        }
        let mut held = held.into_iter();
        let mut found = Vec::new();
        for input in &task.spec.container.inputs {
            found.extend(match &input.from {
                Source::Address(address) => {
                    let url = self.shared.inputs.place(address).await.map_err(NoInputs::Place)?;
                    let content = Content { sha256: address.sha256(), folder: false };
                    Some(Found { content, size: 0, url: Some(url) })
                }
                Source::Blob(_) | Source::Tree(_) | Source::Task { .. } | Source::Named { .. } => {
                    held.next().map(|held| Found { content: held.content, size: held.size, url: None })
                }
            });
        }
        Ok(found)
    }

    /// The contents of a task's inputs that the master holds, or every input that has none.
    async fn contents(&self, who: &Principal, new: &NewTask, known: &mut Known) -> Result<Vec<Content>, Refused> {
        let (mut contents, mut wrong) = (Vec::new(), Vec::new());
        for (index, input) in new.spec.container.inputs.iter().enumerate() {
            // What others of its job leave is looked for when they have ended.
            if new.job.is_some() && matches!(input.from, Source::Named { .. }) {
                continue;
            }
            let source = input.from.to_string();
            if let Some(content) = known.get(&source) {
                contents.extend(*content);
                continue;
            }
            match self.content(who, &input.from).await {
                Ok(content) => {
                    known.insert(source, content);
                    contents.extend(content);
                }
                Err(Missing::Wrong(problem)) => wrong.push(wrong_input(index, &input.from, problem)),
                Err(Missing::Failed(error)) => return Err(Refused::Failed(error)),
            }
        }
        if wrong.is_empty() { Ok(contents) } else { Err(Refused::Wrong(wrong)) }
    }

    async fn content(&self, who: &Principal, source: &Source) -> Result<Option<Content>, Missing> {
        let content = match source {
            Source::Blob(sha256) => self.kept(who, Content { sha256: *sha256, folder: false }).await,
            Source::Tree(sha256) => self.kept(who, Content { sha256: *sha256, folder: true }).await,
            Source::Task { id, path } => self.left_by(who, *id, path.as_deref()).await,
            Source::Named { .. } => return Err(Missing::Wrong(IN_NO_JOB.into())),
            Source::Address(address) => {
                return self.shared.inputs.check(address).map(|()| None).map_err(Missing::Wrong);
            }
        };
        content.map(Some)
    }

    async fn kept(&self, who: &Principal, content: Content) -> Result<Content, Missing> {
        match self.bulk().blobs_kept(&who.user, vec![content.sha256]).await?.first() {
            Some(Kept::Whole(_)) => Ok(content),
            Some(Kept::Part(_)) | None => Err(Missing::Wrong(
                "is not kept by this master, or no longer: send it again (the command line does it for --input and \
                 --workdir)"
                    .into(),
            )),
        }
    }

    /// A file or folder of what another task left.
    pub(super) async fn left_by(&self, who: &Principal, id: TaskId, path: Option<&str>) -> Result<Content, Missing> {
        let left = match self.left(who, id).await {
            Ok(Ok(left)) => left,
            Ok(Err(status)) => {
                return Err(Missing::Wrong(format!(
                    "is {status}: its files are there once it has ended (cloudai task wait {id})"
                )));
            }
            Err(AskError::Rejected(Rejected::NoSuchTask(_))) => {
                return Err(Missing::Wrong("names a task that is not there, or no longer".into()));
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(path) = path
            && let Some(file) = self.left_file(left, path).await?
        {
            return Ok(Content { sha256: self.shared_output(&file).await?, folder: false });
        }
        let file = |(path, sha256, size)| Entry { path, kind: Kind::File { sha256, size, executable: false } };
        let entries = self.shared_below(left, path).await?.into_iter().map(file).collect();
        self.as_folder(entries, &format!("names no file that it left (cloudai task files {id} lists them)")).await
    }

    /// The files that a task left at a path or below it, each by what is behind that, with hash and size.
    pub(super) async fn shared_files(
        &self,
        who: &Principal,
        id: TaskId,
        path: Option<&str>,
    ) -> Result<Vec<(String, Sha256, u64)>, Missing> {
        let Ok(left) = self.left(who, id).await? else { return Ok(Vec::new()) };
        if let Some(path) = path
            && let Some(file) = self.left_file(left, path).await?
        {
            // Under its own name, so that files of elements lie alike.
            let name = path.rsplit('/').next().unwrap_or(path).to_owned();
            return Ok(vec![(name, self.shared_output(&file).await?, file.file.size)]);
        }
        self.shared_below(left, path).await
    }

    async fn shared_below(&self, left: Left, path: Option<&str>) -> Result<Vec<(String, Sha256, u64)>, Missing> {
        let mut files = Vec::new();
        for left in &self.left_files(left).await? {
            let name = left.file.path.as_str();
            let below = path.map_or(Some(name), |path| name.strip_prefix(path)?.strip_prefix('/'));
            if let Some(below) = below {
                files.push((below.to_owned(), self.shared_output(left).await?, left.file.size));
            }
        }
        Ok(files)
    }

    /// A folder of files that are kept.
    pub(super) async fn as_folder(&self, entries: Vec<Entry>, none: &str) -> Result<Content, Missing> {
        if entries.is_empty() {
            return Err(Missing::Wrong(none.into()));
        }
        let tree = Tree::of(entries).map_err(|why| Missing::Wrong(why.to_string()))?;
        let list = self.bulk().put_blobs(vec![Bytes::from(tree.write())]).await?;
        let sha256 = *list.first().ok_or_else(|| AskError::Internal("a content got no name".into()))?;
        Ok(Content { sha256, folder: true })
    }

    async fn shared_output(&self, LeftFile { attempt, file }: &LeftFile) -> Result<Sha256, Missing> {
        match self.bulk().share_output(*attempt, file).await {
            Ok(()) => Ok(file.sha256),
            Err(BulkError::NotFound) => Err(Missing::Wrong(format!("names {}, which is not kept any more", file.path))),
            Err(error) => Err(error.into()),
        }
    }
}
