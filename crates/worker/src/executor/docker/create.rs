//! What a container is made with: its name, its labels, its limits and its fences. No IO.

use crate::executor::{Identity, Job};
use crate::volumes::{Mountable, Mounted, OfferedVolume};
use bollard::models::{
    ContainerCreateBody, DeviceRequest, HostConfig, HostConfigLogConfig, Mount, MountType, MountVolumeOptions,
    MountVolumeOptionsDriverConfig,
};
use cloudai_core::ids::{Attempt, Incarnation, TaskId};
use cloudai_core::spec::{ContainerSpec, Network, SecretPlace};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// The engine's smallest share, in thousandths of a core: below it the kernel refuses the quota.
const LEAST_CPU_MILLI: u64 = 10;
/// Where a container puts its results.
const OUTPUT_DIR: &str = "/out";

/// The names of our labels.
pub(super) mod label {
    pub(in super::super) const CLUSTER: &str = "cloudai.cluster";
    pub(in super::super) const INCARNATION: &str = "cloudai.incarnation";
    pub(in super::super) const WORKER: &str = "cloudai.worker";
    pub(in super::super) const TASK: &str = "cloudai.task";
    pub(in super::super) const ATTEMPT: &str = "cloudai.attempt";
}

/// Which engine answers; both speak the same API, almost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Docker,
    /// By its Docker-compatible socket.
    Podman,
}

impl Kind {
    /// The engine's name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
        }
    }
}

/// Which capabilities a container's first process is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rights {
    /// Those that its fences leave it.
    Few,
    None,
}

impl Rights {
    /// What a user, as `NAME[:GROUP]` or by numbers, is given.
    pub(super) fn of_user(user: &str) -> Self {
        let name = user.split(':').next().unwrap_or_default();
        if matches!(name, "" | "root") || name.parse() == Ok(0) { Self::Few } else { Self::None }
    }
}

/// The engine and what its machine can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Host {
    pub(super) kind: Kind,
    /// Its cores; the engine refuses a container that asks for more.
    pub(super) cpus: u64,
    /// Whether it has a GPU driver; without one GPUs are only told by environment.
    pub(super) gpu_driver: bool,
    /// Whether root inside of its containers is nobody on its machine.
    pub(super) user_namespaces: bool,
}

/// The name that fences an attempt: a second container of it can not be made on this engine.
///
/// The incarnation is in it because a restored backup may number its attempts as before.
pub(super) fn name(identity: &Identity, attempt: Attempt) -> String {
    let index = attempt.task.index().map(|index| format!("-{index}")).unwrap_or_default();
    format!("cloudai-{}{index}-a{}-i{}", ulid_text(attempt.task), attempt.number, identity.incarnation)
}

/// The 26 characters of a task's id.
fn ulid_text(task: TaskId) -> String {
    let text = TaskId::new(task.ulid()).to_string();
    text.strip_prefix(TaskId::PREFIX).unwrap_or(&text).to_owned()
}

/// The labels of an attempt's container, from which it is known again.
pub(super) fn labels(identity: &Identity, attempt: Attempt) -> HashMap<String, String> {
    let mut labels: HashMap<_, _> = worker_labels(identity).into_iter().collect();
    labels.insert(label::INCARNATION.into(), identity.incarnation.to_string());
    labels.insert(label::TASK.into(), attempt.task.to_string());
    labels.insert(label::ATTEMPT.into(), attempt.number.to_string());
    labels
}

/// The labels that all containers of one worker share, in every life of the cluster's data.
pub(super) fn worker_labels(identity: &Identity) -> [(String, String); 2] {
    [(label::CLUSTER.into(), identity.cluster.to_string()), (label::WORKER.into(), identity.worker.to_string())]
}

/// The attempt that a container's labels name, and in which life of the cluster's data it was ordered.
pub(super) fn attempt_of(labels: &HashMap<String, String>) -> Option<(Attempt, Incarnation)> {
    let task = labels.get(label::TASK)?.parse().ok()?;
    let number = labels.get(label::ATTEMPT)?.parse().ok()?;
    let incarnation = labels.get(label::INCARNATION)?.parse().ok()?;
    Some((Attempt { task, number }, Incarnation(incarnation)))
}

