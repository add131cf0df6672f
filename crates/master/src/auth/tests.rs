//! Users over a store, with a clock that the tests drive: nothing here waits.

use super::entering::{Tokens, Unknown};
use super::key::Wish;
use super::people::Change;
use super::{AuthError, AuthRules, FirstPassword, Identity, Parts, secret};
use crate::clock::Clock;
use crate::machine::Clocks;
use crate::mailbox::AskError;
use crate::principal::{Principal, Role};
use crate::secrets::{SecretRules, Secrets};
use cloudai_core::ids::{Incarnation, Term, UserId};
use cloudai_store::Store;
use cloudai_store::memory::MemoryStore;
use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use zeroize::Zeroizing;

pub(crate) use super::password::tests::CHEAP;

const PASSWORD: &str = "a long password";
const HERE: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));

thread_local! {
    /// Of each test its own: what runs apart asks for no time.
    static BOOT: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

fn boot() -> Duration {
    BOOT.get()
}

fn wall() -> Duration {
    Duration::from_secs(1_700_000_000)
}

fn pass(time: Duration) {
    BOOT.set(BOOT.get() + time);
}

fn id(name: &str) -> UserId {
    name.parse().unwrap()
}

fn word(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.to_owned())
}

/// What outlives a master.
struct Data {
    store: Arc<dyn Store>,
    clock: Arc<Clock>,
    incarnation: Incarnation,
    dir: TempDir,
}

impl Data {
    fn new() -> Self {
        let clock = Clock::start(Clocks { wall, boot }, cloudai_core::time::Timestamp::ZERO);
        Self {
            store: Arc::new(MemoryStore::new()),
            clock: Arc::new(clock),
            incarnation: Incarnation(1),
            dir: tempfile::tempdir().unwrap(),
        }
    }

    async fn open(&self, rules: AuthRules) -> (Identity, FirstPassword, Term) {
        let key_file = Some(self.dir.path().join("k"));
        let secrets = Secrets::open(SecretRules { key_file, allow_env: false }, Arc::clone(&self.store)).unwrap();
        let term = self.store.lead().await.unwrap();
        let parts = Parts {
            store: Arc::clone(&self.store),
            secrets: &secrets,
            clock: Arc::clone(&self.clock),
            term,
            cluster: ("cluster-1".into(), self.incarnation),
        };
        let (identity, first) = Identity::open(AuthRules { costs: CHEAP, ..rules }, parts).await.unwrap();
        (identity, first, term)
    }

    async fn life(&self) -> Identity {
        self.open(AuthRules::default()).await.0
    }
}

/// The administrator of the first start.
fn root(identity: &Identity) -> Principal {
    identity.directory().principal(&id("admin"), None).unwrap()
}

async fn add(identity: &Identity, name: &str, role: Role) {
    identity.add_user(&root(identity), &id(name), role, Some(word(PASSWORD))).await.unwrap();
}

async fn login(identity: &Identity, name: &str) -> Tokens {
    identity.login(name, word(PASSWORD), HERE).await.unwrap()
}

/// Whom a token makes somebody, with the role.
fn who(identity: &Identity, token: &str) -> Result<(String, Option<Role>), Unknown> {
    identity.authenticate(token).map(|entered| (entered.who.user.to_string(), entered.who.rank()))
}

fn wish(name: &str) -> Wish {
    Wish { name: name.into(), role: None, valid: None, at_most_until: None }
}

#[tokio::test]
async fn the_first_start_makes_one_administrator_and_a_later_one_none() {
    let data = Data::new();
    let (identity, first, _) = data.open(AuthRules::default()).await;
    let password = first.unwrap();
    let tokens = identity.login("admin", password.clone(), HERE).await.unwrap();
    assert_eq!(who(&identity, &tokens.access), Ok(("admin".into(), Some(Role::Admin))));
    let (later, none, _) = data.open(AuthRules::default()).await;
    assert!(none.is_none());
    assert!(later.login("admin", password.clone(), HERE).await.is_ok());
    let facts = data.store.facts("").await.unwrap();
    assert!(facts.iter().all(|(_, text)| !text.contains(&**password)), "it is nowhere to be read");
}

