//! The audit log: rows that are added, and pages of them, each from an index.

use super::migrate::read_error;
use super::rows::RowError;
use crate::StoreError;
use crate::audit::{AUDIT_HEAD, AuditQuery, AuditRow, MAX_ACTIONS, too_many_actions};
use crate::query::{Cursor, Page};
use crate::rules;
use cloudai_core::time::Timestamp;
use rusqlite::types::{ToSql, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, ffi, params};

/// What narrows a list beside its times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    All,
    Who,
    Action,
    WhoAction,
    Object,
}

#[cfg(test)]
impl Scope {
    const EACH: [Self; 5] = [Self::All, Self::Who, Self::Action, Self::WhoAction, Self::Object];
}

/// The places of a scope, the latest first, before one place and from another on.
fn places_sql(scope: Scope) -> String {
    let (index, narrow) = match scope {
        Scope::All => ("", ""),
        Scope::Who => ("INDEXED BY audit_who", "who = ?4 AND"),
        Scope::Action => ("INDEXED BY audit_action", "action = ?4 AND"),
        Scope::WhoAction => ("INDEXED BY audit_who_action", "who = ?4 AND action = ?5 AND"),
        Scope::Object => ("INDEXED BY audit_object", "object = ?4 AND"),
    };
    format!("SELECT seq FROM audit {index} WHERE {narrow} seq < ?1 AND seq >= ?2 ORDER BY seq DESC LIMIT ?3")
}

const ROW: &str = "SELECT seq, at, who, action, object, body, mac FROM audit WHERE seq = ?1";
const AFTER: &str = "SELECT seq, at, who, action, object, body, mac FROM audit WHERE seq > ?1 ORDER BY seq LIMIT ?2";
/// Times never go back from row to row: the first of a time is where all later ones begin.
const FIRST_SINCE: &str = "SELECT seq FROM audit INDEXED BY audit_at WHERE at >= ?1 ORDER BY at, seq LIMIT 1";
const LAST_BEFORE: &str = "SELECT seq FROM audit INDEXED BY audit_at WHERE at < ?1 ORDER BY at DESC, seq DESC LIMIT 1";
/// One action after the other, each by a search: rows of the same one are stepped over.
const ACTION_FROM: &str = "SELECT action FROM audit INDEXED BY audit_action WHERE action >= ?1 ORDER BY action LIMIT 1";
const ACTION_BEHIND: &str =
    "SELECT action FROM audit INDEXED BY audit_action WHERE action > ?1 ORDER BY action LIMIT 1";

/// Adds a row.
pub(super) fn put(tx: &Transaction<'_>, row: &AuditRow) -> Result<(), RowError> {
    tx.prepare_cached(
        "INSERT INTO audit (seq, at, who, action, object, body, mac) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        rules::number(row.seq)?,
        rules::number(row.at.as_millis())?,
        row.who,
        row.action,
        row.object,
        row.body,
        row.mac,
    ])
    .map_err(|error| match error.sqlite_error().map(|error| error.extended_code) {
        Some(ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_ROWID) => {
            RowError::Refused(rules::seq_taken(row.seq))
        }
        _ => RowError::Sql(error),
    })?;
    Ok(())
}

/// Sets the head.
pub(super) fn put_head(tx: &Transaction<'_>, head: &str) -> rusqlite::Result<()> {
    let sql = "INSERT INTO facts (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    tx.prepare_cached(sql)?.execute([AUDIT_HEAD, head]).map(drop)
}

/// One page; the question was checked.
pub(super) fn page(conn: &Connection, query: &AuditQuery) -> Result<Page<AuditRow>, StoreError> {
    let Some((before, from)) = range(conn, query).map_err(read_error)? else {
        return Ok(Page { items: Vec::new(), next: None });
    };
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX).saturating_add(1);
    let edges: [&dyn ToSql; 3] = [&before, &from, &limit];
    let of = |scope: Scope, narrow: &[&dyn ToSql]| {
        let args: Vec<&dyn ToSql> = edges.iter().chain(narrow).copied().collect();
        places(conn, scope, &args).map_err(read_error)
    };
    let mut found = match (&query.action, &query.user, &query.object) {
        (None, None, None) => of(Scope::All, &[])?,
        (None, None, Some(object)) => of(Scope::Object, &[object])?,
        (None, Some(user), _) => of(Scope::Who, &[user])?,
        (Some(prefix), user, _) => {
            let mut found = Vec::new();
            for action in actions(conn, prefix)? {
                let mut more = match user {
                    None => of(Scope::Action, &[&action])?,
                    Some(user) => of(Scope::WhoAction, &[user, &action])?,
                };
                found.append(&mut more);
            }
            found
        }
    };
    found.sort_unstable_by(|one, other| other.cmp(one));
    let more = found.len() > query.limit;
    found.truncate(query.limit);
    let next = found.last().filter(|_| more).map(|seq| Cursor(seq.unsigned_abs()));
    let items = found.into_iter().map(|seq| row_at(conn, seq)).collect::<rusqlite::Result<_>>().map_err(read_error)?;
    Ok(Page { items, next })
}

