//! Who somebody is: signing in, contexts, keys, users. The master is acted.

use super::server::{Ran, Reply, Request, Server, list, problem, run_fed, run_in};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What a sign-in is answered with.
fn tokens(number: usize, expires_in: i64) -> Reply {
    let user = json!({"name": "ann", "role": "user"});
    Reply::Json(
        200,
        json!({
            "access_token": format!("access-{number}"), "token_type": "Bearer", "expires_in": expires_in,
            "refresh_token": format!("refresh-{number}"), "user": user
        }),
    )
}

/// A master that signs ann in, and lists no tasks.
fn master(renews: impl Fn(usize) -> Reply + Send + 'static) -> Server {
    Server::start(move |request: &Request, before| match request.line().as_str() {
        "POST /api/v1/auth/login" if request.json()["password"] == "correct" => tokens(0, 900),
        "POST /api/v1/auth/login" => problem(401, "unauthenticated", "the name or the password is wrong"),
        "POST /api/v1/auth/refresh" => renews(before),
        "GET /api/v1/tasks" if request.token.as_deref() == Some("old") => Reply::Json(
            401,
            json!({"type": "about:blank", "title": "X", "status": 401, "code": "unauthenticated",
                "detail": "the token has ended"}),
        ),
        "GET /api/v1/tasks" => Reply::Json(200, list(vec![])),
        _ => Reply::Json(200, json!({})),
    })
}

fn file(dir: &Path) -> PathBuf {
    dir.join("contexts/contexts.toml")
}

fn kept(dir: &Path) -> String {
    std::fs::read_to_string(file(dir)).unwrap_or_default()
}

/// Keeps a context for a master, as an earlier command did.
fn keep(server: &Server, rest: &str) {
    let path = file(server.dir());
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, format!("current = \"m1\"\n[contexts.m1]\naddr = \"{}\"\n{rest}", server.addr())).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// A sign-in whose access token ends in so many seconds.
fn sign_in(access: &str, ends_in: i64) -> String {
    let until = jiff::Timestamp::now().as_second() + ends_in;
    format!("user = \"ann\"\naccess = \"{access}\"\naccess_until = {until}\nrefresh = \"refresh-0\"\n")
}

/// A command that finds its master by the contexts.
fn by_context(server: &Server, words: &[&str]) -> Ran {
    run_in(server.dir(), &[], words)
}

fn log_in(server: &Server, words: &[&str], password: &str) -> Ran {
    let words = [&["login", server.addr(), "--password-stdin"][..], words].concat();
    run_fed(server.dir(), &[], &words, &format!("{password}\n"))
}

