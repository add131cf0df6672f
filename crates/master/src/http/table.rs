//! The table of routes as values: it makes the router, and answers for what is not in it.

use super::identify;
use super::openapi::doc::Doc;
use super::problem::{Code, Problem};
use crate::handle::Handle;
use crate::principal::{Principal, Role};
use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::handler::Handler;
use axum::http::{Method, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use cloudai_core::text::distance;
use std::sync::Arc;

/// Where the API begins; a caller who leaves it out is told so.
const API: &str = "/api/v1";
/// Longer paths are no slips of the finger, and comparing them would cost.
const LONGEST_SLIP: usize = 120;

/// Who may call a route. Whose objects it may then see or change, its handler decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Anybody: nobody is asked who they are.
    Open,
    /// Whoever has this role, or a greater one.
    Least(Role),
}

/// The least roles, as the table of routes names them.
pub(super) const OPEN: Access = Access::Open;
pub(super) const VIEWER: Access = Access::Least(Role::Viewer);
pub(super) const USER: Access = Access::Least(Role::User);
pub(super) const OPERATOR: Access = Access::Least(Role::Operator);
pub(super) const ADMIN: Access = Access::Least(Role::Admin);

/// One call: method, path, who may make it, what is said of it, handler.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) access: Access,
    pub(super) doc: &'static Doc,
    handler: MethodRouter<Handle>,
}

impl Route {
    fn new<H: Handler<T, Handle>, T: 'static>(
        (method, filter): (Method, MethodFilter),
        access: Access,
        path: &'static str,
        handler: H,
        doc: &'static Doc,
    ) -> Self {
        let handler = on(filter, handler).layer(from_fn_with_state(access, admit));
        Self { method, path, access, doc, handler }
    }
}

pub(super) fn get<H: Handler<T, Handle>, T: 'static>(
    access: Access,
    path: &'static str,
    handler: H,
    doc: &'static Doc,
) -> Route {
    Route::new((Method::GET, MethodFilter::GET), access, path, handler, doc)
}

pub(super) fn post<H: Handler<T, Handle>, T: 'static>(
    access: Access,
    path: &'static str,
    handler: H,
    doc: &'static Doc,
) -> Route {
    Route::new((Method::POST, MethodFilter::POST), access, path, handler, doc)
}

pub(super) fn put<H: Handler<T, Handle>, T: 'static>(
    access: Access,
    path: &'static str,
    handler: H,
    doc: &'static Doc,
) -> Route {
    Route::new((Method::PUT, MethodFilter::PUT), access, path, handler, doc)
}

pub(super) fn patch<H: Handler<T, Handle>, T: 'static>(
    access: Access,
    path: &'static str,
    handler: H,
    doc: &'static Doc,
) -> Route {
    Route::new((Method::PATCH, MethodFilter::PATCH), access, path, handler, doc)
}

pub(super) fn delete<H: Handler<T, Handle>, T: 'static>(
    access: Access,
    path: &'static str,
    handler: H,
    doc: &'static Doc,
) -> Route {
    Route::new((Method::DELETE, MethodFilter::DELETE), access, path, handler, doc)
}

/// Lets those pass who may make the call.
async fn admit(State(access): State<Access>, request: Request, next: Next) -> Response {
    let refused = match (access, request.extensions().get::<Principal>()) {
        (Access::Open, _) => None,
        (Access::Least(_), None) => Some(identify::unknown(&request)),
        (Access::Least(role), Some(who)) if who.has(role) => None,
        (Access::Least(role), Some(who)) => Some(not_allowed(who, role)),
    };
    match refused {
        None => next.run(request).await,
        Some(problem) => problem.into_response(),
    }
}

fn not_allowed(who: &Principal, role: Role) -> Problem {
    let (user, has) = (&who.user, who.role());
    Problem::new(
        Code::Forbidden,
        format!("{user} has the role {has}: this call takes the role {role} or a greater one"),
    )
    .next("ask an administrator of the cluster: cloudai whoami shows who you are")
}

