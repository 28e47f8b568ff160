//! Taking rows so that nobody waits for anybody: rows that another transaction holds are passed over.

use deadpool_postgres::{Object, Pool};

use super::committer::place;
use super::fate::{Settled, settle};
use super::read;
use super::session::take;
use super::write::{Outcome, group_begun};
use crate::store::{Batch, Claim, Committed, Kind, Query};
use crate::tenancy::WorkspaceId;
use crate::{Error, ErrorKind, Result};

const OPERATION: &str = "store.claim";

/// Locks what the queries find and nobody holds, and commits what `make` makes of it, in one transaction.
pub(super) async fn claim(
    pool: &Pool,
    kind: Kind,
    workspace: &WorkspaceId,
    queries: &[Query],
    make: Claim<'_>,
) -> Result<Committed> {
    let client = take(pool, OPERATION).await?;
    let batch = match lock(&client, kind, workspace, queries, make).await {
        Ok(batch) if !batch.is_empty() => batch,
        other => {
            if client.batch_execute("ROLLBACK").await.is_err() {
                // A connection with an open transaction does not go back.
                drop(Object::take(client));
            }
            return other.map(|_| Committed { seq: 0 });
        }
    };
    let nothing = || Error::new(ErrorKind::Internal, OPERATION, "a batch without an answer");
    match group_begun(&client, workspace.as_str(), std::slice::from_ref(&batch)).await {
        Outcome::Done(answers, first) => place(answers, first).pop().unwrap_or_else(|| Err(nothing())),
        Outcome::Race(error) => Err(error),
        Outcome::Failed(error) => {
            drop(Object::take(client));
            Err(error)
        }
        Outcome::Lost(lost) => {
            drop(Object::take(client));
            match settle(pool, &lost).await {
                Settled::Committed(first) => {
                    place(lost.answers, first).pop().unwrap_or_else(|| Err(nothing()))
                }
                Settled::Aborted(error) | Settled::Unknown(error) => Err(error),
            }
        }
    }
}

async fn lock(
    client: &Object,
    kind: Kind,
    workspace: &WorkspaceId,
    queries: &[Query],
    make: Claim<'_>,
) -> Result<Batch> {
    make(read::unlocked(client, kind, workspace, queries).await?)
}
