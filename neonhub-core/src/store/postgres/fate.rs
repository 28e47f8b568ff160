//! What became of a commit whose connection went away before the answer.

use std::time::Duration;

use deadpool_postgres::Pool;
use tokio_postgres::error::SqlState;

use super::error::{away, failed};
use super::session::take;
use super::write::Lost;
use crate::{Error, ErrorKind, Result, Retry};

/// How often the server is asked, and the pause between.
const ASK: u32 = 40;
const PAUSE: Duration = Duration::from_millis(250);

/// What the server said.
pub(super) enum Settled {
    /// Committed; the position of its first entry in the feed.
    Committed(u64),
    /// Nothing was written.
    Aborted(Error),
    /// It did not say in time.
    Unknown(Error),
}

enum Fate {
    Committed(u64),
    Aborted,
    Running,
}

/// Asks until the server knows.
pub(super) async fn settle(pool: &Pool, lost: &Lost) -> Settled {
    for _ in 0..ASK {
        match fate(pool, lost).await {
            Ok(Fate::Committed(first)) => return Settled::Committed(first),
            Ok(Fate::Aborted) => {
                return Settled::Aborted(away(
                    "store.commit",
                    "the database server went away; nothing was written: try again",
                ));
            }
            Ok(Fate::Running) | Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
    let text =
        "the database server went away during the commit: read the records to see whether they were written";
    let error = Error::new(ErrorKind::OutcomeUnknown, "store.commit", text);
    Settled::Unknown(error.with_retry(Retry::Never))
}

async fn fate(pool: &Pool, lost: &Lost) -> Result<Fate> {
    let sql = |e| failed("store.commit", &e);
    let client = take(pool, "store.commit").await?;
    let status = match client.query_one("SELECT pg_xact_status($1::text::xid8)", &[&lost.xid]).await {
        Ok(row) => row.try_get::<_, Option<String>>(0).map_err(sql)?,
        // A number that lies in the future: it was given out before a crash, and nothing was kept of it.
        Err(cause) if cause.code() == Some(&SqlState::INVALID_PARAMETER_VALUE) => None,
        Err(cause) => return Err(sql(cause)),
    };
    match status.as_deref() {
        Some("in progress") => Ok(Fate::Running),
        Some("committed") => {
            // A server that crashed may give the number of a transaction it forgot to the next one. So not the number
            // proves the commit but the entries: which record came to which revision is written once. Entries of
            // one transaction are neighbours near the end of the feed.
            let text = "SELECT min(seq) FROM _feed WHERE shard = 0 AND xid = $1::text::bigint \
                        AND seq > (SELECT seq - 1000000 FROM _shard WHERE shard = 0) \
                        HAVING array_agg(changes ORDER BY seq) = $2::text[]";
            let found = client.query_opt(text, &[&lost.xid, &lost.entries]).await.map_err(sql)?;
            Ok(found.map_or(Fate::Aborted, |row| Fate::Committed(row.get::<_, i64>(0).cast_unsigned())))
        }
        _ => Ok(Fate::Aborted),
    }
}
