//! Reads: rows by id, by unique key, in index order; the feed; the walk over all checksums.

use std::ops::Bound;

use deadpool_postgres::{Object, Pool};
use futures_util::FutureExt as _;
use tokio_postgres::types::ToSql;

use super::error::failed;
use super::escape::{body_out, escape, unescape};
use super::session::{pipeline, prepare, reading, take};
use crate::store::refs::Ask;
use crate::store::{Damage, FeedEntry, Key, Kind, Order, Query, Row, compact, cursor_expired};
use crate::tenancy::WorkspaceId;
use crate::{Result, Timestamp};

pub(super) const HEAD: &str = "id, rev, schema, created_at, updated_at, created_by, body::text, checksum";
/// Rows of one page of the walk over all records.
const PAGE: i64 = 1000;
/// Names the workspace whose rows the session may see.
pub(super) const FENCE: &str = "SELECT set_config('neonhub.workspace', $1, false)";
/// Every workspace: for walks over the whole store.
pub(super) const EVERYWHERE: &str = "*";

type Params<'a> = Vec<&'a (dyn ToSql + Sync)>;

/// What a SELECT for a kind starts with.
pub(super) fn select(kind: Kind) -> String {
    select_from(kind, "")
}

/// The same from the table joined with others, which have other columns.
fn select_from(kind: Kind, others: &str) -> String {
    let mut out = format!("SELECT {HEAD}");
    for index in kind.indexes {
        out.push_str(", ix_");
        out.push_str(index.name);
    }
    out.push_str(" FROM \"");
    out.push_str(kind.name);
    out.push('"');
    out.push_str(others);
    out.push_str(" WHERE workspace_id = $1");
    out
}

/// A row and its stored checksum.
pub(super) fn row(indexes: usize, found: &tokio_postgres::Row) -> Result<(Row, u64)> {
    let sql = |e| failed("store.get", &e);
    let mut keys = Vec::with_capacity(indexes);
    for n in 0..indexes {
        keys.push(found.try_get::<_, Option<Vec<u8>>>(8 + n).map_err(sql)?.map(Key::from_encoded));
    }
    let row = Row {
        id: unescape(found.try_get(0).map_err(sql)?),
        rev: found.try_get::<_, i64>(1).map_err(sql)?.cast_unsigned(),
        schema: u16::try_from(found.try_get::<_, i32>(2).map_err(sql)?).unwrap_or(u16::MAX),
        created_at: Timestamp::from_millis(found.try_get(3).map_err(sql)?),
        updated_at: Timestamp::from_millis(found.try_get(4).map_err(sql)?),
        created_by: unescape(found.try_get(5).map_err(sql)?),
        body: body_out(found.try_get(6).map_err(sql)?)?,
        keys,
    };
    Ok((row, found.try_get::<_, i64>(7).map_err(sql)?.cast_unsigned()))
}

/// Runs a query behind the fence of a workspace; both requests go out together.
pub(super) async fn fenced(
    client: &Object,
    workspace: &str,
    text: &str,
    params: &[&(dyn ToSql + Sync)],
    operation: &'static str,
) -> Result<Vec<tokio_postgres::Row>> {
    let fence = prepare(client, FENCE, operation).await?;
    let statement = prepare(client, text, operation).await?;
    let name: [&(dyn ToSql + Sync); 1] = [&workspace];
    let (set, rows) = tokio::join!(client.execute(&fence, &name), client.query(&statement, params));
    set.map_err(|e| failed(operation, &e))?;
    rows.map_err(|e| failed(operation, &e))
}

/// The same on a connection of the pool.
async fn read_fenced(
    pool: &Pool,
    workspace: &str,
    text: &str,
    params: &[&(dyn ToSql + Sync)],
    operation: &'static str,
) -> Result<Vec<tokio_postgres::Row>> {
    let read = move |client: Object| async move { fenced(&client, workspace, text, params, operation).await };
    reading(pool, operation, read).await
}

