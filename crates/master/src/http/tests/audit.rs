//! What the audit log says of people: who they were, by what they showed it, and none of their secrets.

use super::auth::PASSWORD;
use super::*;
use crate::principal::Role;
use cloudai_store::audit::{AuditQuery, AuditRow};
use serde_json::json as document;

/// The row of a call that was done: it is on disk when the call is answered.
async fn row(fake: &Fake, action: &str) -> (AuditRow, serde_json::Value) {
    let query = AuditQuery { action: Some(action.to_owned()), limit: 1, ..AuditQuery::default() };
    let row = fake.handle.shared.audit.rows(&query).await.unwrap().items.remove(0);
    let body = serde_json::from_str(&row.body).unwrap();
    (row, body)
}

/// Everything that stands in the log.
async fn whole(fake: &Fake) -> String {
    let query = AuditQuery { limit: 1000, ..AuditQuery::default() };
    format!("{:?}", fake.handle.shared.audit.rows(&query).await.unwrap().items)
}

#[tokio::test]
async fn a_change_stands_in_the_log_with_who_made_it_and_by_what_they_were_known() {
    let fake = Fake::secured(AuthRules::default()).await;
    let ann = fake.user("ann", Role::User).await;
    let made = fake.call(&ann, Method::POST, "/api/v1/keys", r#"{"name": "ci"}"#).await;
    assert_eq!(made.status, 201);
    let (told, body) = row(&fake, "POST /api/v1/keys").await;
    assert_eq!((told.who.as_str(), &body["role"], &body["via"]), ("ann", &"user".into(), &"session".into()));
    let key = made.json::<dto::ApiKey>().key.unwrap().0;
    assert_eq!(fake.call(&key, Method::POST, "/api/v1/tasks", r#"{"image": "a"}"#).await.status, 201);
    let (told, body) = row(&fake, "POST /api/v1/tasks").await;
    assert_eq!((told.who.as_str(), &body["via"]), ("ann", &"key ci".into()));
    let open = Fake::start().await;
    assert_eq!(open.post("/api/v1/tasks", r#"{"image": "a"}"#).await.status, 201);
    let (told, body) = row(&open, "POST /api/v1/tasks").await;
    assert_eq!((told.who.as_str(), &body["via"]), ("local", &"insecure".into()));
    assert!(!whole(&fake).await.contains(&key));
}

#[tokio::test]
async fn a_sign_in_stands_in_the_log_with_the_user_and_without_what_was_shown() {
    let fake = Fake::secured(AuthRules::default()).await;
    fake.user("ann", Role::User).await;
    let body = document!({"user": "ann", "password": PASSWORD}).to_string();
    let tokens: dto::Tokens = fake.post("/api/v1/auth/login", &body).await.json();
    let (told, _) = row(&fake, "POST /api/v1/auth/login").await;
    assert_eq!((told.who.as_str(), told.object.as_deref()), ("-", Some("ann")));
    let link = fake.handle.login_link();
    assert_eq!(fake.get(&link).await.status, 303);
    let (told, body) = row(&fake, "GET /login/{code}").await;
    assert_eq!((told.object, &body["outcome"]["status"]), (None, &303.into()));
    let whole = whole(&fake).await;
    let code = link.strip_prefix("/login/").unwrap();
    for secret in [PASSWORD, &tokens.access_token.0, &tokens.refresh_token.0, code] {
        assert!(!whole.contains(secret), "{secret}");
    }
}
