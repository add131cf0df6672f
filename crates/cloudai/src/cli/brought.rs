//! What a template makes that names files of this machine: it is filled here, and submitted with what it names.

use super::document::{not_valid, to_json, work_here};
use super::job::{file, rows};
use super::local::{self, Shipment};
use super::{Context, send, submit};
use crate::exit::Failure;
use cloudai_core::spec::Value;
use cloudai_core::template::Makes;
use std::path::Path;

/// A filled document as it is posted, and what is to be sent before it. Its paths begin in the current folder.
/// # Errors
/// A file that can not be read.
pub(super) fn bring(makes: Makes, document: Value) -> Result<(Value, Shipment), Failure> {
    let here = Path::new("");
    match makes {
        Makes::Task => {
            let mut document = document;
            let wrong = |field: &str, why: String| Failure::usage(format!("{field}: {why}"));
            rows::fill(&mut document, "", here)?;
            local::begin_at(&mut document, here).map_err(|why| wrong("inputs", why))?;
            work_here(&mut document, here).map_err(|why| wrong("workdir", why))?;
            let shipment = local::take(&mut document)?;
            Ok((document, shipment))
        }
        Makes::Job => file::bring(document, here),
    }
}

/// Sends the files that a filled document names, and posts it; answers what was made.
/// # Errors
/// A file that can not be read, a document that is not valid, or the master's problem.
pub(super) async fn submit(makes: Makes, document: Value, cx: &Context) -> Result<serde_json::Value, Failure> {
    let (mut document, shipment) = bring(makes, document)?;
    if let Value::Map(fields) = &mut document {
        // Each run is one of its own: its key is below.
        fields.retain(|(name, _)| name != "idempotency_key");
    }
    makes.check(&document).map_err(|error| not_valid(&error, &Value::Null))?;
    send::send(&shipment, cx).await?;
    let nouns = match makes {
        Makes::Task => "tasks",
        Makes::Job => "jobs",
    };
    let key = submit::new_key();
    let (_, answer) = cx.client.post(&["api", "v1", nouns], Some(&to_json(&document)), Some(&key)).await?;
    Ok(answer)
}
