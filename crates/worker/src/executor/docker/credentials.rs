//! What an image's registry is shown: what is stored for it, else what this host's Docker configuration knows, which is
//! `config.json` and its helpers.
//!
//! A secret lives from here to the engine's request and nowhere else: no text of this module
//! carries one, and what holds one does not print it.

use super::helper::{self, Login};
use crate::executor::login::StoredLogin;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bollard::auth::DockerCredentials;
use cloudai_core::spec::{ImageRef, RegistryName};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// By which Docker Hub is known in `config.json` and to helpers.
const HUB: &str = "https://index.docker.io/v1/";
/// What Docker Hub's host is called by people and by other programs' logins.
const HUB_HOSTS: [&str; 2] = ["index.docker.io", "docker.io"];
const FILE: &str = "config.json";
/// A file of hundreds of registries is far below this; a larger one is none of Docker's.
const MAX_FILE: u64 = 1024 * 1024;

/// Where logins of this host are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Logins {
    /// The folder of `config.json`; without one images are pulled without credentials.
    pub dir: Option<PathBuf>,
    /// Where helper programs are looked for, as in `PATH`; none is this process's own.
    pub path: Option<OsString>,
}

impl Logins {
    /// Those that the command `docker` would use: `DOCKER_CONFIG`, else `.docker` in the home folder.
    #[must_use]
    pub fn from_env() -> Self {
        let named = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = || named("HOME").map(|home| home.join(".docker"));
        Self { dir: named("DOCKER_CONFIG").or_else(home), path: None }
    }

    /// What there is for the registry of an image.
    pub(super) async fn of_image(&self, image: &str) -> Found {
        let host = host_of(image);
        let server = host.unwrap_or(HUB);
        let nothing = |tried| Found { credentials: None, source: Source::of(image, Whose::Host(tried)) };
        let Some(dir) = &self.dir else { return nothing(Tried::NoFolder) };
        let file = dir.join(FILE);
        let config = match read(&file).await {
            Ok(Some(config)) => config,
            Ok(None) => return nothing(Tried::Nothing(file)),
            Err(why) => return nothing(Tried::Broken(format!("{} can not be used: {why}", file.display()))),
        };
        let mut broken = None;
        if let Some(name) = pick(&config.helpers, server).or(config.store.as_ref()) {
            match helper::get(name, server, self.path.as_deref(), helper::LIMIT).await {
                Ok(Some(login)) => {
                    let tried = Tried::Helper { name: name.clone(), file };
                    return Found { credentials: Some(credentials(login, server)), ..nothing(tried) };
                }
                Ok(None) => {}
                Err(why) => broken = Some(format!("{why}, which {} names", file.display())),
            }
        }
        let login = pick(&config.auths, server).map(Entry::login);
        match (login, broken) {
            (Some(Ok(Some(login))), _) => {
                Found { credentials: Some(credentials(login, server)), ..nothing(Tried::Entry(file)) }
            }
            (Some(Err(why)), _) => nothing(Tried::Broken(format!("the entry of {server} in {} {why}", file.display()))),
            (Some(Ok(None)) | None, Some(why)) => nothing(Tried::Broken(why)),
            (Some(Ok(None)) | None, None) => nothing(Tried::Nothing(file)),
        }
    }
}

/// The registry's host as this image names it; none is Docker Hub.
fn host_of(image: &str) -> Option<&str> {
    ImageRef::of(image).host.filter(|host| !HUB_HOSTS.contains(host))
}

/// What was found for a registry.
pub(super) struct Found {
    /// To be shown to the registry.
    pub(super) credentials: Option<DockerCredentials>,
    /// To be told to people.
    pub(super) source: Source,
}

impl Found {
    /// What is stored for an image's registry.
    pub(super) fn stored(image: &str, stored: StoredLogin) -> Self {
        let StoredLogin { host: _, username, password, of_cluster } = stored;
        let login = Login::Password { user: username, password: password.0 };
        let credentials = credentials(login, host_of(image).unwrap_or(HUB));
        let whose = if of_cluster { Whose::Cluster } else { Whose::Owner };
        Self { credentials: Some(credentials), source: Source::of(image, whose) }
    }
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Found").field("source", &self.source).finish_non_exhaustive()
    }
}