pub(super) async fn by_ids(
    pool: &Pool,
    kind: Kind,
    workspace: &WorkspaceId,
    ids: &[&str],
) -> Result<Vec<Option<Row>>> {
    let wanted: Vec<_> = ids.iter().map(|id| escape(id)).collect();
    let ws = workspace.as_str();
    let rows = match wanted.as_slice() {
        [one] => {
            let text = format!("{} AND id = $2", select(kind));
            read_fenced(pool, ws, &text, &[&ws, &one.as_ref()], "store.get").await?
        }
        many => {
            let text = format!("{} AND id = ANY($2)", select(kind));
            let many: Vec<&str> = many.iter().map(AsRef::as_ref).collect();
            read_fenced(pool, ws, &text, &[&ws, &many], "store.get").await?
        }
    };
    let mut found = std::collections::HashMap::with_capacity(rows.len());
    for r in &rows {
        let (row, _) = row(kind.indexes.len(), r)?;
        found.insert(row.id.clone(), row);
    }
    Ok(ids.iter().map(|id| found.get(*id).cloned()).collect())
}

pub(super) async fn by_keys(
    pool: &Pool,
    kind: Kind,
    workspace: &WorkspaceId,
    index: &str,
    keys: &[Key],
) -> Result<Vec<Option<Row>>> {
    let n = kind.index(index)?;
    let wanted: Vec<&[u8]> = keys.iter().map(Key::as_bytes).collect();
    let text = format!("{} AND ix_{index} = ANY($2)", select(kind));
    let ws = workspace.as_str();
    let rows = read_fenced(pool, ws, &text, &[&ws, &wanted], "store.find").await?;
    let mut found = std::collections::HashMap::with_capacity(rows.len());
    for r in &rows {
        let (row, _) = row(kind.indexes.len(), r)?;
        if let Some(Some(key)) = row.keys.get(n) {
            found.insert(key.clone(), row);
        }
    }
    Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
}

/// The WHERE clause of a query behind `workspace_id = $1`, its keys from `$2` on, and an id at the end.
fn range(query: &Query) -> (String, Vec<&[u8]>, Option<String>) {
    let (mut clause, mut keys) = (String::new(), Vec::new());
    if let Some(name) = query.index {
        let mut bound = |sign: &str, key| {
            keys.push(Key::as_bytes(key));
            clause.push_str(&format!(" AND ix_{name} {sign} ${}", keys.len() + 1));
        };
        match &query.from {
            Bound::Included(k) => bound(">=", k),
            Bound::Excluded(k) => bound(">", k),
            Bound::Unbounded => {}
        }
        match &query.to {
            Bound::Included(k) => bound("<=", k),
            Bound::Excluded(k) => bound("<", k),
            Bound::Unbounded => {}
        }
        // The index is partial: the planner must see that no record without a key is asked for.
        clause.push_str(&format!(" AND ix_{name} IS NOT NULL"));
    }
    let Some((key, id)) = &query.after else { return (clause, keys, None) };
    let sign = if query.order == Order::Ascending { '>' } else { '<' };
    match query.index {
        Some(name) => {
            keys.push(key.as_bytes());
            let n = keys.len() + 1;
            clause.push_str(&format!(" AND (ix_{name}, id) {sign} (${n}, ${})", n + 1));
        }
        None => clause.push_str(&format!(" AND id {sign} ${}", keys.len() + 2)),
    }
    (clause, keys, Some(escape(id).into_owned()))
}

fn params<'a>(workspace: &'a &'a str, keys: &'a [&'a [u8]], id: &'a Option<String>) -> Params<'a> {
    let mut out: Params<'a> = vec![workspace];
    out.extend(keys.iter().map(|k| k as &(dyn ToSql + Sync)));
    out.extend(id.iter().map(|id| id as &(dyn ToSql + Sync)));
    out
}

