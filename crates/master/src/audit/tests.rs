//! That every way to change the log is found, and how it goes on.

use super::chain::{Era, Head, Keys};
use super::opened::Found;
use super::row::{Entry, Outcome};
use super::verify::{Broken, Expected, Walk};
use crate::audit::Auditor;
use crate::clock::Clock;
use crate::machine::Clocks;
use crate::secrets::{SecretRules, Secrets};
use cloudai_core::time::Timestamp;
use cloudai_store::Store;
use cloudai_store::audit::AuditRow;
use cloudai_store::memory::MemoryStore;
use proptest::prelude::*;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

const CLUSTER: &str = "the-cluster";

fn era(from: u64) -> Era {
    Era { from, keys: Keys::of(&Keys::fresh()[..]) }
}

fn keys(eras: &[Era]) -> &Keys {
    eras.last().unwrap().keys.as_ref().unwrap()
}

/// A whole log of so many rows, with its head.
fn log(eras: &[Era], count: u64) -> (Vec<AuditRow>, Head) {
    let (keys, mut mac, mut rows) = (keys(eras), vec![0; 32], Vec::new());
    for seq in 1..=count {
        let entry = Entry::new(format!("POST /{seq}")).on((seq % 2 == 0).then(|| format!("task-{seq}")));
        let mut row = entry.into_row(seq, Timestamp::from_millis(1000 + seq / 3));
        row.mac = keys.mac(&mac, &row);
        mac.clone_from(&row.mac);
        rows.push(row);
    }
    let head = keys.head(CLUSTER, count, &mac, Timestamp::from_millis(9000));
    (rows, head)
}

fn walk(eras: &[Era], rows: &[AuditRow], head: Option<&Head>, expected: Option<&Expected>) -> Result<(), Broken> {
    let mut walk = Walk::new(eras, CLUSTER, expected);
    rows.iter().try_for_each(|row| walk.row(row))?;
    walk.end(head)
}

#[test]
fn a_log_that_nobody_touched_is_whole_and_so_is_an_empty_one() {
    let eras = [era(1)];
    for count in [0, 1, 7] {
        let (rows, head) = log(&eras, count);
        assert_eq!(walk(&eras, &rows, Some(&head), None), Ok(()));
        let kept = Expected { seq: count, mac: head.mac.clone() };
        if count > 0 {
            assert_eq!(walk(&eras, &rows, Some(&head), Some(&kept)), Ok(()));
        }
    }
    assert_eq!(walk(&[], &[], None, None), Ok(()));
}

#[test]
fn a_head_that_was_changed_taken_away_or_made_by_another_key_is_found() {
    let eras = [era(1)];
    let (rows, head) = log(&eras, 5);
    let changed = [
        Head { seq: 4, ..head.clone() },
        Head { mac: "00".repeat(32), ..head.clone() },
        Head { at: Timestamp::ZERO, ..head.clone() },
        Head { signature: "00".repeat(64), ..head.clone() },
        keys(&[era(1)]).head(CLUSTER, 5, &rows[4].mac, Timestamp::ZERO),
        keys(&eras).head("another", 5, &rows[4].mac, Timestamp::ZERO),
    ];
    for head in changed {
        assert!(matches!(walk(&eras, &rows, Some(&head), None), Err(Broken::WrongHead { .. })), "{head:?}");
    }
    assert_eq!(walk(&eras, &rows, None, None), Err(Broken::NoHead { seq: 5 }));
    assert_eq!(walk(&eras, &[], None, None), Err(Broken::NoHead { seq: 0 }));
    assert_eq!(walk(&eras, &rows[..3], Some(&head), None), Err(Broken::CutOff { seq: 4, head: 5 }));
}

#[test]
fn a_log_cut_off_together_with_its_head_is_found_by_a_head_that_was_kept_elsewhere() {
    let eras = [era(1)];
    let (rows, head) = log(&eras, 5);
    let kept: Expected = head.short().parse().unwrap();
    let (before, old) = log(&eras, 3);
    assert_eq!(walk(&eras, &before, Some(&old), None), Ok(()), "the file alone does not tell");
    let told = walk(&eras, &before, Some(&old), Some(&kept)).unwrap_err();
    assert_eq!(told, Broken::BeforeExpected { seq: 4, expected: 5 });
    // As by somebody who has the key.
    let mut other = rows.clone();
    other[4].who = "eve".into();
    other[4].mac = keys(&eras).mac(&rows[3].mac, &other[4]);
    let head = keys(&eras).head(CLUSTER, 5, &other[4].mac, Timestamp::ZERO);
    assert_eq!(walk(&eras, &other, Some(&head), Some(&kept)), Err(Broken::NotExpected { seq: 5 }));
    for wrong in ["", "5", "5:", "x:00", &head.short()[..20]] {
        assert!(wrong.parse::<Expected>().unwrap_err().contains("SEQ:MAC"), "{wrong}");
    }
}

