//! Images: whether one is there, and one pull per image at a time for all who wait for it.

use super::error::{Fault, patiently};
use crate::executor::Progress;
use bollard::Docker;
use bollard::models::CreateImageInfo;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures::StreamExt;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

/// How far a pull is.
#[derive(Clone, Debug, Default)]
struct State {
    percent: u8,
    done: Option<Result<(), Fault>>,
}

/// A pull that runs; it is given up when the last one who waits for it goes.
#[derive(Debug)]
struct Flight {
    state: watch::Receiver<State>,
    _task: AbortOnDropHandle<()>,
}

/// The pulls of a worker.
#[derive(Debug, Default)]
pub(super) struct Pulls {
    flights: Mutex<HashMap<String, Weak<Flight>>>,
}

impl Pulls {
    /// Pulls an image, or waits for the pull of it that is under way.
    ///
    /// A caller that stops waiting takes the pull from nobody else; an error reaches all.
    pub(super) async fn pull(&self, docker: &Docker, image: &str, steps: &mpsc::Sender<Progress>) -> Result<(), Fault> {
        let flight = self.join(docker, image);
        let mut state = flight.state.clone();
        let mut told = None;
        loop {
            let State { percent, done } = state.borrow_and_update().clone();
            if let Some(result) = done {
                return result;
            }
            if told.replace(percent) != Some(percent) && percent > 0 {
                // Only a word for people: when nobody takes it, it is dropped.
                let _ = steps.try_send(Progress::Detail(format!("pulling {percent}%")));
            }
            if state.changed().await.is_err() {
                return Err(Fault::Away("the pull ended without an answer".into()));
            }
        }
    }

    fn join(&self, docker: &Docker, image: &str) -> Arc<Flight> {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        flights.retain(|_, flight| flight.strong_count() > 0);
        if let Some(flight) = flights.get(image).and_then(Weak::upgrade)
            && flight.state.borrow().done.is_none()
            && flight.state.has_changed().is_ok()
        {
            return flight;
        }
        let (tell, state) = watch::channel(State::default());
        let task = tokio::spawn(fly(docker.clone(), image.to_owned(), tell));
        let flight = Arc::new(Flight { state, _task: AbortOnDropHandle::new(task) });
        flights.insert(image.to_owned(), Arc::downgrade(&flight));
        flight
    }
}

async fn fly(docker: Docker, image: String, tell: watch::Sender<State>) {
    info!(image, "pull started");
    let result = read(&docker, &image, &tell).await;
    match &result {
        Ok(()) => info!(image, "pull ended"),
        Err(fault) => warn!(image, why = fault.text(), "pull failed"),
    }
    tell.send_modify(|state| state.done = Some(result));
}

async fn read(docker: &Docker, image: &str, tell: &watch::Sender<State>) -> Result<(), Fault> {
    let (name, tag) = split(image);
    let options = CreateImageOptionsBuilder::new().from_image(name).tag(tag).build();
    let mut stream = std::pin::pin!(docker.create_image(Some(options), None, None));
    let mut layers = Layers::default();
    while let Some(message) = stream.next().await {
        layers.note(message?);
        let percent = layers.percent();
        tell.send_if_modified(|state| {
            let more = percent > state.percent;
            state.percent = state.percent.max(percent);
            more
        });
    }
    // The stream may break off without a word: only an image that is there was pulled.
    patiently(Duration::ZERO, || docker.inspect_image(image)).await.map(drop)
}

/// Whether the engine has an image.
pub(super) async fn present(docker: &Docker, image: &str, patience: Duration) -> Result<bool, Fault> {
    match patiently(patience, || docker.inspect_image(image)).await {
        Ok(_) => Ok(true),
        Err(Fault::Gone(_)) => Ok(false),
        Err(fault) => Err(fault),
    }
}

