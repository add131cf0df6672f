//! Claims about the audit log.

use crate::common::*;
use cloudai_store::audit::{AuditQuery, AuditRow};
use cloudai_store::query::Cursor;
use cloudai_store::{CommitError, Store, StoreError};
use std::sync::Arc;

fn row(seq: u64, who: &str, action: &str, object: Option<&str>) -> AuditRow {
    AuditRow {
        seq,
        at: at(seq * 10),
        who: who.to_owned(),
        action: action.to_owned(),
        object: object.map(ToOwned::to_owned),
        body: format!(r#"{{"n":{seq}}}"#),
        mac: vec![7; 32],
    }
}

pub(crate) async fn audit_rows_are_added_with_their_head_or_not_at_all(store: Arc<dyn Store>) {
    let term = store.lead().await.unwrap();
    assert_eq!(store.audit_head().await.unwrap(), None);
    let rows = [row(1, "ann", "POST /a", None), row(2, "ann", "POST /b", Some("x"))];
    store.append_audit(term, &rows, "head 2").await.unwrap();
    assert_eq!(store.audit_head().await.unwrap().as_deref(), Some("head 2"));
    assert_eq!(store.audit_after(0, 9).await.unwrap(), rows);
    assert_eq!(store.audit_after(1, 9).await.unwrap(), rows[1..]);
    assert_eq!(store.audit_after(0, 1).await.unwrap(), rows[..1]);
    let twice = [row(3, "ann", "POST /c", None), row(2, "bob", "POST /d", None)];
    let refused = store.append_audit(term, &twice, "head 3").await;
    assert!(matches!(refused, Err(CommitError::Refused { row: 1, .. })), "{refused:?}");
    let later = store.lead().await.unwrap();
    let late = store.append_audit(term, &[row(3, "ann", "POST /c", None)], "late").await;
    assert!(matches!(late, Err(CommitError::Fenced)), "{late:?}");
    assert_eq!(store.audit_after(0, 9).await.unwrap(), rows);
    assert_eq!(store.audit_head().await.unwrap().as_deref(), Some("head 2"));
    store.append_audit(later, &[], "head only").await.unwrap();
    assert_eq!(store.audit_head().await.unwrap().as_deref(), Some("head only"));
}

pub(crate) async fn pages_of_every_filter_of_the_audit_log_tell_each_row_once_the_latest_first(store: Arc<dyn Store>) {
    let term = store.lead().await.unwrap();
    let who = ["ann", "bob"];
    let actions = ["DELETE /a", "POST /a", "POST /a/{id}/cancel", "PUT /b"];
    let objects = [None, Some("x"), Some("y")];
    let rows: Vec<_> = (1..=60_u64)
        .map(|n| {
            let pick = |of: u64| usize::try_from(n * 7 % of).unwrap();
            row(n, who[pick(2)], actions[pick(4)], objects[pick(3)])
        })
        .collect();
    store.append_audit(term, &rows, "head").await.unwrap();
    let some = |text: &str| Some(text.to_owned());
    let all = AuditQuery::default;
    let queries = [
        all(),
        AuditQuery { user: some("ann"), ..all() },
        AuditQuery { user: some("nobody"), ..all() },
        AuditQuery { action: some("POST /a"), ..all() },
        AuditQuery { action: some(""), ..all() },
        AuditQuery { action: some("X"), ..all() },
        AuditQuery { user: some("bob"), action: some("P"), ..all() },
        AuditQuery { object: some("x"), ..all() },
        AuditQuery { since: Some(at(200)), ..all() },
        AuditQuery { since: Some(at(205)), until: Some(at(401)), action: some("POST"), ..all() },
        AuditQuery { until: Some(at(10)), ..all() },
        AuditQuery { since: Some(at(601)), ..all() },
        AuditQuery { since: Some(at(100)), until: Some(at(300)), object: some("y"), ..all() },
        AuditQuery { since: Some(at(100)), until: Some(at(300)), user: some("ann"), ..all() },
    ];
    for query in queries {
        let expected: Vec<_> = rows.iter().rev().filter(|row| query.matches(row)).cloned().collect();
        for limit in [1, 7, 1000] {
            let (mut found, mut cursor) = (Vec::new(), None::<Cursor>);
            loop {
                let page = store.audit(&AuditQuery { limit, cursor, ..query.clone() }).await.unwrap();
                assert!(page.items.len() <= limit);
                found.extend(page.items);
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
            }
            assert_eq!(found, expected, "{query:?} {limit}");
        }
    }
    let pair = AuditQuery { user: some("ann"), object: some("x"), limit: 1, ..all() };
    assert!(matches!(store.audit(&pair).await, Err(StoreError::Unsupported(_))));
}
