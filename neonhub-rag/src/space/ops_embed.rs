//! Vectors of texts, for hosts that compute with them.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use neonhub_core::op::{Effect, Operation};
use neonhub_core::{Error, Faults, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::knowledge::Knowledge;
use crate::embed::{EmbedKind, OfflineHash, embed_in};

/// Most texts of one call.
const MAX_TEXTS: usize = 4_096;

/// What the vectors are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VectorKind {
    /// Texts that are searched for.
    #[default]
    Passage,
    /// A question to search with.
    Query,
}

impl From<VectorKind> for EmbedKind {
    fn from(kind: VectorKind) -> Self {
        match kind {
            VectorKind::Passage => EmbedKind::Passage,
            VectorKind::Query => EmbedKind::Query,
        }
    }
}

/// Embeds texts: one vector of length 1 for each, in order.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EmbedTexts {
    /// The texts, 1 to 4 096.
    pub texts: Vec<String>,
    /// What the vectors are for. Default: `passage`.
    #[serde(default)]
    pub kind: VectorKind,
    /// The embedder. Default: `offline-hash-512`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedder: Option<String>,
}

/// Vectors, packed: row by row, each number as 4 bytes (IEEE 754, least significant byte first).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Vectors {
    /// The embedder that made them; vectors of two embedders cannot be compared.
    pub embedder: String,
    /// Numbers of one vector.
    pub dims: u32,
    /// How many vectors there are.
    pub count: u32,
    /// The numbers in base64.
    pub packed: String,
}

impl Operation for EmbedTexts {
    type Output = Vectors;
    const NAME: &'static str = "knowledge.embed";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<Vectors> {
        let mut faults = Faults::new();
        let fits = (1..=MAX_TEXTS).contains(&self.texts.len());
        faults.check(fits, "texts", "expected 1 to 4 096 texts: call it in batches");
        faults.into_result(Self::NAME)?;
        let id = self.embedder.as_deref().unwrap_or(OfflineHash::ID);
        let embedder = cx.service::<Knowledge>()?.embedder(id)?;
        let texts: Vec<&str> = self.texts.iter().map(String::as_str).collect();
        let vectors = embed_in(cx, embedder.as_ref(), &texts, self.kind.into()).await?;
        Ok(Vectors {
            embedder: embedder.id().to_owned(),
            dims: u32::try_from(embedder.dims()).unwrap_or(u32::MAX),
            count: u32::try_from(vectors.len()).unwrap_or(u32::MAX),
            packed: pack(&vectors),
        })
    }

    fn examples() -> Vec<Self> {
        let texts = vec!["Our teas are picked by hand.".into(), "We ship within two days.".into()];
        vec![EmbedTexts { texts, ..EmbedTexts::default() }]
    }
}

pub(super) fn pack(vectors: &[Vec<f32>]) -> String {
    let bytes: Vec<u8> = vectors.iter().flatten().flat_map(|number| number.to_le_bytes()).collect();
    BASE64_STANDARD.encode(bytes)
}

/// Reads one packed vector, the query of a search.
pub(super) fn unpack(operation: &'static str, packed: &str) -> Result<Vec<f32>> {
    let bad = |message| Error::invalid(operation, "vector", message);
    let bytes = BASE64_STANDARD.decode(packed).map_err(|_| bad("expected base64"))?;
    let (numbers, rest) = bytes.as_chunks::<4>();
    if numbers.is_empty() || !rest.is_empty() {
        return Err(bad("expected numbers of 4 bytes each"));
    }
    let mut vector: Vec<f32> = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let length = vector.iter().map(|number| number * number).sum::<f32>().sqrt();
    if !length.is_finite() || length <= f32::EPSILON {
        return Err(bad("expected finite numbers, not all of them zero"));
    }
    // Indexes compare by the inner product, which is the cosine for vectors of length 1 alone.
    vector.iter_mut().for_each(|number| *number /= length);
    Ok(vector)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_vector_comes_back_at_length_one() {
        let packed = pack(&[vec![3.0, 4.0]]);
        assert_eq!(unpack("x", &packed).unwrap(), [0.6, 0.8]);
        for bad in ["?", "AAA=", "", &pack(&[vec![0.0, 0.0]]), &pack(&[vec![f32::NAN]])] {
            assert_eq!(unpack("x", bad).unwrap_err().field_faults()[0].field, "vector", "{bad}");
        }
    }
}