/// Where credentials came from, or why there are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// By which its credentials are stored.
    name: RegistryName,
    /// As the image names it; none is Docker Hub.
    host: Option<String>,
    whose: Whose,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Whose {
    /// Stored by the task's owner.
    Owner,
    /// Stored for the cluster.
    Cluster,
    /// This host's own: nothing is stored.
    Host(Tried),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Tried {
    /// An entry of the file.
    Entry(PathBuf),
    /// A helper that the file names.
    Helper { name: String, file: PathBuf },
    /// The file is not there, or has nothing for this registry.
    Nothing(PathBuf),
    /// There is no home folder.
    NoFolder,
    /// The file or a helper failed.
    Broken(String),
}

impl Source {
    fn of(image: &str, whose: Whose) -> Self {
        Self { name: RegistryName::of_image(image), host: host_of(image).map(Into::into), whose }
    }

    /// The registry's name for people.
    pub(super) fn registry(&self) -> &str {
        self.host.as_deref().unwrap_or("Docker Hub")
    }

    /// What to run for other credentials, as a part of a sentence.
    pub(super) fn login(&self) -> String {
        let store = format!("run `cloudai registry login {} --username NAME`", self.name);
        match &self.whose {
            Whose::Owner => store,
            Whose::Cluster => format!("{store} for your own, with --cluster for everybody's"),
            Whose::Host(_) => {
                let here = format!("docker login {}", self.host.as_deref().unwrap_or_default());
                format!("{store}, or `{}` on this worker as the user that the worker runs as", here.trim_end())
            }
        }
    }

    /// Which credentials a registry refused, as a part of a sentence.
    pub(super) fn told(&self) -> String {
        match &self.whose {
            Whose::Owner => {
                format!("the credentials stored for you (`cloudai registry login {}`) were refused", self.name)
            }
            Whose::Cluster => {
                let login = format!("cloudai registry login {} --cluster", self.name);
                format!("the credentials stored for the cluster (`{login}`) were refused")
            }
            Whose::Host(tried) => format!("none are stored for you or the cluster, and {}", tried.told()),
        }
    }
}

impl Tried {
    fn told(&self) -> String {
        match self {
            Self::Entry(file) => format!("the credentials in {} were refused", file.display()),
            Self::Helper { name, file } => {
                format!(
                    "the credentials of the helper {}{name} (named in {}) were refused",
                    helper::PREFIX,
                    file.display()
                )
            }
            Self::Nothing(file) => format!("{} has no credentials for it", file.display()),
            Self::NoFolder => "no credentials were tried: neither DOCKER_CONFIG nor HOME is set for the worker".into(),
            Self::Broken(why) => format!("no credentials were tried: {why}"),
        }
    }
}

fn credentials(login: Login, server: &str) -> DockerCredentials {
    let serveraddress = Some(server.to_owned());
    match login {
        Login::Password { user, password } => {
            DockerCredentials { username: Some(user), password: Some(password), serveraddress, ..Default::default() }
        }
        Login::Identity { user, token } => {
            DockerCredentials { username: Some(user), identitytoken: Some(token), serveraddress, ..Default::default() }
        }
        Login::Registry(token) => DockerCredentials { registrytoken: Some(token), serveraddress, ..Default::default() },
    }
}

/// The parts of `config.json` that concern pulls; all others are Docker's own.
#[derive(Default, Deserialize)]
struct Config {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
    #[serde(default, rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
struct Entry {
    #[serde(default)]
    auth: String,
    #[serde(default)]
    identitytoken: String,
    #[serde(default)]
    registrytoken: String,
}

impl Entry {
    /// What it holds; an empty one is left where a helper keeps the rest.
    fn login(&self) -> Result<Option<Login>, &'static str> {
        if !self.registrytoken.is_empty() {
            return Ok(Some(Login::Registry(self.registrytoken.clone())));
        }
        if self.auth.is_empty() && self.identitytoken.is_empty() {
            return Ok(None);
        }
        let (user, password) = if self.auth.is_empty() { Default::default() } else { decode(&self.auth)? };
        let token = self.identitytoken.clone();
        Ok(Some(if token.is_empty() { Login::Password { user, password } } else { Login::Identity { user, token } }))
    }
}

/// `USER:PASSWORD` in base64, as Docker writes it.
fn decode(auth: &str) -> Result<(String, String), &'static str> {
    const MALFORMED: &str = "is malformed: its auth is no base64 of USER:PASSWORD";
    let bytes = STANDARD.decode(auth).map_err(|_| MALFORMED)?;
    let text = String::from_utf8(bytes).map_err(|_| MALFORMED)?;
    let (user, password) = text.split_once(':').ok_or(MALFORMED)?;
    Ok((user.to_owned(), password.trim_end_matches('\0').to_owned()))
}

