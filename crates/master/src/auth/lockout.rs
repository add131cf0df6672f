//! Who has failed too often to sign in, by name and by address. Pure: it is told the time.
//!
//! A name that nobody has is counted as any other, so that nothing is told of who there is.

use super::secret::digest;
use cloudai_core::sha256::Sha256;
use cloudai_core::time::Timestamp;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// Failures in a row of one name before it has to wait.
const OF_NAME: u32 = 5;
/// Of one address: many people may share it.
const OF_PEER: u32 = 20;
/// The first wait; each further failure doubles it.
const FIRST: Duration = Duration::from_secs(1);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// Without a failure for so long all is forgotten.
const MEMORY: Duration = Duration::from_secs(60 * 60);
/// Names, and addresses, that are remembered: a megabyte. Beyond, those go that failed least and longest ago.
const MOST: usize = 10_000;

/// What is remembered.
#[derive(Debug, Default)]
pub(crate) struct Lockout {
    names: Table<Sha256>,
    peers: Table<IpAddr>,
}

/// Somebody who tries to come in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Try<'a> {
    /// The name that is shown.
    pub(crate) name: &'a str,
    /// The address, where it is known.
    pub(crate) peer: Option<IpAddr>,
}

impl Lockout {
    /// Lets a try pass; else how long it has to wait. Whoever is over the bound has one try at a time: the door closes
    /// behind it, however it ends.
    pub(crate) fn admit(&mut self, tried: Try<'_>, now: Timestamp) -> Result<(), Duration> {
        let name = digest(tried.name);
        let waits = [self.names.wait(&name, now), tried.peer.and_then(|peer| self.peers.wait(&peer, now))];
        if let Some(wait) = waits.into_iter().flatten().max() {
            return Err(wait);
        }
        self.names.close(&name, OF_NAME, now);
        if let Some(peer) = tried.peer {
            self.peers.close(&peer, OF_PEER, now);
        }
        Ok(())
    }

    /// Counts a try that failed.
    pub(crate) fn failed(&mut self, tried: Try<'_>, now: Timestamp) {
        self.names.failed(digest(tried.name), OF_NAME, now);
        if let Some(peer) = tried.peer {
            self.peers.failed(peer, OF_PEER, now);
        }
    }

    /// Counts what an address does without a name that counts.
    pub(crate) fn spent(&mut self, peer: Option<IpAddr>, now: Timestamp) {
        if let Some(peer) = peer {
            self.peers.failed(peer, OF_PEER, now);
        }
    }

    /// Forgets what stands against somebody who came in; of the address only some: whoever has one name is not to try
    /// others without end.
    pub(crate) fn succeeded(&mut self, tried: Try<'_>) {
        self.names.0.remove(&digest(tried.name));
        if let Some(peer) = tried.peer {
            self.peers.forgive(&peer, OF_NAME);
        }
    }
}

/// Failures by whose they are.
#[derive(Debug)]
struct Table<K>(BTreeMap<K, Entry>);

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    failures: u32,
    last: Timestamp,
    /// Nothing passes before.
    until: Timestamp,
}

impl<K: Ord + Clone> Table<K> {
    fn wait(&self, whose: &K, now: Timestamp) -> Option<Duration> {
        self.0.get(whose).filter(|entry| entry.until > now).map(|entry| entry.until.since(now))
    }

    fn close(&mut self, whose: &K, bound: u32, now: Timestamp) {
        if let Some(entry) = self.0.get_mut(whose)
            && entry.failures >= bound
            && now.since(entry.last) < MEMORY
        {
            entry.until = now + backoff(entry.failures.saturating_add(1), bound);
        }
    }

    fn failed(&mut self, whose: K, bound: u32, now: Timestamp) {
        if !self.0.contains_key(&whose) && self.0.len() >= MOST {
            self.make_room(now);
        }
        let entry = self.0.entry(whose).or_insert(Entry { failures: 0, last: now, until: now });
        let before = if now.since(entry.last) < MEMORY { entry.failures } else { 0 };
        entry.failures = before.saturating_add(1);
        entry.last = now;
        if entry.failures >= bound {
            entry.until = now + backoff(entry.failures, bound);
        }
    }

    fn forgive(&mut self, whose: &K, failures: u32) {
        let Some(entry) = self.0.get_mut(whose) else { return };
        entry.failures = entry.failures.saturating_sub(failures);
        entry.until = entry.last;
        if entry.failures == 0 {
            self.0.remove(whose);
        }
    }

