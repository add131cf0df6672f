//! Who comes in: signing in, users, projects, API keys. Where there are no users, all but two of them are a conflict.

use super::*;
use crate::auth::key::LONGEST_NAME;
use crate::auth::password::{LEAST, MOST};
use crate::auth::project::MOST_MEMBERS;
use crate::http::dto::{ApiKey, Me, Project, Tokens, User};
use crate::http::keys::LONGEST;
use crate::principal::Role;
use serde_json::{Value, json};

/// Where there are no users.
const NO_USERS: &[Code] = &[Code::Conflict];
/// Of whom it is not known yet whether they are who they say.
const GUESSED: &[Code] = &[Code::Conflict, Code::Unauthenticated, Code::RateLimited];
const WHOSE: Param = Param::text("user", "Whose; the caller's where nothing is said, others' for administrators");

pub(in crate::http) const LOGIN: Doc = Doc::new(
    "auth_login",
    "Signs in by name and password",
    &[Answer::json(200, "What to call the API with", of::<Tokens>)],
)
.about("After five failures in a row of a name, or 20 of an address, `Retry-After` says when to come again.")
.body(Body::Json(sign_in))
.problems(GUESSED);

pub(in crate::http) const OLD_LOGIN: Doc = LOGIN.named("reference_auth_login");

pub(in crate::http) const REFRESH: Doc = Doc::new(
    "auth_refresh",
    "Goes on with a session",
    &[Answer::json(200, "New tokens; the refresh token was good once", of::<Tokens>)],
)
.about("A refresh token that comes a second time ends its session.")
.body(Body::Json(refresh))
.problems(&[Code::Conflict, Code::Unauthenticated]);

pub(in crate::http) const LOGOUT: Doc = Doc::new(
    "auth_logout",
    "Ends a session: that of the refresh token, else the one by which the call is made",
    &[Answer::nothing(204, "It has ended, and its access tokens with it").with("Set-Cookie", "Takes the cookie back")],
)
.body(Body::Perhaps(refresh))
.problems(NO_USERS);

pub(in crate::http) const REGISTER: Doc = Doc::new(
    "auth_register",
    "Makes a viewer of whoever asks, where `auth.self_register` allows that",
    &[Answer::json(201, "The user", of::<User>)],
)
.body(Body::Json(registration))
.problems(&[Code::Conflict, Code::RateLimited]);

pub(in crate::http) const OLD_REGISTER: Doc = REGISTER.named("reference_auth_register");

pub(in crate::http) const WHOAMI: Doc =
    Doc::new("auth_whoami", "Who asks, and by what", &[Answer::json(200, "The caller", of::<Me>)]);

pub(in crate::http) const PASSWORD: Doc =
    Doc::new("auth_password", "Changes one's own password; all sessions end", &[Answer::nothing(204, "It is changed")])
        .body(Body::Json(passwords))
        .problems(&[Code::Conflict, Code::NotFound, Code::RateLimited]);

pub(in crate::http) const LINK: Doc = Doc::new(
    "login_link",
    "Signs a browser of the master's own machine in, once",
    &[
        Answer::nothing(303, "To the first page").with("Set-Cookie", "`cloudai_session`, which says who asks"),
        Answer::raw(410, "A page that says that the link signs in nobody", &["text/html"]),
    ],
);

pub(in crate::http) const USERS: Doc =
    Doc::new("users_list", "Who may come in", &[Answer::json(200, "In the order of their names", list_of::<User>)])
        .problems(NO_USERS);

pub(in crate::http) const USER_MAKE: Doc = Doc::new(
    "users_create",
    "Makes a user",
    &[Answer::json(201, "The user", of::<User>).with("Location", "Where it is found")],
)
.about("Without a password one is made, which this answer alone has.")
.body(Body::Json(new_user))
.problems(NO_USERS);

pub(in crate::http) const USER_GET: Doc =
    Doc::new("users_get", "One user", &[Answer::json(200, "The user", of::<User>)]).problems(NO_USERS);

pub(in crate::http) const USER_CHANGE: Doc = Doc::new(
    "users_change",
    "Changes role, password, or whether one may come in",
    &[Answer::json(200, "The user", of::<User>)],
)
.about("Access tokens of before are refused; a new password and `disabled` end all sessions.")
.body(Body::Json(change))
.problems(NO_USERS);

