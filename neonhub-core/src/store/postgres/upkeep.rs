//! Keeping the database in shape: figures, feed retention, blobs that nobody names, compaction, indexes, drift.

use std::collections::BTreeMap;
use std::time::Duration;

use deadpool_postgres::{Object, Pool};
use tokio_postgres::Client;

use super::error::failed;
use super::read::{EVERYWHERE, FENCE};
use super::session::{prepare, take};
use super::{schema, snapshot};
use crate::store::{Damage, Figures, KindFigures, pack};
use crate::{Clock as _, Result, SystemClock, Timestamp};

/// Notes that a blob was put again; false when it is not there.
pub(super) async fn touch_blob(client: &Object, hash: &str) -> Result<bool> {
    let text = "UPDATE _blob SET at = $2 WHERE hash = $1";
    let statement = prepare(client, text, "store.blob_put").await?;
    let now = SystemClock.now().as_millis();
    let done = client.execute(&statement, &[&hash, &now]).await;
    done.map(|rows| rows > 0).map_err(|e| failed("store.blob_put", &e))
}

/// Keeps a blob in its packed form, or notes that it was put again.
pub(super) async fn put_blob(client: &Object, hash: &str, bytes: &[u8]) -> Result<()> {
    let text = "INSERT INTO _blob (hash, bytes, at) VALUES ($1, $2, $3) ON CONFLICT (hash) DO UPDATE SET at = excluded.at";
    let statement = prepare(client, text, "store.blob_put").await?;
    let now = SystemClock.now().as_millis();
    client.execute(&statement, &[&hash, &bytes, &now]).await.map_err(|e| failed("store.blob_put", &e))?;
    Ok(())
}

pub(super) async fn delete_blobs(pool: &Pool, hashes: &[String], before: Timestamp) -> Result<u64> {
    let client = take(pool, "store.blob_delete").await?;
    client
        .execute("DELETE FROM _blob WHERE hash = ANY($1) AND at < $2", &[&hashes, &before.as_millis()])
        .await
        .map_err(|e| failed("store.blob_delete", &e))
}

pub(super) async fn trim_feed(pool: &Pool, through: u64) -> Result<u64> {
    let client = take(pool, "store.trim_feed").await?;
    let through = i64::try_from(through).unwrap_or(i64::MAX);
    let text = "DELETE FROM _feed WHERE shard = 0 AND seq <= $1 AND seq < (SELECT max(seq) FROM _feed WHERE shard = 0)";
    client.execute(text, &[&through]).await.map_err(|e| failed("store.trim_feed", &e))
}

/// Bytes of all tables of the schema with their indexes.
const SIZE: &str = "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c \
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind = 'r'";

/// Whether nothing can still see what was removed before transaction `$1`: all transactions up to it have ended, in every
/// database of the server (a running one holds back what new readers may see), and so has each reader of this database
/// that began while one of them ran.
const FORGOTTEN: &str = "SELECT pg_snapshot_xmin(pg_current_snapshot()) > $1::text::xid8 AND NOT EXISTS \
    (SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() \
    AND backend_xmin IS NOT NULL AND age(backend_xmin) >= age($1::text::xid8::xid))";
/// How often, and how long apart, a compaction looks whether it is so.
const LOOKS: (u32, Duration) = (200, Duration::from_millis(50));

/// Waits a while until nobody sees what was removed before now.
async fn let_readers_end(client: &Client) -> std::result::Result<(), tokio_postgres::Error> {
    let now: String = client.query_one("SELECT pg_current_xact_id()::text", &[]).await?.get(0);
    for _ in 0..LOOKS.0 {
        if client.query_one(FORGOTTEN, &[&now]).await?.get(0) {
            break;
        }
        tokio::time::sleep(LOOKS.1).await;
    }
    Ok(())
}

/// Writes all tables anew without what was removed. Writers wait for the table at hand.
pub(super) async fn compact(client: &Client, schema: &str) -> Result<(u64, u64)> {
    let fail = |e| failed("store.compact", &e);
    let size = async || client.query_one(SIZE, &[&schema]).await.map(|r| r.get::<_, i64>(0).cast_unsigned());
    let before = size().await.map_err(fail)?;
    let_readers_end(client).await.map_err(fail)?;
    let text = "SELECT tablename::text FROM pg_tables WHERE schemaname = $1 ORDER BY tablename";
    for row in client.query(text, &[&schema]).await.map_err(fail)? {
        let table: String = row.get(0);
        client
            .batch_execute(&format!("VACUUM (FULL, ANALYZE) \"{schema}\".\"{table}\""))
            .await
            .map_err(fail)?;
    }
    // The figures of the planner quote values, and their pages keep what they quoted before. A login that may not write
    // this catalogue anew is told so by a warning of the server.
    client.batch_execute("RESET ROLE").await.map_err(fail)?;
    client.batch_execute("VACUUM (FULL) pg_catalog.pg_statistic").await.map_err(fail)?;
    Ok((before, size().await.map_err(fail)?))
}

