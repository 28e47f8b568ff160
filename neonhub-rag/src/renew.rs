//! Memories and messages get vectors of the embedder that is the default now.
//!
//! A hub that chooses another default finds what came before by its words only. A job gives it new vectors, a page at a
//! time, and search goes on meanwhile. One record says how far it is, so that it goes on where a process ended. Each
//! vector changes in one write: nothing holds vectors of two embedders. Processes of one store choose the same default,
//! or each of them has the vectors made anew.

use std::time::Duration;

use async_trait::async_trait;
use neonhub_core::job::{Handler, Job, JobSpec, Outcome};
use neonhub_core::store::{Expected, Kind, Query, Record};
use neonhub_core::{Error, Result, Scope};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::conversation::{any_message_vector, lacking_messages, renew_messages};
use crate::embed::{EmbedKind, Embedder, embed_in};
use crate::memory::{any_memory, lacking_memories, renew_memories};
use crate::space::Knowledge;

const QUEUE: &str = "knowledge.renew_vectors";
const ID: &str = "vectors";
/// Records of one page: bounds a commit.
pub(crate) const PAGE: usize = 200;
/// How long the work waits for room in a quota that pauses. Our choice.
const WAIT: Duration = Duration::from_secs(900);

/// How far the vectors of memories and messages are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Renewal {
    /// The embedder whose vectors they get.
    pub(crate) embedder: String,
    pub(crate) stage: Stage,
    /// The last record that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cursor: Option<String>,
    /// Vectors made.
    pub(crate) made: u64,
}

/// The record kinds of this module.
pub(crate) static KINDS: &[Kind] = &[Kind::of::<Renewal>()];

/// What is looked through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    Memories,
    Messages,
    Done,
}

impl Record for Renewal {
    const KIND: &'static str = "vector_renewal";

    fn id(&self) -> &str {
        ID
    }
}

impl Renewal {
    fn at(embedder: &str, stage: Stage) -> Self {
        Self { embedder: embedder.to_owned(), stage, cursor: None, made: 0 }
    }
}

/// What a page came to.
#[derive(Debug)]
pub(crate) struct Renewed {
    pub(crate) made: usize,
    /// Where the next page begins.
    pub(crate) cursor: Option<String>,
    pub(crate) is_last: bool,
    /// Why no more vectors were made.
    pub(crate) stopped: Option<Error>,
}

impl Renewed {
    /// Of the ids of a page, those that lack a vector, and how many of them got one.
    pub(crate) fn of(
        after: Option<&str>,
        page: &[String],
        lacking: &[String],
        made: usize,
        stopped: Option<Error>,
    ) -> Self {
        let made_last = lacking.get(..made).and_then(<[String]>::last);
        let last = if stopped.is_some() { made_last } else { page.last() };
        let cursor = last.cloned().or_else(|| after.map(str::to_owned));
        Self { made, cursor, is_last: stopped.is_none() && page.len() < PAGE, stopped }
    }
}

/// Memories and messages whose vectors come from another embedder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lacking {
    pub(crate) memories: u64,
    pub(crate) messages: u64,
    pub(crate) chars: u64,
}

impl Lacking {
    pub(crate) async fn count(cx: &Scope, embedder: &str) -> Result<Self> {
        let (memories, of_memories) = lacking_memories(cx, embedder).await?;
        let (messages, of_messages) = lacking_messages(cx, embedder).await?;
        Ok(Self { memories, messages, chars: of_memories + of_messages })
    }

    pub(crate) fn is_empty(self) -> bool {
        self.memories == 0 && self.messages == 0
    }
}

/// The page of records that follows an id.
pub(crate) fn page_after(after: Option<&str>) -> Query {
    let query = Query::by_id().limit(PAGE);
    match after {
        Some(id) => query.after(Default::default(), id),
        None => query,
    }
}

/// Embeds texts batch by batch. When a batch fails, what those before it gave is kept: it was paid.
pub(crate) async fn embed_some(
    cx: &Scope,
    embedder: &dyn Embedder,
    texts: &[String],
) -> (Vec<Vec<f32>>, Option<Error>) {
    let mut out = Vec::with_capacity(texts.len());
    for batch in texts.chunks(embedder.max_batch().max(1)) {
        let batch: Vec<&str> = batch.iter().map(String::as_str).collect();
        match embed_in(cx, embedder, &batch, EmbedKind::Passage).await {
            Ok(vectors) => out.extend(vectors),
            Err(error) => return (out, Some(error)),
        }
    }
    (out, None)
}

/// Sees to it that what an earlier default embedded gets new vectors. Whoever writes a memory or a vector calls it.
pub(crate) async fn keep_up(cx: &Scope, embedder: &dyn Embedder) -> Result<()> {
    match cx.get::<Renewal>(ID).await?.map(|stored| stored.body) {
        Some(known) if known.embedder == embedder.id() && known.stage == Stage::Done => Ok(()),
        None if !any_memory(cx).await? && !any_message_vector(cx).await? => {
            cx.put(&Renewal::at(embedder.id(), Stage::Done), Expected::Any)
        }
        _ => begin(cx, embedder).await.map(|_| ()),
    }
}

/// Begins to make new vectors, or goes on with it. Gives the id of the job.
pub(crate) async fn begin(cx: &Scope, embedder: &dyn Embedder) -> Result<String> {
    let known = cx.get::<Renewal>(ID).await?;
    let is_under_way = known.is_some_and(|r| r.embedder == embedder.id() && r.stage != Stage::Done);
    if !is_under_way {
        cx.put(&Renewal::at(embedder.id(), Stage::Memories), Expected::Any)?;
    }
    // A job that was given up before its end is followed by a new one.
    Ok(cx.submit(JobSpec::new(QUEUE, QUEUE, json!({})).dedupe(ID)).await?.id)
}

/// Works the queue.
#[derive(Debug)]
pub(crate) struct RenewVectors;

#[async_trait]
impl Handler for RenewVectors {
    fn queue(&self) -> &'static str {
        QUEUE
    }

    fn batch(&self) -> usize {
        1
    }

    async fn work(&self, cx: &Scope, jobs: &[Job]) -> Result<Vec<Outcome>> {
        let mut out = Vec::new();
        for _ in jobs {
            out.push(match step(cx).await {
                Ok(true) => Outcome::Later(cx.now()),
                Ok(false) => Outcome::Done,
                Err(error) if error.code() == "budget_paused" => Outcome::Later(cx.now().plus(WAIT)),
                Err(error) => return Err(error),
            });
        }
        Ok(out)
    }
}

/// Works a page; true when more follow.
async fn step(cx: &Scope) -> Result<bool> {
    let Some(mut renewal) = cx.get::<Renewal>(ID).await? else { return Ok(false) };
    if renewal.stage == Stage::Done {
        return Ok(false);
    }
    let embedder = cx.service::<Knowledge>()?.embedder(&renewal.embedder)?;
    let after = renewal.cursor.as_deref();
    let page = match renewal.stage {
        Stage::Memories => renew_memories(cx, embedder.as_ref(), after).await?,
        _ => renew_messages(cx, embedder.as_ref(), after).await?,
    };
    match page.stopped {
        Some(error) if page.made == 0 => return Err(error),
        _ => {}
    }
    renewal.body.made += page.made as u64;
    renewal.body.cursor = page.cursor;
    if page.is_last {
        renewal.body.cursor = None;
        renewal.body.stage = match renewal.stage {
            Stage::Memories => Stage::Messages,
            _ => Stage::Done,
        };
    }
    cx.save(&renewal)?;
    Ok(renewal.stage != Stage::Done)
}

#[cfg(test)]
mod tests;