/// All that the engine is told about a container.
pub(super) fn body(job: &Job, host: Host, rights: Rights) -> ContainerCreateBody {
    let spec = &job.spec.container;
    ContainerCreateBody {
        image: Some(job.spec.image.clone()),
        entrypoint: entrypoint(spec),
        cmd: command(spec),
        env: Some(environment(job, host)),
        working_dir: spec.workdir.clone(),
        user: spec.user.clone(),
        labels: Some(labels(&job.identity, job.attempt)),
        // Images may name another signal; the promise to users is SIGTERM.
        stop_signal: Some("SIGTERM".into()),
        host_config: Some(host_config(job, host, rights)),
        ..ContainerCreateBody::default()
    }
}

/// `command` and then `args` replace the image's CMD; nothing leaves it alone.
fn command(spec: &ContainerSpec) -> Option<Vec<String>> {
    let words: Vec<_> = spec.command.iter().chain(&spec.args).cloned().collect();
    (!words.is_empty()).then_some(words)
}

/// An empty list clears the image's ENTRYPOINT, which the engine writes as one empty word.
fn entrypoint(spec: &ContainerSpec) -> Option<Vec<String>> {
    let words = spec.entrypoint.clone()?;
    Some(if words.is_empty() { vec![String::new()] } else { words })
}

/// The task's environment under ours: a task can not give itself another's devices or identity.
fn environment(job: &Job, host: Host) -> Vec<String> {
    let mut env: BTreeMap<&str, String> = job.spec.container.env.iter().map(|(k, v)| (k.as_str(), v.clone())).collect();
    env.extend(job.secrets.iter().filter_map(|secret| match &secret.place {
        SecretPlace::Env(name) => Some((name.as_str(), String::from_utf8_lossy(&secret.value.0).into_owned())),
        SecretPlace::File(_) => None,
    }));
    env.insert("CLOUDAI_TASK_ID", job.attempt.task.to_string());
    env.insert("CLOUDAI_ATTEMPT", job.attempt.number.to_string());
    env.insert("CLOUDAI_WORKER_ID", job.identity.worker.to_string());
    env.insert("CLOUDAI_OUTPUT_DIR", OUTPUT_DIR.into());
    if let Some(id) = job.job {
        env.insert("CLOUDAI_JOB_ID", id.to_string());
    }
    if let Some(index) = job.attempt.task.index() {
        env.insert("CLOUDAI_ARRAY_INDEX", index.to_string());
    }
    let (nvidia, cuda) = visible_devices(job, host);
    env.insert("NVIDIA_VISIBLE_DEVICES", nvidia);
    if let Some(cuda) = cuda {
        env.insert("CUDA_VISIBLE_DEVICES", cuda);
    }
    env.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

/// The values of `NVIDIA_VISIBLE_DEVICES` and `CUDA_VISIBLE_DEVICES`.
///
/// Without GPUs the first is `void`: many images ask for `all`, which an engine with NVIDIA's
/// runtime would grant. Indexes given to a real driver are renumbered inside the container.
fn visible_devices(job: &Job, host: Host) -> (String, Option<String>) {
    let ids: Vec<_> = job.allocation.gpus.iter().map(|(id, _)| id.to_string()).collect();
    if ids.is_empty() {
        return ("void".into(), None);
    }
    let indexes = ids.iter().all(|id| id.bytes().all(|byte| byte.is_ascii_digit()));
    let inside: Vec<_> = (0..ids.len()).map(|index| index.to_string()).collect();
    let cuda = if host.gpu_driver && indexes { inside.join(",") } else { ids.join(",") };
    (ids.join(","), Some(cuda))
}

fn host_config(job: &Job, host: Host, rights: Rights) -> HostConfig {
    let spec = &job.spec.container;
    let memory = signed(job.allocation.memory);
    HostConfig {
        nano_cpus: Some(nano_cpus(job.allocation.cpu_milli, host.cpus)),
        memory: Some(memory),
        // The same amount for memory and swap together: none of it is swap.
        memory_swap: Some(memory),
        pids_limit: Some(job.fences.pids.into()),
        init: Some(true),
        cap_drop: Some(vec!["ALL".into()]),
        cap_add: match rights {
            Rights::Few => Some(job.fences.capabilities.iter().map(ToString::to_string).collect()),
            Rights::None => None,
        },
        security_opt: Some(vec!["no-new-privileges".into()]),
        privileged: Some(false),
        auto_remove: Some(false),
        network_mode: Some(network(spec.network).into()),
        readonly_rootfs: Some(spec.read_only_root),
        tmpfs: Some(tmpfs(spec)),
        shm_size: spec.shm_size.map(signed),
        mounts: Some(mounts(job)),
        log_config: Some(log_config(host.kind)),
        device_requests: device_requests(job, host),
        ..HostConfig::default()
    }
}

fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

/// Billionths of a core, within what the engine accepts on this machine.
fn nano_cpus(milli: u64, cpus: u64) -> i64 {
    let most = cpus.saturating_mul(1000).max(LEAST_CPU_MILLI);
    signed(milli.clamp(LEAST_CPU_MILLI, most).saturating_mul(1_000_000))
}

fn network(network: Network) -> &'static str {
    match network {
        Network::None => "none",
        Network::Bridge => "bridge",
    }
}