pub(super) async fn query(
    pool: &Pool,
    kind: Kind,
    workspace: &WorkspaceId,
    query: &Query,
) -> Result<Vec<Row>> {
    let (text, keys, id) = ordered(kind, query, "")?;
    let ws = workspace.as_str();
    let found = read_fenced(pool, ws, &text, &params(&ws, &keys, &id), "store.query").await?;
    found.iter().map(|r| Ok(row(kind.indexes.len(), r)?.0)).collect()
}

/// Begins a transaction and takes the rows of these queries that no other holds, which this one holds from then on: one
/// exchange, however many queries there are.
pub(super) async fn unlocked(
    client: &Object,
    kind: Kind,
    workspace: &WorkspaceId,
    queries: &[Query],
) -> Result<Vec<Row>> {
    const OPERATION: &str = "store.claim";
    let ws = workspace.as_str();
    let name: [&(dyn ToSql + Sync); 1] = [&ws];
    let fence = prepare(client, FENCE, OPERATION).await?;
    let mut asked = Vec::with_capacity(queries.len());
    for query in queries {
        let (text, keys, id) = ordered(kind, query, " FOR UPDATE SKIP LOCKED")?;
        asked.push((prepare(client, &text, OPERATION).await?, keys, id));
    }
    let params: Vec<_> = asked.iter().map(|(_, keys, id)| params(&ws, keys, id)).collect();
    let begin = async { client.batch_execute("BEGIN").await.map(|()| Vec::new()) };
    let mut requests = vec![begin.boxed(), client.query(&fence, &name).boxed()];
    requests.extend(asked.iter().zip(&params).map(|((text, ..), params)| client.query(text, params).boxed()));
    let mut rows = Vec::new();
    for (n, answer) in pipeline(requests).await.into_iter().enumerate() {
        let found = answer.map_err(|e| failed(OPERATION, &e))?;
        // The first two only begin.
        for found in found.iter().filter(|_| n > 1) {
            rows.push(row(kind.indexes.len(), found)?.0);
        }
    }
    Ok(rows)
}

/// The rows that refer to some of the records of a question, held by this transaction from now on; waits for those that
/// others hold. One request, however many records there are.
pub(super) async fn locked(client: &Object, workspace: &WorkspaceId, ask: &Ask) -> Result<Vec<Row>> {
    let (kind, index) = (ask.kind, ask.reference.index);
    kind.index(index)?;
    let (mut from, mut to) = (Vec::new(), Vec::new());
    for query in ask.queries() {
        if let (Bound::Included(low), Bound::Excluded(high)) = (query.from, query.to) {
            from.push(low.as_bytes().to_vec());
            to.push(high.as_bytes().to_vec());
        }
    }
    let limit = i64::try_from(ask.limit).unwrap_or(i64::MAX);
    // The ranges of two ids share no key: a row comes once.
    let text = format!(
        "{} AND ix_{index} IS NOT NULL AND ix_{index} >= r.low AND ix_{index} < r.high ORDER BY id LIMIT $4 \
         FOR UPDATE OF \"{}\"",
        select_from(kind, ", unnest($2::bytea[], $3::bytea[]) AS r(low, high)"),
        kind.name
    );
    let ws = workspace.as_str();
    let rows = fenced(client, ws, &text, &[&ws, &from, &to, &limit], "store.commit").await?;
    rows.iter().map(|r| Ok(row(kind.indexes.len(), r)?.0)).collect()
}

/// A text with the keys and the id that stand behind the workspace in its parameters.
type Asked<'a> = (String, Vec<&'a [u8]>, Option<String>);

/// The text of a query with its parameters.
fn ordered<'a>(kind: Kind, query: &'a Query, lock: &str) -> Result<Asked<'a>> {
    if let Some(name) = query.index {
        kind.index(name)?;
    }
    let (clause, keys, id) = range(query);
    let direction = if query.order == Order::Ascending { "" } else { " DESC" };
    let by = query.index.map_or(String::new(), |name| format!("ix_{name}{direction}, "));
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
    let text = format!("{}{clause} ORDER BY {by}id{direction} LIMIT {limit}{lock}", select(kind));
    Ok((text, keys, id))
}

