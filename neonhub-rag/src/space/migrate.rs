//! A space moves to another embedder while it goes on answering.
//!
//! A job gives every chunk a second vector, document by document. When all have one, the space changes its embedder in
//! one commit, and search reads the new vectors; the job then drops the old ones. What comes in meanwhile gets both.
//! Vectors of two embedders never stand in one index.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use neonhub_core::bus::Event;
use neonhub_core::job::{Handler, Job, JobSpec, Outcome};
use neonhub_core::llm::ModelCost;
use neonhub_core::op::{Effect, Operation};
use neonhub_core::store::{Query, Record, Stored};
use neonhub_core::{Error, ErrorKind, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::knowledge::Knowledge;
use super::model::{
    ChunkRecord, Document, DocumentId, DocumentState, Migration, NextVector, Space, SpaceId, SpaceState,
};
use super::ops_space::need_space;
use crate::chunk::embedded_text;
use crate::embed::{EmbedKind, Embedder, embed_in};
use crate::renew::{Lacking, begin};
use crate::vector::encode;

const QUEUE: &str = "knowledge.migrate";
/// Documents that are looked at, and chunks that are changed, by one try of the job: bounds its commit.
const DOCUMENTS: usize = 200;
const CHUNKS: usize = 500;
/// How long a move waits for room in a quota that pauses. Our choice.
const WAIT: Duration = Duration::from_secs(900);

/// Moves a space to another embedder, as a job. Search answers from the old vectors until every chunk has a new one;
/// then all change at once. A dry run counts the work, says what it costs, and changes nothing.
///
/// Memories and messages belong to no space: a move to the hub's default embedder takes along those that another one has
/// vectors of, also when the space is there already. Until then they are found by their words.
///
/// A move that the quotas of models do not hold as a whole is refused before it begins. Each call then holds and settles
/// its own share; where others used the room meanwhile, the move waits, or stops when the quota says so: asked for again,
/// it goes on from there.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MigrateSpace {
    /// Id or name of the space.
    pub space: String,
    /// The new embedder.
    pub embedder: String,
    /// True to count the work only.
    #[serde(default)]
    pub dry_run: bool,
}

/// The work of a move.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MigrationPlan {
    /// The space as it is now.
    pub space: Space,
    /// Documents to embed, old versions among them.
    pub documents: u64,
    /// Chunks to embed.
    pub chunks: u64,
    /// Memories to embed; none unless the new embedder is the hub's default.
    #[serde(default)]
    pub memories: u64,
    /// Messages to embed; none unless the new embedder is the hub's default.
    #[serde(default)]
    pub messages: u64,
    /// Characters to embed.
    pub chars: u64,
    /// Tokens to embed, estimated on the high side: four characters to a token, and what chunks repeat of each other.
    pub tokens: u64,
    /// What they cost by the model table; absent when no price is known, which does not mean that it is free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<ModelCost>,
    /// The job that does it; absent in a dry run and when there is nothing to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
}

