//! Who ended a container: its own program, or somebody else through the engine.
//!
//! An engine that is stopped stops its containers, and one that died finds them dead: their exit
//! codes look like the program's own. The engine's memory of events tells them apart.

use super::Engine;
use super::create::Kind;
use super::error::{Fault, patiently};
use super::seen::Seen;
use super::stamp;
use bollard::Docker;
use bollard::errors::Error;
use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptionsBuilder;
use futures::TryStreamExt;
use std::collections::HashMap;

/// How many events an engine remembers, the newest; all of them are gone when it is started again.
const MEMORY: usize = 256;
/// Signals that end what does not catch them; an order to stop is told by one of these. Others, as
/// a reload, end nothing by themselves.
const DEADLY: [&str; 6] = ["2", "3", "6", "9", "15", "SIGTERM"];

/// Who ended a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doer {
    /// The program in it, or the kernel.
    Program,
    /// Somebody who told the engine to, perhaps the engine's own end.
    Somebody,
    /// The engine was started again under it.
    Engine,
}

/// Tells who ended a container that this worker saw running and did not stop.
/// # Errors
/// The engine stays silent.
pub(super) async fn of(engine: &Engine, kind: Kind, seen: &Seen) -> Result<Doer, Fault> {
    match kind {
        Kind::Docker => {}
        // There is no engine process that its containers depend on.
        Kind::Podman => return Ok(Doer::Program),
    }
    let own = patiently(engine.patience, || events(&engine.docker, Some(&seen.id))).await?;
    if own.iter().any(is_deadly) {
        return Ok(Doer::Somebody);
    }
    if own.iter().any(|event| event.action.as_deref() == Some("start")) {
        return Ok(Doer::Program);
    }
    let all = patiently(engine.patience, || events(&engine.docker, None)).await?;
    if all.len() >= MEMORY {
        // It may have lived through all of this and forgotten: the program's word counts.
        return Ok(Doer::Program);
    }
    let info = patiently(engine.patience, || engine.docker.info()).await?;
    // Containers of such an engine outlive it.
    Ok(if info.live_restore_enabled == Some(true) { Doer::Program } else { Doer::Engine })
}

fn is_deadly(event: &EventMessage) -> bool {
    let signal = event.actor.as_ref().and_then(|actor| actor.attributes.as_ref()?.get("signal"));
    event.action.as_deref() == Some("kill") && signal.is_none_or(|signal| DEADLY.contains(&signal.as_str()))
}

/// What the engine remembers, of one container or of everything.
async fn events(docker: &Docker, container: Option<&str>) -> Result<Vec<EventMessage>, Error> {
    // With an end in the past the engine answers what it has and waits for nothing.
    let now = stamp::now();
    let until = format!("{}.{:09}", now / 1_000_000_000, now % 1_000_000_000);
    let options = EventsOptionsBuilder::new().since("1").until(&until);
    let options = match container {
        Some(id) => options.filters(&HashMap::from([("container", vec![id])])),
        None => options,
    };
    docker.events(Some(options.build())).try_collect().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::EventActor;

    #[test]
    fn only_a_signal_that_ends_a_program_counts() {
        let event = |action: &str, signal: Option<&str>| EventMessage {
            action: Some(action.into()),
            actor: Some(EventActor {
                attributes: signal.map(|signal| HashMap::from([("signal".into(), signal.into())])),
                ..EventActor::default()
            }),
            ..EventMessage::default()
        };
        assert!(is_deadly(&event("kill", Some("15"))) && is_deadly(&event("kill", None)));
        assert!(!is_deadly(&event("kill", Some("1"))) && !is_deadly(&event("die", Some("15"))));
    }
}
