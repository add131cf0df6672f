//! Inputs from addresses: a worker fetches them itself, and keeps only what is what its hash says.
//!
//! What breaks off goes on where it was, where the server serves ranges. Loopback and link-local addresses are refused
//! unless the operator allows them: other services of this host listen there, and clouds tell the host's keys there.

use super::parts::Part;
use super::{Alone, Failed, Wanted};
use crate::cache::{Cache, Came};
use crate::client::Backoff;
use bytes::Bytes;
use cloudai_core::resources::Bytes as Size;
use cloudai_core::sha256::Sha256;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_RANGE, RANGE, RETRY_AFTER};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, Response, StatusCode, Url};
use sha2::Digest;
use std::error::Error;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OnceCell, mpsc};
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::Instant;

/// So long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// So long an answer, or the next piece of it, may take.
const ANSWER: Duration = Duration::from_secs(60);
/// So often an address may lead to another.
const REDIRECTS: usize = 10;
/// So many failures in a row, with hardly a byte more, are the last word: about a minute.
const TRIES: u32 = 9;
/// The longest that a server is left alone because it asks for it.
const ALONE: Duration = Duration::from_secs(60);
/// So much has to come in so long a time; by so much more a failure is the first again.
const GROWN: u64 = 1 << 20;
const SLOWEST: Duration = Duration::from_secs(600);
/// Room is looked for by so many bytes where the size is not known.
const STEP: u64 = 64 << 20;
/// Pieces on their way to the disk.
const PIECES: usize = 16;

/// Fetches contents from addresses.
#[derive(Debug)]
pub(crate) struct Addresses {
    /// Whether loopback and link-local addresses may be asked.
    local: bool,
    /// Made with the first use: the certificates of this host are read then.
    client: OnceCell<Client>,
    /// For a host without certificates.
    bare: OnceCell<Client>,
    tries: Tries,
}

/// How long a fetch is repeated.
#[derive(Clone, Copy, Debug)]
struct Tries {
    most: u32,
    first: Duration,
    longest: Duration,
}

/// Why one try did not bring a content.
#[derive(Debug)]
pub(super) enum Fault {
    /// Another try may: why it failed, and how long the server wants to be left alone.
    Passing(String, Option<Duration>),
    /// No other try will.
    Lasting(Failed),
}

impl<E: Into<Failed>> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::Lasting(error.into())
    }
}

fn refused(why: impl Into<String>) -> Fault {
    Fault::Lasting(Failed::Unserved(why.into()))
}

/// How often the same may fail yet.
#[derive(Debug)]
pub(super) struct Patience {
    tries: Tries,
    failed: u32,
    wait: Backoff,
    have: u64,
}

impl Patience {
    /// How long to wait after a failure, when so many bytes are here; none when it was the last.
    pub(super) fn after(&mut self, have: u64, asked: Option<Duration>) -> Option<Duration> {
        if have >= self.have + GROWN {
            *self = Self { have, ..Self::new(self.tries) };
        }
        self.failed += 1;
        let own = self.wait.wait();
        (self.failed < self.tries.most).then(|| asked.map_or(own, |asked| asked.min(ALONE).max(own)))
    }

    fn new(tries: Tries) -> Self {
        Self { tries, failed: 0, wait: Backoff::new(tries.first, tries.longest), have: 0 }
    }
}

impl Addresses {
    pub(crate) fn new(local: bool) -> Self {
        let tries = Tries { most: TRIES, first: Duration::from_millis(500), longest: Duration::from_secs(20) };
        Self { local, client: OnceCell::new(), bare: OnceCell::new(), tries }
    }

    pub(super) fn patience(&self) -> Patience {
        Patience::new(self.tries)
    }

