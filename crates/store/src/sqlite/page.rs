//! Lists of ended tasks: which places of the submission order belong to a page, then their records.
//!
//! Places come from indexes alone, a limited piece per status, and are merged here: the cost is
//! in proportion to the page. A test holds every statement against the query planner.

use super::migrate::read_error;
use super::read::record;
use super::rows::id_of;
use crate::StoreError;
use crate::query::{Cursor, MAX_NAMES, Page, Part, Sort, TaskQuery, after_prefix, too_many_names};
use cloudai_core::ids::TaskId;
use cloudai_core::task::TaskRecord;
use rusqlite::types::ToSql;
use rusqlite::{Connection, OptionalExtension, Params, params};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What narrows a list beside its statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    All,
    Elements,
    Owner,
    OwnerElements,
    Worker,
    Dead,
    DeadOwner,
}

#[cfg(test)]
impl Scope {
    const ALL: [Self; 7] =
        [Self::All, Self::Elements, Self::Owner, Self::OwnerElements, Self::Worker, Self::Dead, Self::DeadOwner];
}

/// The places of one status in a scope, from the cursor on.
fn places_sql(scope: Scope, sort: Sort) -> String {
    let (index, narrow) = match scope {
        Scope::All => ("tasks_status", "ended = ?1 AND (idx < 0) = 1"),
        Scope::Elements => ("tasks_status", "ended = ?1 AND (idx < 0) = 0"),
        Scope::Owner => ("tasks_owner", "owner = ?4 AND ended = ?1 AND (idx < 0) = 1"),
        Scope::OwnerElements => ("tasks_owner", "owner = ?4 AND ended = ?1 AND (idx < 0) = 0"),
        Scope::Worker => ("tasks_worker", "worker = ?4 AND ended = ?1"),
        // They have failed, all of them.
        Scope::Dead => ("tasks_dead", "dead = 1"),
        Scope::DeadOwner => ("tasks_dead_owner", "owner = ?4 AND dead = 1"),
    };
    let (after, direction) = direction(sort);
    format!(
        "SELECT ord FROM tasks INDEXED BY {index}
         WHERE {narrow} AND ord {after} ?2 ORDER BY ord {direction} LIMIT ?3"
    )
}

fn direction(sort: Sort) -> (&'static str, &'static str) {
    match sort {
        Sort::Newest => ("<", "DESC"),
        Sort::Oldest => (">", "ASC"),
    }
}

const NAMES_FROM: &str = "SELECT ord FROM tasks INDEXED BY tasks_name WHERE name >= ?1 LIMIT ?2";
const NAMES_BETWEEN: &str = "SELECT ord FROM tasks INDEXED BY tasks_name WHERE name >= ?1 AND name < ?3 LIMIT ?2";
const FACE: &str = "SELECT status, owner, worker, idx FROM tasks WHERE ord = ?1";
const BODY: &str = "SELECT body FROM tasks WHERE ord = ?1";
const IDS: &str = "SELECT ulid, idx FROM tasks WHERE ulid >= ?1 AND ulid <= ?2 AND finished_at IS NOT NULL
    ORDER BY ulid DESC, idx DESC LIMIT ?3";
const ELEMENTS: &str =
    "SELECT ulid, idx FROM tasks WHERE ulid = ?1 AND idx >= ?2 AND idx <= ?3 AND finished_at IS NOT NULL
    ORDER BY idx DESC LIMIT ?4";
/// Every id, the newest first, from the index of ids alone.
const ALL_IDS: &str = "SELECT ulid, idx FROM tasks ORDER BY ulid DESC, idx DESC";
const HAS_ENDED: &str = "SELECT 1 FROM tasks WHERE ulid = ?1 AND idx = ?2 AND finished_at IS NOT NULL";

/// One page of tasks; the question was checked.
pub(super) fn tasks(conn: &Connection, query: &TaskQuery) -> Result<Page<Arc<TaskRecord>>, StoreError> {
    let places = match &query.name_prefix {
        Some(prefix) => named(conn, query, prefix)?,
        None => places(conn, query).map_err(read_error)?,
    };
    let (orders, next) = query.cut(places);
    let items = orders.into_iter().map(|order| task_at(conn, order)).collect::<Result<_, _>>()?;
    Ok(Page { items, next })
}

