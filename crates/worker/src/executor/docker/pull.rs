//! Images: whether one is there, and one pull at a time of an image for all who wait for it with the same rights.

use super::credentials::{Found, Logins, Source};
use super::error::{Fault, patiently};
use crate::executor::Teller;
use crate::executor::login::StoredLogin;
use bollard::auth::DockerCredentials;
use bollard::models::CreateImageInfo;
use bollard::query_parameters::CreateImageOptionsBuilder;
use bollard::{BollardRequest, Docker};
use cloudai_core::spec::{ImageRef, RegistryName};
use cloudai_core::task::Cause;
use futures::StreamExt;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

/// How far a pull is.
#[derive(Clone, Debug, Default)]
struct State {
    percent: u8,
    /// The engine's id of the image.
    done: Option<Result<String, Unpulled>>,
}

/// A pull that runs; it is given up when the last one who waits for it goes.
#[derive(Debug)]
struct Flight {
    state: watch::Receiver<State>,
    _task: AbortOnDropHandle<()>,
}

/// The pulls of a worker.
#[derive(Debug)]
pub(super) struct Pulls {
    logins: Logins,
    flights: Mutex<HashMap<Key, Weak<Flight>>>,
}

/// Who may wait for one pull: those who want the same image and show the same stored credentials, or none. Nobody is given
/// an image by another's rights, and no wrong password fails another's pull. Its `Debug` shows nothing of the credentials.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    image: String,
    login: Option<[u8; 32]>,
}

impl Key {
    fn of(image: &str, login: Option<&StoredLogin>) -> Self {
        let hash = |login: &StoredLogin| -> [u8; 32] {
            let mut hash = Sha256::new();
            for part in [&login.host, &login.username, &login.password.0] {
                hash.update(part.len().to_le_bytes());
                hash.update(part);
            }
            hash.update([u8::from(login.of_cluster)]);
            hash.finalize().into()
        };
        Self { image: image.to_owned(), login: login.map(hash) }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("image", &self.image).finish_non_exhaustive()
    }
}

/// Why a pull did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unpulled {
    pub(super) fault: Fault,
    /// What was shown to the registry; none when it did not come to that.
    source: Option<Source>,
}

impl Unpulled {
    /// Whether the image can not be had, or its registry was not reached: only that may be this
    /// worker's fault. A login that is missing here can not be told from a name that is wrong.
    pub(super) fn cause(&self) -> Cause {
        match Refusal::of(self.fault.text()) {
            Refusal::Denied | Refusal::Absent => Cause::ImageAbsent,
            Refusal::TooMany | Refusal::Other => Cause::ImagePull,
        }
    }
}

impl Pulls {
    pub(super) fn new(logins: Logins) -> Self {
        Self { logins, flights: Mutex::default() }
    }

    /// Pulls an image with what is stored for its registry, else with this host's own logins; or waits for the pull of it
    /// with the same that is under way.
    ///
    /// A caller that stops waiting takes the pull from nobody else; an error reaches all.
    pub(super) async fn pull(
        &self,
        docker: &Docker,
        image: &str,
        stored: Option<StoredLogin>,
        steps: &Teller,
    ) -> Result<String, Unpulled> {
        // What is for another registry is shown to none.
        let stored = stored.filter(|stored| stored.host == RegistryName::of_image(image).as_str());
        let flight = self.join(docker, image, stored);
        let mut state = flight.state.clone();
        let mut told = None;
        loop {
            let State { percent, done } = state.borrow_and_update().clone();
            if let Some(result) = done {
                return result;
            }
            if told.replace(percent) != Some(percent) && percent > 0 {
                steps.detail(format!("pulling {percent}%"));
            }
            if state.changed().await.is_err() {
                let fault = Fault::Away("the pull ended without an answer".into());
                return Err(Unpulled { fault, source: None });
            }
        }
    }

    fn join(&self, docker: &Docker, image: &str, stored: Option<StoredLogin>) -> Arc<Flight> {
        let key = Key::of(image, stored.as_ref());
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        flights.retain(|_, flight| flight.strong_count() > 0);
        if let Some(flight) = flights.get(&key).and_then(Weak::upgrade)
            && flight.state.borrow().done.is_none()
            && flight.state.has_changed().is_ok()
        {
            return flight;
        }
        let (tell, state) = watch::channel(State::default());
        let task = tokio::spawn(fly(docker.clone(), (self.logins.clone(), stored), image.to_owned(), tell));
        let flight = Arc::new(Flight { state, _task: AbortOnDropHandle::new(task) });
        flights.insert(key, Arc::downgrade(&flight));
        flight
    }
}

