//! How a client is known to its master: a key that it was given, or a sign-in that is kept in a
//! context and renewed there.

use super::{ANSWER, Client};
use crate::context::{ContextFile, Entry, Writer};
use crate::exit::{Exit, Failure};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use std::fmt;
use std::sync::Arc;
use tokio::sync::Mutex;

/// So long before its end a token is renewed, in seconds: longer than a request is on its way.
const MARGIN: i64 = 60;

/// How a client is known.
#[derive(Clone, Default)]
pub(crate) enum Credentials {
    /// Not at all.
    #[default]
    Nobody,
    /// By this token.
    Token(Arc<str>),
    /// By the sign-in of a context.
    SignIn(Arc<SignIn>),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nobody => "Nobody",
            Self::Token(_) => "Token",
            Self::SignIn(_) => "SignIn",
        })
    }
}

/// The sign-in of a context. One at a time renews it, in this process and in all others.
pub(crate) struct SignIn {
    file: ContextFile,
    name: String,
    held: Mutex<Entry>,
}

/// What a sign-in is answered with.
#[derive(Clone, Deserialize)]
pub(crate) struct Tokens {
    /// Short-lived, for requests.
    pub(crate) access_token: String,
    /// How long, in seconds.
    pub(crate) expires_in: i64,
    /// What the next ones are had for, once.
    pub(crate) refresh_token: String,
    /// Whose.
    #[serde(default)]
    pub(crate) user: TokenUser,
}

/// Whom tokens are of.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct TokenUser {
    /// The name.
    #[serde(default)]
    pub(crate) name: String,
    /// What that user may do.
    #[serde(default)]
    pub(crate) role: String,
}

impl Tokens {
    /// Puts them into a context.
    pub(crate) fn keep(self, entry: &mut Entry) {
        entry.access_until = Some(now_s().saturating_add(self.expires_in));
        (entry.access, entry.refresh) = (Some(self.access_token), Some(self.refresh_token));
    }
}

/// This machine's time in seconds, by which the end of tokens is kept.
fn now_s() -> i64 {
    jiff::Timestamp::now().as_second()
}

impl Credentials {
    /// Those of a context.
    #[must_use]
    pub(crate) fn of_context(file: ContextFile, name: String, entry: Entry) -> Self {
        match entry.token {
            Some(key) => Self::Token(key.into()),
            None if entry.is_signed_in() => Self::SignIn(Arc::new(SignIn { file, name, held: Mutex::new(entry) })),
            None => Self::Nobody,
        }
    }

    /// Whether there are any.
    #[must_use]
    pub(crate) const fn is_somebody(&self) -> bool {
        !matches!(self, Self::Nobody)
    }

    /// Whether a token that is refused may be followed by another.
    pub(super) fn can_renew(&self) -> bool {
        matches!(self, Self::SignIn(_))
    }

    /// What a request shows; renewed where it ends soon.
    pub(super) async fn token(&self, client: &Client) -> Result<Option<String>, Failure> {
        match self {
            Self::Nobody => Ok(None),
            Self::Token(token) => Ok(Some(token.to_string())),
            Self::SignIn(sign_in) => sign_in.token(client, false).await.map(Some),
        }
    }

    /// Another token than the one that was refused.
    pub(super) async fn renew(&self, client: &Client) -> Result<(), Failure> {
        match self {
            Self::Nobody | Self::Token(_) => Ok(()),
            Self::SignIn(sign_in) => sign_in.token(client, true).await.map(drop),
        }
    }
}

/// The access token of an entry that is good for so many seconds at least.
fn good_for(entry: &Entry, seconds: i64) -> Option<&String> {
    let until = entry.access_until?;
    entry.access.as_ref().filter(|_| until > now_s().saturating_add(seconds))
}

impl SignIn {
    /// The access token; another one than is held where that was `refused` or ends soon.
    async fn token(&self, client: &Client, refused: bool) -> Result<String, Failure> {
        let mut held = self.held.lock().await;
        if let Some(access) = good_for(&held, MARGIN).filter(|_| !refused) {
            return Ok(access.clone());
        }
        let file = self.file.clone();
        let waiting = tokio::task::spawn_blocking(move || file.writer()).await;
        let writer = waiting.map_err(|error| Failure::error(error.to_string()))??;
        *held = self.renewed(client, writer, &held, refused).await?;
        // One that was just had may end soon by this clock: it is shown all the same.
        held.access.clone().ok_or_else(|| ended(client))
    }