/// Up to one place more than a page holds, of each status that was asked for.
fn places(conn: &Connection, query: &TaskQuery) -> rusqlite::Result<Vec<u64>> {
    let cursor = query.cursor.map(|cursor| signed(cursor.0));
    let edge = match (query.sort, query.orders) {
        (Sort::Newest, None) => cursor.unwrap_or(i64::MAX),
        (Sort::Newest, Some((_, last))) => cursor.unwrap_or(i64::MAX).min(signed(last).saturating_add(1)),
        (Sort::Oldest, None) => cursor.unwrap_or(-1),
        (Sort::Oldest, Some((first, _))) => cursor.unwrap_or(-1).max(signed(first) - 1),
    };
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX).saturating_add(1);
    if query.orders.is_some() {
        let mut found = Vec::new();
        for scope in [Scope::All, Scope::Elements] {
            found.append(&mut of_scope(conn, query, (scope, None), (edge, limit))?);
        }
        // Behind the range there may be others.
        found.retain(|order| query.is_after(*order));
        return Ok(found);
    }
    let (scope, of) = match (&query.owner, &query.worker) {
        (Some(owner), _) if query.dead => (Scope::DeadOwner, Some(owner.as_str())),
        (None, _) if query.dead => (Scope::Dead, None),
        (Some(owner), _) => (Scope::Owner, Some(owner.as_str())),
        (None, Some(worker)) => (Scope::Worker, Some(worker.as_str())),
        (None, None) => (Scope::All, None),
    };
    let mut found = of_scope(conn, query, (scope, of), (edge, limit))?;
    let elements = match scope {
        Scope::All => Some(Scope::Elements),
        Scope::Owner => Some(Scope::OwnerElements),
        // These have them already.
        Scope::Elements | Scope::OwnerElements | Scope::Worker | Scope::Dead | Scope::DeadOwner => None,
    };
    if let Some(elements) = elements.filter(|_| query.expand) {
        found.append(&mut of_scope(conn, query, (elements, of), (edge, limit))?);
    }
    Ok(found)
}

fn of_scope(
    conn: &Connection,
    query: &TaskQuery,
    (scope, of): (Scope, Option<&str>),
    (edge, limit): (i64, i64),
) -> rusqlite::Result<Vec<u64>> {
    let sql = places_sql(scope, query.sort);
    let mut found = Vec::new();
    for status in query.wanted() {
        let word = status.word();
        let mut args: Vec<&dyn ToSql> = vec![&word, &edge, &limit];
        args.extend(of.as_ref().map(|of| of as &dyn ToSql));
        found.append(&mut orders(conn, &sql, args.as_slice())?);
    }
    Ok(found)
}

/// The first places of ended tasks after a cursor, in the order of submission.
pub(super) fn ended_places(conn: &Connection, after: Option<Cursor>, limit: usize) -> rusqlite::Result<Vec<u64>> {
    let orders = Some((0, u64::MAX));
    let query = TaskQuery { sort: Sort::Oldest, cursor: after, limit, orders, ..TaskQuery::default() };
    let mut found = places(conn, &query)?;
    found.sort_unstable();
    found.truncate(limit);
    Ok(found)
}

/// The places of tasks whose name begins so; the other filters are held against each of them.
fn named(conn: &Connection, query: &TaskQuery, prefix: &str) -> Result<Vec<u64>, StoreError> {
    let limit = i64::try_from(MAX_NAMES).unwrap_or(i64::MAX) + 1;
    let found = match after_prefix(prefix) {
        Some(end) => orders(conn, NAMES_BETWEEN, params![prefix, limit, end]),
        None => orders(conn, NAMES_FROM, params![prefix, limit]),
    };
    let mut found = found.map_err(read_error)?;
    if found.len() > MAX_NAMES {
        return Err(too_many_names(prefix));
    }
    found.retain(|order| query.is_after(*order));
    let mut matching = Vec::new();
    for order in found {
        if matches(conn, query, order).map_err(read_error)? {
            matching.push(order);
        }
    }
    Ok(matching)
}

fn matches(conn: &Connection, query: &TaskQuery, order: u64) -> rusqlite::Result<bool> {
    conn.prepare_cached(FACE)?.query_row([signed(order)], |row| {
        let status = row.get_ref(0)?.as_str()?;
        let worker = row.get_ref(2)?.as_str_or_null()?;
        let owner = row.get_ref(1)?.as_str()?;
        let is_element = row.get::<_, i64>(3)? >= 0;
        Ok((query.has_elements() || !is_element)
            && query.wanted().iter().any(|wanted| wanted.word() == status)
            && query.owner.as_ref().is_none_or(|wanted| wanted.as_str() == owner)
            && query.worker.as_ref().is_none_or(|wanted| Some(wanted.as_str()) == worker))
    })
}