/// Rows in their order.
pub(super) fn after(conn: &Connection, seq: u64, limit: usize) -> Result<Vec<AuditRow>, StoreError> {
    let args = [seq, limit as u64].map(|number| i64::try_from(number).unwrap_or(i64::MAX));
    conn.prepare_cached(AFTER).and_then(|mut statement| statement.query_map(args, read)?.collect()).map_err(read_error)
}

/// Before which place and from which on rows are wanted; none where there are none of that time.
fn range(conn: &Connection, query: &AuditQuery) -> rusqlite::Result<Option<(i64, i64)>> {
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let place = |sql: &str, at: Timestamp| {
        conn.prepare_cached(sql)?.query_row([signed(at.as_millis())], |row| row.get::<_, i64>(0)).optional()
    };
    let (mut before, mut from) = (query.cursor.map_or(i64::MAX, |cursor| signed(cursor.0)), 1_i64);
    if let Some(since) = query.since {
        let Some(first) = place(FIRST_SINCE, since)? else { return Ok(None) };
        from = from.max(first);
    }
    if let Some(until) = query.until {
        let Some(last) = place(LAST_BEFORE, until)? else { return Ok(None) };
        before = before.min(last.saturating_add(1));
    }
    Ok(Some((before, from)))
}

fn places(conn: &Connection, scope: Scope, args: &[&dyn ToSql]) -> rusqlite::Result<Vec<i64>> {
    conn.prepare_cached(&places_sql(scope))?.query_map(args, |row| row.get(0))?.collect()
}

/// Every action that begins so.
fn actions(conn: &Connection, prefix: &str) -> Result<Vec<String>, StoreError> {
    let next = |sql: &str, from: &str| {
        conn.prepare_cached(sql)
            .and_then(|mut statement| statement.query_row([from], |row| Ok(text(row.get_ref(0)?))).optional())
            .map_err(read_error)
    };
    let mut found: Vec<String> = Vec::new();
    let mut action = next(ACTION_FROM, prefix)?;
    while let Some(one) = action.filter(|one| one.starts_with(prefix)) {
        if found.len() >= MAX_ACTIONS {
            return Err(too_many_actions(prefix));
        }
        action = next(ACTION_BEHIND, &one)?;
        found.push(one);
    }
    Ok(found)
}

fn row_at(conn: &Connection, seq: i64) -> rusqlite::Result<AuditRow> {
    conn.prepare_cached(ROW)?.query_row([seq], read)
}

/// Whatever somebody made of a row in the file, it can be read: that it was changed is for others to see.
fn read(row: &Row<'_>) -> rusqlite::Result<AuditRow> {
    // One to one: no other number that somebody may write there means the same.
    let number = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
    let object = row.get_ref(4)?;
    Ok(AuditRow {
        seq: number(0)?,
        at: Timestamp::from_millis(number(1)?),
        who: text(row.get_ref(2)?),
        action: text(row.get_ref(3)?),
        object: if object == ValueRef::Null { None } else { Some(text(object)) },
        body: text(row.get_ref(5)?),
        mac: row.get(6)?,
    })
}

fn text(value: ValueRef<'_>) -> String {
    value.as_bytes().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::migrate;

    #[test]
    fn every_page_is_a_search_in_an_index_without_sorting() {
        let dir = tempfile::tempdir().unwrap();
        let conn = migrate::open_file(&migrate::file_in(dir.path())).unwrap();
        let mut statements: Vec<String> =
            [ROW, AFTER, FIRST_SINCE, LAST_BEFORE, ACTION_FROM, ACTION_BEHIND].map(str::to_owned).into();
        statements.extend(Scope::EACH.map(places_sql));
        for sql in statements {
            let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let args = vec![rusqlite::types::Value::Null; statement.parameter_count()];
            let plan: Vec<String> = statement
                .query_map(rusqlite::params_from_iter(args), |row| row.get(3))
                .unwrap()
                .collect::<Result<_, _>>()
                .unwrap();
            assert!(plan.len() == 1 && plan[0].starts_with("SEARCH audit USING "), "{sql}\n{plan:?}");
        }
        for scope in [Scope::Who, Scope::Action, Scope::WhoAction, Scope::Object] {
            let sql = format!("EXPLAIN QUERY PLAN {}", places_sql(scope));
            let mut statement = conn.prepare(&sql).unwrap();
            let args = vec![rusqlite::types::Value::Null; statement.parameter_count()];
            let plan: String = statement.query_row(rusqlite::params_from_iter(args), |row| row.get(3)).unwrap();
            assert!(plan.contains("COVERING INDEX") && plan.contains("rowid>? AND rowid<?"), "{scope:?}: {plan}");
        }
    }
}
