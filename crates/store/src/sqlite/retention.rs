//! Ended tasks that are kept no longer, from the index that lists them in their order.

use super::migrate::read_error;
use super::page::ended_places;
use super::rows::id_of;
use crate::StoreError;
use crate::query::{Collectable, Page, RetentionQuery};
use cloudai_core::ids::TaskId;
use cloudai_core::time::Timestamp;
use rusqlite::{Connection, params};

/// The columns before the record: a long one is not read. `status` is what `ended` is, behind it.
pub(super) const LOOK: &str = "SELECT ulid, idx, status, created_at, finished_at FROM tasks WHERE ord = ?1";
/// Whether a live task depends on this one.
pub(super) const NEEDED: &str = "SELECT 1 FROM dependencies AS d INDEXED BY dependencies_on
    JOIN tasks AS t ON t.ulid = d.ulid AND t.idx = d.idx
    WHERE d.on_ulid = ?1 AND d.on_idx = ?2 AND t.finished_at IS NULL LIMIT 1";

/// One slice; the question was checked.
pub(super) fn collectable(conn: &Connection, query: &RetentionQuery) -> Result<Page<Collectable>, StoreError> {
    let places = ended_places(conn, query.cursor, query.limit).map_err(read_error)?;
    let all = places.len() < query.limit;
    let mut slice = query.slice();
    for order in places {
        let (key, task, created_at) = look(conn, order)?;
        let needed = || conn.prepare_cached(NEEDED)?.exists(params![key.0, key.1]);
        if !slice.look(task, created_at, needed).map_err(read_error)? {
            break;
        }
    }
    Ok(slice.page(all))
}

type Key = ([u8; 16], i64);

fn look(conn: &Connection, order: u64) -> Result<(Key, Collectable, Timestamp), StoreError> {
    let time = |millis: i64| Timestamp::from_millis(millis.unsigned_abs());
    let (key, word, created_at, finished_at) = conn
        .prepare_cached(LOOK)
        .and_then(|mut statement| {
            statement.query_row([i64::try_from(order).unwrap_or(i64::MAX)], |row| {
                let key: Key = (row.get(0)?, row.get(1)?);
                Ok((key, row.get::<_, String>(2)?, time(row.get(3)?), time(row.get(4)?)))
            })
        })
        .map_err(read_error)?;
    let id: TaskId = id_of(key.0, key.1);
    let status = word.parse().map_err(|_| StoreError::Corrupt(format!("{id} has the unknown status {word:?}")))?;
    Ok((key, Collectable { id, order, status, finished_at }, created_at))
}
