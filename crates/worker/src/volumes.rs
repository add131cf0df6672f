//! What of its host a worker lets tasks see: checked again here, where the files are.

use cloudai_core::access::{Access, Origin};
use cloudai_core::spec::Volume;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Folders of the host, and volumes of its container engine, that tasks may see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offers {
    /// Files and folders, and all within them.
    pub paths: Vec<Access>,
    /// Volumes of the engine.
    pub volumes: Vec<OfferedVolume>,
}

/// A volume of the engine: one that it has, one that it makes when it is first used, or a folder of a file server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedVolume {
    /// Its name.
    pub access: Access,
    /// Where its files are; with the engine when absent.
    pub nfs: Option<Nfs>,
}

/// A folder that a file server exports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nfs {
    /// A name or an address.
    pub server: String,
    /// An absolute path there.
    pub path: String,
    /// Options of the mount, as `vers=4.1`.
    pub options: Vec<String>,
}

/// Something of the host that a container sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mounted {
    /// What.
    pub what: Mountable,
    /// Where the container sees it.
    pub path: String,
    /// Whether the container may change it.
    pub writable: bool,
}

/// What an engine can be told to mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mountable {
    /// A file or folder of the host, without links on the way.
    Host(PathBuf),
    /// A volume of the engine, made by what is offered if it is not there.
    Volume(OfferedVolume),
}

impl FromStr for OfferedVolume {
    type Err = String;

    /// `NAME`, `NAME:ro`, or either with `=nfs://SERVER/PATH` behind.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, nfs) = text.split_once('=').map_or((text, None), |(name, nfs)| (name, Some(nfs)));
        let access: Access = name.parse().map_err(ToOwned::to_owned)?;
        if matches!(access.origin, Origin::HostPath(_)) {
            return Err("is a path: folders are allowed with --allow-path (worker.allow_paths)".into());
        }
        Ok(Self { access, nfs: nfs.map(str::parse).transpose()? })
    }
}

impl FromStr for Nfs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is no file server's folder: expected nfs://SERVER/PATH or nfs://SERVER/PATH?OPTION&OPTION"
            )
        };
        let rest = text.strip_prefix("nfs://").ok_or_else(wrong)?;
        let (place, options) = rest.split_once('?').map_or((rest, ""), |(place, options)| (place, options));
        let at = place.find('/').filter(|at| *at > 0).ok_or_else(wrong)?;
        let (server, path) = place.split_at(at);
        let plain = |text: &str| !text.contains(',') && !text.chars().any(|c| c.is_control() || c == ' ');
        if path.len() < 2 || !plain(rest) || options.split('&').any(|option| option.starts_with("addr=")) {
            return Err(wrong());
        }
        let options = options.split('&').filter(|option| !option.is_empty()).map(ToOwned::to_owned).collect();
        // Brackets are of the address's text form only.
        let server = server.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { server, path: path.to_owned(), options })
    }
}

impl OfferedVolume {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        let (Origin::HostPath(name) | Origin::Volume(name)) = &self.access.origin;
        name
    }

    /// What the engine's own driver is told of a file server's folder: the type, options and device, as of `mount`.
    #[must_use]
    pub(crate) fn driver_options(&self) -> Option<[(String, String); 3]> {
        let nfs = self.nfs.as_ref()?;
        let right = if self.access.writable { "rw" } else { "ro" };
        let mut options = vec![format!("addr={}", nfs.server), right.to_owned()];
        options.extend(nfs.options.iter().cloned());
        let told = [("type", "nfs".to_owned()), ("o", options.join(",")), ("device", format!(":{}", nfs.path))];
        Some(told.map(|(name, value)| (name.to_owned(), value)))
    }
}

impl Offers {
    /// All, as the master is told.
    pub fn accesses(&self) -> impl Iterator<Item = &Access> {
        self.paths.iter().chain(self.volumes.iter().map(|volume| &volume.access))
    }

    /// What of the paths can be given to no task as it is now, a sentence each; it may be there later. `sockets` are those
    /// of container engines.
    pub async fn missing(&self, sockets: &[PathBuf]) -> Vec<String> {
        let mut missing = Vec::new();
        for offer in &self.paths {
            let (Origin::HostPath(path) | Origin::Volume(path)) = &offer.origin;
            if let Ok(real) = tokio::fs::canonicalize(path).await
                && let Some(socket) = socket_within(&real, sockets).await
            {
                missing.push(engines(path, socket));
                continue;
            }
            match tokio::fs::metadata(path).await {
                Ok(kind) if kind.is_dir() || kind.is_file() => {}
                Ok(_) => missing.push(neither(path)),
                Err(why) => missing.push(cannot_see(path, &why)),
            }
        }
        missing
    }