fn orders(conn: &Connection, sql: &str, args: impl Params) -> rusqlite::Result<Vec<u64>> {
    conn.prepare_cached(sql)?.query_map(args, |row| row.get(0).map(i64::unsigned_abs))?.collect()
}

fn task_at(conn: &Connection, order: u64) -> Result<Arc<TaskRecord>, StoreError> {
    let body: Option<String> = conn
        .prepare_cached(BODY)
        .and_then(|mut statement| statement.query_row([signed(order)], |row| row.get(0)).optional())
        .map_err(read_error)?;
    record(&body.ok_or_else(|| StoreError::Corrupt(format!("an index names the missing task {order}")))?)
}

fn signed(order: u64) -> i64 {
    i64::try_from(order).unwrap_or(i64::MAX)
}

/// Ids by the beginning or the end of their text.
pub(super) fn like(conn: &Connection, part: &str, limit: usize) -> Result<Vec<TaskId>, StoreError> {
    let limit_sql = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut found: BTreeSet<TaskId> = beginning(conn, part, limit_sql).map_err(read_error)?.into_iter().collect();
    found.extend(ending(conn, part, limit).map_err(read_error)?);
    Ok(found.into_iter().rev().take(limit).collect())
}

fn beginning(conn: &Connection, part: &str, limit: i64) -> rusqlite::Result<Vec<TaskId>> {
    let (ulid, index) = part.split_once('.').map_or((part, None), |(ulid, index)| (ulid, Some(index)));
    let Some((low, high)) = ulid_range(ulid) else { return Ok(Vec::new()) };
    let Some(index) = index else {
        return ids(conn, IDS, params![low.to_be_bytes(), high.to_be_bytes(), limit]);
    };
    let mut found = Vec::new();
    if low == high {
        for (from, to) in index_ranges(index) {
            found.append(&mut ids(conn, ELEMENTS, params![low.to_be_bytes(), from, to, limit])?);
        }
    }
    Ok(found)
}

fn ids(conn: &Connection, sql: &str, args: impl Params) -> rusqlite::Result<Vec<TaskId>> {
    conn.prepare_cached(sql)?.query_map(args, |row| Ok(id_of(row.get(0)?, row.get(1)?)))?.collect()
}

/// The newest ids that end so: held against each there is, since a sorted list of ends would cost
/// every task that is stored more than this costs the few that are asked for.
fn ending(conn: &Connection, part: &str, limit: usize) -> rusqlite::Result<Vec<TaskId>> {
    let (end, mut found) = (Part::of(part), Vec::new());
    let mut statement = conn.prepare_cached(ALL_IDS)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (ulid, idx): ([u8; 16], i64) = (row.get(0)?, row.get(1)?);
        let id = id_of(ulid, idx);
        if end.ends(id) && conn.prepare_cached(HAS_ENDED)?.exists(params![ulid, idx])? {
            found.push(id);
            if found.len() >= limit {
                break;
            }
        }
    }
    Ok(found)
}

/// The first and the last ulid whose text begins so; none when no text does.
fn ulid_range(beginning: &str) -> Option<(u128, u128)> {
    const DIGITS: &str = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    const LENGTH: usize = 26;
    if beginning.len() > LENGTH || beginning.chars().next().is_some_and(|first| first > '7') {
        return None;
    }
    let value = |filler: char| {
        let text = beginning.chars().chain(std::iter::repeat(filler)).take(LENGTH);
        text.map(|c| DIGITS.find(c)).try_fold(0_u128, |sum, digit| Some((sum << 5) | digit? as u128))
    };
    // The first digit has three bits: what `Z` would shift out at the top is no part of an id.
    Some((value('0')?, value('Z')?))
}

