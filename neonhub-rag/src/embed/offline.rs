//! `offline-hash-512`: hashed features, no model file, no network.

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use neonhub_core::llm::ModelCost;
use neonhub_core::{Error, Result};

use super::counts::BucketCounts;
use super::features::features;
use super::real::ln;
use super::{EmbedKind, Embedder, nothing};

/// Length of the vectors.
const DIMS: usize = 512;
/// Texts per call: keeps one call below about 50 ms.
const MAX_BATCH: usize = 256;

static BUILT_IN: LazyLock<Arc<BucketCounts>> = LazyLock::new(|| Arc::new(BucketCounts::built_in()));

/// The offline embedder. Its vectors show shared words, typos and inflections; they do not show meaning.
///
/// The same text gives the same bits on every platform. Cost: about 20 µs per 100 words.
///
/// ```
/// use neonhub_rag::OfflineHash;
/// let embedder = OfflineHash::new();
/// let near = |a, b| embedder.vector(a).iter().zip(embedder.vector(b)).map(|(x, y)| x * y).sum::<f32>();
/// assert!(near("free shipping", "free shiping") > near("free shipping", "annual report"));
/// ```
#[derive(Clone, Debug)]
pub struct OfflineHash {
    counts: Arc<BucketCounts>,
}

impl Default for OfflineHash {
    fn default() -> Self {
        Self::new()
    }
}

impl OfflineHash {
    /// Name of the model.
    pub const ID: &'static str = "offline-hash-512";

    /// With the built-in table of frequencies.
    #[must_use]
    pub fn new() -> Self {
        Self { counts: Arc::clone(&BUILT_IN) }
    }

    /// With the frozen counts of a collection.
    #[must_use]
    pub fn with_counts(counts: Arc<BucketCounts>) -> Self {
        Self { counts }
    }

    /// The vector of one text: length 1, or all zeros for a text without words.
    #[must_use]
    pub fn vector(&self, text: &str) -> Vec<f32> {
        let mut sums = vec![0.0_f64; DIMS];
        for (hash, feature) in features(text) {
            // Log term frequency over the mean share of the feature.
            let count = f64::from(feature.count);
            let tf = feature.weight / count * (1.0 + ln(count));
            let value = tf * self.counts.idf(hash);
            let sign = if hash >> 63 == 0 { 1.0 } else { -1.0 };
            if let Some(sum) = sums.get_mut(hash as usize & (DIMS - 1)) {
                *sum += sign * value;
            }
        }
        let norm = sums.iter().map(|v| v * v).sum::<f64>().sqrt();
        if norm == 0.0 {
            return vec![0.0; DIMS];
        }
        sums.into_iter().map(|v| (v / norm) as f32).collect()
    }
}

#[async_trait]
impl Embedder for OfflineHash {
    fn id(&self) -> &str {
        Self::ID
    }

    fn dims(&self) -> usize {
        DIMS
    }

    fn max_batch(&self) -> usize {
        MAX_BATCH
    }

    fn is_lexical(&self) -> bool {
        true
    }

    fn cost(&self, _tokens: u64) -> Option<ModelCost> {
        Some(nothing())
    }

    async fn embed(&self, texts: &[&str], _: EmbedKind) -> Result<Vec<Vec<f32>>> {
        if texts.len() > MAX_BATCH {
            return Err(Error::invalid(
                "embed.batch",
                "texts",
                format!("expected at most {MAX_BATCH} texts"),
            ));
        }
        Ok(texts.iter().map(|t| self.vector(t)).collect())
    }
}

#[cfg(test)]
mod tests;