    /// Where the volumes of a task are on this host; `sockets` are those of container engines, which no task is given.
    /// # Errors
    /// A sentence: what is not offered, or is not there.
    pub async fn find(&self, volumes: &[Volume], sockets: &[PathBuf]) -> Result<Vec<Mounted>, String> {
        let mut found = Vec::with_capacity(volumes.len());
        for volume in volumes {
            let what = match &volume.access.origin {
                Origin::HostPath(path) => Mountable::Host(self.on_host(path, &volume.access, sockets).await?),
                Origin::Volume(_) => Mountable::Volume(self.volume(&volume.access)?.clone()),
            };
            found.push(Mounted { what, path: volume.path.clone(), writable: volume.access.writable });
        }
        Ok(found)
    }

    fn volume(&self, need: &Access) -> Result<&OfferedVolume, String> {
        let offer = self.volumes.iter().find(|volume| volume.access.covers(need));
        offer.ok_or_else(|| not_offered(need))
    }

    /// The file or folder behind all links, which must lie within what is offered too: whoever may write there must
    /// not reach the rest of the host by a link.
    async fn on_host(&self, path: &str, need: &Access, sockets: &[PathBuf]) -> Result<PathBuf, String> {
        let offers: Vec<&Access> = self.paths.iter().filter(|offer| offer.covers(need)).collect();
        if offers.is_empty() {
            return Err(not_offered(need));
        }
        let real = tokio::fs::canonicalize(path).await.map_err(|why| cannot_see(path, &why))?;
        if let Some(socket) = socket_within(&real, sockets).await {
            return Err(engines(path, socket));
        }
        let kind = tokio::fs::metadata(&real).await.map_err(|why| cannot_see(path, &why))?;
        if !kind.is_dir() && !kind.is_file() {
            return Err(neither(path));
        }
        for offer in offers {
            let (Origin::HostPath(folder) | Origin::Volume(folder)) = &offer.origin;
            if tokio::fs::canonicalize(folder).await.is_ok_and(|folder| real.starts_with(folder)) {
                return Ok(real);
            }
        }
        Err(format!("host path {path} leads to {} by a link, out of what this worker offers", shown(&real)))
    }
}

/// The first of these sockets that is at a path without links, or within it; also one that is not there now, as its
/// engine makes it anew when it starts.
async fn socket_within<'a>(real: &Path, sockets: &'a [PathBuf]) -> Option<&'a Path> {
    for socket in sockets {
        let mut places = vec![socket.clone()];
        places.extend(tokio::fs::canonicalize(socket).await);
        if let (Some(folder), Some(name)) = (socket.parent(), socket.file_name()) {
            places.extend(tokio::fs::canonicalize(folder).await.map(|folder| folder.join(name)));
        }
        if places.iter().any(|place| place.starts_with(real)) {
            return Some(socket.as_path());
        }
    }
    None
}

fn engines(path: &str, socket: &Path) -> String {
    format!(
        "host path {path} holds the socket of a container engine ({}): who reaches that is root of this worker, so no task \
         is given it; offer a folder beside it",
        shown(socket)
    )
}

fn not_offered(need: &Access) -> String {
    format!("this worker does not offer {}; {}", need.origin, need.advice("start it with"))
}

fn neither(path: &str) -> String {
    format!("host path {path} is neither a file nor a folder: nothing else is given to tasks")
}

fn cannot_see(path: &str, why: &std::io::Error) -> String {
    format!("host path {path} can not be used on this worker: {why}")
}