async fn fly(
    docker: Docker,
    (logins, stored): (Logins, Option<StoredLogin>),
    image: String,
    tell: watch::Sender<State>,
) {
    info!(image, stored = stored.is_some(), "pull started");
    let Found { credentials, source } = match stored {
        Some(stored) => Found::stored(&image, stored),
        // Asked for each pull: a login of this moment counts.
        None => logins.of_image(&image).await,
    };
    let result = read(&docker, &image, credentials, &tell).await;
    match &result {
        Ok(_) => info!(image, "pull ended"),
        Err(fault) => warn!(image, why = fault.text(), "pull failed"),
    }
    let result = result.map_err(|fault| Unpulled { fault, source: Some(source) });
    tell.send_modify(|state| state.done = Some(result));
}

async fn read(
    docker: &Docker,
    image: &str,
    credentials: Option<DockerCredentials>,
    tell: &watch::Sender<State>,
) -> Result<String, Fault> {
    let reference = ImageRef::of(image);
    // Without a tag the engine would pull every one there is.
    let tag = reference.digest.or(reference.tag).unwrap_or("latest");
    let options = CreateImageOptionsBuilder::new().from_image(reference.name).tag(tag).build();
    let docker = &docker.clone().with_request_modifier(url_safe);
    let mut stream = std::pin::pin!(docker.create_image(Some(options), None, credentials));
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
    let pulled = patiently(Duration::ZERO, || docker.inspect_image(image)).await?;
    Ok(pulled.id.unwrap_or_default())
}