    /// Tries once to bring a content; tells how many bytes came, of how many, where that is known. Nobody else fetches from
    /// the same address before all that this began is over, also when nobody waits for it any more.
    pub(super) async fn fetch(&self, place: &Place, url: &str, tell: impl Fn(u64, Option<u64>)) -> Result<(), Fault> {
        let url = Url::parse(url).map_err(|why| refused(format!("its address is none: {why}")))?;
        if !self.local && names_near(&url) {
            return Err(refused(Near.to_string()));
        }
        let client = self.client(&url).await?;
        let part = place.blocking(Place::open).await??;
        let mut request = client.get(url);
        if part.have > 0 {
            request = request.header(RANGE, format!("bytes={}-", part.have));
        }
        let response = begun(request.send().await.map_err(fault)?, part.have)?;
        let status = response.status();
        let from = if status == StatusCode::PARTIAL_CONTENT { part.have } else { 0 };
        let size = response.content_length().and_then(|rest| from.checked_add(rest));
        // What came earlier may be of something else, and what has no size may be a part.
        let doubtful = status != StatusCode::OK || size.is_none();
        let part = match status {
            StatusCode::RANGE_NOT_SATISFIABLE => part,
            _ => place.receive(part, response, (from, size), tell).await?,
        };
        place.blocking(move |place| place.finish(part, doubtful)).await?
    }

    /// Made once; what fails is tried again with the next input: somebody may have installed certificates.
    async fn client(&self, url: &Url) -> Result<&Client, Fault> {
        let local = self.local;
        let make =
            |bare| async move { spawn_blocking(move || build(local, bare)).await.map_err(|error| error.to_string())? };
        let client = match self.client.get_or_try_init(|| make(false)).await {
            Err(_) if url.scheme() == "http" => self.bare.get_or_try_init(|| make(true)).await,
            made => made,
        };
        client.map_err(|why| refused(format!("this worker speaks no HTTPS (are its CA certificates there?): {why}")))
    }
}

/// Where a content grows that is fetched from an address, and the right to let it grow.
#[derive(Clone, Debug)]
pub(super) struct Place {
    cache: Arc<Cache>,
    content: Sha256,
    key: Sha256,
    _alone: Alone,
}

impl Place {
    /// Waits until nobody else fetches from the same address. A server that sends little keeps nobody from having the same
    /// from elsewhere.
    pub(super) async fn of(cache: &Arc<Cache>, content: Sha256, url: &str) -> Self {
        // What is signed is signed anew each time, behind the `?`.
        let key = Sha256(sha2::Sha256::digest(url.split('?').next().unwrap_or_default()).into());
        let alone = Arc::new(cache.alone(key).await);
        Self { cache: Arc::clone(cache), content, key, _alone: alone }
    }

