//! Credentials of registries: what goes in, what comes out, and who is given them.

use super::*;
use crate::handle::registries::Found;
use crate::secrets::registries::{Credentials, MAX_REGISTRIES, Whose};
use cloudai_core::testing::cores;
use zeroize::Zeroizing;

const PASSWORD: &str = "correct-horse";
const PATH: &str = "/api/v1/registries/ghcr.io";

async fn put(fake: &Fake, path: &str, body: &serde_json::Value) -> Answer {
    fake.ask(json(Method::PUT, path, &body.to_string())).await
}

async fn delete(fake: &Fake, path: &str) -> Answer {
    fake.ask(Request::delete(path).body(Body::empty()).unwrap()).await
}

fn login(username: &str, scope: &str) -> serde_json::Value {
    serde_json::json!({"username": username, "password": PASSWORD, "scope": scope})
}

/// Host, user and scope of each that is listed.
async fn listed(fake: &Fake) -> Vec<(String, Option<String>, String)> {
    let answer = fake.get("/api/v1/registries").await;
    assert!(!answer.text().contains(PASSWORD), "{}", answer.text());
    let list: dto::List<dto::Registry> = answer.json();
    list.items.into_iter().map(|item| (item.host, item.username, item.scope)).collect()
}

/// An attempt of a task with this image, on a worker of its own.
async fn attempt(fake: &Fake, image: &str, worker: &str) -> Attempt {
    let answer = fake.post("/api/v1/tasks", &serde_json::json!({"image": image}).to_string()).await;
    let id = answer.json::<dto::Task>().id.parse().unwrap();
    fake.cluster(|cluster| {
        cluster.worker(worker, cores(4));
        cluster.place(id, worker)
    })
    .await
}

fn username(found: Option<Found>) -> Option<String> {
    found.map(|found| found.credentials.unwrap().username)
}

#[tokio::test]
async fn credentials_are_kept_replaced_listed_and_removed_and_their_password_is_never_told() {
    let fake = Fake::start().await;
    let first = put(&fake, PATH, &serde_json::json!({"username": "ann", "password": PASSWORD})).await;
    assert_eq!(first.status, 201);
    let again = put(&fake, PATH, &login("bob", "own")).await;
    assert_eq!(again.status, 200);
    let kept = put(&fake, "/api/v1/registries/index.docker.io", &login("all", "cluster")).await;
    assert_eq!((kept.status.as_u16(), kept.json::<dto::Registry>().host.as_str()), (201, "docker.io"));
    for answer in [&first, &again, &kept] {
        assert!(!answer.text().contains(PASSWORD), "{}", answer.text());
    }
    let row = |host: &str, user: &str, scope: &str| (host.to_owned(), Some(user.to_owned()), scope.to_owned());
    assert_eq!(listed(&fake).await, [row("ghcr.io", "bob", "own"), row("docker.io", "all", "cluster")]);
    let other = delete(&fake, "/api/v1/registries/docker.io").await;
    assert!(other.refused(404, "not_found").contains("stored for you"), "another scope is another login");
    assert_eq!(delete(&fake, "/api/v1/registries/docker.io?scope=cluster").await.status, 204);
    assert_eq!(delete(&fake, PATH).await.status, 204);
    delete(&fake, PATH).await.refused(404, "not_found");
    assert!(listed(&fake).await.is_empty());
}