pub(in crate::http) const USER_REMOVE: Doc = Doc::new(
    "users_remove",
    "Removes a user; what that one owned stays under the name",
    &[Answer::nothing(204, "It is gone")],
)
.problems(NO_USERS);

pub(in crate::http) const PROJECTS: Doc = Doc::new(
    "projects_list",
    "Your projects; all of them for administrators",
    &[Answer::json(200, "In the order of their names", list_of::<Project>)],
)
.problems(NO_USERS);

pub(in crate::http) const PROJECT_PUT: Doc = Doc::new(
    "projects_put",
    "Says who is of a project: its members see each other's tasks",
    &[
        Answer::json(201, "It is kept", of::<Project>),
        Answer::json(200, "It is kept in the place of an earlier one", of::<Project>),
    ],
)
.body(Body::Json(project))
.problems(NO_USERS);

pub(in crate::http) const PROJECT_REMOVE: Doc = Doc::new(
    "projects_remove",
    "Removes a project; what its members own stays theirs",
    &[Answer::nothing(204, "It is gone")],
)
.problems(NO_USERS);

pub(in crate::http) const KEYS: Doc = Doc::new(
    "keys_list",
    "Your API keys, without what they are",
    &[Answer::json(200, "The earliest first", list_of::<ApiKey>)],
)
.params(&[WHOSE])
.problems(NO_USERS);

pub(in crate::http) const KEY_MAKE: Doc =
    Doc::new("keys_create", "Makes an API key", &[Answer::json(201, "The key, told once", of::<ApiKey>)])
        .about("It may what its maker may, or less. A key that a key makes lives no longer than that one.")
        .body(Body::Json(new_key))
        .problems(&[Code::Conflict, Code::NotFound]);

pub(in crate::http) const KEY_REMOVE: Doc =
    Doc::new("keys_remove", "Removes an API key", &[Answer::nothing(204, "Whoever shows it is nobody")])
        .params(&[WHOSE])
        .problems(NO_USERS);

fn text() -> Value {
    json!({ "type": "string" })
}

/// What a user or a project may be called.
fn name() -> Value {
    json!({ "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$" })
}

/// Of those that are set: a user's name, and what is tried first, are none either.
fn password(kind: &Value) -> Value {
    json!({ "type": kind, "minLength": LEAST, "maxLength": MOST })
}

fn role(or: &[Value]) -> Value {
    let words = Role::ALL.map(|role| json!(role.word()));
    let all = [words.as_slice(), or].concat();
    json!({ "enum": all })
}

fn sign_in(_schemas: &mut Schemas) -> Value {
    shapes::closed(&json!({ "user": text(), "password": text() }), &["user", "password"])
}

fn refresh(_schemas: &mut Schemas) -> Value {
    shapes::closed(&json!({ "refresh_token": text() }), &["refresh_token"])
}

fn registration(_schemas: &mut Schemas) -> Value {
    shapes::closed(&json!({ "user": name(), "password": password(&json!("string")) }), &["user", "password"])
}

fn passwords(_schemas: &mut Schemas) -> Value {
    shapes::closed(&json!({ "old": text(), "new": password(&json!("string")) }), &["old", "new"])
}

fn new_user(_schemas: &mut Schemas) -> Value {
    let password = password(&json!(["string", "null"]));
    shapes::closed(&json!({ "name": name(), "role": role(&[]), "password": password }), &["name", "role"])
}

fn change(_schemas: &mut Schemas) -> Value {
    let disabled = json!({ "type": ["boolean", "null"] });
    let password = password(&json!(["string", "null"]));
    shapes::closed(&json!({ "role": role(&[Value::Null]), "disabled": disabled, "password": password }), &[])
}

fn project(_schemas: &mut Schemas) -> Value {
    let members = json!({ "type": "array", "items": name(), "maxItems": MOST_MEMBERS });
    shapes::closed(&json!({ "members": members }), &["members"])
}

fn new_key(_schemas: &mut Schemas) -> Value {
    let name = json!({ "type": "string", "minLength": 1, "maxLength": LONGEST_NAME });
    let life = json!({ "type": ["integer", "null"], "minimum": 1, "maximum": LONGEST });
    shapes::closed(&json!({ "name": name, "role": role(&[Value::Null]), "expires_in_s": life }), &["name"])
}
