//! The indexes of one space, wherever they are: caches of this process, or tables of the store's own server.

#[cfg(feature = "postgres")]
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::path::PathBuf;
#[cfg(feature = "postgres")]
use std::pin::Pin;
use std::sync::Arc;

use neonhub_core::{Result, Scope};

use super::cards::Card;
use super::feed::Place;
use super::model::Space;
#[cfg(feature = "postgres")]
use super::server_index::{ServerIndex, Servers};
use super::space_index::SpaceIndex;
#[cfg(feature = "postgres")]
use crate::index::server::Server;
use crate::index::{FieldBoosts, IdSet, Scored};

/// What a server is asked, as a type without its layers: operations stand on so many of them that the compiler would
/// otherwise give up checking whether their futures may move between threads.
#[cfg(feature = "postgres")]
fn boxed<'f, T>(asked: impl Future<Output = T> + Send + 'f) -> Pin<Box<dyn Future<Output = T> + Send + 'f>> {
    Box::pin(asked)
}

/// Text and vector index of one space.
#[derive(Debug)]
pub(super) enum Passages {
    /// Caches of this process.
    Caches(SpaceIndex),
    /// Tables in the database of the store.
    #[cfg(feature = "postgres")]
    Server(ServerIndex),
}

/// Which chunks may be hits.
#[derive(Clone, Debug)]
pub(super) enum Within {
    /// Those of these documents.
    #[cfg(feature = "postgres")]
    Documents(Arc<BTreeMap<String, u32>>),
    /// These chunks.
    Chunks(Arc<IdSet>),
}

/// Where the indexes of a hub are.
#[derive(Debug, Default)]
pub(super) struct Places {
    #[cfg(feature = "postgres")]
    servers: Servers,
}

impl Places {
    /// The tables of the store's own server, when it is one that has what they need.
    #[cfg(feature = "postgres")]
    pub(super) async fn server(&self, cx: &Scope) -> Result<Option<Arc<Server>>> {
        boxed(self.servers.find(cx)).await
    }

    /// Opens the indexes of a space: in the database when the store is a PostgreSQL server that has what they need, else
    /// as caches in a folder or in memory.
    pub(super) async fn open(&self, cx: &Scope, folder: Option<PathBuf>, space: &Space) -> Result<Passages> {
        #[cfg(feature = "postgres")]
        if let Some(server) = boxed(self.servers.find(cx)).await? {
            return Ok(Passages::Server(ServerIndex::new(server, cx, space)));
        }
        let _ = cx;
        Ok(Passages::Caches(SpaceIndex::open(folder, space).await?))
    }

    /// Drops what is kept of other spaces than these. Caches of theirs are files of their own.
    pub(super) async fn keep_only(&self, cx: &Scope, spaces: &[String]) -> Result<()> {
        #[cfg(feature = "postgres")]
        if let Some(server) = boxed(self.servers.find(cx)).await? {
            let messages = crate::conversation::MESSAGES.to_owned();
            let kept: Vec<String> = spaces.iter().cloned().chain([messages]).collect();
            return boxed(server.keep_only(cx.workspace().as_str(), &kept)).await;
        }
        let _ = (cx, spaces);
        Ok(())
    }
}

impl Passages {
    /// The place of the feed that it reflects. Tables of a server say so themselves: what counts is the place of the
    /// documents that they were last compared with.
    pub(super) fn at(&self, compared: Option<Place>) -> Option<Place> {
        let _ = compared;
        match self {
            Self::Caches(index) => index.at(),
            #[cfg(feature = "postgres")]
            Self::Server(_) => compared,
        }
    }

    /// True when it must be told all documents, and not only those that changed.
    pub(super) fn takes_all(&self) -> bool {
        match self {
            Self::Caches(_) => false,
            #[cfg(feature = "postgres")]
            Self::Server(_) => true,
        }
    }