    fn make_room(&mut self, now: Timestamp) {
        self.0.retain(|_, entry| now.since(entry.last) < MEMORY);
        while self.0.len() >= MOST {
            let least = self.0.iter().min_by_key(|(_, entry)| (entry.failures, entry.last)).map(|(whose, _)| whose);
            let Some(least) = least.cloned() else { return };
            self.0.remove(&least);
        }
    }
}

/// How long to wait after so many failures, as many as the bound or more.
fn backoff(failures: u32, bound: u32) -> Duration {
    let doublings = failures.saturating_sub(bound).min(20);
    FIRST.saturating_mul(1 << doublings).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000) + Duration::from_secs(seconds)
    }

    fn ann() -> Try<'static> {
        Try { name: "ann", peer: HERE }
    }

    #[test]
    fn after_five_failures_in_a_row_each_further_one_doubles_the_wait_up_to_a_quarter_of_an_hour() {
        let (mut lockout, mut now) = (Lockout::default(), 0);
        for _ in 0..OF_NAME {
            assert_eq!(lockout.admit(ann(), at(now)), Ok(()));
            lockout.failed(ann(), at(now));
        }
        for wait in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900] {
            assert_eq!(lockout.admit(ann(), at(now)), Err(Duration::from_secs(wait)));
            now += wait;
            assert_eq!(lockout.admit(ann(), at(now)), Ok(()), "after {wait} s");
            lockout.failed(ann(), at(now));
        }
    }

    #[test]
    fn a_success_forgets_and_so_does_an_hour() {
        let mut lockout = Lockout::default();
        for _ in 0..OF_NAME {
            lockout.failed(ann(), at(0));
        }
        lockout.succeeded(ann());
        assert_eq!(lockout.admit(ann(), at(0)), Ok(()));
        for _ in 0..OF_NAME {
            lockout.failed(ann(), at(0));
        }
        lockout.failed(ann(), at(3601));
        assert_eq!(lockout.admit(ann(), at(3601)), Ok(()), "the five are forgotten");
    }

    #[test]
    fn over_the_bound_one_try_passes_at_a_time() {
        let mut lockout = Lockout::default();
        for _ in 0..OF_NAME {
            lockout.failed(ann(), at(0));
        }
        assert_eq!(lockout.admit(ann(), at(1)), Ok(()));
        assert_eq!(lockout.admit(ann(), at(1)), Err(Duration::from_secs(2)), "the first has not ended");
    }

    #[test]
    fn an_address_that_tries_many_names_waits_and_a_name_that_many_try_does() {
        let mut lockout = Lockout::default();
        let names: Vec<String> = (0..OF_PEER).map(|number| format!("user-{number}")).collect();
        for name in &names {
            let tried = Try { name, peer: HERE };
            assert_eq!(lockout.admit(tried, at(0)), Ok(()));
            lockout.failed(tried, at(0));
        }
        assert!(lockout.admit(Try { name: "other", peer: HERE }, at(0)).is_err());
        let elsewhere = |last: u8| Some(IpAddr::from([10, 0, 0, last]));
        assert_eq!(lockout.admit(Try { name: "other", peer: elsewhere(1) }, at(0)), Ok(()));
        for last in 0..5 {
            lockout.failed(Try { name: "bob", peer: elsewhere(last) }, at(0));
        }
        assert!(lockout.admit(Try { name: "bob", peer: elsewhere(9) }, at(0)).is_err());
    }

    #[test]
    fn whoever_has_one_name_does_not_try_others_without_end() {
        let mut lockout = Lockout::default();
        let mut tries = 0;
        // Nineteen failures on names of others, then a success of the own, and again.
        while lockout.admit(Try { name: &format!("user-{tries}"), peer: HERE }, at(0)).is_ok() {
            lockout.failed(Try { name: &format!("user-{tries}"), peer: HERE }, at(0));
            tries += 1;
            if tries % (OF_PEER - 1) == 0 {
                lockout.succeeded(ann());
            }
            assert!(tries < 100, "it never ends");
        }
        lockout.succeeded(ann());
        assert_eq!(lockout.admit(ann(), at(0)), Ok(()), "the own name is not kept out");
    }

    #[test]
    fn what_is_remembered_is_bounded_and_who_failed_most_stays() {
        let mut lockout = Lockout::default();
        for _ in 0..OF_NAME {
            lockout.failed(ann(), at(0));
        }
        for number in 0..MOST + 10 {
            lockout.failed(Try { name: &number.to_string(), peer: None }, at(1));
        }
        assert_eq!(lockout.names.0.len(), MOST);
        assert!(lockout.admit(ann(), at(0)).is_err());
    }
}
