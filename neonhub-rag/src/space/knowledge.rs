//! The service that keeps the indexes of each workspace in step with its records.
//!
//! The records are the truth. The indexes are caches in a folder beside the store (or in memory): each commit of
//! the text index carries the list of documents it holds, so after a crash the difference to the records is
//! found and applied, whatever was lost. The service follows the change feed, also from where an earlier process left it;
//! when it is far behind it compares the documents instead of reading the feed. On a PostgreSQL store the indexes are tables that
//! all processes share; the list of documents stands in a table beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use neonhub_core::store::{Query, Record, Stored};
use neonhub_core::{Error, ErrorKind, Result, Retry, Scope, WorkspaceId};
use tokio::sync::{Mutex, OwnedMutexGuard, OwnedRwLockReadGuard, RwLock};

use super::cards::{Card, Cards, Words, of_space};
use super::feed::{Changed, Place};
use super::model::{Dataset, Document, Space, SpaceState};
use super::passages::{Passages, Places};
use super::rerank::Reranker;
use super::space_index::LARGE;
use crate::allocator::{give_back, takes_much};
use crate::conversation::{DEFAULT_BUDGET, MessageIndex};
use crate::embed::{Embedder, OfflineHash};
use crate::extract::Ocr;

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

    /// Chooses the embedder of messages and memories, the same in all processes of a store. What an earlier one embedded is
    /// found by its words until a job has made new vectors: one starts with the next message or memory, or with
    /// `spaces.migrate` to this embedder.
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
        self.caught_up(cx, false).await
    }

    /// The same with all documents in memory, for what looks at them one by one.
    pub(super) async fn with_documents(&self, cx: &Scope) -> Result<OwnedRwLockReadGuard<Projection>> {
        self.caught_up(cx, true).await
    }

    async fn caught_up(&self, cx: &Scope, loads: bool) -> Result<OwnedRwLockReadGuard<Projection>> {
        let projection = {
            let mut workspaces = self.workspaces.lock().await;
            Arc::clone(workspaces.entry(cx.workspace().clone()).or_default())
        };
        let seq = cx.store().seq().await?;
        let read = Arc::clone(&projection).read_owned().await;
        let is_loaded = !loads || read.documents.is_some();
        if is_loaded && read.at.is_some_and(|at| at.seq == seq) {
            return Ok(read);
        }
        drop(read);
        // Only what is committed may enter an index: what the caller has staged may still be rolled back.
        let cx = &cx.outside();
        let mut write = projection.write_owned().await;
        write.catch_up(cx, &self.places, loads).await?;
        let read = write.downgrade();
        give_back().await;
        Ok(read)
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
    /// The commit that everything below reflects.
    at: Option<Place>,
    pub(super) spaces: BTreeMap<String, Space>,
    pub(super) datasets: BTreeMap<String, Dataset>,
    /// Documents that search answers from, once something looked at them one by one.
    pub(super) documents: Option<Cards>,
    words: Words,
    pub(super) indexes: BTreeMap<String, Arc<Passages>>,
}

impl Projection {
    async fn catch_up(&mut self, cx: &Scope, places: &Places, loads: bool) -> Result<()> {
        let is_loaded = self.documents.is_some();
        for _ in 0..MOST_ROUNDS {
            // Read first: what is committed while we read is seen again next time, and applying it twice is nothing.
            let seq = cx.store().seq().await?;
            // Until all is there, nothing is said about where it is.
            let at = self.at.take();
            let told = match at {
                Some(at) => at.until(cx, seq).await?,
                None => None,
            };
            if told.as_ref().is_none_or(|(changed, _)| changed.is_about_spaces) {
                self.read_spaces(cx, places).await?;
            }
            // Who needed them once needs them again; read anew, they cost what a start costs.
            let loads = loads || is_loaded || self.indexes.values().any(|index| index.takes_all());
            self.at = match self.by_feed(cx, at, told, seq, loads).await? {
                Some(place) => Some(place),
                None => self.by_documents(cx, seq).await?,
            };
            if !loads {
                self.documents = None;
            }
            if self.at.is_some() {
                return Ok(());
            }
            // Another process brings a shared index to a later position.
        }
        let message = "others change the documents faster than they can be indexed: try again";
        Err(Error::new(ErrorKind::Unavailable, "knowledge.index", message).with_retry(Retry::Backoff))
    }

