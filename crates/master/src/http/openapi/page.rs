//! The page that shows the document: one file, which asks for nothing but that document.

use crate::http::problem::Problem;
use crate::http::query::Parameters;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

const PAGE: &str = include_str!("page.html");

/// What the page may do: run its own script and style, ask this master. Nothing else, from nowhere else.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let (script, style) = (hash(inner("script")), hash(inner("style")));
    format!(
        "default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
});

/// The page.
pub(in crate::http) async fn page(query: Parameters) -> Result<Response, Problem> {
    query.close()?;
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY.as_str()),
        (REFERRER_POLICY, "no-referrer"),
    ];
    Ok((headers, PAGE).into_response())
}

/// What stands in an element of the page.
fn inner(element: &str) -> &'static str {
    let (from, to) = (format!("<{element}>"), format!("</{element}>"));
    let rest = PAGE.split_once(&from).map_or("", |(_, rest)| rest);
    rest.split_once(&to).map_or("", |(inner, _)| inner)
}

fn hash(text: &str) -> String {
    STANDARD.encode(Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_asks_for_nothing_from_elsewhere_and_runs_only_what_is_in_it() {
        assert!(!PAGE.contains("http://") && !PAGE.contains("https://") && !PAGE.contains("src="), "{PAGE}");
        for element in ["script", "style"] {
            assert_eq!(PAGE.matches(&format!("<{element}>")).count(), 1, "{element}");
            assert!(!inner(element).is_empty() && POLICY.contains(&hash(inner(element))), "{element}");
        }
        // What the policy would not let run.
        assert!(!PAGE.contains("onclick=") && !PAGE.contains("style=") && !PAGE.contains("innerHTML"));
    }
}
