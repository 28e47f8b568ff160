//! Indexes that a newer build declares for a kind whose table is there already.

use tokio_postgres::types::ToSql;
use tokio_postgres::{Error as SqlError, Transaction};

use super::error::failed;
use super::escape::{body_out, unescape};
use super::read::{EVERYWHERE, FENCE};
use super::schema::{index_ddl, index_list, refused};
use crate::store::{Kind, grow};
use crate::{Error, Result};

/// Records of one page.
const PAGE: i64 = 500;

/// Adds the indexes that the table lacks, with the keys of the records that are there. What other processes write
/// meanwhile waits: the table is locked until the end.
///
/// # Errors
/// `Config` when the table has others than this build declares, or this user may not change it.
pub(super) async fn add_indexes(tx: &Transaction<'_>, schema: &str, kind: &Kind, found: &str) -> Result<()> {
    let new =
        grow::added(kind, found.split_whitespace()).ok_or_else(|| super::schema::drifted(kind, found))?;
    let sql = |cause: SqlError| refused(kind.name, &cause);
    let table = format!("\"{schema}\".\"{}\"", kind.name);
    let old = kind.indexes.len() - new.len();
    for index in new {
        let text = format!("ALTER TABLE {table} ADD COLUMN ix_{} bytea", index.name);
        tx.batch_execute(&text).await.map_err(sql)?;
    }
    // A large table takes longer than a query may; the fence holds for the owner too.
    tx.batch_execute("SET LOCAL statement_timeout = 0").await.map_err(sql)?;
    tx.execute(FENCE, &[&EVERYWHERE]).await.map_err(sql)?;
    fill(tx, &table, kind, old).await?;
    for n in old..kind.indexes.len() {
        if let Some(index) = kind.indexes.get(n).filter(|index| index.unique)
            && let Some(error) = twins(tx, &table, kind, index.name).await?
        {
            return Err(error);
        }
        tx.batch_execute(&index_ddl(schema, kind, n)).await.map_err(sql)?;
    }
    let text = format!("UPDATE \"{schema}\"._kind SET schema = $2, indexes = $3 WHERE name = $1");
    tx.execute(&text, &[&kind.name, &i32::from(kind.schema), &index_list(kind)]).await.map(drop).map_err(sql)
}

/// Two records that share a value of an index that is to be unique.
async fn twins(tx: &Transaction<'_>, table: &str, kind: &Kind, index: &str) -> Result<Option<Error>> {
    let text = format!(
        "SELECT min(id), max(id) FROM {table} WHERE ix_{index} IS NOT NULL GROUP BY workspace_id, ix_{index} \
         HAVING count(*) > 1 LIMIT 1"
    );
    let sql = |cause: SqlError| -> Error { failed("store.migrate", &cause) };
    let Some(row) = tx.query_opt(&text, &[]).await.map_err(sql)? else { return Ok(None) };
    let (one, other) = (row.try_get(0).map_err(sql)?, row.try_get(1).map_err(sql)?);
    Ok(Some(grow::shared_value(kind, index, &unescape(one), &unescape(other))))
}

async fn fill(tx: &Transaction<'_>, table: &str, kind: &Kind, old: usize) -> Result<()> {
    let sql = |cause: SqlError| -> Error { failed("store.migrate", &cause) };
    let read = format!(
        "SELECT workspace_id, id, body::text FROM {table} WHERE (workspace_id, id) > ($1, $2) \
         ORDER BY workspace_id, id LIMIT $3"
    );
    let read = tx.prepare(&read).await.map_err(sql)?;
    let sets = kind.indexes.iter().skip(old).enumerate().map(|(n, i)| format!("ix_{} = ${}", i.name, n + 3));
    let sets = sets.collect::<Vec<_>>().join(", ");
    let write = format!("UPDATE {table} SET {sets} WHERE workspace_id = $1 AND id = $2");
    let write = tx.prepare(&write).await.map_err(sql)?;
    let (mut workspace, mut id) = (String::new(), String::new());
    loop {
        let page = tx.query(&read, &[&workspace, &id, &PAGE]).await.map_err(sql)?;
        let Some(last) = page.last() else { return Ok(()) };
        (workspace, id) = (last.try_get(0).map_err(sql)?, last.try_get(1).map_err(sql)?);
        for row in &page {
            let (ws, at): (String, String) = (row.try_get(0).map_err(sql)?, row.try_get(1).map_err(sql)?);
            let body = body_out(row.try_get(2).map_err(sql)?)?;
            let keys = grow::keys(kind, &unescape(at.clone()), &body);
            let keys: Vec<Option<&[u8]>> =
                keys.iter().skip(old).map(|k| k.as_ref().map(crate::store::Key::as_bytes)).collect();
            let mut values: Vec<&(dyn ToSql + Sync)> = vec![&ws, &at];
            values.extend(keys.iter().map(|key| -> &(dyn ToSql + Sync) { key }));
            tx.execute(&write, &values).await.map_err(sql)?;
        }
    }
}