/// The name of an image and its digest, its tag or `latest`: without the last the engine would
/// pull every tag there is.
fn split(image: &str) -> (&str, &str) {
    let (rest, digest) = image.split_once('@').map_or((image, None), |(rest, digest)| (rest, Some(digest)));
    let slash = rest.rfind('/').map_or(0, |slash| slash + 1);
    let colon = rest[slash..].find(':').map(|colon| slash + colon);
    let (name, tag) = colon.map_or((rest, None), |at| (&rest[..at], Some(&rest[at + 1..])));
    (name, digest.or(tag).unwrap_or("latest"))
}

/// Bytes of each layer: here, and in all.
#[derive(Debug, Default)]
struct Layers(BTreeMap<String, (u64, u64)>);

impl Layers {
    fn note(&mut self, message: CreateImageInfo) {
        let Some(id) = message.id else { return };
        match message.status.as_deref() {
            Some("Downloading") => {
                let detail = message.progress_detail.unwrap_or_default();
                let count = |bytes: Option<i64>| bytes.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0);
                let total = count(detail.total);
                self.0.insert(id, (count(detail.current).min(total), total));
            }
            Some("Download complete" | "Pull complete") => {
                if let Some((here, total)) = self.0.get_mut(&id) {
                    *here = *total;
                }
            }
            _ => {}
        }
    }

    fn percent(&self) -> u8 {
        let (here, total) = self.0.values().fold((0_u64, 0_u64), |(h, t), (here, total)| (h + here, t + total));
        let percent = (u128::from(here) * 100).checked_div(u128::from(total)).unwrap_or(0);
        u8::try_from(percent).unwrap_or(100)
    }
}

/// What a person can do about a pull that failed.
pub(super) fn advice(image: &str, fault: &Fault) -> String {
    let text = fault.text();
    let any = |signs: &[&str]| signs.iter().any(|sign| text.to_ascii_lowercase().contains(sign));
    let next = if any(&["manifest unknown", "manifest for", "not found", "does not exist", "no such image"]) {
        "check its name and tag"
    } else if any(&["unauthorized", "denied", "authentication", "forbidden", "no basic auth"]) {
        "check its name, or log this worker's host in to the registry with `docker login`"
    } else if any(&["toomanyrequests", "too many requests", "429"]) {
        "the registry limits pulls: try later, or log in"
    } else {
        "check that this worker's host reaches the registry"
    };
    format!("image {image} could not be pulled: {text}; {next}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::ProgressDetail;

    #[test]
    fn an_image_without_a_tag_is_the_latest() {
        let rows = [
            ("busybox", ("busybox", "latest")),
            ("a/b:1", ("a/b", "1")),
            ("localhost:5001/a/b", ("localhost:5001/a/b", "latest")),
            ("localhost:5001/a:2", ("localhost:5001/a", "2")),
            ("a:1@sha256:ab", ("a", "sha256:ab")),
        ];
        for (image, expected) in rows {
            assert_eq!(split(image), expected, "{image}");
        }
    }

    #[test]
    fn progress_is_the_share_of_all_bytes() {
        let mut layers = Layers::default();
        let mut note = |id: &str, status: &str, current, total| {
            let detail = ProgressDetail { current: Some(current), total: Some(total) };
            layers.note(CreateImageInfo {
                id: Some(id.into()),
                status: Some(status.into()),
                progress_detail: Some(detail),
                ..CreateImageInfo::default()
            });
            layers.percent()
        };
        assert_eq!(note("a", "Pulling fs layer", 0, 0), 0);
        assert_eq!(note("a", "Downloading", 50, 100), 50);
        assert_eq!(note("b", "Downloading", 0, 300), 12);
        assert_eq!(note("b", "Download complete", 0, 0), 87);
    }

    #[test]
    fn advice_fits_what_the_registry_said() {
        let said = |text: &str| advice("x", &Fault::Gone(text.into()));
        assert!(said("manifest unknown").contains("name and tag"));
        assert!(said("pull access denied").contains("docker login"));
        assert!(said("dial tcp: lookup x: no such host").contains("reaches the registry"));
    }
}