#[test]
fn rows_whose_key_is_lost_are_never_taken_for_whole_and_those_behind_them_are_checked() {
    let (old, new) = (era(1), era(4));
    let (mut rows, _) = log(std::slice::from_ref(&old), 3);
    let mut row = Entry::new("POST /4").into_row(4, Timestamp::from_millis(5000));
    let keys = new.keys.as_ref().unwrap();
    row.mac = keys.mac(&rows[2].mac, &row);
    let head = keys.head(CLUSTER, 4, &row.mac, Timestamp::ZERO);
    rows.push(row);
    let eras = [Era { from: 1, keys: None }, new];
    assert_eq!(walk(&eras, &rows, Some(&head), None), Err(Broken::NoKey { seq: 1, to: 3 }));
    rows[3].who = "eve".into();
    assert_eq!(walk(&eras, &rows, Some(&head), None), Err(Broken::Changed { seq: 4 }));
}

#[test]
fn a_log_that_does_not_fit_together_goes_on_with_what_is_wrong_left_in_it() {
    let found = |count: usize, head: Option<Head>, eras: Vec<Era>, rows: &[AuditRow]| Found {
        eras,
        head,
        last: rows[..count].last().cloned(),
    };
    let eras = || vec![era(1)];
    let kept = eras();
    let (rows, head) = log(&kept, 5);
    let on = found(5, Some(head), kept, &rows).goes_on(CLUSTER);
    assert_eq!((on.next, on.mac == rows[4].mac, on.anew, on.broken), (6, true, false, false));
    // Rows were cut off: the gap stays.
    let kept = eras();
    let (rows, head) = log(&kept, 5);
    let on = found(3, Some(head), kept, &rows).goes_on(CLUSTER);
    assert_eq!((on.next, on.broken), (6, true));
    // The head was taken away: there may have been more.
    let kept = eras();
    let (rows, _) = log(&kept, 5);
    let on = found(5, None, kept, &rows).goes_on(CLUSTER);
    assert_eq!((on.next, on.broken), (7, true));
    // Nothing but a key is left of it.
    let on = found(0, None, eras(), &[]).goes_on(CLUSTER);
    assert_eq!((on.next, on.broken), (2, true));
    // A key that is lost.
    let (rows, head) = log(&eras(), 5);
    let on = found(5, Some(head), vec![Era { from: 1, keys: None }], &rows).goes_on(CLUSTER);
    assert_eq!((on.next, on.anew, on.broken), (6, true, false));
    let on = found(0, None, Vec::new(), &[]).goes_on(CLUSTER);
    assert_eq!((on.next, on.anew, on.broken), (1, true, false));
}

/// One change of the stored rows.
#[derive(Clone, Debug)]
enum Mutation {
    Who(usize),
    Action(usize, u8),
    Object(usize),
    Body(usize, usize),
    Time(usize),
    Mac(usize, usize),
    Remove(usize),
    RemoveAndRenumber(usize),
    Swap(usize, usize),
    Duplicate(usize),
    Cut(usize),
}

impl Mutation {
    fn apply(&self, rows: &mut Vec<AuditRow>) {
        let count = rows.len();
        match *self {
            Self::Who(at) => rows[at % count].who.push('x'),
            Self::Action(at, letter) => {
                let action = &mut rows[at % count].action;
                let last = action.pop().unwrap();
                let other = char::from(b'a' + letter % 26);
                action.push(if other == last { '!' } else { other });
            }
            Self::Object(at) => {
                let object = &mut rows[at % count].object;
                *object = if object.is_some() { None } else { Some(String::new()) };
            }
            Self::Body(at, byte) => {
                let body = &mut rows[at % count].body;
                let place = byte % body.len();
                let other = if &body[place..=place] == " " { "!" } else { " " };
                body.replace_range(place..=place, other);
            }
            Self::Time(at) => rows[at % count].at = Timestamp::from_millis(rows[at % count].at.as_millis() + 1),
            Self::Mac(at, byte) => rows[at % count].mac[byte % 32] ^= 1,
            Self::Remove(at) => drop(rows.remove(at % count)),
            Self::RemoveAndRenumber(at) => {
                rows.remove(at % count);
                renumber(rows);
            }
            Self::Swap(one, other) => {
                let (one, other) = (one % count, other % count);
                let other = if one == other { (other + 1) % count } else { other };
                rows.swap(one, other);
                renumber(rows);
            }
            Self::Duplicate(at) => {
                let row = rows[at % count].clone();
                rows.insert(at % count, row);
                renumber(rows);
            }
            Self::Cut(rest) => rows.truncate(rest % count),
        }
    }
}

