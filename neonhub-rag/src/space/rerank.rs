//! The hook for a model that reads query and passage together.

use std::fmt::Debug;

use async_trait::async_trait;
use neonhub_core::Result;

/// Scores passages for a query, usually by a cross-encoder. It sees the best 50 of the joined list and decides
/// their order.
#[async_trait]
pub trait Reranker: Debug + Send + Sync + 'static {
    /// The name that a search asks for it by.
    fn id(&self) -> &str;

    /// One score per passage, in order; larger is better.
    ///
    /// # Errors
    /// Whatever the model answers; the search then fails, since a silent fall-back would hide it.
    async fn rerank(&self, query: &str, passages: &[&str]) -> Result<Vec<f32>>;
}
