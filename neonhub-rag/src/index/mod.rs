//! Indexes over chunks: vectors and words. Both are caches; the records of the store are the truth.

mod adaptive;
#[cfg(any(test, feature = "testing"))]
pub mod conformance;
mod dot;
mod flat;
mod graph;
mod half;
mod ids;
mod listed;
mod rows;
#[cfg(feature = "postgres")]
pub(crate) mod server;
mod snapshot;
mod text;

use std::fmt::Debug;
use std::sync::Arc;

use neonhub_core::Result;

pub use adaptive::{AdaptiveIndex, FLAT_LIMIT};
pub use flat::FlatIndex;
pub use graph::{GraphIndex, GraphOptions};
pub(crate) use half::{from_half, to_half};
pub use ids::IdSet;
pub use rows::VectorStorage;
pub(crate) use text::has_phrase;
pub use text::{FieldBoosts, TextDoc, TextIndex};

/// A chunk with its score in one list.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// Id of the chunk.
    pub id: Arc<str>,
    /// Its score; larger is better. Scales differ between lists.
    pub score: f32,
}

impl Scored {
    /// Best first; equal scores by id, so that an answer never depends on the order of insertion.
    pub(crate) fn sort(list: &mut [Scored]) {
        list.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.id.cmp(&b.id)));
    }
}

/// An index of unit vectors by id.
///
/// A removed vector is no hit any more when the call returns; [`compact`](Self::compact) gives its memory back. A filter is a set of ids, and it is applied
/// before the best are chosen, so `k` hits come back whenever `k` ids of the set are in the index.
pub trait VectorIndex: Debug + Send + Sync {
    /// Length of the vectors.
    fn dims(&self) -> usize;

    /// Number of vectors.
    fn len(&self) -> usize;

    /// True without any vector.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// True when the id has a vector.
    fn contains(&self, id: &str) -> bool;

    /// The vector of an id, as exactly as the index keeps it.
    fn vector(&self, id: &str) -> Option<Vec<f32>>;

    /// Adds or replaces a vector. It is scaled to length 1; all zeros (a text without words) is never found.
    ///
    /// # Errors
    /// `InvalidInput` for another length or a number that is not finite.
    fn upsert(&mut self, id: &str, vector: &[f32]) -> Result<()>;

    /// Removes a vector; false when there was none.
    fn remove(&mut self, id: &str) -> bool;

    /// Takes out what removed vectors still occupy.
    fn compact(&mut self);

    /// The `k` nearest by cosine, best first, equal ones by id; only ids of `within` when given.
    ///
    /// # Errors
    /// `InvalidInput` for another length or a number that is not finite.
    fn search(&self, query: &[f32], k: usize, within: Option<&IdSet>) -> Result<Vec<Scored>>;
}

#[cfg(test)]
mod tests;
