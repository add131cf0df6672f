//! The processes of a program that was begun in a container: found and signalled from outside.
//!
//! The engine makes each such program the leader of a session of its own; what it begins is of that session, unless it
//! leaves it. A process counts only while its control groups name the container: numbers are given out anew, and a
//! worker in a container of its own sees other numbers than its engine.

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::fs;
use std::time::Duration;
use tokio::time::sleep;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// A session of processes in a container.
#[derive(Debug)]
pub(super) struct Session {
    leader: i32,
    container: String,
    /// The leader's number inside of the container, and its user.
    inner: Option<(i32, String)>,
}

/// What became of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// It was sent, or nobody is left.
    Done,
    /// This process may not.
    Forbidden,
}

impl Session {
    /// The session that this process leads; none when there is no such process in the container.
    pub(super) fn of(leader: i32, container: &str) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{leader}/status")).unwrap_or_default();
        let last = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().last().map(ToOwned::to_owned)
        };
        let inner = last("NSpid:").and_then(|pid| pid.parse().ok()).zip(last("Uid:"));
        let session = Self { leader, container: container.to_owned(), inner };
        (!session.members().is_empty()).then_some(session)
    }

    /// The leader as processes in the container see it.
    pub(super) fn inner_leader(&self) -> Option<i32> {
        self.inner.as_ref().map(|(pid, _)| *pid)
    }

    /// The leader's user.
    pub(super) fn user(&self) -> Option<String> {
        self.inner.as_ref().map(|(_, user)| user.clone())
    }

    /// Its processes that have not ended.
    fn members(&self) -> Vec<i32> {
        let Ok(all) = fs::read_dir("/proc") else { return Vec::new() };
        let pids = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        pids.filter(|pid| self.has(*pid)).collect()
    }

    fn has(&self, pid: i32) -> bool {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        session_of(&stat) == Some(self.leader)
            && fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|groups| groups.contains(&self.container))
    }

    /// Sends a signal to all of them.
    pub(super) fn signal(&self, signal: Signal) -> Sent {
        let mut sent = Sent::Done;
        for pid in self.members() {
            let Some(pid) = Pid::from_raw(pid) else { continue };
            let Ok(held) = pidfd_open(pid, PidfdFlags::empty()) else { continue };
            // From here on the number is not another's.
            if self.has(pid.as_raw_nonzero().get()) && pidfd_send_signal(&held, signal) == Err(Errno::PERM) {
                sent = Sent::Forbidden;
            }
        }
        sent
    }

    /// Returns when none of them is left.
    pub(super) async fn is_over(&self) {
        while !self.members().is_empty() {
            sleep(LOOK).await;
        }
    }
}

/// The session of a line of `/proc/PID/stat`; none of a process that has ended. A name may hold anything, so the fields
/// are counted from its last bracket.
fn session_of(stat: &str) -> Option<i32> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    match fields.next()? {
        "Z" | "X" => None,
        _ => fields.nth(2)?.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_read_whatever_its_process_is_called() {
        assert_eq!(session_of("26458 (sleep) S 26451 26450 26449 0 -1"), Some(26449));
        assert_eq!(session_of("7 (a) b (1 2) R 1 2 3 4"), Some(3));
        assert_eq!(session_of("7 (gone) Z 1 2 3 4"), None);
        assert_eq!(session_of(""), None);
    }

    #[test]
    fn a_process_outside_of_the_container_is_none_of_the_session() {
        let me = i32::try_from(std::process::id()).unwrap();
        assert!(Session::of(me, &"0123456789abcdef".repeat(4)).is_none());
    }
}
