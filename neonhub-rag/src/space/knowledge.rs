//! The service that keeps the indexes of each workspace in step with its records.
//!
//! The records are the truth. The indexes are caches in a folder beside the store (or in memory): each commit of
//! the text index carries the list of documents it holds, so after a crash the difference to the records is
//! found and applied, whatever was lost. While it runs, the service follows the change feed; when it is far
//! behind it compares the documents instead of reading the feed. On a PostgreSQL store the indexes are tables that
//! all processes share; the list of documents stands in a table beside them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use neonhub_core::store::{Query, Record, Stored};
use neonhub_core::{Error, ErrorKind, Result, Retry, Scope, WorkspaceId};
use tokio::sync::{Mutex, OwnedMutexGuard, OwnedRwLockReadGuard, RwLock};

use super::model::{Dataset, Document, Space, SpaceState};
use super::passages::{Passages, Places};
use super::rerank::Reranker;
use crate::conversation::{DEFAULT_BUDGET, MessageIndex};
use crate::embed::{Embedder, OfflineHash};
use crate::extract::Ocr;

/// Commits behind which the feed is read; above, comparing the documents is cheaper.
const FEED_COMMITS: u64 = 64;
/// Times that the records are read anew because another process is ahead.
const MOST_ROUNDS: usize = 20;
/// Records read at once.
const PAGE: usize = 500;

/// Embedders and indexes of a hub. Installed once; operations find it in their scope.
#[derive(Debug)]
pub struct Knowledge {
    embedders: BTreeMap<String, Arc<dyn Embedder>>,
    rerankers: BTreeMap<String, Arc<dyn Reranker>>,
    default: String,
    summary_budget: Option<u32>,
    ocr: Option<Arc<dyn Ocr>>,
    places: Places,
    workspaces: Mutex<BTreeMap<WorkspaceId, Arc<RwLock<Projection>>>>,
    messages: Mutex<BTreeMap<WorkspaceId, Arc<Mutex<MessageIndex>>>>,
}

impl Default for Knowledge {
    fn default() -> Self {
        Self::new()
    }
}

impl Knowledge {
    /// With the offline embedder alone.
    #[must_use]
    pub fn new() -> Self {
        let offline: Arc<dyn Embedder> = Arc::new(OfflineHash::new());
        Self {
            embedders: BTreeMap::from([(offline.id().to_owned(), offline)]),
            rerankers: BTreeMap::new(),
            default: OfflineHash::ID.to_owned(),
            summary_budget: Some(DEFAULT_BUDGET),
            ocr: None,
            places: Places::default(),
            workspaces: Mutex::default(),
            messages: Mutex::default(),
        }
    }

    /// Adds an embedder that spaces can be made with.
    #[must_use]
    pub fn embedder_added(mut self, embedder: Arc<dyn Embedder>) -> Self {
        self.embedders.insert(embedder.id().to_owned(), embedder);
        self
    }

    /// The embedder of messages and memories: the offline one unless [`with_default`](Self::with_default) chose another.
    ///
    /// # Errors
    /// `Config` when the chosen one is not installed.
    pub fn default_embedder(&self) -> Result<Arc<dyn Embedder>> {
        self.embedder(&self.default)
    }

    /// Chooses the embedder of messages and memories. What an earlier one embedded is then found by its words.
    #[must_use]
    pub fn with_default(mut self, embedder: impl Into<String>) -> Self {
        self.default = embedder.into();
        self
    }

    /// Tokens of the context that conversations are to fit into: one whose talk fills three quarters of it is summarised
    /// by a job, with the model of the hub. `None` leaves that to `conversations.summarize`. Default: 8 000.
    #[must_use]
    pub fn with_summaries(mut self, budget_tokens: Option<u32>) -> Self {
        self.summary_budget = budget_tokens.map(|budget| budget.max(400));
        self
    }

    /// What [`with_summaries`](Self::with_summaries) set.
    #[must_use]
    pub fn summary_tokens(&self) -> Option<u32> {
        self.summary_budget
    }

    /// Reads the words of scanned pages. Default: nothing does, and such a page raises the warning `needs_ocr`.
    #[must_use]
    pub fn with_ocr(mut self, ocr: Arc<dyn Ocr>) -> Self {
        self.ocr = Some(ocr);
        self
    }

    pub(super) fn ocr(&self) -> Option<&dyn Ocr> {
        self.ocr.as_deref()
    }

