//! What whoever watches over the process asks: does it live, does it take work. In plain text, and
//! open to everyone: they tell nothing of the cluster's content.

use crate::handle::Handle;
use axum::extract::State;
use axum::http::StatusCode;

/// Whether the process serves: no more is asked of it.
pub(super) async fn livez() -> &'static str {
    "ok\n"
}

/// Whether the engine runs and the store takes commits; if not, one reason a line.
pub(super) async fn readyz(State(handle): State<Handle>) -> (StatusCode, String) {
    let reasons = handle.unready();
    if reasons.is_empty() {
        return (StatusCode::OK, "ready\n".into());
    }
    let told: String = reasons.iter().map(|reason| format!("{reason}\n")).collect();
    (StatusCode::SERVICE_UNAVAILABLE, format!("not ready\n{told}"))
}
