//! What is shown once and known by its hash afterwards: keys, refresh tokens, codes, generated passwords.
//!
//! They are 256 random bits, so a plain SHA-256 tells nothing of them; a person's password never comes here.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloudai_core::sha256::Sha256;
use rand::Rng as _;
use sha2::Digest as _;
use zeroize::Zeroizing;

/// What API keys begin with.
pub(crate) const KEY: &str = "caik_";
/// What refresh tokens begin with.
pub(crate) const REFRESH: &str = "cair_";
/// Characters of a generated password: those that nobody takes for another.
const PLAIN: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// So many of them: 120 bits.
const LENGTH: usize = 24;

/// 256 random bits as text.
pub(crate) fn random() -> Zeroizing<String> {
    let bytes = Zeroizing::new(rand::random::<[u8; 32]>());
    Zeroizing::new(URL_SAFE_NO_PAD.encode(&bytes[..]))
}

/// What is kept of a secret.
pub(crate) fn digest(secret: &str) -> Sha256 {
    Sha256(sha2::Sha256::digest(secret.as_bytes()).into())
}

/// A password that a person can copy by hand.
pub(crate) fn password() -> Zeroizing<String> {
    let mut random = rand::rng();
    let letter = |_| char::from(PLAIN.get(random.random_range(0..PLAIN.len())).copied().unwrap_or(b'a'));
    Zeroizing::new((0..LENGTH).map(letter).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_256_bits_that_never_come_twice() {
        let (one, other) = (random(), random());
        assert_ne!(*one, *other);
        assert_eq!(URL_SAFE_NO_PAD.decode(&**one).unwrap().len(), 32);
        assert_eq!(digest(&one), digest(&one));
        assert_ne!(digest(&one), digest(&other));
    }

    #[test]
    fn a_generated_password_is_one_that_a_person_may_choose() {
        let word = password();
        assert_eq!(word.chars().count(), LENGTH);
        assert_eq!(crate::auth::password::check(&word, &"admin".parse().unwrap()), Ok(()));
        assert_ne!(*word, *password());
    }
}
