//! Signing in over REST, and what holds of lists and objects once there are users.

use super::*;
use crate::auth::people::Change;
use crate::principal::Role;
use crate::schedules::{definition, run::look};
use cloudai_core::ids::UserId;
use cloudai_core::job::JobFile;
use cloudai_core::rfc3339;
use cloudai_core::spec::{TaskSpec, Value};
use serde_json::json as document;
use zeroize::Zeroizing;

pub(super) const PASSWORD: &str = "a long password";

impl Fake {
    pub(super) fn root(&self) -> Principal {
        Principal::person("admin".parse().unwrap(), Role::Admin, Arc::default())
    }

    /// Makes a user; answers an access token.
    pub(super) async fn user(&self, name: &str, role: Role) -> String {
        let identity = self.handle.identity().unwrap();
        let password = || Zeroizing::new(PASSWORD.to_owned());
        identity.add_user(&self.root(), &name.parse().unwrap(), role, Some(password())).await.unwrap();
        identity.login(name, password(), None).await.unwrap().access.to_string()
    }

    pub(super) async fn project(&self, members: &[&str]) {
        let members = members.iter().map(|name| name.parse().unwrap()).collect();
        let identity = self.handle.identity().unwrap();
        identity.put_project(&self.root(), &"team".parse().unwrap(), members).await.unwrap();
    }

    /// A task of somebody's.
    pub(super) async fn task_of(&self, name: &str) -> TaskId {
        let spec = Arc::new(TaskSpec::of_image("busybox").unwrap());
        self.handle.submit(&Principal::of(name.parse().unwrap()), vec![spec]).await.unwrap()[0].id
    }