    /// Follows the feed from the earliest place that an index, or the list of documents, is at. `None` when one of them has
    /// none, or the feed does not tell.
    async fn by_feed(
        &mut self,
        cx: &Scope,
        at: Option<Place>,
        told: Option<(Changed, Place)>,
        seq: u64,
        loads: bool,
    ) -> Result<Option<Place>> {
        if loads && self.documents.is_none() {
            return Ok(None);
        }
        let places = self.indexes.values().map(|index| index.at(at)).chain(loads.then_some(at));
        let places: Option<Vec<Place>> = places.collect();
        let Some(first) = places.and_then(|places| places.into_iter().min_by_key(|place| place.seq)) else {
            return Ok(None);
        };
        let told = if at == Some(first) { told } else { first.until(cx, seq).await? };
        let Some((changed, last)) = told else { return Ok(None) };
        let mut documents: Vec<(String, Option<Card>)> = Vec::with_capacity(changed.documents.len());
        for ids in changed.documents.chunks(PAGE) {
            let found = cx.get_many::<Document>(ids).await?.into_iter();
            let searched = found.map(|found| found.map(|found| found.body).filter(Document::is_searched));
            let cards = searched.map(|document| document.map(|document| self.words.card(document)));
            documents.extend(ids.iter().cloned().zip(cards));
        }
        if let Some(all) = &mut self.documents {
            for (id, document) in &documents {
                match document {
                    Some(document) => drop(all.replace(document.clone())),
                    None => drop(all.take(id.as_str())),
                }
            }
        }
        for (id, index) in &self.indexes {
            let all = self.documents.as_ref().filter(|_| index.takes_all());
            let is_there = match all {
                Some(all) => index.bring_to(cx, of_space(all, id).collect(), last).await?,
                None => index.bring_changes(cx, id, &documents, last).await?,
            };
            if !is_there {
                return Ok(None);
            }
        }
        Ok(Some(last))
    }

    /// Reads all documents and compares them with what the indexes hold.
    async fn by_documents(&mut self, cx: &Scope, seq: u64) -> Result<Option<Place>> {
        let last = Place::at(cx, seq).await?;
        let mut cards = Vec::new();
        each::<Document>(cx, |document| {
            if document.body.is_searched() {
                cards.push(self.words.card(document.body));
            }
        })
        .await?;
        // Made at once from what is in order, the set is a third smaller than one that grew.
        let documents: &Cards = self.documents.insert(BTreeSet::from_iter(cards));
        if documents.len() >= LARGE {
            takes_much();
        }
        for (id, index) in &self.indexes {
            if !index.bring_to(cx, of_space(documents, id).collect(), last).await? {
                return Ok(None);
            }
        }
        Ok(Some(last))
    }

    /// Reads spaces and datasets, and opens the indexes of the spaces that answer.
    async fn read_spaces(&mut self, cx: &Scope, places: &Places) -> Result<()> {
        self.spaces = all::<Space>(cx).await?;
        self.datasets = all::<Dataset>(cx).await?;
        for (id, space) in &self.spaces {
            // After a move to another embedder the vectors are read anew.
            if self.indexes.get(id).is_none_or(|index| index.embedder() != space.embedder) {
                let index = places.open(cx, folder(cx, id), space).await?;
                self.indexes.insert(id.clone(), Arc::new(index));
            }
        }
        let is_open = |id: &str| self.spaces.get(id).is_some_and(|s| s.state != SpaceState::Retired);
        self.indexes.retain(|id, _| is_open(id));
        Ok(())
    }
}

/// All records of a kind by id.
async fn all<R: Record>(cx: &Scope) -> Result<BTreeMap<String, R>> {
    let mut out = BTreeMap::new();
    each::<R>(cx, |stored| {
        out.insert(stored.id().to_owned(), stored.body);
    })
    .await?;
    Ok(out)
}

/// Reads all records of a kind, a page at a time, by id.
async fn each<R: Record>(cx: &Scope, mut take: impl FnMut(Stored<R>)) -> Result<()> {
    let mut query = Query::by_id().limit(PAGE);
    loop {
        let page: Vec<Stored<R>> = cx.query::<R>(&query).await?;
        let Some(last) = page.last().map(|s| s.id().to_owned()) else { return Ok(()) };
        page.into_iter().for_each(&mut take);
        query = query.after(Default::default(), last);
    }
}

/// Where the indexes of a space are kept: beside the store, or in memory with a store in memory.
fn folder(cx: &Scope, space: &str) -> Option<PathBuf> {
    Some(folder_of(cx)?.join(space))
}

/// Where the indexes of a workspace are kept.
pub(super) fn folder_of(cx: &Scope) -> Option<PathBuf> {
    let mut name = cx.hub().location()?.as_os_str().to_owned();
    name.push(".index");
    Some(PathBuf::from(name).join(cx.workspace().as_str()))
}
