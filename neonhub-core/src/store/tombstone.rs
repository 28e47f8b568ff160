//! Removals that are too large for one commit: the record goes first, what refers to it follows in a durable job.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::refs::{OnDelete, detached};
use super::{Expected, Kind, Record, Row, Write};
use crate::job::{Job, JobSpec, Outcome};
use crate::schedule::SYSTEM;
use crate::{Error, Result, Retry, Scope, Timestamp};

/// The job that goes on.
pub(crate) const CASCADE: &str = "store.cascade";
/// Records of one commit of that job.
const PAGE: usize = 500;
/// Commits of one turn of that job; then others have theirs.
const TURN: usize = 40;

/// Stands in the place of a removed record until all that referred to it is gone or has forgotten it. Until then no
/// record is made under its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tombstone {
    /// Kind and id of the record, with `/` between.
    pub id: String,
    /// When it was removed.
    pub at: Timestamp,
    /// Who removed it.
    pub by: String,
}

impl Record for Tombstone {
    const KIND: &'static str = Self::NAME;
    fn id(&self) -> &str {
        &self.id
    }
}

impl Tombstone {
    /// Name of the kind.
    pub(super) const NAME: &'static str = "tombstone";

    /// The tombstone of a record.
    #[must_use]
    pub fn of(kind: &str, id: &str, at: Timestamp, by: &str) -> Self {
        Tombstone { id: Self::id_of(kind, id), at, by: by.to_owned() }
    }

    pub(super) fn id_of(kind: &str, id: &str) -> String {
        format!("{kind}/{id}")
    }

    /// Kind and id of the record.
    pub(super) fn place_of(id: &str) -> Option<(&str, &str)> {
        id.split_once('/')
    }
}

/// Payload of the job.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cascade {
    /// Id of the tombstone.
    pub(crate) tombstone: String,
}

/// Stages tombstones, each with its job, for removals of a commit that was too large: for the one that was named and
/// those behind it, since what the ones before bring about did fit.
pub(crate) fn bury(cx: &Scope, removals: &[(&'static str, String)]) -> Result<()> {
    for (kind, id) in removals {
        let stone = Tombstone::of(kind, id, cx.now(), cx.label());
        cx.create(&stone)?;
        let payload = serde_json::to_value(Cascade { tombstone: stone.id });
        let payload = payload.map_err(|cause| Error::internal(CASCADE, cause))?;
        cx.enqueue(JobSpec::new(SYSTEM, CASCADE, payload))?;
    }
    Ok(())
}

/// Removes what refers to a removed record, page by page; each page is a commit of its own, so that a crash costs
/// nothing that was done.
///
/// # Errors
/// `Conflict` with the code `restricted` when something further down holds on; the tombstone then stays, and the job
/// can be tried again once that is gone.
pub(crate) async fn cascade(cx: &Scope, job: &Job) -> Result<Outcome> {
    let Cascade { tombstone } =
        serde_json::from_value(job.payload.clone()).map_err(|cause| Error::internal(CASCADE, cause))?;
    let Some(stone) = cx.get::<Tombstone>(&tombstone).await? else { return Ok(Outcome::Done) };
    let Some((kind, id)) = Tombstone::place_of(&tombstone) else { return Ok(Outcome::Done) };
    for _ in 0..TURN {
        let page = page(cx, kind, id).await?;
        if page.is_empty() {
            cx.delete::<Tombstone>(&tombstone, Expected::Rev(stone.rev))?;
            return Ok(Outcome::Done);
        }
        for write in page {
            cx.stage(write)?;
        }
        match cx.flush().await {
            Ok(_) => {}
            // Somebody changed or removed one of them meanwhile: the next page is read anew.
            Err(error) if error.code() == "stale_revision" => {}
            // Waiting does not make it let go.
            Err(error) if error.code() == "restricted" => {
                return Ok(Outcome::Failed(error.with_retry(Retry::Never)));
            }
            Err(error) => return Ok(Outcome::Failed(error)),
        }
    }
    Ok(Outcome::Later(cx.now()))
}

/// What is to be done about the next records that refer to a removed one.
async fn page(cx: &Scope, kind: &str, id: &str) -> Result<Vec<Write>> {
    let mut out = Vec::new();
    for (child, reference) in cx.hub().family().children(kind) {
        let limit = PAGE - out.len().min(PAGE);
        if limit == 0 || reference.on_delete == OnDelete::Restrict {
            continue;
        }
        let rows = cx.store().query(*child, cx.workspace(), &reference.query(id).limit(limit)).await?;
        for row in rows {
            out.push(match reference.on_delete {
                OnDelete::Detach => {
                    let now = detached(child, reference, &row, cx.now())?;
                    put(*child, now, row.rev)
                }
                OnDelete::Cascade | OnDelete::Restrict => {
                    Write::Delete { kind: *child, id: row.id, expected: Expected::Rev(row.rev) }
                }
            });
        }
    }
    Ok(out)
}

fn put(kind: Kind, row: Row, rev: u64) -> Write {
    Write::Put { kind, row, expected: Expected::Rev(rev) }
}