    /// A job of somebody's.
    pub(super) async fn job_of(&self, name: &str) -> cloudai_core::ids::JobId {
        let file: Value = serde_json::from_str(r#"{"tasks": [{"name": "a", "image": "busybox"}]}"#).unwrap();
        let file = JobFile::from_value(&file).unwrap();
        self.handle.submit_job(&Principal::of(name.parse().unwrap()), file).await.unwrap().id
    }

    pub(super) async fn call(&self, token: &str, method: Method, path: &str, body: &str) -> Answer {
        let mut request = json(method, path, body);
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        self.ask(request).await
    }

    async fn get_as(&self, token: &str, path: &str) -> Answer {
        self.call(token, Method::GET, path, "").await
    }
}

async fn secured() -> Fake {
    Fake::secured(AuthRules::default()).await
}

#[tokio::test]
async fn who_signs_in_is_known_until_signing_out() {
    let fake = secured().await;
    fake.user("ann", Role::User).await;
    fake.project(&["ann"]).await;
    let body = document!({"user": "ann", "password": PASSWORD}).to_string();
    for path in ["/api/v1/auth/login", "/api/auth/login"] {
        let tokens: dto::Tokens = fake.post(path, &body).await.json();
        assert_eq!((tokens.token_type.as_str(), tokens.expires_in), ("Bearer", 900));
        assert_eq!((tokens.user.name.as_str(), tokens.user.role.as_str()), ("ann", "user"));
        let me: dto::Me = fake.get_as(&tokens.access_token.0, "/api/v1/auth/whoami").await.json();
        assert_eq!((me.name.as_str(), me.role.as_str(), me.projects.join(",").as_str()), ("ann", "user", "team"));
        assert!(me.key.is_none() && me.expires_at.is_some());
        let refresh = document!({"refresh_token": tokens.refresh_token.0}).to_string();
        let next: dto::Tokens = fake.post("/api/v1/auth/refresh", &refresh).await.json();
        fake.post("/api/v1/auth/refresh", &refresh).await.refused(401, "unauthenticated");
        let ended = fake.get_as(&next.access_token.0, "/api/v1/auth/whoami").await;
        assert!(ended.refused(401, "unauthenticated").contains("ended"), "the old token came twice");
    }
    let tokens: dto::Tokens = fake.post("/api/v1/auth/login", &body).await.json();
    let refresh = document!({"refresh_token": tokens.refresh_token.0}).to_string();
    assert_eq!(fake.post("/api/v1/auth/logout", &refresh).await.status, 204);
    fake.get_as(&tokens.access_token.0, "/api/v1/auth/whoami").await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn nobody_is_told_how_to_sign_in_and_what_is_wrong_with_a_token() {
    let fake = secured().await;
    let answer = fake.get("/api/v1/tasks").await;
    answer.refused(401, "unauthenticated");
    assert_eq!(answer.headers["www-authenticate"], "Bearer realm=\"cloudai\"");
    assert!(answer.problem().next.unwrap().contains("cloudai login"));
    for (token, part) in [("x.y.z", "none of this cluster's"), ("caik_x", "no such API key"), ("", "another form")] {
        let answer = fake.get_as(token, "/api/v1/tasks").await;
        assert!(answer.refused(401, "unauthenticated").contains(part), "{token}");
        assert_eq!(answer.problem().next.unwrap(), "cloudai login");
        assert_eq!(fake.get_as(token, "/health").await.status, 200, "what is open is open to everybody");
    }
}

#[tokio::test]
async fn after_five_failures_a_name_has_to_wait_and_is_told_how_long() {
    let fake = secured().await;
    fake.user("ann", Role::User).await;
    let body = |password: &str| document!({"user": "ann", "password": password}).to_string();
    for _ in 0..5 {
        fake.post("/api/v1/auth/login", &body("not that one")).await.refused(401, "unauthenticated");
    }
    let answer = fake.post("/api/v1/auth/login", &body(PASSWORD)).await;
    answer.refused(429, "rate_limited");
    assert_eq!(answer.headers["retry-after"], "1");
}

#[tokio::test]
async fn wrong_input_names_the_field_the_value_and_what_is_allowed() {
    let fake = secured().await;
    let root = fake.user("root", Role::Admin).await;
    let rows = [
        (Method::POST, "/api/v1/users", document!({"name": "a b", "role": "user"}), "name", "1 to 63"),
        (Method::POST, "/api/v1/users", document!({"name": "ann"}), "role", "missing"),
        (Method::POST, "/api/v1/users", document!({"name": "ann", "role": "boss"}), "role", "viewer, user, operator"),
        (
            Method::POST,
            "/api/v1/users",
            document!({"name": "ann", "role": "user", "password": "short"}),
            "password",
            "10 to 1024",
        ),
        (Method::POST, "/api/v1/users", document!({"name": "local", "role": "user"}), "name", "the cluster's own"),
        (Method::PATCH, "/api/v1/users/admin", document!({"disabled": "yes"}), "disabled", "true or false"),
        (Method::PUT, "/api/v1/projects/p", document!({"members": ["nobody"]}), "members", "is no user"),
        (Method::POST, "/api/v1/keys", document!({"name": "k", "expires_in_s": 0}), "expires_in_s", "from 1 to"),
        (Method::POST, "/api/v1/keys", document!({"name": "k", "wombat": 1}), "wombat", "is unknown"),
        (Method::POST, "/api/v1/auth/login", document!({"user": "ann"}), "password", "missing"),
    ];
    for (method, path, body, field, part) in rows {
        let answer = fake.call(&root, method, path, &body.to_string()).await;
        answer.refused(400, "invalid");
        let errors = answer.problem().errors;
        let told = errors.iter().any(|error| error.path == field && error.problem.contains(part));
        assert!(told, "{path} {body}: {errors:?}");
    }
}

#[tokio::test]
async fn an_administrator_looks_after_users_and_a_made_password_is_told_once() {
    let fake = secured().await;
    let root = fake.user("root", Role::Admin).await;
    let answer = fake.call(&root, Method::POST, "/api/v1/users", r#"{"name": "ann", "role": "viewer"}"#).await;
    assert_eq!((answer.status.as_u16(), &answer.headers["location"]), (201, &"/api/v1/users/ann".parse().unwrap()));
    let password = answer.json::<dto::User>().password.unwrap().0;
    let body = document!({"user": "ann", "password": password}).to_string();
    assert_eq!(fake.post("/api/v1/auth/login", &body).await.status, 200);
    let users: dto::List<dto::User> = fake.get_as(&root, "/api/v1/users").await.json();
    let names: Vec<_> = users.items.iter().map(|user| (user.name.as_str(), user.password.is_some())).collect();
    assert_eq!(names, [("admin", false), ("ann", false), ("root", false)]);
    fake.call(&root, Method::POST, "/api/v1/users", r#"{"name": "ann", "role": "user"}"#)
        .await
        .refused(409, "conflict");
    let changed = fake.call(&root, Method::PATCH, "/api/v1/users/ann", r#"{"role": "operator"}"#).await;
    assert_eq!(changed.json::<dto::User>().role, "operator");
    assert_eq!(fake.call(&root, Method::DELETE, "/api/v1/users/ann", "").await.status, 204);
    fake.get_as(&root, "/api/v1/users/ann").await.refused(404, "not_found");
    assert_eq!(fake.call(&root, Method::DELETE, "/api/v1/users/admin", "").await.status, 204);
    let last = fake.call(&root, Method::PATCH, "/api/v1/users/root", r#"{"role": "user"}"#).await;
    assert!(last.refused(409, "conflict").contains("last administrator"));
}

#[tokio::test]
async fn people_register_only_where_that_is_allowed() {
    let body = document!({"user": "ann", "password": PASSWORD}).to_string();
    let closed = secured().await;
    for path in ["/api/v1/auth/register", "/api/auth/register"] {
        assert!(closed.post(path, &body).await.refused(403, "forbidden").contains("auth.self_register"));
    }
    let open = Fake::secured(AuthRules { self_register: true, ..AuthRules::default() }).await;
    let answer = open.post("/api/auth/register", &body).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.json::<dto::User>().role, "viewer");
    open.post("/api/v1/auth/register", &body).await.refused(409, "conflict");
}

#[tokio::test]
async fn a_key_signs_in_and_is_gone_when_it_is_removed() {
    let fake = secured().await;
    let (ann, bob) = (fake.user("ann", Role::User).await, fake.user("bob", Role::User).await);
    let answer = fake.call(&ann, Method::POST, "/api/v1/keys", r#"{"name": "ci", "role": "viewer"}"#).await;
    assert_eq!(answer.status, 201);
    let made: dto::ApiKey = answer.json();
    let key = made.key.unwrap().0;
    let me: dto::Me = fake.get_as(&key, "/api/v1/auth/whoami").await.json();
    assert_eq!((me.name.as_str(), me.role.as_str(), me.key.as_deref()), ("ann", "viewer", Some("ci")));
    fake.call(&key, Method::POST, "/api/v1/tasks", r#"{"image": "a"}"#).await.refused(403, "forbidden");
    let keys: dto::List<dto::ApiKey> = fake.get_as(&ann, "/api/v1/keys").await.json();
    assert!(keys.items.len() == 1 && keys.items[0].key.is_none() && keys.items[0].last_used_at.is_some());
    let path = format!("/api/v1/keys/{}", made.id);
    fake.call(&bob, Method::DELETE, &path, "").await.refused(404, "not_found");
    fake.call(&bob, Method::DELETE, &format!("{path}?user=ann"), "").await.refused(403, "forbidden");
    assert_eq!(fake.call(&ann, Method::DELETE, &path, "").await.status, 204);
    fake.get_as(&key, "/api/v1/auth/whoami").await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn a_link_puts_a_cookie_into_a_browser_which_changes_things_for_our_own_pages_alone() {
    let fake = secured().await;
    let link = fake.handle.login_link();
    let answer = fake.get(&link).await;
    assert_eq!((answer.status.as_u16(), &answer.headers["location"]), (303, &"/".parse().unwrap()));
    let set = answer.headers["set-cookie"].to_str().unwrap().to_owned();
    for part in ["cloudai_session=", "HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(set.contains(part), "{set}");
    }
    let cookie = set.split(';').next().unwrap().to_owned();
    let again = fake.get(&link).await;
    assert_eq!(again.status, 410);
    assert!(again.text().contains("signs in nobody"));
    let with = |method: Method, path: &str, origin: Option<&str>| {
        let mut request = json(method, path, r#"{"image": "a"}"#);
        request.headers_mut().insert("cookie", cookie.parse().unwrap());
        request.headers_mut().insert("host", "127.0.0.1:8080".parse().unwrap());
        if let Some(origin) = origin {
            request.headers_mut().insert("origin", origin.parse().unwrap());
        }
        request
    };
    let me: dto::Me = fake.ask(with(Method::GET, "/api/v1/auth/whoami", None)).await.json();
    assert_eq!((me.name.as_str(), me.role.as_str()), ("admin", "admin"));
    fake.ask(with(Method::POST, "/api/v1/tasks", None)).await.refused(403, "forbidden");
    fake.ask(with(Method::POST, "/api/v1/tasks", Some("http://evil.example"))).await.refused(403, "forbidden");
    let ours = fake.ask(with(Method::POST, "/api/v1/tasks", Some("http://127.0.0.1:8080"))).await;
    assert_eq!(ours.status, 201);
    assert_eq!(ours.json::<dto::Task>().user_id, "admin");
}

#[tokio::test]
async fn a_link_signs_in_nobody_where_others_can_reach_the_listener() {
    let fake = secured().await;
    let request = Request::get(fake.handle.login_link()).body(Body::empty()).unwrap();
    let answer = router(fake.handle.clone(), false).oneshot(request).await.unwrap();
    assert_eq!(answer.status(), 410);
}

#[tokio::test]
async fn the_references_telemetry_is_open_on_the_own_machine_and_for_viewers_elsewhere() {
    let fake = secured().await;
    let viewer = fake.user("vic", Role::Viewer).await;
    for path in ["/telemetry", "/workers"] {
        assert_eq!(fake.get(path).await.status, 200, "{path}");
        let elsewhere = |token: Option<&str>| {
            let mut request = Request::get(path).body(Body::empty()).unwrap();
            if let Some(token) = token {
                request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
            }
            router(fake.handle.clone(), false).oneshot(request)
        };
        assert_eq!(elsewhere(None).await.unwrap().status(), 401, "{path}");
        assert_eq!(elsewhere(Some(&viewer)).await.unwrap().status(), 200, "{path}");
    }
    fake.get("/api/v1/workers").await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn lists_have_ones_own_those_of_a_teammate_by_name_and_everybodys_for_operators() {
    let fake = secured().await;
    let (ann, olga) = (fake.user("ann", Role::User).await, fake.user("olga", Role::Operator).await);
    for name in ["bob", "eve"] {
        fake.user(name, Role::User).await;
    }
    fake.project(&["ann", "bob"]).await;
    for name in ["ann", "bob", "eve"] {
        fake.task_of(name).await;
        fake.job_of(name).await;
    }
    let owners = async |token: &str, query: &str| {
        let tasks: dto::List<dto::Task> = fake.get_as(token, &format!("/api/v1/tasks{query}")).await.json();
        let jobs: dto::List<dto::Job> = fake.get_as(token, &format!("/api/v1/jobs{query}")).await.json();
        let mut all: Vec<String> = tasks.items.into_iter().map(|task| task.user_id).collect();
        all.extend(jobs.items.into_iter().map(|job| job.user_id));
        all.sort();
        all.dedup();
        all.join(",")
    };
    assert_eq!(owners(&ann, "").await, "ann");
    assert_eq!(owners(&ann, "?user=bob").await, "bob");
    assert_eq!(owners(&ann, "?user=eve").await, "");
    assert_eq!(owners(&olga, "").await, "");
    assert_eq!(owners(&olga, "?user=eve").await, "eve");
    assert_eq!(owners(&olga, "?user=*").await, "ann,bob,eve");
    // The limit counts what one sees.
    let page: dto::List<dto::Task> = fake.get_as(&ann, "/api/v1/tasks?limit=1&sort=-created").await.json();
    assert_eq!((page.items.len(), page.items[0].user_id.as_str()), (1, "ann"));
    fake.get_as(&ann, "/api/v1/tasks?user=*").await.refused(403, "forbidden");
    fake.get_as(&ann, "/api/v1/jobs?user=*").await.refused(403, "forbidden");
}

#[tokio::test]
async fn the_queue_and_parts_of_ids_show_what_one_sees_alone() {
    let fake = secured().await;
    let (ann, olga) = (fake.user("ann", Role::User).await, fake.user("olga", Role::Operator).await);
    let (own, foreign) = (fake.task_of("ann").await, fake.task_of("eve").await);
    let found = async |token: &str, id: TaskId| {
        let path = format!("/api/v1/tasks/resolve?part={id}");
        fake.get_as(token, &path).await.json::<dto::List<dto::Task>>().items.len()
    };
    assert_eq!((found(&ann, own).await, found(&ann, foreign).await, found(&olga, foreign).await), (1, 0, 1));
}

#[tokio::test]
async fn a_teammates_task_is_seen_and_not_changed_and_an_operator_changes_it() {
    let fake = secured().await;
    let (ann, olga) = (fake.user("ann", Role::User).await, fake.user("olga", Role::Operator).await);
    fake.user("bob", Role::User).await;
    fake.project(&["ann", "bob"]).await;
    let id = fake.task_of("bob").await;
    assert_eq!(fake.get_as(&ann, &format!("/api/v1/tasks/{id}")).await.status, 200);
    let cancel = format!("/api/v1/tasks/{id}/cancel");
    let said = fake.call(&ann, Method::POST, &cancel, "").await.refused(403, "forbidden");
    assert!(said.contains("bob's") && said.contains("may not change"), "{said}");
    assert_eq!(fake.call(&olga, Method::POST, &cancel, "").await.status, 202);
    let again = fake.call(&olga, Method::POST, &format!("/api/v1/tasks/{id}/retry"), "").await;
    assert_eq!((again.status.as_u16(), again.json::<dto::Task>().user_id.as_str()), (201, "bob"), "it stays bob's");
}

#[tokio::test]
async fn credentials_for_the_whole_cluster_are_kept_by_operators() {
    let fake = secured().await;
    let (ann, olga) = (fake.user("ann", Role::User).await, fake.user("olga", Role::Operator).await);
    let body = r#"{"username": "u", "password": "p", "scope": "cluster"}"#;
    let path = "/api/v1/registries/ghcr.io";
    fake.call(&ann, Method::PUT, path, body).await.refused(403, "forbidden");
    assert_eq!(fake.call(&olga, Method::PUT, path, body).await.status, 201);
    let path = "/api/v1/registries/ghcr.io?scope=cluster";
    fake.call(&ann, Method::DELETE, path, "").await.refused(403, "forbidden");
    assert_eq!(fake.call(&olga, Method::DELETE, path, "").await.status, 204);
}

#[tokio::test]
async fn a_schedule_of_who_may_run_nothing_any_more_runs_nothing_and_says_why() {
    let fake = secured().await;
    let ann: UserId = "ann".parse().unwrap();
    let token = fake.user("ann", Role::User).await;
    let schedule = document!({"cron": "@hourly", "overlap": "replace", "task": {"image": "a"}});
    let given = definition::read(&serde_json::from_value::<Value>(schedule).unwrap()).unwrap();
    let at = |text: &str| rfc3339::parse(&format!("2026-01-31T{text}Z")).unwrap();
    let who = Principal::of(ann.clone());
    let always = crate::only::Only::Always;
    fake.handle.put_schedule(&who, &"nightly".parse().unwrap(), given, at("08:30:00"), &always).await.unwrap();
    look(&fake.handle, at("09:00:00")).await;
    let count =
        async |token: &str| fake.get_as(token, "/api/v1/tasks").await.json::<dto::List<dto::Task>>().items.len();
    assert_eq!(count(&token).await, 1);
    let identity = fake.handle.identity().unwrap();
    let change = Change { role: Some(Role::Viewer), ..Change::default() };
    identity.change_user(&fake.root(), &ann, change).await.unwrap();
    look(&fake.handle, at("10:00:00")).await;
    let password = Zeroizing::new(PASSWORD.to_owned());
    let token = identity.login("ann", password, None).await.unwrap().access.to_string();
    assert_eq!(count(&token).await, 1);
    let shown: dto::Schedule = fake.get_as(&token, "/api/v1/schedules/nightly").await.json();
    assert!(shown.last_error.unwrap().message.contains("made a viewer"));
}

#[tokio::test]
async fn a_cluster_without_users_says_so_and_knows_its_one_user() {
    let fake = Fake::start().await;
    let me: dto::Me = fake.get("/api/v1/auth/whoami").await.json();
    assert_eq!((me.name.as_str(), me.role.as_str(), me.projects.len()), ("local", "admin", 0));
    let body = document!({"user": "ann", "password": PASSWORD}).to_string();
    assert!(fake.post("/api/v1/auth/login", &body).await.refused(409, "conflict").contains("--insecure"));
    fake.get("/api/v1/users").await.refused(409, "conflict");
    assert_eq!(fake.handle.login_link(), "/");
    assert!(!fake.handle.has_users() && fake.handle.local_key("up").await.is_err());
}
