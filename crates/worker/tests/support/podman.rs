//! Debian's Podman behind its Docker-compatible socket, with a store of its own.

use super::{Engine, IMAGE, identity, unique};
use cloudai_worker::executor::docker::DockerOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const HELP: &str = "this test needs the packages podman and catatonit: run scripts/doctor.sh --install";
const PATIENCE: Duration = Duration::from_secs(30);
/// Podman's own default of both limits exceeds what a container in a container may have; crun
/// refuses machines with both versions of cgroups.
const CONTAINERS_CONF: &str = r#"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"#;

/// A running service; its containers and its store go with it.
pub struct Service {
    child: Child,
    dir: TempDir,
}

impl Service {
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("containers.conf"), CONTAINERS_CONF).unwrap();
        let image = dir.path().join("image.tar");
        super::docker(&["save", "--output", image.to_str().unwrap(), IMAGE]);
        let loaded = podman(dir.path()).arg("load").arg("--input").arg(image).output().expect(HELP);
        assert!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
        let socket = format!("unix://{}", socket(dir.path()).display());
        let service = podman(dir.path()).args(["system", "service", "--time", "0", &socket]).spawn();
        let mut service = Self { child: service.expect(HELP), dir };
        let begin = Instant::now();
        while !socket_answers(&self::socket(service.dir.path())) {
            let gone = service.child.try_wait().unwrap();
            assert!(gone.is_none() && begin.elapsed() < PATIENCE, "podman's service did not start");
            std::thread::yield_now();
        }
        service
    }

    pub fn options(&self) -> DockerOptions {
        let address = format!("unix://{}", socket(self.dir.path()).display());
        DockerOptions {
            address,
            patience: Duration::from_secs(20),
            measure: super::MEASURE,
            ..DockerOptions::default()
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn socket(dir: &Path) -> PathBuf {
    dir.join("podman.sock")
}

fn socket_answers(socket: &Path) -> bool {
    std::os::unix::net::UnixStream::connect(socket).is_ok()
}

/// The command with the store of this test: `vfs` leaves no mounts behind.
fn podman(dir: &Path) -> Command {
    let mut command = Command::new("podman");
    command.env("CONTAINERS_CONF", dir.join("containers.conf")).args(["--storage-driver", "vfs"]);
    command.arg("--root").arg(dir.join("root")).arg("--runroot").arg(dir.join("run"));
    command.stdin(Stdio::null());
    command
}

/// The engine of the suite, on Podman.
pub struct Podman {
    pub engine: Engine,
    /// After the engine: it removes its containers first.
    _service: Service,
}

impl Podman {
    pub async fn new() -> Self {
        let service = Service::start();
        let identity = identity(&format!("test-{:x}", unique()), "w1");
        Self { engine: Engine::of(identity, &service.options()).await, _service: service }
    }
}
