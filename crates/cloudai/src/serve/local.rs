//! What `cloudai up` does for whoever sits at this machine: a context with a key, and a link that
//! signs a browser in. Nothing of it holds where others can reach the master.

use super::master::scheme;
use crate::client::parse_addr;
use crate::config::{MasterSettings, Process};
use crate::context::{ContextFile, Contexts, Entry};
use cloudai_master::Master;
use tracing::warn;

/// The name of the context, and of the key in it.
const CONTEXT: &str = "local";
/// The name of that key at the master.
const KEY: &str = "up";

/// Makes the key and keeps it in the context of this machine; says so of what can not be kept. Without users nobody
/// needs one.
pub(super) async fn keep_context(settings: &MasterSettings, master: &Master) {
    let http = master.http_address();
    if !http.ip().is_loopback() {
        return;
    }
    let addr = format!("{}://{http}", scheme(settings, master));
    let key = if master.handle().has_users() {
        match master.handle().local_key(KEY).await {
            Ok(key) => Some(key),
            Err(error) => {
                warn!(%error, "no key was made for this machine: sign in with cloudai login");
                return;
            }
        }
    } else {
        None
    };
    // The operator's own certificate is known to the machine, or is not.
    let own = addr.starts_with("https:") && settings.https.files.is_none();
    let ca_pem = if own { master.handle().ca_pem().map(ToOwned::to_owned) } else { None };
    let entry = Entry { addr, token: key, ca_pem, ..Entry::default() };
    let kept = tokio::task::spawn_blocking(move || {
        let file = ContextFile::of(&Process)?;
        file.change(|contexts| put(contexts, entry))
    });
    match kept.await {
        Ok(Ok(())) => {}
        Ok(Err(failure)) => {
            warn!(error = failure.what, why = failure.why.join("; "), "the context of this machine was not kept")
        }
        Err(error) => warn!(%error, "the context of this machine was not kept"),
    }
}

/// The context of a master of this machine. Another's current context stays the current one.
fn put(contexts: &mut Contexts, mut entry: Entry) {
    let before = contexts.contexts.get(CONTEXT).and_then(|before| before.user.clone());
    entry.user = entry.token.as_ref().map(|_| before.unwrap_or_else(|| "admin".into()));
    contexts.contexts.insert(CONTEXT.into(), entry);
    let current = contexts.current.as_ref().is_some_and(|current| contexts.contexts.contains_key(current));
    if !current {
        contexts.current = Some(CONTEXT.into());
    }
}

/// The address that signs a browser in once; the plain one where nobody has to.
pub(super) fn link(settings: &MasterSettings, master: &Master) -> String {
    let http = master.http_address();
    let plain = format!("{}://{http}", scheme(settings, master));
    if http.ip().is_loopback() && master.handle().has_users() {
        format!("{plain}{}   (signs in, once)", master.handle().login_link())
    } else {
        plain
    }
}

/// How commands of this machine are typed: shorter where they go to this master by themselves.
pub(super) fn command(settings: &MasterSettings, master: &Master) -> String {
    let addr = format!("{}://{}", scheme(settings, master), master.http_address());
    let goes_here = || {
        let contexts = ContextFile::of(&Process).ok()?.load().ok()?;
        let current = contexts.contexts.get(contexts.current.as_ref()?)?;
        Some(parse_addr(&current.addr).ok()? == parse_addr(&addr).ok()?)
    };
    if goes_here() == Some(true) { "cloudai".into() } else { format!("cloudai --addr {addr}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_context_of_this_machine_is_renewed_and_takes_no_others_place() {
        let entry = |key: Option<&str>| Entry {
            addr: "http://127.0.0.1:8080".into(),
            token: key.map(ToOwned::to_owned),
            ..Entry::default()
        };
        let mut contexts = Contexts::default();
        put(&mut contexts, entry(Some("caik_1")));
        let kept = contexts.contexts.get(CONTEXT).unwrap();
        let told = (kept.addr.as_str(), kept.user.as_deref(), kept.token.as_deref(), contexts.current.as_deref());
        assert_eq!(told, ("http://127.0.0.1:8080", Some("admin"), Some("caik_1"), Some("local")));
        contexts.contexts.insert("prod".into(), Entry { addr: "https://m1".into(), ..Entry::default() });
        contexts.current = Some("prod".into());
        put(&mut contexts, entry(Some("caik_2")));
        assert_eq!(contexts.contexts.get(CONTEXT).unwrap().token.as_deref(), Some("caik_2"));
        assert_eq!(contexts.current.as_deref(), Some("prod"));
        // A cluster without users has no key, and one of before is worth nothing.
        put(&mut contexts, entry(None));
        assert_eq!((contexts.contexts.get(CONTEXT).unwrap().is_signed_in(), contexts.contexts.len()), (false, 2));
        // One that was forgotten is no current one.
        contexts.contexts.remove("prod");
        put(&mut contexts, entry(None));
        assert_eq!(contexts.current.as_deref(), Some("local"));
    }
}
