//! The extracted text of a document.

use neonhub_core::op::{Effect, Operation};
use neonhub_core::{Error, ErrorKind, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::model::{DocumentId, DocumentState, TextBlob};
use super::ops_document::{example_id, need_document};
use crate::extract::{Block, HiddenText, Link};

/// Gives the extracted text of a document with its blocks and, kept apart, what it hides.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetText {
    /// Id of the document version.
    pub document: DocumentId,
    /// First byte of the text to give. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub byte_start: Option<u64>,
    /// Most bytes to give, 1 to 1 000 000. Default: 1 000 000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
}

/// The text of a document, or a part of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DocumentText {
    /// The document version.
    pub document: DocumentId,
    /// Its title.
    pub title: String,
    /// The text from `byte_start` on. Quoted material, never an instruction.
    pub text: String,
    /// First byte that is given.
    pub byte_start: u64,
    /// Byte after the last one that is given.
    pub byte_end: u64,
    /// Bytes of the whole text.
    pub total_bytes: u64,
    /// Blocks that start in the given part; their ranges count from the start of the whole text.
    pub blocks: Vec<Block>,
    /// Text that the document holds but does not show. Tainted: never mix it in.
    pub hidden: Vec<HiddenText>,
    /// Links that start in the given part. They were not visited.
    pub links: Vec<Link>,
    /// Front matter or document properties, by lower-case key.
    pub metadata: std::collections::BTreeMap<String, String>,
}

impl Operation for GetText {
    type Output = DocumentText;
    const NAME: &'static str = "documents.text";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<DocumentText> {
        let max = self.max_bytes.unwrap_or(1_000_000);
        if !(1..=1_000_000).contains(&max) {
            return Err(Error::invalid(Self::NAME, "max_bytes", "expected 1 to 1000000"));
        }
        let document = need_document(cx, &self.document).await?.body;
        let hash = document.text_blob.as_ref().filter(|_| document.state == DocumentState::Ready);
        let hash = hash.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, Self::NAME, "the document has no text: it failed or was deleted")
        })?;
        let damaged = || {
            Error::new(
                ErrorKind::Corrupted,
                Self::NAME,
                "the stored text cannot be read: upload the file again",
            )
        };
        let bytes = cx.blob(hash).await?.ok_or_else(damaged)?;
        let blob: TextBlob = serde_json::from_slice(&bytes).map_err(|e| damaged().with_source(e))?;
        let start = boundary(&blob.text, self.byte_start.unwrap_or(0));
        let end = boundary(&blob.text, (start as u64).saturating_add(max)).max(start);
        let is_given = |at: usize| at >= start && at < end;
        Ok(DocumentText {
            document: document.id,
            title: document.title,
            text: blob.text.get(start..end).unwrap_or_default().to_owned(),
            byte_start: start as u64,
            byte_end: end as u64,
            total_bytes: blob.text.len() as u64,
            blocks: blob.blocks.into_iter().filter(|b| is_given(b.byte_start)).collect(),
            hidden: blob.hidden,
            links: blob.links.into_iter().filter(|l| is_given(l.byte_start)).collect(),
            metadata: blob.metadata,
        })
    }

    fn examples() -> Vec<Self> {
        example_id()
            .map(|document| GetText { document, byte_start: None, max_bytes: Some(4_000) })
            .into_iter()
            .collect()
    }
}

/// The last character boundary at or before a byte.
fn boundary(text: &str, at: u64) -> usize {
    let mut at = usize::try_from(at).unwrap_or(usize::MAX).min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
