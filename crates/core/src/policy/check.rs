//! A task held against a policy: every field that a rule denies, with what is allowed.

use super::Policy;
use super::pattern::{FullImage, VolumePattern, reads_as_id};
use crate::access::{Access, Origin};
use crate::resources::{Bytes, Demand, Thousandths};
use crate::spec::{FieldError, Network, SecretPlace, TaskSpec};
use std::fmt::{self, Display};
use std::time::Duration;

/// A field of a task that a rule denies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// Where: `image`, `volumes[0].host_path`.
    pub path: String,
    /// What stands there; none when it is missing.
    pub value: Option<String>,
    /// The rule of the policy: `images.allow`.
    pub rule: &'static str,
    /// What is wrong and what is allowed, one sentence without its subject.
    pub problem: String,
}

impl Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        FieldError::from(self.clone()).fmt(f)
    }
}

impl From<Denied> for FieldError {
    fn from(denied: Denied) -> Self {
        let Denied { path, value, rule, problem } = denied;
        Self { path, value, problem: format!("is denied by {rule} of the policy: {problem}") }
    }
}

pub(super) fn check(policy: &Policy, spec: &TaskSpec) -> Result<(), Vec<Denied>> {
    let mut checker = Checker { policy, denied: Vec::new() };
    checker.image(&spec.image);
    checker.user(spec.container.user.as_deref());
    let one = spec.alternatives.is_empty();
    for (place, demand) in spec.demands().enumerate() {
        checker.demand(&if one { String::new() } else { format!("requests[{place}].") }, demand);
    }
    checker.run_time(spec.limits.run);
    checker.network(spec.container.network);
    if policy.wants_read_only_root && !spec.container.read_only_root {
        let rule = "containers.require_read_only_root";
        let value = Some("false".to_owned());
        checker.deny(
            "read_only_root",
            value,
            rule,
            "it must be true; /tmp stays writable, and tmpfs gives more".into(),
        );
    }
    for (place, volume) in spec.container.volumes.iter().enumerate() {
        checker.volume(place, &volume.access);
    }
    for (place, used) in spec.container.secrets.iter().enumerate() {
        if let SecretPlace::Env(variable) = &used.place
            && policy.forbids_env_secrets
        {
            let problem = "everybody sees a variable who may ask the container engine, take a file".into();
            let (path, value) = (format!("secrets[{place}].env"), Some(format!("{variable:?}")));
            checker.deny(&path, value, "containers.secrets_as_env", problem);
        }
    }
    if checker.denied.is_empty() { Ok(()) } else { Err(checker.denied) }
}

pub(super) fn exec(policy: &Policy, user: &str) -> Result<(), Denied> {
    let mut checker = Checker { policy, denied: Vec::new() };
    checker.user(Some(user));
    checker.denied.pop().map_or(Ok(()), Err)
}

struct Checker<'a> {
    policy: &'a Policy,
    denied: Vec<Denied>,
}