/// The numbers whose decimal text begins so: 4, 40 to 49, 400 to 499, ...
fn index_ranges(beginning: &str) -> Vec<(i64, i64)> {
    let last = i64::from(u32::MAX);
    if beginning.is_empty() {
        return vec![(0, last)];
    }
    let Some(number) = beginning.parse::<u32>().ok().filter(|number| number.to_string() == beginning) else {
        return Vec::new();
    };
    if number == 0 {
        return vec![(0, 0)];
    }
    let number = i64::from(number);
    let scales = std::iter::successors(Some(1_i64), |scale| Some(scale * 10));
    scales.map(|scale| (number * scale, number * scale + scale - 1)).take_while(|(from, _)| *from <= last).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::{migrate, read, retention};

    fn plan(conn: &Connection, sql: &str) -> Vec<String> {
        let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let args = vec![rusqlite::types::Value::Null; statement.parameter_count()];
        statement
            .query_map(rusqlite::params_from_iter(args), |row| row.get(3))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap()
    }

    #[test]
    fn every_list_is_a_search_in_an_index_without_sorting() {
        let dir = tempfile::tempdir().unwrap();
        let conn = migrate::open_file(&migrate::file_in(dir.path())).unwrap();
        let mut statements: Vec<String> = [
            NAMES_FROM,
            NAMES_BETWEEN,
            FACE,
            BODY,
            IDS,
            ELEMENTS,
            HAS_ENDED,
            read::TASK,
            read::BY_KEY,
            read::LIVE,
            read::ENDED,
            retention::LOOK,
        ]
        .map(str::to_owned)
        .into();
        for sort in [Sort::Newest, Sort::Oldest] {
            statements.extend(Scope::ALL.map(|scope| places_sql(scope, sort)));
        }
        for sql in statements {
            let plan = plan(&conn, &sql);
            assert!(!plan.is_empty(), "{sql}");
            for line in &plan {
                assert!(line.starts_with("SEARCH tasks USING "), "{sql}\n{plan:?}");
            }
        }
    }

    #[test]
    fn whether_a_task_is_needed_is_a_search_in_indexes() {
        let dir = tempfile::tempdir().unwrap();
        let conn = migrate::open_file(&migrate::file_in(dir.path())).unwrap();
        let all = [retention::NEEDED, retention::OF_LIVE_JOB, retention::NEEDED_BY_JOB, retention::JOB_NEEDED_BY_JOB];
        for sql in all {
            let plan = plan(&conn, sql);
            let good = |line: &String| line.starts_with("SEARCH ") || line.starts_with("CORRELATED ");
            assert!(!plan.is_empty() && plan.iter().all(good), "{sql}: {plan:?}");
        }
    }

    #[test]
    fn jobs_that_may_go_are_found_in_the_order_of_their_ends_without_sorting() {
        let dir = tempfile::tempdir().unwrap();
        let conn = migrate::open_file(&migrate::file_in(dir.path())).unwrap();
        let plan = plan(&conn, retention::JOBS);
        assert!(plan[0].starts_with("SEARCH jobs USING INDEX jobs_ended"), "{plan:?}");
        let slow = |line: &String| line.contains("SCAN") || line.contains("B-TREE");
        assert!(!plan.iter().any(slow) && plan.iter().any(|line| line.contains("SEARCH tasks")), "{plan:?}");
    }

    #[test]
    fn the_end_of_an_id_is_looked_for_in_the_index_of_ids_alone() {
        let dir = tempfile::tempdir().unwrap();
        let conn = migrate::open_file(&migrate::file_in(dir.path())).unwrap();
        assert_eq!(plan(&conn, ALL_IDS), ["SCAN tasks USING COVERING INDEX sqlite_autoindex_tasks_1"]);
    }

    #[test]
    fn the_places_of_a_page_are_read_from_the_index_alone_and_begin_at_the_cursor() {
        let dir = tempfile::tempdir().unwrap();
        let conn = migrate::open_file(&migrate::file_in(dir.path())).unwrap();
        for scope in Scope::ALL {
            for (sort, sign) in [(Sort::Newest, '<'), (Sort::Oldest, '>')] {
                let plan = plan(&conn, &places_sql(scope, sort)).join("\n");
                assert!(plan.contains("COVERING INDEX"), "{scope:?} {sort:?}: {plan}");
                assert!(plan.contains(&format!("rowid{sign}?")), "{scope:?} {sort:?}: {plan}");
            }
        }
    }

    #[test]
    fn a_range_of_ulids_holds_exactly_those_that_begin_so() {
        assert_eq!(ulid_range(""), Some((0, u128::MAX)));
        assert_eq!(ulid_range("7"), Some((7 << 125, u128::MAX)));
        assert_eq!(ulid_range("8"), None);
        assert_eq!(ulid_range("0U"), None);
        assert_eq!(ulid_range(&"0".repeat(27)), None);
        let id = TaskId::new(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        assert_eq!(ulid_range(&crate::query::short(id)), Some((id.ulid(), id.ulid())));
    }

    #[test]
    fn a_range_of_indexes_holds_exactly_those_that_begin_so() {
        assert_eq!(index_ranges("0"), [(0, 0)]);
        assert_eq!(index_ranges("4294967295"), [(4_294_967_295, 4_294_967_295)]);
        assert_eq!(index_ranges("42")[..2], [(42, 42), (420, 429)]);
        assert!(index_ranges("01").is_empty());
        assert!(index_ranges("x").is_empty());
    }
}