#[tokio::test]
async fn everything_holds_after_a_restart() {
    let data = Data::new();
    let identity = data.life().await;
    add(&identity, "ann", Role::User).await;
    add(&identity, "bob", Role::Viewer).await;
    let team = [id("ann"), id("bob")].into();
    identity.put_project(&root(&identity), &"team".parse().unwrap(), team).await.unwrap();
    let tokens = login(&identity, "ann").await;
    let (key, _) = identity.make_key(&root(&identity), &id("bob"), wish("robot")).await.unwrap();
    let later = data.life().await;
    assert_eq!(who(&later, &tokens.access), Ok(("ann".into(), Some(Role::User))));
    assert_eq!(who(&later, &key), Ok(("bob".into(), Some(Role::Viewer))));
    assert!(later.authenticate(&tokens.access).unwrap().who.may_see(&id("bob")));
    let next = later.refresh(&tokens.refresh).await.unwrap();
    assert!(who(&later, &next.access).is_ok());
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_name_are_refused_with_the_same_words() {
    let identity = Data::new().life().await;
    add(&identity, "ann", Role::User).await;
    add(&identity, "off", Role::User).await;
    let disable = Change { disabled: Some(true), ..Change::default() };
    identity.change_user(&root(&identity), &id("off"), disable).await.unwrap();
    let mut said = Vec::new();
    for (name, password) in [("ann", "not that one"), ("nobody", PASSWORD), ("a b", PASSWORD), ("off", PASSWORD)] {
        let refused = identity.login(name, word(password), HERE).await.unwrap_err();
        assert!(matches!(refused, AuthError::WrongPassword), "{name}: {refused}");
        said.push(refused.to_string());
    }
    said.dedup();
    assert_eq!(said.len(), 1, "{said:?}");
}

#[tokio::test]
async fn five_failures_lock_a_name_whether_it_is_there_or_not_and_the_wait_ends() {
    let identity = Data::new().life().await;
    add(&identity, "ann", Role::User).await;
    for name in ["ann", "nobody"] {
        for _ in 0..5 {
            let refused = identity.login(name, word("not that one"), None).await.unwrap_err();
            assert!(matches!(refused, AuthError::WrongPassword), "{refused}");
        }
        let refused = identity.login(name, word(PASSWORD), None).await.unwrap_err();
        assert!(matches!(refused, AuthError::Later(wait) if wait == Duration::from_secs(1)), "{name}: {refused}");
    }
    pass(Duration::from_secs(1));
    assert!(identity.login("ann", word(PASSWORD), None).await.is_ok());
    assert!(identity.login("ann", word("not that one"), None).await.is_err());
    assert!(identity.login("ann", word(PASSWORD), None).await.is_ok(), "it was forgotten");
}

#[tokio::test]
async fn an_access_token_ends_by_itself_and_with_its_session() {
    let identity = Data::new().life().await;
    add(&identity, "ann", Role::User).await;
    let tokens = login(&identity, "ann").await;
    assert_eq!(tokens.expires_in, Duration::from_secs(900));
    pass(Duration::from_secs(899));
    assert!(who(&identity, &tokens.access).is_ok());
    pass(Duration::from_secs(1));
    assert_eq!(who(&identity, &tokens.access), Err(Unknown::Expired));
    let next = identity.refresh(&tokens.refresh).await.unwrap();
    assert!(who(&identity, &next.access).is_ok());
    identity.logout(&next.refresh).await.unwrap();
    assert_eq!(who(&identity, &next.access), Err(Unknown::Ended));
    assert!(matches!(identity.refresh(&next.refresh).await, Err(AuthError::Ended)));
    identity.logout(&next.refresh).await.unwrap();
    identity.logout("nonsense").await.unwrap();
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_a_second_time_ends_its_session() {
    let identity = Data::new().life().await;
    add(&identity, "ann", Role::User).await;
    let (first, other) = (login(&identity, "ann").await, login(&identity, "ann").await);
    let second = identity.refresh(&first.refresh).await.unwrap();
    let third = identity.refresh(&second.refresh).await.unwrap();
    assert!(matches!(identity.refresh(&first.refresh).await, Err(AuthError::Ended)));
    assert!(matches!(identity.refresh(&third.refresh).await, Err(AuthError::Ended)), "the thief may have it");
    assert_eq!(who(&identity, &third.access), Err(Unknown::Ended));
    assert!(identity.refresh(&other.refresh).await.is_ok(), "another session goes on");
}

#[tokio::test]
async fn a_session_that_is_not_used_ends_after_its_days_and_is_removed() {
    let data = Data::new();
    let identity = data.life().await;
    add(&identity, "ann", Role::User).await;
    let day = Duration::from_secs(24 * 60 * 60);
    let tokens = login(&identity, "ann").await;
    pass(29 * day);
    let tokens = identity.refresh(&tokens.refresh).await.unwrap();
    pass(29 * day);
    let tokens = identity.refresh(&tokens.refresh).await.unwrap();
    pass(30 * day);
    assert!(matches!(identity.refresh(&tokens.refresh).await, Err(AuthError::Ended)));
    assert_eq!(data.store.facts("session/").await.unwrap().len(), 1);
    identity.tend_sessions().await;
    assert_eq!(data.store.facts("session/").await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_changed_role_refuses_the_tokens_of_before_and_keeps_the_session() {
    let identity = Data::new().life().await;
    add(&identity, "ann", Role::User).await;
    let tokens = login(&identity, "ann").await;
    let change = Change { role: Some(Role::Viewer), ..Change::default() };
    identity.change_user(&root(&identity), &id("ann"), change).await.unwrap();
    assert_eq!(who(&identity, &tokens.access), Err(Unknown::Old));
    let next = identity.refresh(&tokens.refresh).await.unwrap();
    assert_eq!(who(&identity, &next.access), Ok(("ann".into(), Some(Role::Viewer))));
    let same = Change { role: Some(Role::Viewer), disabled: Some(false), ..Change::default() };
    identity.change_user(&root(&identity), &id("ann"), same).await.unwrap();
    assert!(who(&identity, &next.access).is_ok(), "nothing was changed");
}

#[tokio::test]
async fn a_new_password_and_a_ban_end_all_sessions() {
    let identity = Data::new().life().await;
    add(&identity, "ann", Role::User).await;
    let ann = identity.directory().principal(&id("ann"), None).unwrap();
    let tokens = login(&identity, "ann").await;
    let refused = identity.change_password(&ann, (word("not that one"), word("another one")), None).await.unwrap_err();
    assert!(matches!(&refused, AuthError::Field { path: "old", .. }), "{refused}");
    let refused = identity.change_password(&ann, (word(PASSWORD), word("short")), None).await.unwrap_err();
    assert!(matches!(&refused, AuthError::Field { path: "new", .. }), "{refused}");
    assert!(who(&identity, &tokens.access).is_ok());
    identity.change_password(&ann, (word(PASSWORD), word("another one")), None).await.unwrap();
    assert_eq!(who(&identity, &tokens.access), Err(Unknown::Old));
    assert!(identity.refresh(&tokens.refresh).await.is_err());
    assert!(identity.login("ann", word(PASSWORD), None).await.is_err());
    let tokens = identity.login("ann", word("another one"), None).await.unwrap();
    let (key, _) = identity.make_key(&ann, &id("ann"), wish("robot")).await.unwrap();
    let ban = |disabled| Change { disabled: Some(disabled), ..Change::default() };
    identity.change_user(&root(&identity), &id("ann"), ban(true)).await.unwrap();
    assert_eq!(who(&identity, &tokens.access), Err(Unknown::Ended));
    assert_eq!(who(&identity, &key), Err(Unknown::NoKey));
    identity.change_user(&root(&identity), &id("ann"), ban(false)).await.unwrap();
    assert!(identity.refresh(&tokens.refresh).await.is_err(), "a session comes back by a password alone");
    assert!(who(&identity, &key).is_ok());
}

#[tokio::test]
async fn a_key_may_what_it_was_made_for_until_it_ends_or_is_removed() {
    let data = Data::new();
    let identity = data.life().await;
    add(&identity, "ann", Role::User).await;
    let ann = identity.directory().principal(&id("ann"), None).unwrap();
    let hour = Duration::from_secs(3600);
    let capped = Wish { role: Some(Role::Viewer), valid: Some(hour), ..wish("reader") };
    let (reader, _) = identity.make_key(&ann, &id("ann"), capped).await.unwrap();
    let (plain, stored) = identity.make_key(&ann, &id("ann"), wish("plain")).await.unwrap();
    assert!(reader.starts_with("caik_") && reader.len() == 48);
    assert_eq!(who(&identity, &reader), Ok(("ann".into(), Some(Role::Viewer))));
    assert_eq!(who(&identity, &plain), Ok(("ann".into(), Some(Role::User))));
    let facts = data.store.facts("apikey/").await.unwrap();
    assert!(facts.iter().all(|(name, text)| !name.contains(&**plain) && !text.contains(&**plain)));
    let too_much = Wish { role: Some(Role::Admin), ..wish("x") };
    let refused = identity.make_key(&ann, &id("ann"), too_much).await.unwrap_err();
    assert!(matches!(&refused, AuthError::Field { path: "role", .. }), "{refused}");
    // What the reader makes may no more than it, and lives no longer.
    let entered = identity.authenticate(&reader).unwrap();
    let heir = Wish { at_most_until: entered.by.expires_at, ..wish("heir") };
    let (heir, _) = identity.make_key(&entered.who, &id("ann"), heir).await.unwrap();
    assert_eq!(who(&identity, &heir), Ok(("ann".into(), Some(Role::Viewer))));
    pass(hour);
    assert_eq!(who(&identity, &reader), Err(Unknown::KeyExpired));
    assert_eq!(who(&identity, &heir), Err(Unknown::KeyExpired));
    assert!(who(&identity, &plain).is_ok());
    identity.remove_key(&ann, &id("ann"), &stored.id).await.unwrap();
    assert_eq!(who(&identity, &plain), Err(Unknown::NoKey));
    assert!(identity.remove_key(&ann, &id("ann"), &stored.id).await.is_err());
    let others = identity.keys(&id("ann")).first().unwrap().id.clone();
    assert!(identity.remove_key(&root(&identity), &id("admin"), &others).await.is_err(), "it is ann's");
}

#[tokio::test]
async fn the_last_use_of_a_key_is_known_at_once_and_stored_rarely() {
    let data = Data::new();
    let identity = data.life().await;
    let (key, _) = identity.make_key(&root(&identity), &id("admin"), wish("robot")).await.unwrap();
    let last = |identity: &Identity| identity.keys(&id("admin"))[0].last_used;
    assert_eq!((last(&identity), stored(&data).await), (None, None));
    let first = identity.now();
    assert!(who(&identity, &key).is_ok());
    assert_eq!((last(&identity), stored(&data).await), (Some(first), None));
    identity.tend_keys().await;
    pass(Duration::from_secs(60));
    assert!(who(&identity, &key).is_ok());
    identity.tend_keys().await;
    assert_eq!((last(&identity), stored(&data).await), (Some(identity.now()), Some(first)), "an hour has not passed");
    pass(Duration::from_secs(3600));
    assert!(who(&identity, &key).is_ok());
    identity.tend_keys().await;
    assert_eq!(stored(&data).await, Some(identity.now()));
    assert_eq!(last(&data.life().await), Some(identity.now()));
}

/// When the only key was used last, as it is stored.
async fn stored(data: &Data) -> Option<cloudai_core::time::Timestamp> {
    let facts = data.store.facts("apikey/").await.unwrap();
    serde_json::from_str::<super::key::Key>(&facts[0].1).unwrap().last_used
}

#[tokio::test]
async fn a_key_that_is_made_again_takes_the_place_of_the_earlier_one() {
    let identity = Data::new().life().await;
    let (one, other) = (identity.remake_key("up").await.unwrap(), identity.remake_key("up").await.unwrap());
    assert_eq!(who(&identity, &one), Err(Unknown::NoKey));
    assert_eq!(who(&identity, &other), Ok(("admin".into(), Some(Role::Admin))));
    assert_eq!(identity.keys(&id("admin")).len(), 1);
}

#[tokio::test]
async fn the_last_administrator_stays() {
    let identity = Data::new().life().await;
    let (admin, who) = (id("admin"), root(&identity));
    let changes = [
        Change { role: Some(Role::Operator), ..Change::default() },
        Change { disabled: Some(true), ..Change::default() },
    ];
    for change in changes {
        let refused = identity.change_user(&who, &admin, change).await.unwrap_err();
        assert!(matches!(refused, AuthError::LastAdmin(_)), "{refused}");
    }
    assert!(matches!(identity.remove_user(&who, &admin).await, Err(AuthError::LastAdmin(_))));
    add(&identity, "ann", Role::Admin).await;
    identity.remove_user(&who, &admin).await.unwrap();
    assert!(matches!(identity.remove_user(&who, &id("ann")).await, Err(AuthError::LastAdmin(_))));
}

#[tokio::test]
async fn people_register_as_viewers_where_that_is_allowed_and_take_no_name_of_others() {
    let data = Data::new();
    let closed = data.life().await;
    let refused = closed.register(&id("ann"), word(PASSWORD), None).await.unwrap_err();
    assert!(matches!(refused, AuthError::Closed) && refused.to_string().contains("auth.self_register"), "{refused}");
    add(&closed, "gone", Role::User).await;
    closed.remove_user(&root(&closed), &id("gone")).await.unwrap();
    let (open, _, _) = data.open(AuthRules { self_register: true, ..AuthRules::default() }).await;
    assert_eq!(open.register(&id("ann"), word(PASSWORD), None).await.unwrap().role, Role::Viewer);
    for name in ["ann", "Ann", "ADMIN", "gone"] {
        let refused = open.register(&id(name), word(PASSWORD), None).await.unwrap_err();
        assert!(matches!(refused, AuthError::Taken(_)), "{name}: {refused}");
    }
    for name in ["local", "system.workers", "system.x"] {
        let refused = open.register(&id(name), word(PASSWORD), None).await.unwrap_err();
        assert!(matches!(refused, AuthError::Field { path: "name", .. }), "{name}: {refused}");
    }
    let refused = open.register(&id("bob"), word("password123"), None).await.unwrap_err();
    assert!(matches!(refused, AuthError::Field { path: "password", .. }), "{refused}");
}

#[tokio::test]
async fn one_address_registers_no_thousand_users() {
    let (open, _, _) = Data::new().open(AuthRules { self_register: true, ..AuthRules::default() }).await;
    let mut made = 0;
    let refused = loop {
        match open.register(&id(&format!("user-{made}")), word(PASSWORD), HERE).await {
            Ok(_) => made += 1,
            Err(error) => break error,
        }
    };
    assert!(made == 20 && matches!(refused, AuthError::Later(_)), "{made}: {refused}");
}

#[tokio::test]
async fn who_is_removed_leaves_neither_keys_nor_sessions_and_who_gets_the_name_none_of_them() {
    let identity = Data::new().life().await;
    add(&identity, "ann", Role::User).await;
    let members = [id("ann"), id("admin")].into();
    identity.put_project(&root(&identity), &"team".parse().unwrap(), members).await.unwrap();
    let tokens = login(&identity, "ann").await;
    let (key, _) = identity.make_key(&root(&identity), &id("ann"), wish("robot")).await.unwrap();
    identity.remove_user(&root(&identity), &id("ann")).await.unwrap();
    assert!(identity.user(&id("ann")).is_err() && identity.users().len() == 1);
    assert!(identity.projects_of(&id("ann")).is_empty());
    add(&identity, "ann", Role::User).await;
    assert!(identity.authenticate(&tokens.access).is_err());
    assert!(identity.refresh(&tokens.refresh).await.is_err());
    assert_eq!(who(&identity, &key), Err(Unknown::NoKey));
    assert_eq!(identity.user(&id("ann")).unwrap().generation, 2, "removed, then made again");
}

#[tokio::test]
async fn a_project_has_users_alone_and_only_they_and_administrators_see_it() {
    let identity = Data::new().life().await;
    add(&identity, "ann", Role::User).await;
    add(&identity, "bob", Role::User).await;
    let (who, name) = (root(&identity), "team".parse().unwrap());
    let refused = identity.put_project(&who, &name, [id("ann"), id("nobody")].into()).await.unwrap_err();
    assert!(matches!(&refused, AuthError::Field { path: "members", .. }), "{refused}");
    assert!(identity.put_project(&who, &name, [id("ann")].into()).await.unwrap().1);
    assert!(!identity.put_project(&who, &name, [id("ann")].into()).await.unwrap().1);
    let seen = |name: &str| identity.projects(&identity.directory().principal(&id(name), None).unwrap()).len();
    assert_eq!((seen("ann"), seen("bob"), seen("admin")), (1, 0, 1));
    identity.remove_project(&who, &name).await.unwrap();
    assert!(identity.remove_project(&who, &name).await.is_err());
}

#[tokio::test]
async fn a_link_signs_an_administrator_in_once() {
    let identity = Data::new().life().await;
    let code = identity.login_code().unwrap();
    let (access, valid) = identity.follow(&code).await.unwrap();
    assert_eq!(who(&identity, &access), Ok(("admin".into(), Some(Role::Admin))));
    assert!(identity.follow(&code).await.is_err() && identity.follow("x").await.is_err());
    let session = identity.authenticate(&access).unwrap().by.session.unwrap();
    identity.end_session(&session).await.unwrap();
    assert_eq!(who(&identity, &access), Err(Unknown::Ended));
    let late = identity.login_code().unwrap();
    pass(valid);
    assert!(identity.follow(&late).await.is_err());
}

#[tokio::test]
async fn a_restored_backup_brings_back_no_session() {
    let mut data = Data::new();
    let identity = data.life().await;
    add(&identity, "ann", Role::User).await;
    let tokens = login(&identity, "ann").await;
    data.incarnation = Incarnation(2);
    let later = data.life().await;
    assert_eq!(who(&later, &tokens.access), Err(Unknown::Ended));
    assert!(later.refresh(&tokens.refresh).await.is_err());
    assert!(data.store.facts("session/").await.unwrap().is_empty());
    assert!(later.login("ann", word(PASSWORD), None).await.is_ok());
}

#[tokio::test]
async fn a_configured_key_signs_and_a_lost_one_is_made_anew() {
    let data = Data::new();
    let configured = || AuthRules { jwt_secret: Some(word(&"k".repeat(32))), ..AuthRules::default() };
    let (identity, _, _) = data.open(configured()).await;
    add(&identity, "ann", Role::User).await;
    let tokens = login(&identity, "ann").await;
    assert!(who(&data.open(configured()).await.0, &tokens.access).is_ok());
    let own = data.life().await;
    assert_eq!(who(&own, &tokens.access), Err(Unknown::Foreign));
    let tokens = login(&own, "ann").await;
    assert!(who(&data.life().await, &tokens.access).is_ok());
    std::fs::remove_file(data.dir.path().join("k")).unwrap();
    let later = data.life().await;
    assert_eq!(who(&later, &tokens.access), Err(Unknown::Foreign));
    assert!(later.refresh(&tokens.refresh).await.is_ok(), "sessions go on");
}

#[tokio::test]
async fn nothing_is_done_for_who_may_order_nothing_any_more() {
    let identity = Data::new().life().await;
    add(&identity, "ann", Role::Operator).await;
    assert_eq!(identity.owner(&id("ann")).unwrap().rank(), Some(Role::User));
    let change = Change { role: Some(Role::Viewer), ..Change::default() };
    identity.change_user(&root(&identity), &id("ann"), change).await.unwrap();
    assert!(identity.owner(&id("ann")).is_none() && identity.owner(&id("nobody")).is_none());
    identity.remove_user(&root(&identity), &id("ann")).await.unwrap();
    assert!(identity.owner(&id("ann")).is_none());
}

#[tokio::test]
async fn a_stored_user_that_can_not_be_read_stops_a_master() {
    let data = Data::new();
    let (_, _, term) = data.open(AuthRules::default()).await;
    data.store.set_fact(term, "user/ann", "{}").await.unwrap();
    let secrets = Secrets::open(SecretRules::default(), Arc::clone(&data.store)).unwrap();
    let parts = Parts {
        store: Arc::clone(&data.store),
        secrets: &secrets,
        clock: Arc::clone(&data.clock),
        term,
        cluster: ("cluster-1".into(), Incarnation(1)),
    };
    let refused = Identity::open(AuthRules { costs: CHEAP, ..AuthRules::default() }, parts).await.unwrap_err();
    assert!(matches!(&refused, AskError::Internal(why) if why.contains("user/ann")), "{refused}");
}

#[tokio::test]
async fn no_secret_is_shown_by_a_log_of_everything() {
    let data = Data::new();
    let rules = AuthRules { jwt_secret: Some(word("hush-hush-hush-hush-hush-hush-hu")), ..AuthRules::default() };
    let (identity, first, _) = data.open(rules.clone()).await;
    let tokens = identity.login("admin", first.clone().unwrap(), None).await.unwrap();
    let (key, stored) = identity.make_key(&root(&identity), &id("admin"), wish("robot")).await.unwrap();
    let code = identity.login_code().unwrap();
    let change = Change { password: Some(word("hush and more")), ..Change::default() };
    let entered = identity.authenticate(&tokens.access).unwrap();
    let shown = format!("{identity:?} {rules:?} {tokens:?} {stored:?} {change:?} {entered:?}");
    let user = serde_json::to_string(&*identity.user(&id("admin")).unwrap()).unwrap();
    let hash = user.split('$').nth(5).unwrap().split('"').next().unwrap().to_owned();
    let password = first.unwrap();
    let secrets: [&str; 7] = [&password, &tokens.access, &tokens.refresh, &key, &code, "hush", &hash];
    for secret in secrets {
        assert!(!shown.contains(secret), "{secret} is in {shown}");
    }
    assert_eq!(secret::digest(&key).to_string().len(), 64);
}