fn renumber(rows: &mut [AuditRow]) {
    (1..).zip(rows).for_each(|(seq, row)| row.seq = seq);
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<usize>();
    prop_oneof![
        at.prop_map(Mutation::Who),
        (at, any::<u8>()).prop_map(|(at, letter)| Mutation::Action(at, letter)),
        at.prop_map(Mutation::Object),
        (at, at).prop_map(|(at, byte)| Mutation::Body(at, byte)),
        at.prop_map(Mutation::Time),
        (at, at).prop_map(|(at, byte)| Mutation::Mac(at, byte)),
        at.prop_map(Mutation::Remove),
        at.prop_map(Mutation::RemoveAndRenumber),
        (at, at).prop_map(|(one, other)| Mutation::Swap(one, other)),
        at.prop_map(Mutation::Duplicate),
        at.prop_map(Mutation::Cut),
    ]
}

proptest! {
    #[test]
    fn every_single_change_of_the_stored_rows_is_found(count in 2_u64..40, mutation in mutation()) {
        let eras = [era(1)];
        let (mut rows, head) = log(&eras, count);
        let whole = rows.clone();
        mutation.apply(&mut rows);
        prop_assert_ne!(&rows, &whole);
        let told = walk(&eras, &rows, Some(&head), None);
        prop_assert!(told.is_err(), "{:?} was not found", mutation);
        // The row that is named is the first that differs.
        let differs = rows.iter().zip(&whole).position(|(row, was)| row != was);
        let differs = differs.unwrap_or_else(|| rows.len().min(whole.len()));
        prop_assert_eq!(told.unwrap_err().seq(), u64::try_from(differs).unwrap() + 1);
    }
}

async fn opened(
    store: &Arc<dyn Store>,
    secrets: &Secrets,
) -> (Auditor, CancellationToken, tokio::task::JoinHandle<()>) {
    let clock = Arc::new(Clock::start(Clocks::default(), Timestamp::ZERO));
    let term = store.lead().await.unwrap();
    let (auditor, writer) = Auditor::open(store, secrets, &clock, term, CLUSTER).await.unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn(writer.run(stop.clone()));
    (auditor, stop, running)
}

#[tokio::test]
async fn a_row_is_on_disk_when_its_caller_is_told_and_a_later_master_goes_on_behind_it() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let secrets = Secrets::open(SecretRules::default(), Arc::clone(&store)).unwrap();
    for life in 0..3 {
        let (auditor, stop, running) = opened(&store, &secrets).await;
        for number in 1..=5 {
            auditor.begin().unwrap().done(Entry::new(format!("POST /{number}"))).await.unwrap();
            assert_eq!(store.audit_after(life * 5, 100).await.unwrap().len(), number);
        }
        let verdict = auditor.verify(None).await.unwrap();
        assert_eq!((verdict.rows, verdict.broken), ((life + 1) * 5, None));
        stop.cancel();
        running.await.unwrap();
    }
}

#[tokio::test]
async fn what_is_noted_before_a_stop_is_written_and_what_is_refused_alike_is_one_row() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let secrets = Secrets::open(SecretRules::default(), Arc::clone(&store)).unwrap();
    let (auditor, stop, running) = opened(&store, &secrets).await;
    for number in 0..3000 {
        let word = if number % 3 == 0 { "forbidden" } else { "not_found" };
        auditor.note(Entry::new("POST /x").ended(Outcome::refused(word, None)));
    }
    auditor.begin().unwrap().left(Entry::new("POST /y").ended(Outcome::unknown()));
    stop.cancel();
    running.await.unwrap();
    let rows = store.audit_after(0, 100).await.unwrap();
    let count = |word: &str| {
        let of = rows.iter().filter(|row| row.body.contains(word));
        of.map(|row| serde_json::from_str::<super::Body>(&row.body).unwrap().count).collect::<Vec<_>>()
    };
    assert_eq!((count("forbidden"), count("not_found"), count("unknown")), (vec![1000], vec![2000], vec![1]));
}

#[tokio::test]
async fn a_master_that_leads_no_more_begins_nothing() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let secrets = Secrets::open(SecretRules::default(), Arc::clone(&store)).unwrap();
    let (auditor, _stop, _running) = opened(&store, &secrets).await;
    store.lead().await.unwrap();
    assert!(auditor.begin().unwrap().done(Entry::new("POST /x")).await.is_err());
    assert!(auditor.begin().is_err() && auditor.trouble().unwrap().contains("newer term"));
    assert!(store.audit_after(0, 1).await.unwrap().is_empty());
}