fn shown(path: &Path) -> impl fmt::Display + '_ {
    path.display()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(text: &str, read_only: bool) -> Volume {
        let access: Access = format!("{text}{}", if read_only { ":ro" } else { "" }).parse().unwrap();
        Volume { access, path: "/data".into() }
    }

    fn offers(path: &Path) -> Offers {
        Offers { paths: vec![path.display().to_string().parse().unwrap()], volumes: Vec::new() }
    }

    #[tokio::test]
    async fn a_path_is_given_where_it_is_offered_and_no_link_leads_out_of_that() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let (inside, outside) = (root.join("inside"), root.join("outside"));
        std::fs::create_dir_all(inside.join("a")).unwrap();
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("secret"), "x").unwrap();
        std::os::unix::fs::symlink(&outside, inside.join("out")).unwrap();
        std::os::unix::fs::symlink(inside.join("a"), inside.join("link")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(inside.join("socket")).unwrap();
        let offers = offers(&inside);
        let at = |name: &str| inside.join(name).display().to_string();
        let found = async |name: &str| offers.find(&[need(&at(name), true)], &[]).await;

        let expected = Mounted { what: Mountable::Host(inside.join("a")), path: "/data".into(), writable: false };
        for name in ["a", "link"] {
            assert_eq!(found(name).await.unwrap(), std::slice::from_ref(&expected), "{name}");
        }
        for (name, why) in [
            ("out", "by a link, out of what this worker offers"),
            ("out/secret", "by a link"),
            ("absent", "No such file or directory"),
            ("socket", "neither a file nor a folder"),
        ] {
            let told = found(name).await.unwrap_err();
            assert!(told.contains(why), "{name}: {told}");
        }
        let told = offers.find(&[need(&outside.display().to_string(), true)], &[]).await.unwrap_err();
        assert!(told.contains("does not offer") && told.contains("--allow-path"), "{told}");
    }

    /// SPEC 9: "no docker socket".
    #[tokio::test]
    async fn no_path_is_given_that_is_or_holds_the_socket_of_an_engine_whatever_is_offered() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("run/engine")).unwrap();
        std::fs::create_dir_all(root.join("run/other")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(root.join("run/engine/engine.sock")).unwrap();
        // The engine is named by a link, and so is what is asked for.
        std::os::unix::fs::symlink(root.join("run"), root.join("var-run")).unwrap();
        std::os::unix::fs::symlink(root.join("run/engine/engine.sock"), root.join("run/other/link.sock")).unwrap();
        let offers = offers(&root);
        let sockets = [root.join("var-run/engine/engine.sock"), root.join("absent/gone.sock")];
        std::fs::create_dir(root.join("absent")).unwrap();
        let at = |name: &str| root.join(name).display().to_string();
        for name in ["", "run", "var-run", "run/engine", "run/engine/engine.sock", "run/other/link.sock", "absent"] {
            let told = offers.find(&[need(&at(name), true)], &sockets).await.unwrap_err();
            assert!(told.contains("holds the socket of a container engine"), "{name}: {told}");
        }
        assert!(offers.find(&[need(&at("run/other"), false)], &sockets).await.is_ok());
        let missing = offers.missing(&sockets).await;
        assert!(missing.len() == 1 && missing[0].contains("holds the socket"), "{missing:?}");
    }

    #[tokio::test]
    async fn offered_paths_that_no_task_can_be_given_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("file"), "x").unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        let offer = |name: &str| at(name).display().to_string().parse::<Access>().unwrap();
        let paths = ["", "file", "socket", "absent"].map(offer).to_vec();
        let missing = Offers { paths, volumes: Vec::new() }.missing(&[]).await;
        assert_eq!(missing.len(), 2, "{missing:?}");
        assert!(missing[0].contains("/socket is neither a file nor a folder"), "{missing:?}");
        assert!(missing[1].contains("/absent can not be used on this worker"), "{missing:?}");
    }

    #[tokio::test]
    async fn what_is_offered_to_be_read_is_not_given_to_be_written_to() {
        let offers = Offers { paths: Vec::new(), volumes: vec!["data:ro=nfs://10.0.0.5/export".parse().unwrap()] };
        let found = offers.find(&[need("data", true)], &[]).await.unwrap();
        assert!(matches!(&found[0].what, Mountable::Volume(volume) if volume.nfs.is_some()), "{found:?}");
        assert!(offers.find(&[need("data", false)], &[]).await.unwrap_err().contains("--allow-volume data"));
    }

    #[test]
    fn a_file_servers_folder_is_told_to_the_engine_as_mount_takes_it() {
        let volume: OfferedVolume = "data:ro=nfs://10.0.0.5/export/data?vers=4.1&soft".parse().unwrap();
        let options = volume.driver_options().unwrap().map(|(name, value)| format!("{name}={value}"));
        assert_eq!(options, ["type=nfs", "o=addr=10.0.0.5,ro,vers=4.1,soft", "device=:/export/data"]);
        assert_eq!("nfs://[fd00::5]/x".parse::<Nfs>().unwrap().server, "fd00::5");
        for bad in
            ["", "nfs://", "nfs:///x", "nfs://host", "nfs://host/", "smb://host/x", "nfs://h/x?addr=1", "nfs://h/a b"]
        {
            assert!(bad.parse::<Nfs>().is_err(), "{bad}");
        }
        assert!("/data".parse::<OfferedVolume>().unwrap_err().contains("--allow-path"));
    }
}
