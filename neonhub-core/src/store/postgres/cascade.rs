//! What follows from the removal of records that others refer to, worked out with all of them locked.
//!
//! Who makes a record that refers to another one locks that one first (`FOR UPDATE`, in sorted order). A removal holds
//! the same lock before it looks for what refers to the record, so that nothing comes between.

use std::collections::{BTreeMap, BTreeSet};

use deadpool_postgres::Object;

use super::error::failed;
use super::escape::escape;
use super::read::{fenced, locked};
use crate::store::refs::Cascade;
use crate::store::{Batch, Family, Write};
use crate::tenancy::WorkspaceId;
use crate::{Error, ErrorKind};

const OPERATION: &str = "store.commit";

/// Why a removal was not worked out.
pub(super) enum Stopped {
    /// It may not be.
    Refused(Error),
    /// Another transaction stood in the way.
    Race(Error),
    /// The server did not answer.
    Failed(Error),
}

/// Opens a transaction, locks what goes, and adds to the batch what follows from it and what must hold.
pub(super) async fn complete(
    client: &Object,
    workspace: &WorkspaceId,
    family: &Family,
    batch: &mut Batch,
) -> Result<(), Stopped> {
    let guards = family.guards(batch);
    client.batch_execute("BEGIN").await.map_err(|e| Stopped::Failed(failed(OPERATION, &e)))?;
    lock(client, workspace, batch).await?;
    let mut cascade = Cascade::of(family, batch);
    while let Some(ask) = cascade.ask() {
        let rows = locked(client, workspace, &ask).await.map_err(stopped)?;
        cascade.answer(rows).map_err(Stopped::Refused)?;
    }
    batch.writes.extend(cascade.writes());
    batch.writes.extend(guards);
    Ok(())
}

/// Locks the records that go, in the order in which all commits lock.
async fn lock(client: &Object, workspace: &WorkspaceId, batch: &Batch) -> Result<(), Stopped> {
    let mut gone: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for write in &batch.writes {
        if let Write::Delete { kind, id, .. } = write {
            gone.entry(kind.name).or_default().insert(id);
        }
    }
    let ws = workspace.as_str();
    for (kind, ids) in gone {
        let ids: Vec<String> = ids.into_iter().map(|id| escape(id).into_owned()).collect();
        let text = format!(
            "SELECT id FROM \"{kind}\" WHERE workspace_id = $1 AND id = ANY($2) ORDER BY id FOR UPDATE"
        );
        fenced(client, ws, &text, &[&ws, &ids], OPERATION).await.map_err(stopped)?;
    }
    Ok(())
}

/// Two removals that lock in another order are taken apart by the server: the one it ends is repeated.
fn stopped(error: Error) -> Stopped {
    // Class 40 of the server's codes: the transaction was taken back to let another one go on.
    let is_race = std::error::Error::source(&error).is_some_and(|s| s.to_string().starts_with("40"));
    if !is_race {
        return Stopped::Failed(error);
    }
    Stopped::Race(
        Error::new(ErrorKind::Conflict, OPERATION, "others keep writing the same records: try again")
            .with_code("stale_revision"),
    )
}