/// The memory file systems asked for, and `/tmp` where nothing else could be written.
///
/// They may hold programs, as compilers and installers put them there; the container's memory
/// limit bounds the one without a size.
fn tmpfs(spec: &ContainerSpec) -> HashMap<String, String> {
    const OPTIONS: &str = "rw,nosuid,nodev,exec,mode=1777";
    let mut mounts: HashMap<_, _> =
        spec.tmpfs.iter().map(|(path, size)| (path.clone(), format!("{OPTIONS},size={size}"))).collect();
    if spec.read_only_root && !spec.tmpfs.keys().any(|path| path.trim_end_matches('/') == "/tmp") {
        mounts.insert("/tmp".into(), OPTIONS.into());
    }
    mounts
}

/// The folder for its results, and its inputs.
fn mounts(job: &Job) -> Vec<Mount> {
    let inputs = job.inputs.iter().map(|input| bind(&input.host, &input.path, !input.writable));
    let volumes = job.volumes.iter().map(|volume| match &volume.what {
        Mountable::Host(host) => bind(host, &volume.path, !volume.writable),
        Mountable::Volume(offered) => engine_volume(offered, volume),
    });
    let secrets = job.secrets.iter().filter_map(|secret| match &secret.place {
        SecretPlace::File(path) => Some(bind(&secret.host, path, true)),
        SecretPlace::Env(_) => None,
    });
    std::iter::once(bind(&job.out_dir, OUTPUT_DIR, false)).chain(inputs).chain(volumes).chain(secrets).collect()
}

/// A volume of the engine, which makes it when it has none of the name.
fn engine_volume(offered: &OfferedVolume, volume: &Mounted) -> Mount {
    let driver = offered
        .driver_options()
        .map(|options| MountVolumeOptionsDriverConfig { name: Some("local".into()), options: Some(options.into()) });
    Mount {
        typ: Some(MountType::VOLUME),
        source: Some(offered.name().into()),
        target: Some(volume.path.clone()),
        read_only: Some(!volume.writable),
        volume_options: driver.map(|driver_config| MountVolumeOptions {
            driver_config: Some(driver_config),
            ..MountVolumeOptions::default()
        }),
        ..Mount::default()
    }
}

fn bind(host: &Path, target: &str, read_only: bool) -> Mount {
    Mount {
        typ: Some(MountType::BIND),
        source: Some(host.to_string_lossy().into_owned()),
        target: Some(target.into()),
        read_only: Some(read_only),
        ..Mount::default()
    }
}

/// One file that is never rotated: by default Docker's driver throws away all but the last 100 MB,
/// and records are counted from the first one after a restart of the worker. It refuses "no
/// limit", so the limit is one that no disk reaches; it is gone with the container.
fn log_config(kind: Kind) -> HostConfigLogConfig {
    let (driver, options): (_, &[_]) = match kind {
        Kind::Docker => ("local", &[("max-size", "1t"), ("max-file", "1"), ("compress", "false")]),
        // Podman's own file, which keeps bytes as they are; its other driver needs systemd's journal.
        Kind::Podman => ("k8s-file", &[("max-size", "1t")]),
    };
    HostConfigLogConfig {
        typ: Some(driver.into()),
        config: Some(options.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()),
    }
}