    /// Adds a reranker that a search can ask for by its id.
    #[must_use]
    pub fn reranker_added(mut self, reranker: Arc<dyn Reranker>) -> Self {
        self.rerankers.insert(reranker.id().to_owned(), reranker);
        self
    }

    /// The reranker with this id.
    ///
    /// # Errors
    /// `Config` when it is not installed.
    pub fn reranker(&self, id: &str) -> Result<Arc<dyn Reranker>> {
        self.rerankers.get(id).map(Arc::clone).ok_or_else(|| {
            let message = "this reranker is not installed: add it to the hub, or search without one";
            Error::new(ErrorKind::Config, "knowledge.rerank", message).with_context("reranker", id)
        })
    }

    /// The embedder with this id, or the only one with this name.
    ///
    /// # Errors
    /// `Config` naming the embedders that are installed.
    pub fn embedder(&self, id: &str) -> Result<Arc<dyn Embedder>> {
        let mut named = self.embedders.values().filter(|embedder| embedder.name() == id);
        let only = match (named.next(), named.next()) {
            (Some(only), None) => Some(only),
            _ => None,
        };
        self.embedders.get(id).or(only).map(Arc::clone).ok_or_else(|| {
            let known = self.embedders.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            Error::new(
                ErrorKind::Config,
                "knowledge.embedder",
                format!("this embedder is not installed: add it to the hub, or use one of {known}"),
            )
            .with_context("embedder", id)
        })
    }

    /// Where the indexes are.
    pub(super) fn places(&self) -> &Places {
        &self.places
    }

    /// The indexes of the scope's workspace, in step with every commit acknowledged before the call.
    pub(super) async fn in_step(&self, cx: &Scope) -> Result<OwnedRwLockReadGuard<Projection>> {
        let projection = {
            let mut workspaces = self.workspaces.lock().await;
            Arc::clone(workspaces.entry(cx.workspace().clone()).or_default())
        };
        let seq = cx.store().seq().await?;
        let read = Arc::clone(&projection).read_owned().await;
        if read.cursor == Some(seq) {
            return Ok(read);
        }
        drop(read);
        // Only what is committed may enter an index: what the caller has staged may still be rolled back.
        let cx = &cx.outside();
        let mut write = projection.write_owned().await;
        write.catch_up(cx, &self.places).await?;
        Ok(write.downgrade())
    }
}

impl Knowledge {
    /// The messages of the scope's workspace, in step with every commit acknowledged before the call.
    pub(crate) async fn messages_in_step(&self, cx: &Scope) -> Result<OwnedMutexGuard<MessageIndex>> {
        let embedder = self.default_embedder()?;
        let index = {
            let mut workspaces = self.messages.lock().await;
            match workspaces.get(cx.workspace()) {
                Some(index) => Arc::clone(index),
                None => {
                    #[cfg(feature = "postgres")]
                    let index = match self.places.server(cx).await? {
                        Some(server) => {
                            MessageIndex::on(server, cx.workspace().as_str(), embedder.id(), embedder.dims())
                        }
                        None => MessageIndex::new(embedder.id(), embedder.dims())?,
                    };
                    #[cfg(not(feature = "postgres"))]
                    let index = MessageIndex::new(embedder.id(), embedder.dims())?;
                    let index = Arc::new(Mutex::new(index));
                    workspaces.insert(cx.workspace().clone(), Arc::clone(&index));
                    index
                }
            }
        };
        let mut index = index.lock_owned().await;
        index.catch_up(&cx.outside()).await?;
        Ok(index)
    }
}

/// What the service knows of one workspace.
#[derive(Debug, Default)]
pub(super) struct Projection {
    /// Position of the feed that everything below reflects.
    cursor: Option<u64>,
    pub(super) spaces: BTreeMap<String, Space>,
    pub(super) datasets: BTreeMap<String, Dataset>,
    /// Documents that search answers from.
    pub(super) documents: BTreeMap<String, Document>,
    pub(super) indexes: BTreeMap<String, Arc<Passages>>,
}

/// What may have changed since the cursor.
enum Changed {
    Nothing,
    Documents(Vec<String>),
    All,
}