impl Operation for MigrateSpace {
    type Output = MigrationPlan;
    const NAME: &'static str = "spaces.migrate";
    const NEEDS: &'static [Permission] = &[Permission::ManageOrganization];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;
    const ERRORS: &'static [&'static str] = &["budget_paused", "budget_spent", "config", "unknown_price"];

    async fn run(self, cx: &Scope) -> Result<MigrationPlan> {
        let knowledge = cx.service::<Knowledge>()?;
        let embedder = knowledge.embedder(&self.embedder)?;
        let id = need_space(cx, &self.space).await?.id;
        let mut space = cx.need::<Space>(id.as_str()).await?;
        let is_there = space.embedder == embedder.id() && space.migration.is_none();
        let (documents, chunks, chars) = if is_there { (0, 0, 0) } else { count(cx, &id).await? };
        let is_default = knowledge.default_embedder().is_ok_and(|default| default.id() == embedder.id());
        let along = match is_default {
            true => Lacking::count(cx, embedder.id()).await?,
            false => Lacking::default(),
        };
        let chars = chars + along.chars;
        let tokens = chars.div_ceil(4) + chunks * u64::from(space.chunking.overlap);
        let cost = embedder.cost(tokens);
        let mut plan = MigrationPlan {
            space: space.body.clone(),
            documents,
            chunks,
            memories: along.memories,
            messages: along.messages,
            chars,
            tokens,
            cost,
            job: None,
        };
        let is_under_way = space.migration.as_ref().is_some_and(|m| m.embedder == embedder.id());
        if self.dry_run || (is_there && along.is_empty()) {
            return Ok(plan);
        }
        if is_there {
            embedder.check_budget(cx, tokens).await.map_err(|error| error.for_operation(Self::NAME))?;
            plan.job = Some(begin(cx, embedder.as_ref()).await?);
            return Ok(plan);
        }
        let job = || JobSpec::new(QUEUE, QUEUE, json!({ "space": id })).dedupe(id.as_str());
        if is_under_way {
            // A job that was given up before its end is followed by a new one.
            plan.job = Some(cx.submit(job()).await?.id);
            return Ok(plan);
        }
        if space.state != SpaceState::Active {
            let message = "the space is retired or moves to another embedder: wait until it is active";
            return Err(Error::new(ErrorKind::Conflict, Self::NAME, message));
        }
        embedder.check_budget(cx, tokens).await.map_err(|error| error.for_operation(Self::NAME))?;
        space.body.state = SpaceState::Migrating;
        space.body.migration = Some(Migration {
            embedder: embedder.id().to_owned(),
            dims: u32::try_from(embedder.dims()).unwrap_or(u32::MAX),
            done: 0,
            round: 0,
            cursor: None,
            switched: false,
        });
        cx.save(&space)?;
        plan.job = Some(cx.submit(job()).await?.id);
        if !along.is_empty() {
            begin(cx, embedder.as_ref()).await?;
        }
        plan.space = space.body;
        Ok(plan)
    }

    fn examples() -> Vec<Self> {
        vec![MigrateSpace { space: "brand-voice".into(), embedder: "offline-hash-512".into(), dry_run: true }]
    }
}

/// Documents, chunks and characters that get another vector: old versions get theirs when the space has changed over.
async fn count(cx: &Scope, space: &SpaceId) -> Result<(u64, u64, u64)> {
    let (mut documents, mut chunks, mut chars) = (0, 0, 0);
    let mut cursor = None;
    loop {
        let page = page(cx, cursor.as_ref(), 500).await?;
        let Some(last) = page.last() else { return Ok((documents, chunks, chars)) };
        cursor = Some(last.body.id.clone());
        for document in page.iter().filter(|d| d.space == *space && d.state == DocumentState::Ready) {
            documents += 1;
            chunks += u64::from(document.chunks);
            chars += document.chars;
        }
    }
}

pub(super) async fn page(
    cx: &Scope,
    after: Option<&DocumentId>,
    most: usize,
) -> Result<Vec<Stored<Document>>> {
    let mut query = Query::by_id().limit(most);
    if let Some(id) = after {
        query = query.after(Default::default(), id.as_str());
    }
    cx.query::<Document>(&query).await
}

/// Works the moves.
#[derive(Debug)]
pub(super) struct MigrateHandler;

