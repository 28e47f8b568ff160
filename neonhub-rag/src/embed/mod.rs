//! Embedders: text to vectors.

mod config;
mod counts;
mod endpoint;
mod features;
#[cfg(feature = "local")]
mod local;
mod offline;
mod real;

use std::fmt::Debug;
use std::ops::Range;

use async_trait::async_trait;
use neonhub_core::llm::ModelCost;
use neonhub_core::{Error, Result, Scope};
use serde::{Deserialize, Serialize};

pub use config::EmbedderConfig;
pub use counts::BucketCounts;
pub use endpoint::EndpointModel;
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

    /// True when texts leave the process; nothing is locked while such an embedder answers.
    fn is_remote(&self) -> bool {
        false
    }

    /// What embedding so many tokens costs. `None`, the default, when that is not known.
    fn cost(&self, _tokens: u64) -> Option<ModelCost> {
        None
    }

    /// Checks that the quotas of a scope leave room for embedding so many tokens. Default: nobody counts them.
    ///
    /// # Errors
    /// `BudgetExceeded` naming what is needed and what is left.
    async fn check_budget(&self, _cx: &Scope, _tokens: u64) -> Result<()> {
        Ok(())
    }

    /// The tokens of a text by the model's own tokenizer, each as a range of bytes, in order. `None`, the default, when
    /// there is none at hand. Spaces cut documents by these tokens.
    ///
    /// # Errors
    /// Those of the tokenizer.
    fn token_spans(&self, _text: &str) -> Result<Option<Vec<Range<usize>>>> {
        Ok(None)
    }

    /// Embeds up to [`max_batch`](Embedder::max_batch) texts. A text longer than the model reads at once is read whole
    /// or refused, never cut.
    ///
    /// # Errors
    /// `InvalidInput` for a larger batch; whatever the model answers.
    async fn embed(&self, texts: &[&str], kind: EmbedKind) -> Result<Vec<Vec<f32>>>;

    /// The same for an operation. A model that is reached over a network guards its calls here, by the scope's
    /// deadline, limits and breakers; for others it is [`embed`](Embedder::embed).
    ///
    /// # Errors
    /// As [`embed`](Embedder::embed).
    async fn embed_in(&self, _cx: &Scope, texts: &[&str], kind: EmbedKind) -> Result<Vec<Vec<f32>>> {
        self.embed(texts, kind).await
    }
}

/// What a model of this process costs, in no currency.
fn nothing() -> ModelCost {
    ModelCost { currency: "XXX".into(), micros: 0, is_estimated: false }
}

/// Embeds any number of texts, batch by batch, in order.
///
/// # Errors
/// Those of the embedder; `InvalidInput` naming both lengths when a vector has the wrong one.
pub async fn embed_all(embedder: &dyn Embedder, texts: &[&str], kind: EmbedKind) -> Result<Vec<Vec<f32>>> {
    let mut out = Vec::with_capacity(texts.len());
    for batch in texts.chunks(embedder.max_batch().max(1)) {
        out.extend(checked(embedder, batch.len(), embedder.embed(batch, kind).await?)?);
    }
    Ok(out)
}

/// [`embed_all`] for an operation.
pub(crate) async fn embed_in(
    cx: &Scope,
    embedder: &dyn Embedder,
    texts: &[&str],
    kind: EmbedKind,
) -> Result<Vec<Vec<f32>>> {
    let mut out = Vec::with_capacity(texts.len());
    for batch in texts.chunks(embedder.max_batch().max(1)) {
        out.extend(checked(embedder, batch.len(), embedder.embed_in(cx, batch, kind).await?)?);
    }
    Ok(out)
}

/// The vector of one text, for an operation.
pub(crate) async fn embed_one(
    cx: &Scope,
    embedder: &dyn Embedder,
    text: &str,
    kind: EmbedKind,
) -> Result<Vec<f32>> {
    Ok(embed_in(cx, embedder, &[text], kind).await?.pop().unwrap_or_default())
}

fn checked(embedder: &dyn Embedder, texts: usize, vectors: Vec<Vec<f32>>) -> Result<Vec<Vec<f32>>> {
    if vectors.len() != texts {
        return Err(Error::internal("embed.batch", "the embedder answered another number of vectors"));
    }
    for vector in &vectors {
        check_dims("embed.batch", vector.len(), embedder.dims())?;
    }
    Ok(vectors)
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