impl Projection {
    async fn catch_up(&mut self, cx: &Scope, places: &Places) -> Result<()> {
        for _ in 0..MOST_ROUNDS {
            // Read first: what is committed while we read is seen again next time, and applying it twice is nothing.
            let seq = cx.store().seq().await?;
            let is_there = match self.changed(cx, seq).await? {
                Changed::Nothing => true,
                Changed::Documents(ids) => {
                    self.read_documents(cx, &ids).await?;
                    self.apply(cx, places, seq).await?
                }
                Changed::All => {
                    self.read_all(cx).await?;
                    self.apply(cx, places, seq).await?
                }
            };
            if is_there {
                self.cursor = Some(seq);
                return Ok(());
            }
            // Another process brings a shared index to a later position.
            self.cursor = None;
        }
        let message = "others change the documents faster than they can be indexed: try again";
        Err(Error::new(ErrorKind::Unavailable, "knowledge.index", message).with_retry(Retry::Backoff))
    }

    async fn changed(&self, cx: &Scope, seq: u64) -> Result<Changed> {
        let Some(cursor) = self.cursor.filter(|c| *c <= seq && seq - c <= FEED_COMMITS) else {
            return Ok(Changed::All);
        };
        let mut ids = Vec::new();
        let limit = usize::try_from(FEED_COMMITS).unwrap_or(usize::MAX);
        let entries = match cx.store().changes(cursor, limit).await {
            // The feed no longer holds what followed: everything is read anew.
            Err(error) if error.code() == "cursor_expired" => return Ok(Changed::All),
            other => other?,
        };
        for entry in entries {
            if entry.workspace != *cx.workspace() {
                continue;
            }
            for change in entry.changes {
                match change.kind.as_str() {
                    Document::KIND => ids.push(change.id),
                    Space::KIND | Dataset::KIND => return Ok(Changed::All),
                    _ => {}
                }
            }
        }
        ids.sort_unstable();
        ids.dedup();
        Ok(if ids.is_empty() { Changed::Nothing } else { Changed::Documents(ids) })
    }

    async fn read_documents(&mut self, cx: &Scope, ids: &[String]) -> Result<()> {
        for ids in ids.chunks(PAGE) {
            for (id, stored) in ids.iter().zip(cx.get_many::<Document>(ids).await?) {
                match stored.filter(|d| d.is_searched()) {
                    Some(stored) => self.documents.insert(id.clone(), stored.body),
                    None => self.documents.remove(id),
                };
            }
        }
        Ok(())
    }

    async fn read_all(&mut self, cx: &Scope) -> Result<()> {
        self.spaces = all::<Space>(cx).await?;
        self.datasets = all::<Dataset>(cx).await?;
        self.documents = all::<Document>(cx).await?;
        self.documents.retain(|_, d| d.is_searched());
        Ok(())
    }

    /// Brings the index of each space to what the documents say; false when one is ahead of that.
    async fn apply(&mut self, cx: &Scope, places: &Places, seq: u64) -> Result<bool> {
        for (id, space) in &self.spaces {
            // After a move to another embedder the vectors are read anew.
            if self.indexes.get(id).is_none_or(|index| index.embedder() != space.embedder) {
                let index = places.open(cx, folder(cx, id), space).await?;
                self.indexes.insert(id.clone(), Arc::new(index));
            }
        }
        let is_open = |id: &str| self.spaces.get(id).is_some_and(|s| s.state != SpaceState::Retired);
        self.indexes.retain(|id, _| is_open(id));
        for (id, index) in &self.indexes {
            let documents = self.documents.values().filter(|d| d.space.as_str() == id);
            if !index.bring_to(cx, documents.collect(), seq).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// All records of a kind by id.
async fn all<R: Record>(cx: &Scope) -> Result<BTreeMap<String, R>> {
    let mut out = BTreeMap::new();
    let mut query = Query::by_id().limit(PAGE);
    loop {
        let page: Vec<Stored<R>> = cx.query::<R>(&query).await?;
        let Some(last) = page.last().map(|s| s.id().to_owned()) else { return Ok(out) };
        out.extend(page.into_iter().map(|s| (s.id().to_owned(), s.body)));
        query = query.after(Default::default(), last);
    }
}

/// Where the indexes of a space are kept: beside the store, or in memory with a store in memory.
fn folder(cx: &Scope, space: &str) -> Option<PathBuf> {
    let mut name = cx.hub().location()?.as_os_str().to_owned();
    name.push(".index");
    Some(PathBuf::from(name).join(cx.workspace().as_str()).join(space))
}