pub(super) async fn figures(pool: &Pool, schema: &str) -> Result<Figures> {
    let fail = |e| failed("store.stats", &e);
    let client = take(pool, "store.stats").await?;
    client.execute(FENCE, &[&EVERYWHERE]).await.map_err(fail)?;
    let disk = client.query_one(SIZE, &[&schema]).await.map_err(fail)?;
    let mut out = Figures { disk_bytes: disk.get::<_, i64>(0).cast_unsigned(), ..Figures::default() };
    for kind in snapshot::kinds(&client).await? {
        let text = format!(
            "SELECT count(*), coalesce(sum(octet_length(body::text)), 0)::bigint FROM \"{}\"",
            kind.name
        );
        let row = client.query_one(&text, &[]).await.map_err(fail)?;
        out.kinds.push(KindFigures {
            kind: kind.name.to_owned(),
            records: row.get::<_, i64>(0).cast_unsigned(),
            bytes: row.get::<_, i64>(1).cast_unsigned(),
        });
    }
    let text = "SELECT count(*), coalesce(min(seq), 0), (SELECT count(*) FROM _blob), \
                (SELECT coalesce(sum(octet_length(bytes)), 0)::bigint FROM _blob) FROM _feed WHERE shard = 0";
    let row = client.query_one(text, &[]).await.map_err(fail)?;
    out.feed_length = row.get::<_, i64>(0).cast_unsigned();
    out.feed_oldest = row.get::<_, i64>(1).cast_unsigned();
    out.blobs = row.get::<_, i64>(2).cast_unsigned();
    out.blob_bytes = row.get::<_, i64>(3).cast_unsigned();
    Ok(out)
}

/// What the walk over checksums does not see: holes in the feed, blobs that do not match their hash.
pub(super) async fn check(client: &Object, damage: &mut Vec<Damage>) -> Result<()> {
    let fail = |e| failed("store.check", &e);
    let gap = "SELECT seq FROM (SELECT seq, seq - lag(seq) OVER (ORDER BY seq) AS step FROM _feed WHERE shard = 0) f \
               WHERE step > 1 ORDER BY seq LIMIT 1";
    for row in client.query(gap, &[]).await.map_err(fail)? {
        let seq: i64 = row.get(0);
        let problem = "the feed has a gap before this position".into();
        damage.push(Damage { kind: "_feed".into(), id: seq.to_string(), problem });
    }
    // The server sees for itself that plain ones are sound.
    let blobs = "SELECT hash, bytes FROM _blob WHERE hash > $1 AND encode(sha256(bytes), 'hex') <> hash \
                 ORDER BY hash LIMIT 8";
    let mut after = String::new();
    loop {
        let page = client.query(blobs, &[&after]).await.map_err(fail)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.get(0);
        for row in &page {
            let hash: String = row.get(0);
            if let Err(error) = pack::unpack(&hash, row.get(1)) {
                damage.push(Damage { kind: "_blob".into(), id: hash, problem: error.message().to_owned() });
            }
        }
    }
}

pub(super) async fn repair(client: &Client, schema: &str) -> Result<Vec<String>> {
    client
        .batch_execute(&format!("REINDEX SCHEMA \"{schema}\""))
        .await
        .map_err(|e| failed("store.repair", &e))?;
    Ok(vec!["all indexes were rebuilt from the records".into()])
}

/// Columns and indexes that are there against those that the declared kinds call for.
pub(super) async fn drift(pool: &Pool, schema: &str) -> Result<Vec<String>> {
    let fail = |e| failed("store.drift", &e);
    let client = take(pool, "store.drift").await?;
    let mut out = Vec::new();
    let columns = "SELECT table_name::text, column_name::text || ' ' || data_type || ' ' || is_nullable \
                   FROM information_schema.columns WHERE table_schema = $1 AND left(table_name, 1) <> '_'";
    let mut there: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in client.query(columns, &[&schema]).await.map_err(fail)? {
        there.entry(row.get(0)).or_default().push(row.get(1));
    }
    let indexes = "SELECT tablename::text, indexname::text, indexdef FROM pg_indexes WHERE schemaname = $1 \
                   AND left(tablename, 1) <> '_'";
    let mut names: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for row in client.query(indexes, &[&schema]).await.map_err(fail)? {
        names.entry(row.get(0)).or_default().push((row.get(1), row.get(2)));
    }
    for kind in snapshot::kinds(&client).await? {
        let Some(found) = there.remove(kind.name) else {
            out.push(format!("{} is missing", kind.name));
            continue;
        };
        differences(&mut out, kind.name, &schema::columns(&kind), &found);
        let found = names.remove(kind.name).unwrap_or_default();
        for (name, unique) in schema::index_names(&kind) {
            match found.iter().find(|(n, _)| *n == name) {
                None => out.push(format!("index {name} is missing")),
                Some((_, text)) if unique && !text.starts_with("CREATE UNIQUE") => {
                    out.push(format!("index {name} is not unique"));
                }
                Some(_) => {}
            }
        }
    }
    out.extend(there.into_keys().map(|name| format!("{name} is not declared")));
    Ok(out)
}

fn differences(out: &mut Vec<String>, table: &str, wanted: &[String], found: &[String]) {
    out.extend(wanted.iter().filter(|c| !found.contains(c)).map(|c| format!("{table}: expected column {c}")));
    out.extend(
        found.iter().filter(|c| !wanted.contains(c)).map(|c| format!("{table}: unexpected column {c}")),
    );
}