/// The engine's id of an image; none where it has not got it.
pub(super) async fn present(docker: &Docker, image: &str, patience: Duration) -> Result<Option<String>, Fault> {
    match patiently(patience, || docker.inspect_image(image)).await {
        Ok(image) => Ok(Some(image.id.unwrap_or_default())),
        Err(Fault::Gone(_)) => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// The user that an image names; empty is root.
pub(super) async fn user(docker: &Docker, image: &str, patience: Duration) -> Result<String, Fault> {
    let image = patiently(patience, || docker.inspect_image(image)).await?;
    Ok(image.config.and_then(|config| config.user).unwrap_or_default())
}

/// Engines read credentials as URL-safe base64 and take what is none for no credentials, without a
/// word; the client writes the other alphabet, which is the same for most passwords.
fn url_safe(mut request: BollardRequest) -> BollardRequest {
    if let Some(value) = request.headers_mut().get_mut("x-registry-auth")
        && let Ok(text) = value.to_str()
        && let Ok(mut safe) = http::HeaderValue::from_str(&text.replace('+', "-").replace('/', "_"))
    {
        safe.set_sensitive(true);
        *value = safe;
    }
    request
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

/// Why a registry gave no image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// 401 and 403.
    Denied,
    /// 404.
    Absent,
    /// 429.
    TooMany,
    /// Anything else: it was perhaps not reached.
    Other,
}

impl Refusal {
    /// Read from the engine's words: neither Docker nor Podman passes the registry's status on.
    fn of(text: &str) -> Self {
        const DENIED: [&str; 7] = [
            "unauthorized",
            "denied",
            "authentication required",
            "no basic auth",
            "forbidden",
            "status: 401",
            "status: 403",
        ];
        const TOO_MANY: [&str; 3] = ["toomanyrequests", "too many requests", "status: 429"];
        const ABSENT: [&str; 6] =
            ["manifest unknown", "manifest for", "name unknown", "no such image", "status: 404", "not found"];
        let text = text.to_ascii_lowercase();
        let any = |signs: &[&str]| signs.iter().any(|sign| text.contains(sign));
        // Docker Hub says of a name that is not there that access is denied or that it may not exist.
        if any(&TOO_MANY) {
            Self::TooMany
        } else if any(&DENIED) {
            Self::Denied
        } else if any(&ABSENT) {
            Self::Absent
        } else {
            Self::Other
        }
    }
}

/// What happened to a pull, and what a person can do about it.
pub(super) fn advice(image: &str, unpulled: &Unpulled) -> String {
    let text = unpulled.fault.text();
    let said = match (Refusal::of(text), &unpulled.source) {
        (Refusal::Denied, Some(source)) => format!(
            "{} refused access ({text}): {}; check the image's name, or {}",
            source.registry(),
            source.told(),
            source.login(),
        ),
        (Refusal::TooMany, Some(source)) => format!(
            "{} limits how often images are pulled ({text}): try later; a login raises the limit: {}",
            source.registry(),
            source.login(),
        ),
        (Refusal::Absent, Some(source)) => {
            format!("{} does not have it ({text}): check its name and tag", source.registry())
        }
        (Refusal::Other, Some(source)) => {
            format!("{text}; check that this worker's host reaches {}", source.registry())
        }
        (_, None) => format!("{text}; check its name and tag"),
    };
    format!("image {image} could not be pulled: {said}")
}

/// The engine lost an image between its pull and the container's creation.
pub(super) fn lost(image: &str, fault: &Fault) -> String {
    format!("image {image} was there and is not any more: {}; check what removes images on this worker", fault.text())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::login::Password;
    use bollard::models::ProgressDetail;

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
    fn what_the_registry_said_is_told_apart() {
        let rows = [
            ("unauthorized: authentication required", Refusal::Denied),
            ("Get \"http://localhost:1/v2/x\": no basic auth credentials", Refusal::Denied),
            ("pull access denied for x, repository does not exist or may require 'docker login'", Refusal::Denied),
            ("Requesting bear token: invalid status code from registry 403 (Forbidden)", Refusal::Denied),
            ("manifest for localhost:1/x:2 not found: manifest unknown", Refusal::Absent),
            ("reading manifest 2 in localhost:1/x: name unknown", Refusal::Absent),
            ("toomanyrequests: You have reached your pull rate limit", Refusal::TooMany),
            ("received unexpected HTTP status: 429 Too Many Requests", Refusal::TooMany),
            ("dial tcp: lookup x: no such host", Refusal::Other),
        ];
        for (text, expected) in rows {
            assert_eq!(Refusal::of(text), expected, "{text}");
        }
    }

    fn login(username: &str, password: &str, of_cluster: bool) -> StoredLogin {
        let password = Password(password.into());
        StoredLogin { host: "ghcr.io".into(), username: username.into(), password, of_cluster }
    }

    #[test]
    fn only_those_who_show_the_same_wait_for_one_pull() {
        let image = "ghcr.io/a:1";
        let ann = login("ann", "1", false);
        assert_eq!(Key::of(image, Some(&ann)), Key::of(image, Some(&ann.clone())));
        let others = [
            Key::of(image, None),
            Key::of("ghcr.io/a:2", Some(&ann)),
            Key::of(image, Some(&login("ann", "2", false))),
            Key::of(image, Some(&login("bob", "1", false))),
            Key::of(image, Some(&login("ann", "1", true))),
            // The same letters, parted at another place.
            Key::of(image, Some(&login("ann1", "", false))),
        ];
        for other in others {
            assert_ne!(Key::of(image, Some(&ann)), other);
        }
    }

    #[test]
    fn a_refusal_names_whose_credentials_were_shown_and_what_to_run() {
        let image = "ghcr.io/a:1";
        let told = |words: &str, login: StoredLogin| {
            let source = Some(Found::stored(image, login).source);
            advice(image, &Unpulled { fault: Fault::Refused { status: 500, text: words.into() }, source })
        };
        let (own, all) = (|| login("ann", "hush-hush", false), || login("all", "hush-hush", true));
        let rows = [
            (
                told("unauthorized", own()),
                "the credentials stored for you (`cloudai registry login ghcr.io`) were refused",
            ),
            (
                told("unauthorized", all()),
                "stored for the cluster (`cloudai registry login ghcr.io --cluster`) were refused",
            ),
            (told("unauthorized", all()), "run `cloudai registry login ghcr.io --username NAME` for your own"),
            (told("manifest unknown", own()), "ghcr.io does not have it"),
            (told("toomanyrequests", own()), "ghcr.io limits how often images are pulled"),
            (
                told("toomanyrequests", own()),
                "a login raises the limit: run `cloudai registry login ghcr.io --username NAME`",
            ),
        ];
        for (message, said) in rows {
            assert!(message.contains(said) && !message.contains("hush"), "{said}: {message}");
        }
    }

    #[test]
    fn credentials_reach_the_engine_in_its_alphabet() {
        let request = |value: &str| {
            let request = http::Request::builder().header("X-Registry-Auth", value);
            url_safe(request.body(bollard::body_full("".into())).unwrap())
        };
        let request = request("a+b/c=");
        let value = &request.headers()["x-registry-auth"];
        assert_eq!(value, "a-b_c=");
        assert!(value.is_sensitive(), "it is not printed");
    }
}