    /// Makes the index hold exactly these documents, as of a place of the feed. False when it is on its way to a
    /// later one: the records must be read again.
    pub(super) async fn bring_to(&self, cx: &Scope, documents: Vec<&Card>, at: Place) -> Result<bool> {
        match self {
            Self::Caches(index) => index.bring_to(cx, &documents, at).await.map(|()| true),
            #[cfg(feature = "postgres")]
            Self::Server(index) => boxed(index.bring_to(cx, &documents, at.seq)).await,
        }
    }

    /// Takes what became of some documents, by id, of any space, as of a place of the feed. False when it must be told all.
    pub(super) async fn bring_changes(
        &self,
        cx: &Scope,
        space: &str,
        changed: &[(String, Option<Card>)],
        at: Place,
    ) -> Result<bool> {
        match self {
            Self::Caches(index) => index.bring_changes(cx, space, changed, at).await,
            #[cfg(feature = "postgres")]
            Self::Server(_) => Ok(false),
        }
    }

    /// True when no document is in it.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Caches(index) => index.is_empty(),
            #[cfg(feature = "postgres")]
            Self::Server(index) => index.is_empty(),
        }
    }

    /// The embedder of its vectors.
    pub(super) fn embedder(&self) -> String {
        match self {
            Self::Caches(index) => index.embedder(),
            #[cfg(feature = "postgres")]
            Self::Server(index) => index.embedder().to_owned(),
        }
    }

    /// Leaves nothing of what was removed in files of its own. Tables are written anew with the store.
    pub(super) async fn compact(&self) -> Result<()> {
        match self {
            Self::Caches(index) => index.compact().await,
            #[cfg(feature = "postgres")]
            Self::Server(index) => {
                boxed(index.settle()).await;
                Ok(())
            }
        }
    }

    /// The chunks of these documents, in the form that its searches take.
    pub(super) fn within<'d>(&self, documents: impl Iterator<Item = &'d Card>) -> Within {
        match self {
            Self::Caches(_) => {
                let ids = documents.flat_map(Card::chunk_ids).map(Into::into);
                Within::Chunks(Arc::new(ids.collect()))
            }
            #[cfg(feature = "postgres")]
            Self::Server(_) => {
                let ids = documents.map(|d| (d.id.as_str().to_owned(), d.chunks));
                Within::Documents(Arc::new(ids.collect()))
            }
        }
    }

    /// The best chunks by words.
    pub(super) async fn search_text(
        &self,
        query: &str,
        k: usize,
        within: Option<&Within>,
        boosts: FieldBoosts,
    ) -> Result<Vec<Scored>> {
        match self {
            Self::Caches(index) => index.search_text(query, k, within.and_then(Within::ids), boosts),
            #[cfg(feature = "postgres")]
            Self::Server(index) => boxed(index.search_text(query, k, within, boosts)).await,
        }
    }

    /// The best chunks by vector.
    pub(super) async fn search_vector(
        &self,
        query: &[f32],
        k: usize,
        within: Option<&Within>,
    ) -> Result<Vec<Scored>> {
        match self {
            Self::Caches(index) => index.search_vector(query, k, within.and_then(Within::ids)),
            #[cfg(feature = "postgres")]
            Self::Server(index) => boxed(index.search_vector(query, k, within)).await,
        }
    }

    /// The vectors of chunks, as far as they have one.
    pub(super) async fn vectors(&self, ids: &[&str]) -> Result<HashMap<Arc<str>, Vec<f32>>> {
        match self {
            Self::Caches(index) => {
                Ok(ids.iter().filter_map(|id| Some(((*id).into(), index.vector(id)?))).collect())
            }
            #[cfg(feature = "postgres")]
            Self::Server(index) => boxed(index.vectors(ids)).await,
        }
    }
}

impl Within {
    fn ids(&self) -> Option<&IdSet> {
        match self {
            Self::Chunks(ids) => Some(ids),
            // Caches are never asked in the form of a server.
            #[cfg(feature = "postgres")]
            Self::Documents(_) => None,
        }
    }
}
