//! What each role may: every route, asked by a stranger and by each role, of their own, a teammate's and a foreigner's
//! task or job. `docs/roles.md` has the table; what must be so whatever the table says is asserted beside it.

use super::*;
use crate::http::routes;
use crate::http::table::{Access, Route};
use crate::principal::Role;
use std::fmt::Write as _;
use std::path::Path;

const BEGIN: &str = "<!-- roles: made by `make docs` -->\n";
const END: &str = "<!-- roles end -->\n";
/// Who asks, beside a stranger: of each role one, all of one project.
const ASKING: [(&str, Role); 4] =
    [("vic", Role::Viewer), ("ann", Role::User), ("olga", Role::Operator), ("root", Role::Admin)];
const TEAMMATE: &str = "bob";
const FOREIGNER: &str = "eve";

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Unknown,
    Forbidden,
    /// As if it were not there.
    Hidden,
    /// Whatever else was wrong with it.
    Allowed,
}

impl Fate {
    const fn word(self) -> &'static str {
        match self {
            Self::Unknown => "401",
            Self::Forbidden => "403",
            Self::Hidden => "404",
            Self::Allowed => "yes",
        }
    }
}

/// A route with what became of it: of a stranger, then of each role.
struct Row {
    route: Route,
    stranger: Fate,
    /// One, or those of the own, a teammate's and a foreigner's object.
    roles: Vec<Vec<Fate>>,
}

impl Row {
    fn is_of_object(&self) -> bool {
        is_of_object(self.route.path)
    }

    /// Whether it changes something: also a program in a container does.
    fn changes(&self) -> bool {
        self.route.method != Method::GET || self.route.path.ends_with("/exec")
    }

    fn call(&self) -> String {
        format!("{} {}", self.route.method, self.route.path)
    }
}

fn is_of_object(path: &str) -> bool {
    path.contains("/tasks/{id}") || path.contains("/jobs/{id}")
}

/// A path with its parameters, and this in the place of an id.
fn path(route: &str, id: &str) -> String {
    route
        .replace("{id}", id)
        .replace("{*path}", "a.txt")
        .replace("{sha256}", &"0".repeat(64))
        .replace("{name}", "none")
        .replace("{host}", "ghcr.io")
        .replace("{code}", "none")
}

/// Asks over an address that others can reach: nothing is open there for being near.
async fn fate(fake: &Fake, route: &Route, id: &str, token: Option<&str>) -> Fate {
    let mut request = json(route.method.clone(), &path(route.path, id), "{}");
    if let Some(token) = token {
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    let answer = router(fake.handle.clone(), false).oneshot(request).await.unwrap();
    match answer.status().as_u16() {
        401 => Fate::Unknown,
        403 => Fate::Forbidden,
        404 if is_of_object(route.path) => Fate::Hidden,
        _ => Fate::Allowed,
    }
}

/// A task or a job of somebody's that nobody has touched.
async fn object(fake: &Fake, path: &str, owner: &str) -> String {
    if path.contains("/jobs/") { fake.job_of(owner).await.to_string() } else { fake.task_of(owner).await.to_string() }
}

async fn rows() -> Vec<Row> {
    let fake = Fake::secured(AuthRules::default()).await;
    let mut tokens = Vec::new();
    for (name, role) in ASKING {
        tokens.push(fake.user(name, role).await);
    }
    for name in [TEAMMATE, FOREIGNER] {
        fake.user(name, Role::User).await;
    }
    let team: Vec<&str> = ASKING.iter().map(|(name, _)| *name).chain([TEAMMATE]).collect();
    fake.project(&team).await;
    let mut rows = Vec::new();
    for route in routes() {
        let stranger = fate(&fake, &route, "none", None).await;
        let mut roles = Vec::new();
        for ((name, _), token) in ASKING.iter().zip(&tokens) {
            let mut fates = Vec::new();
            if is_of_object(route.path) {
                for owner in [*name, TEAMMATE, FOREIGNER] {
                    let id = object(&fake, route.path, owner).await;
                    fates.push(fate(&fake, &route, &id, Some(token)).await);
                }
            } else {
                fates.push(fate(&fake, &route, "none", Some(token)).await);
            }
            roles.push(fates);
        }
        rows.push(Row { route, stranger, roles });
    }
    rows
}

fn table(rows: &[Row]) -> String {
    let mut table = String::from("| call | stranger | viewer | user | operator | admin |\n|---|---|---|---|---|---|\n");
    for row in rows {
        let _ = write!(table, "| `{}` | {} |", row.call(), row.stranger.word());
        for fates in &row.roles {
            let same = fates.windows(2).all(|pair| pair[0] == pair[1]);
            let shown = if same { &fates[..1] } else { &fates[..] };
            let words: Vec<&str> = shown.iter().map(|fate| fate.word()).collect();
            let _ = write!(table, " {} |", words.join(", "));
        }
        table.push('\n');
    }
    table
}

#[tokio::test]
async fn the_document_says_what_each_role_may() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/roles.md");
    let text = std::fs::read_to_string(&file).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (kept, after) = rest.split_once(END).unwrap();
    let fresh = table(&rows().await);
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(&file, format!("{before}{BEGIN}{fresh}{END}{after}")).unwrap();
    } else {
        assert!(kept == fresh, "docs/roles.md is not what the routes do: run `make docs`\n{fresh}");
    }
}

#[tokio::test]
async fn whatever_the_table_says_these_hold() {
    for row in rows().await {
        let call = row.call();
        let is_open = row.route.access == Access::Open;
        assert_eq!(row.stranger == Fate::Unknown, !is_open, "{call}: a stranger is let in where it is open alone");
        for ((name, role), fates) in ASKING.iter().zip(&row.roles) {
            assert!(!fates.contains(&Fate::Unknown) || is_open, "{call}: {name} showed a token");
            if !row.is_of_object() {
                let least = match row.route.access {
                    Access::Open => None,
                    Access::Least(least) => Some(least),
                };
                let allowed = least.is_none_or(|least| *role >= least);
                assert_eq!(fates[0] != Fate::Forbidden, allowed, "{call}: {name}");
                continue;
            }
            let [own, teammates, foreign] = fates[..] else { panic!("{call}: {fates:?}") };
            let sees_all = *role >= Role::Operator;
            let changes = row.changes();
            let may = |allowed: bool| if allowed { Fate::Allowed } else { Fate::Forbidden };
            assert_eq!(own, may(!changes || *role >= Role::User), "{call}: {name} of the own");
            assert_eq!(teammates, may(!changes || sees_all), "{call}: {name} of a teammate's");
            // What one does not see is not there; whoever may call it for nothing is told that before.
            let hidden = if changes && *role == Role::Viewer { Fate::Forbidden } else { Fate::Hidden };
            assert_eq!(foreign, if sees_all { Fate::Allowed } else { hidden }, "{call}: {name} of a foreigner's");
        }
        let viewer = &row.roles[0];
        let about_oneself =
            ["/api/v1/auth/", "/api/auth/", "/api/v1/keys"].iter().any(|of| row.route.path.starts_with(of));
        if row.changes() && !about_oneself {
            assert!(!viewer.contains(&Fate::Allowed), "{call}: a viewer changes nothing");
        }
    }
}