/// The entry of a server: by its very key, else by its host, as logins of other ages wrote it.
fn pick<'a, T>(entries: &'a BTreeMap<String, T>, server: &str) -> Option<&'a T> {
    let same = |key: &str| {
        let key = host(key);
        key == host(server) || (server == HUB && HUB_HOSTS.contains(&key))
    };
    entries.get(server).or_else(|| entries.iter().find(|(key, _)| same(key)).map(|(_, entry)| entry))
}

/// `https://host:port/path` without what surrounds the host.
fn host(key: &str) -> &str {
    let rest = key.split_once("://").map_or(key, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

/// The file; none when there is none. An error says where it is wrong, never what stands there.
async fn read(file: &Path) -> Result<Option<Config>, String> {
    let size = match tokio::fs::metadata(file).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        meta => meta.map_err(|why| why.to_string())?.len(),
    };
    if size > MAX_FILE {
        return Err(format!("it is larger than {MAX_FILE} bytes"));
    }
    let bytes = tokio::fs::read(file).await.map_err(|why| why.to_string())?;
    let config = serde_json::from_slice(&bytes);
    config.map(Some).map_err(|why| format!("it is malformed in line {}, column {}", why.line(), why.column()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::login::Password;
    use serde_json::{Value, json};
    use tempfile::TempDir;

    const SECRET: &str = "s3cret";

    /// A configuration, and helpers as shell scripts.
    fn host_with(config: &Value, helpers: &[(&str, &str)]) -> (TempDir, Logins) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), config.to_string()).unwrap();
        for (name, script) in helpers {
            helper::tests::install(dir.path(), name, script);
        }
        let path = format!("{}:/usr/bin:/bin", dir.path().display());
        let logins = Logins { dir: Some(dir.path().to_owned()), path: Some(path.into()) };
        (dir, logins)
    }

    fn auth(user: &str) -> String {
        STANDARD.encode(format!("{user}:{SECRET}"))
    }

    async fn user(logins: &Logins, image: &str) -> Option<String> {
        logins.of_image(image).await.credentials?.username
    }

    #[tokio::test]
    async fn the_entry_of_an_images_registry_is_taken_whoever_wrote_it() {
        let config = json!({"auths": {
            "https://index.docker.io/v1/": {"auth": auth("hub")},
            "localhost:5001": {"auth": auth("local")},
            "https://old.example/v2/": {"auth": auth("old")},
        }, "detachKeys": "ctrl-e,e"});
        let (_dir, logins) = host_with(&config, &[]);
        let rows = [
            ("busybox", Some("hub")),
            ("team/train:1", Some("hub")),
            ("docker.io/library/busybox", Some("hub")),
            ("localhost:5001/a/b:1", Some("local")),
            ("old.example/a", Some("old")),
            ("localhost:5002/a", None),
            ("example/a", Some("hub")),
        ];
        for (image, expected) in rows {
            assert_eq!(user(&logins, image).await.as_deref(), expected, "{image}");
        }
        let found = logins.of_image("localhost:5001/a").await.credentials.unwrap();
        assert_eq!(found.password.as_deref(), Some(SECRET));
        assert_eq!(found.serveraddress.as_deref(), Some("localhost:5001"));
        let podman = json!({"auths": {"docker.io": {"auth": auth("podman")}}});
        let (_dir, logins) = host_with(&podman, &[]);
        assert_eq!(user(&logins, "busybox").await.as_deref(), Some("podman"));
    }

    #[tokio::test]
    async fn a_helper_is_asked_for_the_server_and_goes_before_the_file() {
        let script = r#"read server; [ "$1" = get ] || exit 9
printf '{"ServerURL":"%s","Username":"helped-%s","Secret":"s3cret"}' "$server" "$server""#;
        let token = r#"printf '{"Username":"<token>","Secret":"t0ken"}'"#;
        let config = json!({
            "auths": {"a.example": {"auth": auth("file")}},
            "credHelpers": {"a.example": "own", "t.example": "token"}, "credsStore": "all",
        });
        let absent = "echo credentials not found in native keychain; exit 1";
        let (_dir, logins) = host_with(&config, &[("own", script), ("all", absent), ("token", token)]);
        assert_eq!(user(&logins, "a.example/x").await.as_deref(), Some("helped-a.example"));
        let found = logins.of_image("t.example/x").await.credentials.unwrap();
        assert_eq!((found.identitytoken.as_deref(), found.password), (Some("t0ken"), None));
        let none = logins.of_image("b.example/x").await;
        assert!(none.credentials.is_none());
        assert!(none.source.told().contains("has no credentials for it"), "{}", none.source.told());
    }

    #[test]
    fn what_is_stored_is_shown_to_the_images_registry_and_told_as_its_owners() {
        let stored = |of_cluster| StoredLogin {
            host: "ghcr.io".into(),
            username: "ann".into(),
            password: Password(SECRET.into()),
            of_cluster,
        };
        let rows = [
            ("ghcr.io/team/a:1", false, "ghcr.io", "stored for you (`cloudai registry login ghcr.io`) were refused"),
            ("ghcr.io/a", true, "ghcr.io", "stored for the cluster (`cloudai registry login ghcr.io --cluster`) were"),
            ("busybox", false, HUB, "stored for you (`cloudai registry login docker.io`) were refused"),
        ];
        for (image, of_cluster, server, said) in rows {
            let found = Found::stored(image, stored(of_cluster));
            assert!(found.source.told().contains(said), "{}", found.source.told());
            assert!(!found.source.login().contains("docker login"), "{}", found.source.login());
            assert!(!format!("{found:?} {:?}", stored(of_cluster)).contains(SECRET));
            let shown = found.credentials.unwrap();
            assert_eq!((shown.username.as_deref(), shown.password.as_deref()), (Some("ann"), Some(SECRET)));
            assert_eq!(shown.serveraddress.as_deref(), Some(server));
        }
    }

    #[tokio::test]
    async fn what_is_broken_is_named_and_no_secret_is_told() {
        let leaky = format!("echo '{{\"Secret\":\"{SECRET}\"}}'; echo {SECRET} >&2; exit 1");
        let helpers =
            [("leaky", leaky.as_str()), ("plain", "echo the vault is sealed; exit 2"), ("mad", "echo s3cret")];
        let rows = [
            (json!({"credsStore": "absent"}), "docker-credential-absent is not installed"),
            (json!({"credsStore": "../x"}), "no name of a helper"),
            (json!({"credsStore": "leaky"}), "docker-credential-leaky failed"),
            (json!({"credsStore": "plain"}), "the vault is sealed"),
            (json!({"credsStore": "mad"}), "answered no credentials"),
            (json!({"auths": {"a.example": {"auth": format!("{SECRET}!")}}}), "is malformed"),
            (json!({"auths": SECRET}), "line 1"),
        ];
        for (config, said) in rows {
            let (_dir, logins) = host_with(&config, &helpers);
            let found = logins.of_image("a.example/x").await;
            assert!(found.credentials.is_none());
            assert!(found.source.told().contains(said), "{config}: {}", found.source.told());
            assert!(!format!("{} {found:?}", found.source.told()).contains(SECRET), "{found:?}");
        }
        let (_dir, logins) = host_with(&json!({"auths": {"a.example": {"auth": auth("u")}}}), &[]);
        assert!(!format!("{:?}", logins.of_image("a.example/x").await).contains(SECRET));
    }
}
