//! Stored templates: kept and removed by their owners, filled and submitted.

use super::Handle;
use super::made::{Run, wrong};
use crate::mailbox::AskError;
use crate::only::Only;
use crate::principal::Principal;
use crate::templates::{Head, Kept, Version};
use cloudai_core::ids::TemplateName;
use cloudai_core::spec::{FieldError, SpecError, Value};
use cloudai_core::template::{Makes, OF_TEMPLATE, OF_VERSION, Template, files_of, with_field, with_labels};
use serde::{Deserialize, Serialize};
use tracing::info;

/// A template, and what it is filled with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TemplateUse {
    pub(crate) name: TemplateName,
    /// The latest where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<u32>,
    /// By the names of parameters.
    pub(crate) params: Value,
}

/// Why something stored makes nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum NotMade {
    /// It is not there.
    #[error("no template {0} is stored")]
    NoTemplate(TemplateName),
    /// It is there, in other versions.
    #[error("the template {name} has no version {version}: it has {kept}")]
    NoVersion {
        name: TemplateName,
        version: u32,
        /// Those that it has, for people.
        kept: String,
    },
    /// It was not submitted.
    #[error(transparent)]
    Failed(#[from] AskError),
}

impl Handle {
    /// Keeps a template of the caller's as its next version, unless it is the latest already, if the condition holds
    /// for that; `document` is what `template` was read from.
    pub(crate) async fn put_template(
        &self,
        who: &Principal,
        name: &TemplateName,
        (document, template): (&Value, &Template),
        only: &Only,
    ) -> Result<Kept, AskError> {
        let when = (self.facts().term, self.shared.clock.now());
        let kept = self.shared.templates.put(when, &who.user, name, (document, template), only).await?;
        if let Kept::New(head) = &kept {
            let version = head.latest().map(|latest| latest.number);
            info!(user = %who.user, template = %name, version, "a template was kept");
        }
        Ok(kept)
    }

    /// The caller's templates, in the order of their names.
    pub(crate) async fn templates(&self, who: &Principal) -> Result<Vec<(TemplateName, Head)>, AskError> {
        self.shared.templates.of(&who.user).await
    }

    /// One of the caller's templates: what is known of it, and the document of this version, or of the latest.
    pub(crate) async fn template(
        &self,
        who: &Principal,
        name: &TemplateName,
        version: Option<u32>,
    ) -> Result<(Head, Version, Value), NotMade> {
        let templates = &self.shared.templates;
        let gone = || NotMade::NoTemplate(name.clone());
        let head = templates.head(&who.user, name).await?.ok_or_else(gone)?;
        let found = match version {
            None => head.latest().ok_or_else(gone)?,
            Some(number) => {
                let found = head.versions.iter().find(|version| version.number == number).copied();
                found.ok_or_else(|| no_version(name, number, &head))?
            }
        };
        let document = templates.document(&who.user, name, found.number).await?.ok_or_else(gone)?;
        Ok((head, found, document))
    }

    /// Removes one of the caller's with all of its versions; answers whether it was there.
    pub(crate) async fn remove_template(&self, who: &Principal, name: &TemplateName) -> Result<bool, AskError> {
        let removed = self.shared.templates.remove(self.facts().term, &who.user, name).await?;
        if removed {
            info!(user = %who.user, template = %name, "a template was removed");
        }
        Ok(removed)
    }

    /// The document that a template makes, and of what it is; it carries where it comes from as labels.
    pub(crate) async fn filled(&self, who: &Principal, used: &TemplateUse) -> Result<(Makes, Value), NotMade> {
        let (_, version, document) = self.template(who, &used.name, used.version).await?;
        let template = Template::from_value(&document).map_err(wrong)?;
        let filled = template.fill(&used.params).map_err(wrong)?;
        let files = files_of(template.makes, &filled);
        if !files.is_empty() {
            return Err(only_by_command(&used.name, files).into());
        }
        let labels = [(OF_TEMPLATE, used.name.to_string()), (OF_VERSION, version.number.to_string())];
        Ok((template.makes, with_labels(filled, &labels)))
    }

    /// Fills a template and submits what comes of it, under a key where one is given.
    pub(crate) async fn run_template(
        &self,
        who: &Principal,
        used: &TemplateUse,
        key: Option<&str>,
    ) -> Result<Run, NotMade> {
        let (makes, mut document) = self.filled(who, used).await?;
        if let Some(key) = key {
            document = with_field(document, "idempotency_key", Value::Text(key.to_owned()));
        }
        let run = self.submit_document(who, makes, &document).await?;
        info!(user = %who.user, template = %used.name, made = %run.made, fresh = run.fresh, "a template was run");
        Ok(run)
    }
}

/// The master has none of the files that a document names of somebody's machine.
fn only_by_command(name: &TemplateName, files: Vec<String>) -> AskError {
    let problem = format!(
        "names a file of the machine on which the template is run, which only the command line brings: \
         cloudai template run {name}"
    );
    let field = |path: String| FieldError { path, value: None, problem: problem.clone() };
    wrong(SpecError(files.into_iter().map(field).collect()))
}

fn no_version(name: &TemplateName, version: u32, head: &Head) -> NotMade {
    let kept = match (head.versions.first(), head.versions.last()) {
        (Some(first), Some(last)) if first.number < last.number => format!("{} to {}", first.number, last.number),
        (_, Some(only)) => only.number.to_string(),
        (_, None) => "none".into(),
    };
    NotMade::NoVersion { name: name.clone(), version, kept }
}
