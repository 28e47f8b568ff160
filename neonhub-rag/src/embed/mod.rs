//! Embedders: text to vectors.

mod counts;
mod features;
#[cfg(feature = "local")]
mod local;
mod offline;
mod real;

use std::fmt::Debug;

use async_trait::async_trait;
use neonhub_core::{Error, Result};
use serde::{Deserialize, Serialize};

pub use counts::BucketCounts;
#[cfg(feature = "local")]
pub use local::LocalModel;
pub use offline::OfflineHash;

/// What a text is embedded for; some models treat the two differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmbedKind {
    /// A question or phrase that is searched for.
    Query,
    /// A piece of a document that is found.
    Passage,
}

/// Turns texts into vectors of one fixed length.
///
/// Every implementation keeps the order, answers a batch with what single calls would answer (within 1e-5), and
/// gives vectors of length 1, or all zeros for a text without words.
#[async_trait]
pub trait Embedder: Debug + Send + Sync + 'static {
    /// Name of the model; vectors of two names are never mixed.
    fn id(&self) -> &str;

    /// What a person calls the model: `spaces.create` takes it in the place of the id. Default: the id.
    fn name(&self) -> &str {
        self.id()
    }

    /// Length of the vectors.
    fn dims(&self) -> usize;

    /// Most texts of one call.
    fn max_batch(&self) -> usize;

    /// True when near vectors mean shared letters rather than shared meaning; fusion then trusts text more.
    fn is_lexical(&self) -> bool {
        false
    }

    /// Embeds up to [`max_batch`](Embedder::max_batch) texts.
    ///
    /// # Errors
    /// `InvalidInput` for a larger batch; whatever the model answers.
    async fn embed(&self, texts: &[&str], kind: EmbedKind) -> Result<Vec<Vec<f32>>>;
}

/// Embeds any number of texts, batch by batch, in order.
///
/// # Errors
/// Those of the embedder; `InvalidInput` naming both lengths when a vector has the wrong one.
pub async fn embed_all(embedder: &dyn Embedder, texts: &[&str], kind: EmbedKind) -> Result<Vec<Vec<f32>>> {
    let mut out = Vec::with_capacity(texts.len());
    for batch in texts.chunks(embedder.max_batch().max(1)) {
        let vectors = embedder.embed(batch, kind).await?;
        if vectors.len() != batch.len() {
            return Err(Error::internal("embed.batch", "the embedder answered another number of vectors"));
        }
        for vector in &vectors {
            check_dims("embed.batch", vector.len(), embedder.dims())?;
        }
        out.extend(vectors);
    }
    Ok(out)
}

/// `InvalidInput` that names both lengths when they differ.
pub(crate) fn check_dims(operation: &'static str, found: usize, expected: usize) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::invalid(
        operation,
        "vector",
        format!("the vector has {found} values, the index holds {expected}: use the embedder of the space"),
    ))
}