    /// Does what blocks, on a thread for such.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        what: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let place = self.clone();
        spawn_blocking(move || what(&place)).await
    }

    fn open(&self) -> io::Result<Part> {
        Part::open(&self.cache, Wanted { content: self.content, size: u64::MAX }, self.key)
    }

    /// Whether the content is here.
    pub(super) fn has(&self) -> bool {
        self.cache.has(self.content)
    }

    /// The bytes of the content, which is here.
    pub(super) fn size(&self) -> io::Result<u64> {
        self.cache.size(self.content)
    }

    /// How much of the content is here.
    pub(super) fn have(&self) -> io::Result<u64> {
        match fs::metadata(self.cache.part(self.content, self.key)?) {
            Ok(part) => Ok(part.len()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }

    fn forget(&self) -> io::Result<()> {
        match fs::remove_file(self.cache.part(self.content, self.key)?) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Takes in what comes; answers what is here by then. What broke off stays for the next try; what is too much does not.
    async fn receive(
        &self,
        part: Part,
        mut response: Response,
        (from, size): (u64, Option<u64>),
        tell: impl Fn(u64, Option<u64>),
    ) -> Result<Part, Fault> {
        self.make_room(size.unwrap_or(from), size.map_or(STEP, |size| size - from)).await?;
        let (pieces, taken) = mpsc::channel(PIECES);
        let writer = self.blocking(move |_| write(part, from, taken));
        let filling = async move {
            let (mut came, mut room, mut least) = (from, from + STEP, LeastPace::from(from));
            while let Some(piece) = response.chunk().await.map_err(fault)? {
                came += piece.len() as u64;
                if size.is_none() && came > room {
                    room += STEP;
                    self.make_room(came, STEP).await?;
                }
                least.check(came)?;
                tell(came, size);
                // The writer ended: it says why.
                if pieces.send(piece).await.is_err() {
                    break;
                }
            }
            Ok(())
        };
        let (written, ended) = tokio::join!(writer, filling);
        let part = written.map_err(Fault::from).and_then(|written| Ok(written?));
        if matches!(&ended, Err(Fault::Lasting(_))) || part.is_err() {
            self.blocking(Self::forget).await??;
        }
        ended.and(part)
    }

    /// Looks for room for more of a content that has so many bytes at least.
    async fn make_room(&self, all: u64, more: u64) -> Result<(), Fault> {
        self.blocking(move |place| {
            let limit = place.cache.limit();
            if all > limit {
                let limit = Size(limit);
                return Err(refused(format!(
                    "it is larger than what the worker keeps of inputs ({limit}, worker.input_cache)"
                )));
            }
            Ok(place.cache.make_room(more)?)
        })
        .await?
    }

    /// Keeps what came if it is what it should be; else nothing of it stays.
    fn finish(&self, part: Part, doubtful: bool) -> Result<(), Fault> {
        let Part { content, path, hash, .. } = part;
        let found = Sha256(hash.finalize().into());
        if found == content {
            return Ok(self.cache.keep(&[Came { content, part: path }])?);
        }
        self.forget()?;
        if doubtful {
            return Err(Fault::Passing(
                "what came was no whole content, or of another one: it is fetched anew".into(),
                None,
            ));
        }
        Err(Fault::Lasting(Failed::NotIt { found, named: content }))
    }
}

/// Sees to it that something comes: who sends a byte a minute holds up all who wait for the same.
#[derive(Debug)]
struct LeastPace {
    since: Instant,
    came: u64,
}

impl LeastPace {
    fn from(came: u64) -> Self {
        Self { since: Instant::now(), came }
    }

    fn check(&mut self, came: u64) -> Result<(), Fault> {
        if came - self.came >= GROWN {
            *self = Self::from(came);
        } else if self.since.elapsed() > SLOWEST {
            let (least, time) = (Size(GROWN), SLOWEST.as_secs() / 60);
            return Err(Fault::Passing(format!("the server sends less than {least} in {time} minutes"), None));
        }
        Ok(())
    }
}

fn build(local: bool, bare: bool) -> Result<Client, String> {
    // Whoever was first decides; it is the same everywhere.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .connect_timeout(CONNECT)
        .read_timeout(ANSWER)
        .redirect(Policy::custom(move |attempt| follow(attempt, local)))
        // An address may be signed, or have a token: it is nobody else's to know.
        .referer(false)
        .user_agent(concat!("cloudai/", env!("CARGO_PKG_VERSION")));
    if bare {
        builder = builder.tls_certs_only([]);
    }
    if !local {
        builder = builder.dns_resolver(Arc::new(Far));
    }
    builder.build().map_err(|error| chain(&error))
}

fn follow(attempt: Attempt<'_>, local: bool) -> reqwest::redirect::Action {
    match may_lead(attempt.previous(), attempt.url(), local) {
        Ok(()) => attempt.follow(),
        Err(why) => attempt.error(why),
    }
}

/// Whether addresses may lead to another: not for ever, not to where nothing is encrypted, nor to where nobody may ask.
fn may_lead(from: &[Url], to: &Url, local: bool) -> Result<(), String> {
    if from.len() > REDIRECTS {
        return Err("it leads from address to address without an end".into());
    }
    if from.last().is_some_and(|from| from.scheme() == "https") && to.scheme() != "https" {
        return Err("it leads from https to an address without encryption".into());
    }
    if !local && names_near(to) { Err(Near.to_string()) } else { Ok(()) }
}

/// An answer that brings the content, from this byte on or whole; else what its status means.
fn begun(response: Response, have: u64) -> Result<Response, Fault> {
    let status = response.status();
    let said = || format!("the server answers {status}");
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let alone = || header(RETRY_AFTER).and_then(|text| text.parse().ok()).map(Duration::from_secs);
    match status {
        StatusCode::OK => Ok(response),
        StatusCode::PARTIAL_CONTENT => {
            let from = header(CONTENT_RANGE).and_then(|range| range.strip_prefix("bytes ")?.split_once('-'));
            if from.and_then(|(from, _)| from.parse().ok()) == Some(have) {
                Ok(response)
            } else {
                Err(refused("the server answers with another part than it was asked for"))
            }
        }
        // Nothing lies behind what is here: it is whole, or of something else. Its hash tells.
        StatusCode::RANGE_NOT_SATISFIABLE if have > 0 => Ok(response),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Err(Fault::Passing(said(), alone())),
        _ if status.is_server_error() => Err(Fault::Passing(said(), alone())),
        _ => Err(refused(said())),
    }
}

fn write(mut part: Part, from: u64, mut pieces: mpsc::Receiver<Bytes>) -> io::Result<Part> {
    if from == 0 {
        (part.have, part.hash) = (0, sha2::Sha256::new());
    }
    let mut file = OpenOptions::new().write(true).create(true).truncate(from == 0).open(&part.path)?;
    file.seek(SeekFrom::Start(from))?;
    while let Some(piece) = pieces.blocking_recv() {
        part.hash.update(&piece);
        file.write_all(&piece)?;
        part.have += piece.len() as u64;
    }
    Ok(part)
}

/// Why a request failed. Its address may be signed: it is not told.
fn fault(error: reqwest::Error) -> Fault {
    let error = error.without_url();
    let lasting = error.is_redirect() || error.is_builder() || causes(&error).any(is_lasting);
    let mut why = chain(&error);
    if why.contains("InvalidContentType") {
        why = "the server speaks no TLS there: is it http:// and not https://?".into();
    }
    if lasting { refused(why) } else { Fault::Passing(why, None) }
}

/// Who is not trusted now is not in a minute.
fn is_lasting(mut cause: &(dyn Error + 'static)) -> bool {
    loop {
        if cause.is::<Near>() || cause.is::<rustls::Error>() {
            return true;
        }
        // What is within such an error is not its source.
        match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(within) => cause = within,
            None => return false,
        }
    }
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let now = next?;
        next = now.source();
        Some(now)
    })
}