/// Method and path of every route.
type Calls = Arc<[(Method, &'static str)]>;

/// A router of all routes that answers every other call with the nearest one.
pub(super) fn router(routes: Vec<Route>) -> Router<Handle> {
    let calls: Calls = routes.iter().map(|route| (route.method.clone(), route.path)).collect();
    let others = Arc::clone(&calls);
    let router = routes.into_iter().fold(Router::new(), |router, route| router.route(route.path, route.handler));
    router
        .fallback(move |method: Method, uri: Uri| async move { no_route(&method, uri.path(), &calls) })
        .method_not_allowed_fallback(move |method: Method, path: MatchedPath| async move {
            no_method(&method, path.as_str(), &others)
        })
}

fn no_route(method: &Method, path: &str, calls: &[(Method, &'static str)]) -> Problem {
    let shown: String = path.chars().take(LONGEST_SLIP).collect();
    let problem = Problem::new(Code::NotFound, format!("there is no {method} {shown}"));
    match nearest(path, calls) {
        Some(path) => problem.next(format!("did you mean {} {path}?", methods(path, calls).join(" or "))),
        None => problem.next("docs/rest.md lists every call"),
    }
}

fn no_method(method: &Method, path: &str, calls: &[(Method, &'static str)]) -> Problem {
    let allowed = methods(path, calls).join(" and ");
    Problem::new(Code::MethodNotAllowed, format!("{method} is not possible on {path}: it takes {allowed}"))
}

fn methods<'a>(path: &str, calls: &'a [(Method, &'static str)]) -> Vec<&'a str> {
    calls.iter().filter(|(_, known)| *known == path).map(|(method, _)| method.as_str()).collect()
}

/// The known path that is a slip or a forgotten prefix away.
fn nearest(path: &str, calls: &[(Method, &'static str)]) -> Option<&'static str> {
    if path.len() > LONGEST_SLIP {
        return None;
    }
    let path = path.trim_end_matches('/');
    let with_prefix = format!("{API}{}", path.strip_prefix("/api").unwrap_or(path));
    let slips = |known: &str| distance_to(path, known).min(distance_to(&with_prefix, known));
    let (slips, found) = calls.iter().map(|(_, known)| (slips(known), *known)).min()?;
    (slips <= 3.min(path.len() / 3)).then_some(found)
}

/// How far a path is from a pattern; what stands in for a parameter is never wrong.
fn distance_to(path: &str, pattern: &str) -> usize {
    let mut parts = path.split('/');
    let mut filled = Vec::new();
    for part in pattern.split('/') {
        match (parts.next(), part.starts_with('{')) {
            (Some(given), true) if !given.is_empty() => filled.push(given),
            _ => filled.push(part),
        }
    }
    distance(path, &filled.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_path_is_answered_with_the_nearest_route() {
        let calls: Calls = super::super::routes().into_iter().map(|route| (route.method, route.path)).collect();
        let rows = [
            ("/api/v1/task", Some("/api/v1/tasks")),
            ("/tasks", Some("/api/v1/tasks")),
            ("/api/tasks", Some("/api/tasks")),
            ("/api/v1/tasks/", Some("/api/v1/tasks")),
            ("/api/v1/tasks/task-1/log", Some("/api/v1/tasks/{id}/logs")),
            ("/api/v1/tasks/task-1/cancle", Some("/api/v1/tasks/{id}/cancel")),
            ("/queue", Some("/api/v1/queue")),
            ("/helth", Some("/health")),
            ("/", None),
            ("/favicon.ico", None),
            ("/api/v1/wombats", None),
        ];
        for (path, route) in rows {
            assert_eq!(nearest(path, &calls), route, "{path}");
        }
        assert_eq!(nearest(&"/x".repeat(1000), &calls), None);
    }
}