impl Checker<'_> {
    fn deny(&mut self, path: &str, value: Option<String>, rule: &'static str, problem: String) {
        self.denied.push(Denied { path: path.to_owned(), value, rule, problem });
    }

    fn image(&mut self, image: &str) {
        let policy = self.policy;
        let value = || Some(format!("{image:?}"));
        let registries = policy.registries.as_deref();
        let ruled = match (&policy.images, policy.denied_images.is_empty(), registries) {
            (Some(_), _, _) => Some("images.allow"),
            (None, false, _) => Some("images.deny"),
            (None, true, Some(_)) => Some("registries.allow"),
            (None, true, None) => None,
        };
        let Some(rule) = ruled else { return };
        if reads_as_id(image) {
            let problem = format!("engines may take it for the id of another image, write {image}:TAG");
            return self.deny("image", value(), rule, problem);
        }
        let full = FullImage::of(image);
        if let Some(pattern) = policy.denied_images.iter().find(|pattern| pattern.matches(&full)) {
            let problem = format!("no image may be used that is called as {pattern} ({full})");
            return self.deny("image", value(), "images.deny", problem);
        }
        if let Some(allowed) = registries
            && !allowed.iter().any(|registry| registry.matches(full.registry().as_str()))
        {
            let problem = format!("it comes from {}, allowed are {}", full.registry(), listed(allowed));
            self.deny("image", value(), "registries.allow", problem);
        }
        if let Some(allowed) = &policy.images
            && !allowed.iter().any(|pattern| pattern.matches(&full))
        {
            self.deny("image", value(), "images.allow", format!("it is {full}, allowed are {}", listed(allowed)));
        }
    }

    /// A name may be that of root in the image, where nobody has looked yet: only a number is known.
    fn user(&mut self, user: Option<&str>) {
        if !self.policy.forbids_root {
            return;
        }
        let uid = user.map(|user| user.split(':').next().unwrap_or_default());
        let number = uid.filter(|uid| uid.bytes().all(|byte| byte.is_ascii_digit()));
        let problem = match number.and_then(|uid| uid.parse::<u32>().ok()) {
            Some(0) => "0 is root, name another by its number, as 1000 or 1000:1000",
            Some(_) => return,
            None if user.is_none() => "the image may start as root, name a user by its number, as 1000 or 1000:1000",
            None => "what a name means is the image's business, name a user by its number, as 1000 or 1000:1000",
        };
        self.deny("user", user.map(|user| format!("{user:?}")), "containers.forbid_root", problem.into());
    }

    fn demand(&mut self, within: &str, demand: &Demand) {
        let most = self.policy.most;
        let cores = |milli: u64| Thousandths(milli).to_string();
        let bytes = |bytes: u64| Bytes(bytes).to_string();
        self.amount((within, "cpu_cores", "max.cpu_cores"), demand.cpu_milli, most.cpu_milli, cores);
        self.amount((within, "memory_gb", "max.memory_gb"), demand.memory, most.memory, bytes);
        self.amount((within, "storage_gb", "max.storage_gb"), demand.storage, most.storage, bytes);
        self.amount((within, "gpu_cores", "max.gpu_cores"), demand.gpu_milli, most.gpu_milli, cores);
    }

    fn amount(
        &mut self,
        (within, field, rule): (&str, &str, &'static str),
        asked: u64,
        most: Option<u64>,
        show: impl Fn(u64) -> String,
    ) {
        if let Some(most) = most.filter(|most| asked > *most) {
            let problem = format!("at most {} is allowed", show(most));
            self.deny(&format!("{within}{field}"), Some(show(asked)), rule, problem);
        }
    }

    /// A task without a limit runs for ever: it is refused rather than given one that its user does not know of.
    fn run_time(&mut self, run: Option<Duration>) {
        let Some(most) = self.policy.most.run else { return };
        let seconds = most.as_secs_f64();
        match run {
            Some(run) if run <= most => {}
            Some(run) => {
                let value = Some(run.as_secs_f64().to_string());
                self.deny("timeout_s", value, "max.timeout_s", format!("at most {seconds} seconds are allowed"));
            }
            None => {
                let problem = format!("it is missing, name one of at most {seconds} seconds");
                self.deny("timeout_s", None, "max.timeout_s", problem);
            }
        }
    }

    fn network(&mut self, network: Network) {
        let word = |network: &Network| match network {
            Network::None => "none",
            Network::Bridge => "bridge",
        };
        if let Some(allowed) = &self.policy.networks
            && !allowed.contains(&network)
        {
            let problem = format!("allowed are {}", listed(&allowed.iter().map(word).collect::<Vec<_>>()));
            self.deny("network", Some(word(&network).into()), "networks.allow", problem);
        }
    }

    fn volume(&mut self, place: usize, asked: &Access) {
        let policy = self.policy;
        match &asked.origin {
            Origin::HostPath(path) => {
                let Some(allowed) = &policy.host_paths else { return };
                if !allowed.iter().any(|offer| offer.covers(asked)) {
                    let problem = format!("{} are {}", rights(asked), listed(allowed));
                    self.deny(&format!("volumes[{place}].host_path"), Some(path.clone()), "host_paths.allow", problem);
                }
            }
            Origin::Volume(name) => {
                let Some(allowed) = &policy.volumes else { return };
                let may = |offer: &VolumePattern| offer.matches(name) && (offer.writable || !asked.writable);
                if !allowed.iter().any(may) {
                    let problem = format!("{} are {}", rights(asked), listed(allowed));
                    self.deny(&format!("volumes[{place}].volume"), Some(name.clone()), "volumes.allow", problem);
                }
            }
        }
    }
}

/// What is asked for, before what is allowed.
const fn rights(asked: &Access) -> &'static str {
    if asked.writable { "it is to be written, allowed" } else { "allowed" }
}

/// Entries of a list, as many as a sentence holds.
fn listed<T: Display>(entries: &[T]) -> String {
    const SHOWN: usize = 10;
    if entries.is_empty() {
        return "none".into();
    }
    let shown: Vec<String> = entries.iter().take(SHOWN).map(ToString::to_string).collect();
    match entries.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