/// The last cause is what happened; those before say where.
fn chain(error: &(dyn Error + 'static)) -> String {
    causes(error).last().map_or_else(|| error.to_string(), ToString::to_string)
}

/// Where nobody may ask through a worker.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "it is a loopback or link-local address, which this worker asks nothing of unless it is started with worker.local_inputs = true"
)]
struct Near;

/// Whether a host is such an address itself.
fn names_near(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    host.trim_matches(['[', ']']).parse().is_ok_and(is_near)
}

fn is_near(address: IpAddr) -> bool {
    /// Where clouds tell a machine's keys, beside the link-local address.
    const KEYS: [Ipv4Addr; 3] =
        [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];
    let address = address.to_canonical();
    let local = match address {
        IpAddr::V4(address) => {
            let odd = address.octets()[0] == 0 || address.is_broadcast();
            odd || address.is_link_local() || KEYS.contains(&address)
        }
        IpAddr::V6(address) => {
            let [first, second, ..] = address.segments();
            address.is_unicast_link_local() || (first, second) == (0xfd00, 0xec2)
        }
    };
    local || address.is_loopback() || address.is_unspecified() || address.is_multicast()
}

/// Finds hosts, less the addresses that nobody may ask.
#[derive(Debug)]
struct Far;

impl Resolve for Far {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let far: Vec<_> = found.iter().copied().filter(|address| !is_near(address.ip())).collect();
            if far.is_empty() && !found.is_empty() {
                return Err(Near.into());
            }
            let far: Addrs = Box::new(far.into_iter());
            Ok(far)
        })
    }
}

#[cfg(test)]
mod tests;
