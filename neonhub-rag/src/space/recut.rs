//! The documents of a space are cut anew after its sizes of chunks changed.
//!
//! A job reads each searched document from the file that the store keeps and stores it as a new version; until then search
//! answers from its old chunks. Chunks that come out as they were keep their vectors. The record of the space says how
//! far the job is.

use std::time::Duration;

use async_trait::async_trait;
use neonhub_core::job::{Handler, Job, JobSpec, Outcome};
use neonhub_core::{ErrorKind, Result, Scope};
use serde_json::json;

use super::migrate::page;
use super::model::{Space, SpaceId};
use super::ops_version::again;

const QUEUE: &str = "knowledge.recut";
/// Documents that are looked at, and chunks that are made, by one try of the job: bounds its commit.
const DOCUMENTS: usize = 100;
const CHUNKS: u64 = 500;
/// How long the work waits for room in a quota that pauses. Our choice.
const WAIT: Duration = Duration::from_secs(900);

/// Puts a space in the queue.
pub(super) async fn enqueue(cx: &Scope, space: &SpaceId) -> Result<()> {
    let job = JobSpec::new(QUEUE, QUEUE, json!({ "space": space })).dedupe(space.as_str());
    cx.submit(job).await.map(|_| ())
}

/// Works the queue.
#[derive(Debug)]
pub(super) struct RecutHandler;

#[async_trait]
impl Handler for RecutHandler {
    fn queue(&self) -> &'static str {
        QUEUE
    }

    fn batch(&self) -> usize {
        1
    }

    async fn work(&self, cx: &Scope, jobs: &[Job]) -> Result<Vec<Outcome>> {
        let mut out = Vec::new();
        for job in jobs {
            let space = job.payload.get("space").and_then(|s| s.as_str()).unwrap_or_default();
            out.push(match step(cx, space).await {
                Ok(true) => Outcome::Later(cx.now()),
                Ok(false) => Outcome::Done,
                Err(error) if error.code() == "budget_paused" => Outcome::Later(cx.now().plus(WAIT)),
                Err(error) => return Err(error),
            });
        }
        Ok(out)
    }
}

/// Cuts some documents; true when more follow.
async fn step(cx: &Scope, space: &str) -> Result<bool> {
    let Some(mut space) = cx.get::<Space>(space).await? else { return Ok(false) };
    let Some(mut recut) = space.body.recut.clone() else { return Ok(false) };
    let page = page(cx, recut.cursor.as_ref(), DOCUMENTS).await?;
    let (mut chunks, mut looked) = (0, 0);
    for document in &page {
        if document.space == space.body.id && document.is_searched() {
            match again(cx, document).await {
                // One that was cut this way already is answered as it is.
                Ok(new) if new.id == document.body.id => {}
                Ok(new) => {
                    chunks += u64::from(new.chunks);
                    recut.done += 1;
                }
                // It stays as it was cut.
                Err(error) if is_of_the_file(error.kind()) => {
                    tracing::warn!(document = %document.body.id, %error, "a document was not cut anew");
                }
                Err(error) if looked == 0 => return Err(error),
                // What was made is kept, and was paid: the next step begins here.
                Err(_) => break,
            }
        }
        looked += 1;
        recut.cursor = Some(document.body.id.clone());
        if chunks >= CHUNKS {
            break;
        }
    }
    let is_over = page.is_empty();
    space.body.recut = (!is_over).then_some(recut);
    cx.save(&space)?;
    Ok(!is_over)
}

fn is_of_the_file(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::InvalidInput | ErrorKind::NotFound | ErrorKind::Unsupported)
}