#[async_trait]
impl Handler for MigrateHandler {
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

/// Does a page of the move; true when there is more to do.
async fn step(cx: &Scope, space: &str) -> Result<bool> {
    let Some(mut space) = cx.get::<Space>(space).await? else { return Ok(false) };
    let Some(mut migration) = space.body.migration.clone() else { return Ok(false) };
    let embedder = cx.service::<Knowledge>()?.embedder(&migration.embedder)?;
    let page = page(cx, migration.cursor.as_ref(), DOCUMENTS).await?;
    let mut chunks = 0;
    for document in &page {
        // Old versions keep their old vectors until the space has changed over: nobody searches them.
        let is_meant = document.space == space.id && (document.is_searched() || migration.switched);
        if is_meant {
            let given = give_vectors(cx, document, embedder.as_ref(), &migration).await?;
            chunks += given.changed;
            migration.round += given.made as u64;
            match given.stopped {
                Some(error) if chunks == 0 => return Err(error),
                // What was made is kept, and was paid: the next step begins where this one ended.
                Some(_) => break,
                None if !given.is_whole => break,
                None => {}
            }
        }
        migration.cursor = Some(document.body.id.clone());
        if chunks >= CHUNKS {
            break;
        }
    }
    migration.done += chunks as u64;
    let is_round_over = page.is_empty();
    if is_round_over {
        if migration.switched {
            space.body.migration = None;
            space.body.state = SpaceState::Active;
            cx.save(&space)?;
            let data = json!({ "embedder": space.embedder, "dims": space.dims });
            cx.emit(Event::new(cx, "space.migrated", Space::KIND, space.body.id.as_str(), data))?;
            return Ok(false);
        }
        migration.cursor = None;
        // An upload under way when the move began may have come in behind the cursor: only a round that finds
        // nothing left to do ends the move. One more round then drops the old vectors.
        if std::mem::take(&mut migration.round) == 0 {
            migration.switched = true;
            space.body.embedder.clone_from(&migration.embedder);
            space.body.dims = migration.dims;
        }
    }
    space.body.migration = Some(migration);
    cx.save(&space)?;
    Ok(true)
}

/// What a step did to the chunks of a document.
#[derive(Debug)]
struct Given {
    /// Chunks that were changed.
    changed: usize,
    /// Vectors that were made.
    made: usize,
    /// False when more are to be made.
    is_whole: bool,
    /// Why no more were made.
    stopped: Option<Error>,
}

/// Gives chunks of a document their new vector, as many as one step makes; after the change-over it becomes their only
/// one.
async fn give_vectors(
    cx: &Scope,
    document: &Document,
    embedder: &dyn Embedder,
    migration: &Migration,
) -> Result<Given> {
    let mut chunks: Vec<Stored<ChunkRecord>> = Vec::new();
    for ids in document.chunk_ids().chunks(500) {
        chunks.extend(cx.get_many::<ChunkRecord>(ids).await?.into_iter().flatten());
    }
    let mut lacking: Vec<usize> = (0..chunks.len())
        .filter(|n| chunks.get(*n).is_some_and(|c| c.vector_of(embedder.id()).is_none()))
        .collect();
    let mut is_whole = lacking.len() <= CHUNKS;
    lacking.truncate(CHUNKS);
    let (mut touched, mut made, mut stopped) = (BTreeSet::new(), 0, None);
    // Batch by batch: when one fails, those before it are kept.
    for batch in lacking.chunks(embedder.max_batch().max(1)) {
        let texts: Vec<String> =
            batch.iter().filter_map(|n| chunks.get(*n)).map(|c| text_of(&document.title, c)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let vectors = match embed_in(cx, embedder, &texts, EmbedKind::Passage).await {
            Ok(vectors) => vectors,
            Err(error) => {
                stopped = Some(error);
                break;
            }
        };
        made += vectors.len();
        for (n, vector) in batch.iter().zip(vectors) {
            if let Some(chunk) = chunks.get_mut(*n) {
                let vector = encode(&vector);
                chunk.body.next = Some(NextVector { embedder: embedder.id().to_owned(), vector });
                touched.insert(*n);
            }
        }
    }
    if migration.switched {
        for (n, chunk) in chunks.iter_mut().enumerate().filter(|(_, c)| c.embedder != embedder.id()) {
            if touched.len() >= CHUNKS && !touched.contains(&n) {
                is_whole = false;
                break;
            }
            if let Some(next) = chunk.body.next.take() {
                (chunk.body.embedder, chunk.body.vector) = (next.embedder, next.vector);
                touched.insert(n);
            }
        }
    }
    for chunk in touched.iter().filter_map(|n| chunks.get(*n)) {
        cx.save(chunk)?;
    }
    Ok(Given { changed: touched.len(), made, is_whole, stopped })
}

fn text_of(title: &str, chunk: &ChunkRecord) -> String {
    embedded_text(Some(title), &chunk.heading_path, &chunk.context, &chunk.text)
}

/// Gives chunks that come in during a move their second vector at once.
pub(super) async fn give_next(
    cx: &Scope,
    knowledge: &Knowledge,
    space: &Space,
    title: &str,
    chunks: &mut [ChunkRecord],
) -> Result<()> {
    let Some(migration) = space.migration.as_ref().filter(|m| !m.switched) else { return Ok(()) };
    let embedder = knowledge.embedder(&migration.embedder)?;
    let texts: Vec<String> = chunks.iter().map(|chunk| text_of(title, chunk)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let vectors = embed_in(cx, embedder.as_ref(), &texts, EmbedKind::Passage).await?;
    for (chunk, vector) in chunks.iter_mut().zip(vectors) {
        chunk.next = Some(NextVector { embedder: embedder.id().to_owned(), vector: encode(&vector) });
    }
    Ok(())
}
