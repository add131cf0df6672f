//! Access tokens: JWT (RFC 7519) signed with HS256, and nothing else.
//!
//! The header is compared as it is: there is no algorithm to choose, so none can be chosen by whoever shows a token.

use crate::principal::Role;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloudai_core::ids::UserId;
use cloudai_core::time::Timestamp;
use hmac::{Hmac, Mac as _};
use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::Zeroizing;

/// The fewest bytes of a key: those of the hash.
pub(crate) const LEAST_KEY: usize = 32;
/// Longer ones are none of ours.
const LONGEST: usize = 4096;
/// What every token begins with, as an object: `{"alg":"HS256","typ":"JWT"}`.
const HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    /// Whose.
    pub(crate) sub: UserId,
    /// For those who look; what holds is what the master knows of the user.
    pub(crate) role: Role,
    /// The user's generation when it was made.
    #[serde(rename = "gen")]
    pub(crate) generation: u64,
    /// The session that it belongs to.
    pub(crate) sid: String,
    /// When it was made, in seconds since the epoch.
    pub(crate) iat: u64,
    /// When it ends.
    pub(crate) exp: u64,
    /// The cluster.
    pub(crate) iss: String,
}

/// Why a token is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// It is none of this cluster's, or was changed.
    Foreign,
    /// Its time is over.
    Expired,
}

/// Signs, and tells its own signatures. Its `Debug` shows no key.
pub(crate) struct Signer {
    key: Zeroizing<Vec<u8>>,
    issuer: String,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl Signer {
    /// Signs with a key for a cluster.
    pub(crate) const fn new(key: Zeroizing<Vec<u8>>, issuer: String) -> Self {
        Self { key, issuer }
    }

    /// The cluster that it signs for.
    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// A token; none where there is nothing to sign with.
    pub(crate) fn sign(&self, claims: &Claims) -> Option<String> {
        let body = serde_json::to_vec(claims).ok()?;
        let signed = format!("{HEADER}.{}", URL_SAFE_NO_PAD.encode(body));
        let signature = self.mac(&signed)?.finalize().into_bytes();
        Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// What a token says that is one at this time.
    pub(crate) fn read(&self, token: &str, now: Timestamp) -> Result<Claims, Wrong> {
        if token.len() > LONGEST {
            return Err(Wrong::Foreign);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Wrong::Foreign)?;
        let (header, body) = signed.split_once('.').ok_or(Wrong::Foreign)?;
        if header != HEADER {
            return Err(Wrong::Foreign);
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Wrong::Foreign)?;
        // It compares in constant time.
        self.mac(signed).ok_or(Wrong::Foreign)?.verify_slice(&signature).map_err(|_| Wrong::Foreign)?;
        let body = URL_SAFE_NO_PAD.decode(body).map_err(|_| Wrong::Foreign)?;
        let claims: Claims = serde_json::from_slice(&body).map_err(|_| Wrong::Foreign)?;
        if claims.iss != self.issuer {
            return Err(Wrong::Foreign);
        }
        if claims.exp.saturating_mul(1000) <= now.as_millis() {
            return Err(Wrong::Expired);
        }
        Ok(claims)
    }

    fn mac(&self, signed: &str) -> Option<Hmac<sha2::Sha256>> {
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&self.key).ok()?;
        mac.update(signed.as_bytes());
        Some(mac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn signer(key: u8) -> Signer {
        Signer::new(Zeroizing::new(vec![key; 32]), "cluster-1".into())
    }

    fn claims() -> Claims {
        Claims {
            sub: "ann".parse().unwrap(),
            role: Role::User,
            generation: 3,
            sid: "s".into(),
            iat: 1_700_000_000,
            exp: 1_700_000_900,
            iss: "cluster-1".into(),
        }
    }

    fn coded(text: &str) -> String {
        URL_SAFE_NO_PAD.encode(text)
    }

    #[test]
    fn a_token_says_what_was_signed_until_it_ends() {
        let token = signer(1).sign(&claims()).unwrap();
        assert_eq!(coded(r#"{"alg":"HS256","typ":"JWT"}"#), HEADER);
        assert_eq!(signer(1).read(&token, NOW), Ok(claims()));
        let end = Timestamp::from_millis(1_700_000_900_000);
        assert_eq!(signer(1).read(&token, end - std::time::Duration::from_millis(1)), Ok(claims()));
        assert_eq!(signer(1).read(&token, end), Err(Wrong::Expired));
    }

    /// RFC 7515, appendix A.1: the same algorithm, with its own header.
    #[test]
    fn the_signature_is_that_of_the_standard() {
        let key = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
        let signed = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
                      eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let signer = Signer::new(Zeroizing::new(URL_SAFE_NO_PAD.decode(key).unwrap()), String::new());
        let signature = signer.mac(signed).unwrap().finalize().into_bytes();
        assert_eq!(URL_SAFE_NO_PAD.encode(signature), "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    }

    #[test]
    fn what_was_changed_or_signed_by_others_is_foreign() {
        let token = signer(1).sign(&claims()).unwrap();
        let parts: Vec<&str> = token.split('.').collect();
        let admin = coded(&serde_json::to_string(&Claims { role: Role::Admin, ..claims() }).unwrap());
        let none = coded(r#"{"alg":"none","typ":"JWT"}"#);
        let of_other = signer(1).sign(&Claims { iss: "cluster-2".into(), ..claims() }).unwrap();
        // Every bit of the signature counts.
        let flipped = if parts[2].starts_with('A') { 'B' } else { 'A' };
        let rows = [
            String::new(),
            "..".into(),
            "a.b.c".into(),
            format!("{}.{admin}.{}", parts[0], parts[2]),
            format!("{none}.{}.", parts[1]),
            format!("{none}.{}.{}", parts[1], parts[2]),
            format!("{}.{}.", parts[0], parts[1]),
            format!("{}.{}.{flipped}{}", parts[0], parts[1], &parts[2][1..]),
            format!("{token}."),
            signer(2).sign(&claims()).unwrap(),
            of_other,
            "x".repeat(LONGEST + 1),
        ];
        for token in rows {
            assert_eq!(signer(1).read(&token, NOW), Err(Wrong::Foreign), "{token}");
        }
    }

    /// Also with the right key: which algorithm it is, is no matter of the token.
    #[test]
    fn a_token_of_another_algorithm_is_refused_whatever_its_signature_is() {
        for header in [r#"{"alg":"HS512","typ":"JWT"}"#, r#"{"alg":"RS256","typ":"JWT"}"#, r#"{"alg":"none"}"#] {
            let body = coded(&serde_json::to_string(&claims()).unwrap());
            let signed = format!("{}.{body}", coded(header));
            let signature = signer(1).mac(&signed).unwrap().finalize().into_bytes();
            let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
            assert_eq!(signer(1).read(&token, NOW), Err(Wrong::Foreign), "{header}");
        }
    }

    #[test]
    fn what_is_shown_of_a_signer_is_not_its_key() {
        let shown = format!("{:?}", Signer::new(Zeroizing::new(b"hush".to_vec()), "c".into()));
        assert!(!shown.contains("hush") && !shown.contains("104"), "{shown}");
    }
}
