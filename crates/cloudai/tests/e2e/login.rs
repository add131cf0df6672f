//! Users of a real master: who signs in, what they may do, and what is kept of that.

use crate::process::{Process, Ran, run, run_with};
use serde_json::Value;
use tempfile::TempDir;

/// A master that knows its users, on loopback.
struct Secured {
    dir: TempDir,
    master: Process,
    addr: String,
    admin: String,
}

impl Secured {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let words = ["master", "--data-dir", "state", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"];
        let words = words.into_iter().chain(["--no-shell", "--print-addresses", "--print-credentials"]);
        let words: Vec<_> = words.map(ToOwned::to_owned).collect();
        let mut master = Process::start(dir.path(), "master", &[], &words);
        let addr = format!("http://{}", master.printed("http").await["http"].as_str().unwrap());
        let admin = master.printed("admin_password").await["admin_password"].as_str().unwrap().to_owned();
        Self { dir, master, addr, admin }
    }

    /// A command of the person whose contexts are in this folder.
    async fn of(&self, whose: &str, words: &[&str]) -> Ran {
        run(self.dir.path(), &[self.contexts(whose)], words).await
    }

    async fn fed(&self, whose: &str, words: &[&str], input: &str) -> Ran {
        run_with(self.dir.path(), &[self.contexts(whose)], words, input.as_bytes().to_vec()).await
    }

    fn contexts(&self, whose: &str) -> (String, String) {
        ("CLOUDAI_CONFIG_DIR".into(), self.dir.path().join(whose).display().to_string())
    }

    async fn login(&self, whose: &str, password: &str) -> Ran {
        let words = ["login", self.addr.as_str(), "--user", whose, "--password-stdin"];
        self.fed(whose, &words, &format!("{password}\n")).await
    }
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

#[tokio::test]
async fn who_has_not_signed_in_may_nothing_and_is_told_how() {
    let master = Secured::start().await;
    let stranger = master.of("ann", &["--addr", &master.addr, "task", "list"]).await;
    assert!(stranger.code == 6 && stranger.err.contains("cloudai login http://"), "{stranger:?}");
    let wrong = master.login("admin", "not the password").await;
    assert!(wrong.code == 6 && !wrong.err.contains("not the password"), "{wrong:?}");
    assert_eq!(master.of("admin", &["context", "list", "-o", "quiet"]).await.out, "");
    let signed_in = master.login("admin", &master.admin).await;
    assert!(signed_in.code == 0 && signed_in.out.contains("admin  admin  signed in"), "{signed_in:?}");
    let me = master.of("admin", &["whoami", "--json"]).await;
    assert_eq!((me.code, json(&me)["role"].as_str()), (0, Some("admin")), "{me:?}");
    assert_eq!(master.of("admin", &["logout"]).await.code, 0);
    assert_eq!(master.of("admin", &["--addr", &master.addr, "task", "list"]).await.code, 6);
    assert!(!master.master.err().contains(&master.admin), "the password stands in the log");
}

#[tokio::test]
async fn a_user_does_what_the_role_allows_and_nothing_once_disabled() {
    let master = Secured::start().await;
    assert_eq!(master.login("admin", &master.admin).await.code, 0);
    let added = master.of("admin", &["user", "add", "ann", "--json"]).await;
    assert_eq!(added.code, 0, "{added:?}");
    let password = json(&added)["password"].as_str().unwrap().to_owned();
    assert_eq!(master.login("ann", &password).await.code, 0);
    let submitted = master.of("ann", &["task", "submit", "fake:x", "-o", "quiet"]).await;
    assert_eq!(submitted.code, 0, "{submitted:?}");
    let refused = master.of("ann", &["user", "list"]).await;
    assert!(refused.code == 6 && refused.err.contains("cloudai whoami"), "{refused:?}");
    assert_eq!(master.of("admin", &["user", "role", "ann", "viewer"]).await.code, 0);
    let looks = master.of("ann", &["task", "submit", "fake:x"]).await;
    assert_eq!(looks.code, 6, "{looks:?}");
    assert_eq!(master.of("admin", &["user", "role", "ann", "user"]).await.code, 0);
    let changed =
        master.fed("ann", &["user", "passwd", "--password-stdin"], &format!("{password}\nanother-one-8\n")).await;
    assert_eq!(changed.code, 0, "{changed:?}");
    assert_eq!(master.login("ann", &password).await.code, 6);
    assert_eq!(master.login("ann", "another-one-8").await.code, 0);
    assert_eq!(master.of("admin", &["user", "disable", "ann"]).await.code, 0);
    assert_eq!(master.of("ann", &["task", "list"]).await.code, 6);
    let last = master.of("admin", &["user", "remove", "admin", "--yes"]).await;
    assert_eq!(last.code, 7, "{last:?}");
    assert_eq!(master.of("admin", &["user", "remove", "ann", "--yes"]).await.code, 0);
}

#[tokio::test]
async fn a_key_is_shown_once_and_good_until_it_is_revoked() {
    let master = Secured::start().await;
    assert_eq!(master.login("admin", &master.admin).await.code, 0);
    let made = master.of("admin", &["user", "token", "--name", "ci", "--role", "viewer", "--expires", "1d"]).await;
    let key = made.out.trim().to_owned();
    assert!(made.code == 0 && key.starts_with("caik_"), "{made:?}");
    let with_key = async |words: &[&str]| {
        let variables = [
            master.contexts("nobody"),
            ("CLOUDAI_ADDR".to_owned(), master.addr.clone()),
            ("CLOUDAI_TOKEN".to_owned(), key.clone()),
        ];
        run(master.dir.path(), &variables, words).await
    };
    assert_eq!(with_key(&["task", "list"]).await.code, 0);
    let more = with_key(&["task", "submit", "fake:x"]).await;
    assert_eq!(more.code, 6, "{more:?}");
    let listed = master.of("admin", &["user", "tokens", "--json"]).await;
    assert!(!listed.out.contains(&key), "{listed:?}");
    let items = json(&listed)["items"].as_array().unwrap().clone();
    let id = items.iter().find(|item| item["name"] == "ci").unwrap()["id"].as_str().unwrap().to_owned();
    assert_eq!(master.of("admin", &["user", "revoke", &id]).await.code, 0);
    assert_eq!(with_key(&["task", "list"]).await.code, 6);
    assert_eq!(master.of("admin", &["user", "revoke", &id]).await.code, 5);
}

#[tokio::test]
async fn whoever_starts_up_is_signed_in_on_this_machine() {
    let dir = tempfile::tempdir().unwrap();
    let words = ["up", "--executor", "fake", "--data-dir", "state", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"];
    let words: Vec<_> = words.into_iter().chain(["--print-addresses"]).map(ToOwned::to_owned).collect();
    let mut up = Process::start(dir.path(), "up", &[], &words);
    up.printed("http").await;
    // No address and no key: both are of the context.
    let done = run(dir.path(), &[], &["task", "submit", "fake:x", "--wait", "-o", "quiet"]).await;
    assert_eq!(done.code, 0, "{done:?}");
    let me = run(dir.path(), &[], &["whoami", "--json"]).await;
    assert_eq!((me.code, json(&me)["role"].as_str()), (0, Some("admin")), "{me:?}");
    assert_eq!(run(dir.path(), &[], &["context", "list", "-o", "quiet"]).await.out, "local\n");
}