fn device_requests(job: &Job, host: Host) -> Option<Vec<DeviceRequest>> {
    if job.allocation.gpus.is_empty() || !host.gpu_driver {
        return None;
    }
    let ids = job.allocation.gpus.iter().map(|(id, _)| id.to_string()).collect();
    Some(vec![DeviceRequest {
        driver: Some("nvidia".into()),
        device_ids: Some(ids),
        capabilities: Some(vec![vec!["gpu".into()]]),
        ..DeviceRequest::default()
    }])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::fences::Fences;
    use cloudai_core::ids::Incarnation;
    use cloudai_core::resources::Allocation;
    use cloudai_core::spec::TaskSpec;
    use std::sync::Arc;

    const HOST: Host = Host { kind: Kind::Docker, cpus: 2, gpu_driver: false, user_namespaces: false };

    fn job(change: impl FnOnce(&mut TaskSpec, &mut Allocation)) -> Job {
        let mut spec = TaskSpec::of_image("busybox").unwrap();
        let mut allocation = Allocation { cpu_milli: 1500, memory: 64 << 20, ..Allocation::default() };
        change(&mut spec, &mut allocation);
        Job {
            attempt: Attempt { task: TaskId::new(7).element(3), number: 2 },
            identity: Identity { cluster: "c".into(), incarnation: Incarnation(1), worker: "w".parse().unwrap() },
            job: None,
            spec: Arc::new(spec),
            allocation,
            out_dir: "/x".into(),
            inputs: Vec::new(),
            volumes: Vec::new(),
            secrets: Vec::new(),
            fences: Fences::default(),
            logins: Arc::new(crate::executor::login::NoLogins),
            resume: false,
            skip_records: tokio::sync::watch::Sender::new(Some(0)).subscribe(),
        }
    }

    fn env(job: &Job, host: Host, name: &str) -> Option<String> {
        let prefix = format!("{name}=");
        body(job, host, Rights::Few).env?.into_iter().find_map(|line| line.strip_prefix(&prefix).map(ToOwned::to_owned))
    }

    #[test]
    fn a_container_is_known_again_by_its_labels() {
        let job = job(|_, _| ());
        assert_eq!(attempt_of(&labels(&job.identity, job.attempt)), Some(job.key()));
        assert_eq!(name(&job.identity, job.attempt), "cloudai-00000000000000000000000007-3-a2-i1");
    }

    #[test]
    fn command_args_and_entrypoint_replace_what_they_name() {
        let words = |words: &str| words.split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>();
        let rows = [("", "", None), ("a", "", Some("a")), ("a", "b", Some("a b")), ("", "b", Some("b"))];
        for (command, args, expected) in rows {
            let job = job(|spec, _| {
                spec.container.command = words(command);
                spec.container.args = words(args);
            });
            assert_eq!(body(&job, HOST, Rights::Few).cmd, expected.map(words), "{command:?} {args:?}");
        }
        let cleared = job(|spec, _| spec.container.entrypoint = Some(Vec::new()));
        assert_eq!(body(&cleared, HOST, Rights::Few).entrypoint, Some(vec![String::new()]));
    }

    #[test]
    fn only_root_is_given_capabilities() {
        for root in ["", "root", "0", "0:0", "root:users", "00"] {
            assert_eq!(Rights::of_user(root), Rights::Few, "{root}");
        }
        for other in ["1", "65534:0", "nobody", "rooter"] {
            assert_eq!(Rights::of_user(other), Rights::None, "{other}");
        }
    }

    /// What the engine is told of the fences of a container.
    fn fences(job: &Job) -> HostConfig {
        body(job, HOST, Rights::Few).host_config.unwrap()
    }

    /// SPEC 9: "Containers: no-new-privileges, all capabilities dropped but a short list, pids limit, network none by
    /// default, no privileged".
    #[test]
    fn every_container_is_fenced_whatever_its_task_asks_for() {
        let greedy = job(|spec, _| {
            spec.container.network = Network::Bridge;
            spec.container.user = Some("root".into());
            spec.container.env.insert("DOCKER_HOST".into(), "unix:///var/run/docker.sock".into());
        });
        for job in [job(|_, _| ()), greedy] {
            let told = fences(&job);
            assert_eq!(told.security_opt, Some(vec!["no-new-privileges".to_owned()]));
            assert_eq!((told.privileged, told.pids_limit), (Some(false), Some(4096)));
            assert_eq!(told.cap_drop, Some(vec!["ALL".to_owned()]));
            let kept = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID", "KILL", "NET_BIND_SERVICE"];
            assert_eq!(told.cap_add, Some(kept.map(ToOwned::to_owned).to_vec()));
            // Nothing of the host's own: neither devices nor folders beside the mounts, nor names that it shares.
            assert_eq!((told.devices, told.binds, told.volumes_from), (None, None, None));
            assert_eq!((told.pid_mode, told.ipc_mode, told.uts_mode, told.userns_mode), (None, None, None, None));
            assert_eq!((told.cgroup_parent, told.device_cgroup_rules, told.sysctls), (None, None, None));
        }
        assert_eq!(fences(&job(|_, _| ())).network_mode.as_deref(), Some("none"));
        assert_eq!(fences(&job(|_, _| ())).readonly_rootfs, Some(false));
        assert_eq!(fences(&job(|spec, _| spec.container.read_only_root = true)).readonly_rootfs, Some(true));
        assert_eq!(body(&job(|_, _| ()), HOST, Rights::None).host_config.unwrap().cap_add, None);
    }

    #[test]
    fn a_policy_lowers_the_fences_of_every_container() {
        let mut job = job(|_, _| ());
        job.fences = Fences { pids: 64, capabilities: vec!["CHOWN"], user_namespaces: false };
        let told = fences(&job);
        assert_eq!((told.pids_limit, told.cap_add), (Some(64), Some(vec!["CHOWN".to_owned()])));
    }

    #[test]
    fn cpu_is_kept_within_what_the_engine_accepts() {
        let rows = [(1, 10_000_000), (1500, 1_500_000_000), (9000, 2_000_000_000)];
        for (milli, nano) in rows {
            let job = job(|_, allocation| allocation.cpu_milli = milli);
            assert_eq!(body(&job, HOST, Rights::Few).host_config.unwrap().nano_cpus, Some(nano), "{milli}");
        }
    }

    #[test]
    fn a_task_can_not_forge_what_we_tell_it() {
        let job = job(|spec, _| {
            for name in ["CLOUDAI_ATTEMPT", "NVIDIA_VISIBLE_DEVICES", "OTHER"] {
                spec.container.env.insert(name.into(), "all".into());
            }
        });
        assert_eq!(env(&job, HOST, "CLOUDAI_ATTEMPT").unwrap(), "2");
        assert_eq!(env(&job, HOST, "NVIDIA_VISIBLE_DEVICES").unwrap(), "void");
        assert_eq!(env(&job, HOST, "CLOUDAI_ARRAY_INDEX").unwrap(), "3");
        assert_eq!(env(&job, HOST, "OTHER").unwrap(), "all");
    }

    #[test]
    fn gpus_are_requested_only_from_a_real_driver() {
        let job = job(|_, allocation| allocation.gpus = vec![("2".into(), 1000), ("3".into(), 1000)]);
        let real = Host { gpu_driver: true, ..HOST };
        assert_eq!(body(&job, HOST, Rights::Few).host_config.unwrap().device_requests, None);
        assert_eq!(env(&job, HOST, "CUDA_VISIBLE_DEVICES").unwrap(), "2,3");
        let requests = body(&job, real, Rights::Few).host_config.unwrap().device_requests.unwrap();
        assert_eq!(requests[0].device_ids, Some(vec!["2".into(), "3".into()]));
        assert_eq!(env(&job, real, "NVIDIA_VISIBLE_DEVICES").unwrap(), "2,3");
        assert_eq!(env(&job, real, "CUDA_VISIBLE_DEVICES").unwrap(), "0,1");
    }

    #[test]
    fn a_read_only_root_leaves_tmp_writable() {
        let read_only = job(|spec, _| spec.container.read_only_root = true);
        assert!(body(&read_only, HOST, Rights::Few).host_config.unwrap().tmpfs.unwrap().contains_key("/tmp"));
        let own = job(|spec, _| {
            spec.container.read_only_root = true;
            spec.container.tmpfs.insert("/tmp".into(), 1024);
        });
        assert!(body(&own, HOST, Rights::Few).host_config.unwrap().tmpfs.unwrap()["/tmp"].ends_with("size=1024"));
    }
}