#[test]
fn who_signs_in_is_known_to_every_command_until_the_sign_out() {
    let server = master(|_| tokens(1, 900));
    let ran = log_in(&server, &["--user", "ann", "--name", "m1"], "correct");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        ran.out.contains("ann  user  signed in at http://127.0.0.1:") && !ran.out.contains("access-"),
        "{}",
        ran.out
    );
    let asked = server.asked("POST /api/v1/auth/login")[0].json();
    assert_eq!(asked, json!({"user": "ann", "password": "correct"}));
    let mode = std::fs::metadata(file(server.dir())).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // No address is given: it is the context's.
    assert_eq!(by_context(&server, &["task", "list"]).code, 0);
    assert_eq!(server.asked("GET /api/v1/tasks")[0].token.as_deref(), Some("access-0"));
    let shown = by_context(&server, &["context", "list", "-o", "json"]).out;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let context = json!({"name": "m1", "current": true, "addr": server.addr(), "user": "ann",
        "signed_in_by": "password", "ca": false});
    assert_eq!(shown["items"], json!([context]));
    let ran = by_context(&server, &["logout"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(server.asked("POST /api/v1/auth/logout")[0].json(), json!({"refresh_token": "refresh-0"}));
    assert!(!kept(server.dir()).contains("access-0") && !kept(server.dir()).contains("refresh-0"));
    by_context(&server, &["task", "list"]);
    assert_eq!(server.asked("GET /api/v1/tasks")[1].token, None);
    assert_eq!(by_context(&server, &["logout"]).code, 5);
}

#[test]
fn a_wrong_password_exits_6_and_keeps_nothing() {
    let server = master(|_| tokens(1, 900));
    let ran = log_in(&server, &["--user", "ann"], "wrong");
    assert!(ran.code == 6 && ran.err.contains("the name or the password is wrong"), "{}", ran.err);
    assert_eq!(kept(server.dir()), "");
    // Nobody can be asked here.
    let ran = run_in(server.dir(), &[], &["login", server.addr(), "--user", "ann"]);
    assert!(ran.code == 64 && ran.err.contains("--password-stdin"), "{}", ran.err);
    let ran = log_in(&server, &[], "correct");
    assert!(ran.code == 64 && ran.err.contains("--user NAME"), "{}", ran.err);
    let ran = log_in(&server, &["--user", "ann"], "\n");
    assert!(ran.code == 64 && ran.err.contains("is empty"), "{}", ran.err);
}

#[test]
fn two_commands_at_once_renew_a_token_that_ends_soon_just_once() {
    let server = master(|before| if before == 0 { tokens(1, 900) } else { problem(401, "unauthenticated", "used") });
    keep(&server, &sign_in("access-0", 5));
    let codes: Vec<i32> = std::thread::scope(|scope| {
        let ran: Vec<_> = (0..4).map(|_| scope.spawn(|| by_context(&server, &["task", "list"]).code)).collect();
        ran.into_iter().map(|ran| ran.join().unwrap()).collect()
    });
    assert_eq!(codes, [0; 4]);
    let renewed = server.asked("POST /api/v1/auth/refresh");
    assert_eq!(renewed.len(), 1);
    assert_eq!((renewed[0].json(), &renewed[0].token), (json!({"refresh_token": "refresh-0"}), &None));
    let shown: Vec<_> = server.asked("GET /api/v1/tasks").into_iter().map(|asked| asked.token.unwrap()).collect();
    assert_eq!(shown, ["access-1"; 4]);
    assert!(kept(server.dir()).contains("refresh-1") && !kept(server.dir()).contains("refresh-0"));
}

#[test]
fn a_token_that_is_refused_before_its_time_is_renewed_and_the_call_made_again() {
    let server = master(|_| tokens(1, 900));
    keep(&server, &sign_in("old", 900));
    assert_eq!(by_context(&server, &["task", "list"]).code, 0);
    let shown: Vec<_> = server.asked("GET /api/v1/tasks").into_iter().map(|asked| asked.token.unwrap()).collect();
    assert_eq!(shown, ["old", "access-1"]);
    // The new one is refused as well: once is enough.
    let server =
        master(|_| Reply::Json(200, json!({"access_token": "old", "expires_in": 900, "refresh_token": "refresh-1"})));
    keep(&server, &sign_in("old", 900));
    let ran = by_context(&server, &["task", "list"]);
    assert_eq!((ran.code, server.asked("GET /api/v1/tasks").len()), (6, 2), "{}", ran.err);
    assert!(ran.err.contains(&format!("next: cloudai login {}", server.addr())), "{}", ran.err);
}

#[test]
fn a_sign_in_that_has_ended_says_how_to_sign_in_again_and_is_forgotten() {
    let server = master(|_| problem(401, "unauthenticated", "the session has ended"));
    keep(&server, &sign_in("access-0", -5));
    let ran = by_context(&server, &["task", "list"]);
    assert_eq!((ran.code, server.asked("GET /api/v1/tasks").len()), (6, 0), "{}", ran.err);
    assert!(ran.err.contains("has ended") && ran.err.contains("cloudai login http://"), "{}", ran.err);
    assert!(!kept(server.dir()).contains("refresh-0"));
    // What is no answer ends nothing, and a token that is good still is used.
    let server = master(|_| problem(503, "unavailable", "the store is away"));
    keep(&server, &sign_in("access-0", 30));
    assert_eq!(by_context(&server, &["task", "list"]).code, 0);
    assert!(kept(server.dir()).contains("refresh-0"));
}

#[test]
fn a_key_that_is_given_goes_before_the_contexts_and_only_where_nobody_reads_it() {
    let server = master(|_| tokens(1, 900));
    keep(&server, "token = \"caik_context\"\n");
    by_context(&server, &["task", "list"]);
    run_in(server.dir(), &[("CLOUDAI_TOKEN", "caik_env")], &["task", "list"]);
    run_in(server.dir(), &[("CLOUDAI_TOKEN", "caik_env")], &["task", "list", "--token", "caik_flag"]);
    let shown: Vec<_> = server.asked("GET /api/v1/tasks").into_iter().map(|asked| asked.token.unwrap()).collect();
    assert_eq!(shown, ["caik_context", "caik_env", "caik_flag"]);
    let far = run_in(server.dir(), &[("CLOUDAI_TOKEN", "caik_env")], &["--addr", "http://192.0.2.1:1", "task", "list"]);
    assert!(far.code == 64 && far.err.contains("--addr https://192.0.2.1:1"), "{}", far.err);
    assert!(!far.err.contains("caik_env"), "{}", far.err);
    let far = run_fed(server.dir(), &[], &["login", "http://192.0.2.1:1", "--user", "a", "--password-stdin"], "x\n");
    assert!(far.code == 64 && far.err.contains("in the clear"), "{}", far.err);
    // What is kept for one master is shown to no other.
    let other = master(|_| tokens(1, 900));
    run_in(server.dir(), &[], &["--addr", other.addr(), "task", "list"]);
    assert_eq!(other.asked("GET /api/v1/tasks")[0].token, None);
}

#[test]
fn contexts_are_listed_chosen_and_forgotten() {
    let (one, two) = (master(|_| tokens(1, 900)), master(|_| tokens(1, 900)));
    let run = |words: &[&str]| run_in(one.dir(), &[], words);
    assert!(run(&["context", "list"]).err.contains("cloudai login"));
    for (server, name) in [(&one, "first"), (&two, "second")] {
        let words = ["login", server.addr(), "--user", "ann", "--password-stdin", "--name", name];
        assert_eq!(run_fed(one.dir(), &[], &words, "correct\n").code, 0);
    }
    run(&["task", "list"]);
    assert_eq!((one.asked("GET /api/v1/tasks").len(), two.asked("GET /api/v1/tasks").len()), (0, 1));
    assert_eq!(run(&["context", "use", "first"]).code, 0);
    run(&["task", "list"]);
    assert_eq!(one.asked("GET /api/v1/tasks").len(), 1);
    let unknown = run(&["context", "use", "frist"]);
    assert!(unknown.code == 5 && unknown.err.contains("close: first"), "{}", unknown.err);
    let words = ["login", two.addr(), "--user", "ann", "--password-stdin", "--name", "first"];
    let taken = run_fed(one.dir(), &[], &words, "correct\n");
    assert!(taken.code == 7 && taken.err.contains("cloudai context remove first"), "{}", taken.err);
    assert_eq!(run(&["context", "remove", "first", "--dry-run"]).code, 0);
    assert_eq!(run(&["context", "list", "-o", "quiet"]).out, "first\nsecond\n");
    assert_eq!(run(&["context", "remove", "first"]).code, 0);
    assert_eq!(run(&["context", "list", "-o", "quiet"]).out, "second\n");
    // The broken file is told with its line, and left as it is.
    std::fs::write(file(one.dir()), "current = 5\n").unwrap();
    let broken = run(&["task", "list"]);
    assert!(broken.code == 64 && broken.err.contains("contexts.toml:1 can not be read"), "{}", broken.err);
}

#[test]
fn users_keys_and_projects_are_asked_for_as_the_api_takes_them() {
    let user = json!({"name": "bob", "role": "operator", "disabled": false, "created_at": "2026-01-01T00:00:00.000Z",
        "password": "made-once"});
    let key = json!({"id": "k1", "name": "ci", "role": null, "key": "caik_once", "expires_at": null,
        "created_at": "2026-01-01T00:00:00.000Z", "user": "ann"});
    let project = json!({"name": "vision", "members": ["ann", "bob"]});
    let server = Server::start(move |request, _| match (request.method.as_str(), request.path.as_str()) {
        ("DELETE", _) | (_, "/api/v1/auth/password") => Reply::Json(200, Value::Null),
        ("GET", "/api/v1/users") => Reply::Json(200, list(vec![user.clone()])),
        ("GET", "/api/v1/keys") => Reply::Json(200, list(vec![key.clone()])),
        ("GET", "/api/v1/projects") => Reply::Json(200, list(vec![project.clone()])),
        (_, "/api/v1/keys") => Reply::Json(201, key.clone()),
        ("PUT", _) => Reply::Json(200, project.clone()),
        (_, "/api/v1/auth/whoami") => {
            Reply::Json(200, json!({"name": "ann", "role": "admin", "projects": ["vision"], "key": "ci"}))
        }
        _ => Reply::Json(200, user.clone()),
    });
    let asked = |words: &str, line: &str| {
        let ran = server.run(words);
        assert_eq!(ran.code, 0, "{words}: {}", ran.err);
        (ran, server.asked(line).last().unwrap_or_else(|| panic!("{words}: no {line}")).clone())
    };
    let (ran, sent) = asked("user add bob --role operator", "POST /api/v1/users");
    assert_eq!(sent.json(), json!({"name": "bob", "role": "operator"}));
    assert!(ran.out.contains("bob  operator  password made-once"), "{}", ran.out);
    let (_, sent) = asked("user role bob viewer", "PATCH /api/v1/users/bob");
    assert_eq!(sent.json(), json!({"role": "viewer"}));
    assert_eq!(asked("user disable bob", "PATCH /api/v1/users/bob").1.json(), json!({"disabled": true}));
    assert_eq!(asked("user enable bob", "PATCH /api/v1/users/bob").1.json(), json!({"disabled": false}));
    assert!(asked("user list", "GET /api/v1/users").0.out.contains("bob"));
    asked("user remove bob --yes", "DELETE /api/v1/users/bob");
    let unasked = server.run("user remove bob");
    assert!(unasked.code == 64 && unasked.err.contains("--yes"), "{}", unasked.err);
    let (ran, sent) = asked("user token --name ci --role user --expires 30d", "POST /api/v1/keys");
    assert_eq!(sent.json(), json!({"name": "ci", "role": "user", "expires_in_s": 30 * 24 * 3600}));
    assert_eq!(ran.out, "caik_once\n", "it can be put into a variable");
    assert!(asked("user tokens", "GET /api/v1/keys").0.out.contains("k1"));
    assert_eq!(asked("user revoke k1 --user bob", "DELETE /api/v1/keys/k1").1.query, "user=bob");
    assert_eq!(server.run("user revoke k2 --dry-run").code, 5);
    let (ran, sent) = asked("project set vision ann bob", "PUT /api/v1/projects/vision");
    assert_eq!((sent.json(), ran.out.trim()), (json!({"members": ["ann", "bob"]}), "vision  ann, bob"));
    asked("project remove vision", "DELETE /api/v1/projects/vision");
    assert!(asked("project list", "GET /api/v1/projects").0.out.contains("ann, bob"));
    let (ran, _) = asked("whoami", "GET /api/v1/auth/whoami");
    assert!(ran.out.starts_with("ann  admin  at http://") && ran.out.contains("projects vision"), "{}", ran.out);
    let told: Value = serde_json::from_str(&asked("whoami --json", "GET /api/v1/auth/whoami").0.out).unwrap();
    assert_eq!(told["key"], "ci", "what is not known here is passed on");
    let variables = [("CLOUDAI_ADDR", server.addr())];
    let ran = run_fed(server.dir(), &variables, &["user", "passwd", "--password-stdin"], "old one\nnew one\n");
    assert_eq!(ran.code, 0, "{}", ran.err);
    let sent = server.asked("POST /api/v1/auth/password")[0].json();
    assert_eq!(sent, json!({"old": "old one", "new": "new one"}));
    let ran = run_fed(server.dir(), &variables, &["user", "passwd", "bob", "--password-stdin"], "new one\n");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(server.asked("PATCH /api/v1/users/bob").last().unwrap().json(), json!({"password": "new one"}));
}