pub(super) async fn count(pool: &Pool, kind: Kind, workspace: &WorkspaceId, query: &Query) -> Result<u64> {
    if let Some(name) = query.index {
        kind.index(name)?;
    }
    let (clause, keys, id) = range(query);
    let text = format!("SELECT count(*) FROM \"{}\" WHERE workspace_id = $1{clause}", kind.name);
    let ws = workspace.as_str();
    let rows = read_fenced(pool, ws, &text, &params(&ws, &keys, &id), "store.count").await?;
    Ok(rows.first().map_or(0, |r| r.get::<_, i64>(0)).cast_unsigned())
}

pub(super) async fn seq(pool: &Pool) -> Result<u64> {
    let read = |client: Object| async move {
        let statement = prepare(&client, "SELECT seq FROM _shard WHERE shard = 0", "store.seq").await?;
        client.query_one(&statement, &[]).await.map_err(|e| failed("store.seq", &e))
    };
    Ok(reading(pool, "store.seq", read).await?.get::<_, i64>(0).cast_unsigned())
}

pub(super) async fn changes(pool: &Pool, after: u64, limit: usize) -> Result<Vec<FeedEntry>> {
    let text =
        "SELECT seq, workspace_id, at, changes FROM _feed WHERE shard = 0 AND seq > $1 ORDER BY seq LIMIT $2";
    let from = after;
    let (after, limit) = (i64::try_from(after).unwrap_or(i64::MAX), i64::try_from(limit).unwrap_or(i64::MAX));
    let read = move |client: Object| async move {
        let statement = prepare(&client, text, "store.changes").await?;
        client.query(&statement, &[&after, &limit]).await.map_err(|e| failed("store.changes", &e))
    };
    let rows = reading(pool, "store.changes", read).await?;
    let page = feed_entries(&rows)?;
    match page.first() {
        Some(first) if first.seq > from.saturating_add(1) => Err(cursor_expired(from, first.seq)),
        _ => Ok(page),
    }
}

pub(super) fn feed_entries(rows: &[tokio_postgres::Row]) -> Result<Vec<FeedEntry>> {
    let sql = |e| failed("store.changes", &e);
    rows.iter()
        .map(|r| {
            let seq = r.try_get::<_, i64>(0).map_err(sql)?.cast_unsigned();
            let (ws, at) = (r.try_get(1).map_err(sql)?, r.try_get(2).map_err(sql)?);
            compact::entry(seq, ws, at, r.try_get(3).map_err(sql)?)
        })
        .collect()
}

/// Reads every record of every kind and compares checksums.
pub(super) async fn check(pool: &Pool) -> Result<Vec<Damage>> {
    let client = take(pool, "store.check").await?;
    let kinds = client.query("SELECT name FROM _kind ORDER BY name", &[]).await;
    let mut damage = Vec::new();
    for kind in kinds.map_err(|e| failed("store.check", &e))? {
        check_kind(&client, kind.get(0), &mut damage).await?;
    }
    super::upkeep::check(&client, &mut damage).await?;
    Ok(damage)
}

async fn check_kind(client: &Object, kind: &str, damage: &mut Vec<Damage>) -> Result<()> {
    let text = format!(
        "SELECT {HEAD}, workspace_id FROM \"{kind}\" WHERE (workspace_id, id) > ($1, $2) \
         ORDER BY workspace_id, id LIMIT {PAGE}"
    );
    let (mut ws, mut id) = (String::new(), String::new());
    loop {
        let page = fenced(client, EVERYWHERE, &text, &[&ws, &id], "store.check").await?;
        for found in &page {
            let problem = match row(0, found) {
                Ok((row, sum)) if row.checksum(kind) == sum => continue,
                Ok(_) => "the record does not match its checksum".to_owned(),
                Err(error) => error.message().to_owned(),
            };
            damage.push(Damage { kind: kind.into(), id: unescape(found.get(0)), problem });
        }
        let Some(last) = page.last() else { return Ok(()) };
        (ws, id) = (last.get(8), last.get(0));
    }
}