    /// What the context has once it is renewed: by another process meanwhile, or by the master.
    async fn renewed(&self, client: &Client, writer: Writer, before: &Entry, refused: bool) -> Result<Entry, Failure> {
        let mut contexts = self.file.load()?;
        let Some(entry) = contexts.contexts.get_mut(&self.name) else { return Err(ended(client)) };
        if entry.access != before.access && good_for(entry, MARGIN).is_some() {
            return Ok(entry.clone());
        }
        let Some(refresh) = entry.refresh.clone() else { return Err(ended(client)) };
        let body = serde_json::json!({ "refresh_token": refresh });
        let request = client.request(Method::POST, &["api", "v1", "auth", "refresh"]).timeout(ANSWER).json(&body);
        let failure = match request.send().await {
            Ok(answer) if answer.status() == StatusCode::UNAUTHORIZED => {
                entry.sign_out();
                writer.write(&contexts)?;
                return Err(ended(client));
            }
            Ok(answer) => match client.accept(answer).await {
                Ok(answer) => {
                    client.json::<Tokens>(answer).await?.keep(entry);
                    let entry = entry.clone();
                    writer.write(&contexts)?;
                    return Ok(entry);
                }
                Err(failure) => failure,
            },
            Err(error) => client.unreachable(&error),
        };
        // The one that is there is good for a little while still.
        if good_for(entry, 0).is_some() && !refused { Ok(entry.clone()) } else { Err(failure) }
    }
}

/// The sign-in is over.
fn ended(client: &Client) -> Failure {
    let addr = client.addr();
    Failure::new(Exit::NotAllowed, "unauthenticated", format!("your sign-in at {addr} has ended"))
        .why("it was not used for long, or was ended elsewhere")
        .next(format!("cloudai login {addr}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_until_shortly_before_its_end() {
        let mut entry = Entry::default();
        let tokens = |expires_in| Tokens {
            access_token: "a".into(),
            expires_in,
            refresh_token: "r".into(),
            user: TokenUser::default(),
        };
        assert_eq!(good_for(&entry, 0), None);
        tokens(900).keep(&mut entry);
        assert_eq!(good_for(&entry, MARGIN).map(String::as_str), Some("a"));
        tokens(MARGIN / 2).keep(&mut entry);
        assert_eq!((good_for(&entry, MARGIN), good_for(&entry, 0).is_some()), (None, true));
        tokens(-1).keep(&mut entry);
        assert_eq!(good_for(&entry, 0), None);
        assert_eq!(entry.refresh.as_deref(), Some("r"));
    }

    #[test]
    fn a_key_goes_before_a_sign_in_and_nothing_of_them_is_shown() {
        let dir = tempfile::tempdir().unwrap();
        let from = Folder(dir.path().display().to_string());
        let of = |entry| Credentials::of_context(ContextFile::of(&from).unwrap(), "a".into(), entry);
        let signed_in = Entry { refresh: Some("secret".into()), ..Entry::default() };
        let told =
            [of(Entry::default()), of(signed_in.clone()), of(Entry { token: Some("secret".into()), ..signed_in })]
                .map(|who| format!("{who:?} {}", who.is_somebody()));
        assert_eq!(told, ["Nobody false", "SignIn true", "Token true"]);
    }

    /// Surroundings with a folder of contexts and nothing else.
    struct Folder(String);

    impl crate::config::Surroundings for Folder {
        fn var(&self, name: &str) -> Option<String> {
            (name == crate::context::FOLDER).then(|| self.0.clone())
        }
        fn names(&self) -> Vec<String> {
            Vec::new()
        }
        fn read(&self, _: &std::path::Path) -> std::io::Result<Option<String>> {
            Ok(None)
        }
        fn is_root(&self) -> bool {
            false
        }
        fn hostname(&self) -> String {
            String::new()
        }
    }
}