#[tokio::test]
async fn every_wrong_field_of_credentials_is_named_and_no_value_is_repeated() {
    let fake = Fake::start().await;
    let long = "x".repeat(16 * 1024 + 1);
    let rows = [
        (serde_json::json!({"username": "a"}), vec!["password"]),
        (serde_json::json!({"user": PASSWORD, "password": PASSWORD}), vec!["user", "username"]),
        (serde_json::json!({"username": "a:b", "password": PASSWORD}), vec!["username"]),
        (serde_json::json!({"username": "", "password": ""}), vec!["password", "username"]),
        (serde_json::json!({"username": 1, "password": null}), vec!["password", "username"]),
        (serde_json::json!({"username": "a", "password": long}), vec!["password"]),
        (serde_json::json!({"username": "a", "password": "a\u{0}b"}), vec!["password"]),
        (login("a", "team"), vec!["scope"]),
        (serde_json::json!([PASSWORD]), vec!["registry"]),
    ];
    for (body, paths) in rows {
        let answer = put(&fake, PATH, &body).await;
        let problem = answer.problem();
        let mut told: Vec<_> = problem.errors.iter().map(|error| error.path.as_str()).collect();
        told.sort_unstable();
        assert_eq!((problem.status, told), (400, paths), "{}", answer.text());
        assert!(!answer.text().contains(PASSWORD), "{}", answer.text());
    }
    let twice = format!(r#"{{"username":"a","password":"{PASSWORD}","password":"x"}}"#);
    let answer = fake.ask(json(Method::PUT, PATH, &twice)).await;
    assert!(answer.refused(400, "invalid").contains("twice") && !answer.text().contains(PASSWORD));
    let wrong = put(&fake, "/api/v1/registries/ghcr", &login("a", "own")).await;
    assert!(wrong.refused(400, "invalid").contains("docker.io is Docker Hub"));
    assert_eq!(delete(&fake, "/api/v1/registries/ghcr.io?scope=x").await.problem().errors[0].path, "scope");
    assert!(listed(&fake).await.is_empty());
}

#[tokio::test]
async fn a_user_has_credentials_of_so_many_registries_and_may_replace_each() {
    let fake = Fake::start().await;
    let path = |number: usize| format!("/api/v1/registries/r{number}.example");
    for number in 0..MAX_REGISTRIES {
        assert_eq!(put(&fake, &path(number), &login("a", "own")).await.status, 201);
    }
    let refused = put(&fake, &path(MAX_REGISTRIES), &login("a", "own")).await;
    assert!(refused.refused(409, "conflict").contains("100"));
    assert_eq!(put(&fake, &path(0), &login("b", "own")).await.status, 200);
    assert_eq!(put(&fake, &path(0), &login("b", "cluster")).await.status, 201);
}

#[tokio::test]
async fn an_attempt_is_given_its_owners_credentials_else_the_clusters_and_nobody_elses() {
    let fake = Fake::start().await;
    let mut bob = Principal::local();
    bob.user = "bob".parse().unwrap();
    let of_bob = Whose::User(bob.user.clone());
    let host = "ghcr.io".parse().unwrap();
    let credentials = Credentials { username: "bob".into(), password: Zeroizing::new(PASSWORD.into()) };
    fake.handle.put_registry(&bob, (&of_bob, &host), &credentials).await.unwrap();
    assert!(listed(&fake).await.is_empty());
    let of = attempt(&fake, "ghcr.io/team/train:1", "w1").await;
    assert!(fake.handle.registry_of(of).await.unwrap().is_none(), "another user's are not used");
    put(&fake, PATH, &login("all", "cluster")).await;
    let found = fake.handle.registry_of(of).await.unwrap().unwrap();
    assert_eq!((found.host.as_str(), &found.whose), ("ghcr.io", &Whose::Cluster));
    assert_eq!(username(Some(found)).as_deref(), Some("all"));
    put(&fake, PATH, &login("ann", "own")).await;
    assert_eq!(username(fake.handle.registry_of(of).await.unwrap()).as_deref(), Some("ann"));
    let hub = attempt(&fake, "busybox", "w2").await;
    assert!(fake.handle.registry_of(hub).await.unwrap().is_none(), "no other registry is shown them");
}

#[tokio::test]
async fn a_new_key_takes_in_credentials() {
    let fake = Fake::start().await;
    put(&fake, PATH, &login("ann", "own")).await;
    put(&fake, PATH, &login("all", "cluster")).await;
    let rotated: dto::Rotated = fake.post("/api/v1/secrets/rotate", "").await.json();
    assert_eq!(rotated.secrets, 2);
    let users: Vec<_> = listed(&fake).await.into_iter().map(|(_, user, _)| user.unwrap()).collect();
    assert_eq!(users, ["ann", "all"]);
}
