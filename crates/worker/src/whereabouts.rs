//! Where the master is, for a worker that can be called: as it was started, until a master announces itself elsewhere.
//!
//! The last announcement is kept in the worker's folder, so that a worker that starts again comes back by itself.

use crate::files;
use crate::machine::{Connection, Dial};
use crate::membership::Membership;
use async_trait::async_trait;
use cloudai_core::ids::WorkerId;
use cloudai_proto::v1 as pb;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tracing::{info, warn};

const FILE: &str = "master.json";
/// Addresses of one announcement at most: one for each way that a host has.
const ADDRESSES: usize = 16;
/// For one of several addresses to answer.
const EACH: Duration = Duration::from_secs(2);

/// Whom a worker calls that does not know yet where its master is; [`Follow`] finds the place.
pub(crate) const SOMEWHERE: &str = "master:50051";

/// What is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    /// `host:port` each; none before the first announcement.
    addresses: Vec<String>,
    /// Who announced itself; empty for what the worker was started with.
    #[serde(default)]
    cluster: String,
    #[serde(default)]
    incarnation: u64,
    #[serde(default)]
    term: u64,
}

/// Where the master is.
#[derive(Debug)]
pub(crate) struct Whereabouts {
    worker: WorkerId,
    dir: PathBuf,
    known: watch::Sender<Known>,
}

impl Whereabouts {
    /// Begins with the address that the worker was started with, else with the last announcement, if there was one.
    /// # Errors
    /// The folder can not be read.
    pub(crate) fn open(worker: WorkerId, dir: &Path, given: Option<&str>) -> io::Result<Self> {
        let known = match given {
            Some(address) => Known { addresses: vec![address.to_owned()], ..Known::default() },
            None => match std::fs::read(dir.join(FILE)) {
                Ok(bytes) => serde_json::from_slice(&bytes)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => Known::default(),
                Err(error) => return Err(error),
            },
        };
        Ok(Self { worker, dir: dir.to_owned(), known: watch::Sender::new(known) })
    }

    /// The first address that is known now.
    pub(crate) fn first(&self) -> Option<String> {
        self.known.borrow().addresses.first().cloned()
    }

    /// Every address, once there is one.
    pub(crate) async fn known(&self) -> Vec<String> {
        let mut news = self.known.subscribe();
        match news.wait_for(|known| !known.addresses.is_empty()).await {
            Ok(known) => known.addresses.clone(),
            // Its sender is this.
            Err(_) => Vec::new(),
        }
    }

    /// A master says where it is.
    /// # Errors
    /// Why this worker does not follow, for people.
    pub(crate) fn announced(&self, told: pb::Announcement) -> Result<(), String> {
        let pb::Announcement { addresses, cluster, incarnation, term, worker_id } = told;
        if worker_id != self.worker.as_str() {
            return Err(format!("this is worker {}, not {worker_id:?}: name it so on the master", self.worker));
        }
        if addresses.is_empty() || addresses.len() > ADDRESSES || !addresses.iter().all(|address| is_address(address)) {
            return Err(format!("addresses: {addresses:?} are not 1 to {ADDRESSES} of host:port"));
        }
        let member = Membership::load(&self.dir).map_err(|error| format!("its folder can not be read: {error}"))?;
        if let Some(other) = member.map(|member| member.cluster).filter(|own| **own != *cluster) {
            let dir = self.dir.display();
            return Err(format!(
                "{dir} holds the work of cluster {other}, this master leads {cluster}: give the worker another --data-dir"
            ));
        }
        let told = Known { addresses, cluster, incarnation, term };
        let mut newer = None;
        let is_news = self.known.send_if_modified(|known| {
            if known.cluster == told.cluster && (told.incarnation, told.term) < (known.incarnation, known.term) {
                newer = Some(known.term);
                return false;
            }
            let is_news = *known != told;
            known.clone_from(&told);
            is_news
        });
        if let Some(newer) = newer {
            return Err(format!("a newer master was here, of term {newer}: this one has {}", told.term));
        }
        if is_news {
            info!(addresses = ?told.addresses, term = told.term, "a master announced itself");
            self.keep(&told);
        }
        Ok(())
    }

    fn keep(&self, known: &Known) {
        let kept = serde_json::to_vec(known).map_err(io::Error::from);
        if let Err(error) = kept.and_then(|bytes| files::replace(&self.dir, FILE, &bytes)) {
            warn!(%error, "where the master is was not kept for the next start");
        }
    }
}

fn is_address(text: &str) -> bool {
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.[]:".contains(c));
    let parts = text.rsplit_once(':').filter(|_| plain && text.len() <= 260);
    parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// Connects to wherever the master is now, whatever address it is called by.
#[derive(Debug)]
pub(crate) struct Follow {
    pub(crate) whereabouts: Arc<Whereabouts>,
    /// How an address is reached: over TCP when nothing else is given.
    pub(crate) by: Option<Arc<dyn Dial>>,
}

#[async_trait]
impl Dial for Follow {
    async fn dial(&self, _: &str) -> io::Result<Box<dyn Connection>> {
        let mut failed = io::Error::from(io::ErrorKind::NotFound);
        for address in self.whereabouts.known().await {
            match tokio::time::timeout(EACH, self.open(&address)).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => failed = error,
                Err(_) => failed = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(failed)
    }
}

impl Follow {
    async fn open(&self, address: &str) -> io::Result<Box<dyn Connection>> {
        if let Some(by) = &self.by {
            return by.dial(address).await;
        }
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whereabouts(dir: &Path, given: Option<&str>) -> Whereabouts {
        Whereabouts::open("w1".parse().unwrap(), dir, given).unwrap()
    }

    fn announcement(address: &str, term: u64) -> pb::Announcement {
        pb::Announcement {
            addresses: vec![address.into()],
            cluster: "c".into(),
            incarnation: 1,
            term,
            worker_id: "w1".into(),
        }
    }

    #[tokio::test]
    async fn the_newest_master_is_followed_and_known_in_the_next_life() {
        let dir = tempfile::tempdir().unwrap();
        let here = whereabouts(dir.path(), None);
        assert_eq!(here.first(), None);
        here.announced(announcement("m:2", 2)).unwrap();
        assert!(here.announced(announcement("m:1", 1)).unwrap_err().contains("term 2"));
        assert_eq!(here.known().await, ["m:2"]);
        here.announced(announcement("m:3", 2)).unwrap();
        assert_eq!(whereabouts(dir.path(), None).known().await, ["m:3"]);
        assert_eq!(whereabouts(dir.path(), Some("given:1")).known().await, ["given:1"]);
    }

    #[test]
    fn an_announcement_to_another_worker_of_another_cluster_or_of_no_address_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let here = whereabouts(dir.path(), None);
        let good = || announcement("m:2", 2);
        let ack = pb::RegisterAck { cluster: "other".into(), ..Default::default() };
        let refused = |told| here.announced(told).unwrap_err();
        assert!(refused(pb::Announcement { worker_id: "w2".into(), ..good() }).contains("this is worker w1"));
        for bad in ["", "m", "m:0", ":1", "m:x", "m n:1", "m:1/x"] {
            assert!(refused(announcement(bad, 2)).contains("host:port"), "{bad}");
        }
        assert!(refused(pb::Announcement { addresses: Vec::new(), ..good() }).contains("host:port"));
        Membership::of(&crate::convert::registered(&ack)).save(dir.path()).unwrap();
        assert!(refused(good()).contains("holds the work of cluster other"));
        assert_eq!(here.first(), None);
    }
}
