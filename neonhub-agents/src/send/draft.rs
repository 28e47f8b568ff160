//! Drafts: what is said, before it has a recipient.

use std::collections::BTreeMap;

use neonhub_core::store::{Index, Key, Record, canonical_json};
use neonhub_core::{Result, Timestamp, id_type};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::brand::{BrandId, SenderId};
use crate::gate::facts::{DraftStatus, Origin};
use crate::gate::{Category, Channel, ContentFacts};
use crate::people::PersonId;

id_type!(DraftId, "dft", "A draft.");

/// The parts of a message. Texts are templates: `{{ first_name | default("there") }}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parts {
    /// Subject of a mail, one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// HTML of a mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
    /// Plain text: of a mail (default: taken from its HTML), a text message or a post.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Link that goes with a post.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// Alternative texts of the media of a post, in order: one per medium.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alt_texts: Vec<String>,
}

/// What a draft was made from, so that a send can be explained.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Attribution {
    /// Version of the prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_version: Option<String>,
    /// Model that wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Snippets used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub snippet_ids: Vec<String>,
    /// Memories used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub memory_ids: Vec<String>,
    /// Chunks of the brand's documents it cites.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub citations: Vec<String>,
    /// Probability with which this variant was chosen, 0..=1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub propensity: Option<f64>,
}

/// A decision about a draft.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Review {
    /// Who decided.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Approved or rejected.
    pub approved: bool,
    /// Hash of the content that was decided about.
    pub hash: String,
    /// Why, if something was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A message before it has a recipient, or for one person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Draft {
    /// Its id.
    pub id: DraftId,
    /// The brand that speaks.
    pub brand: BrandId,
    /// What it is sent from.
    pub sender: SenderId,
    /// Where it goes.
    pub channel: Channel,
    /// What kind of message it is; a send cannot change it.
    pub category: Category,
    /// What it says.
    pub parts: Parts,
    /// Values for its variables besides those of the recipient.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, Value>,
    /// Language, BCP 47.
    pub locale: String,
    /// The one person it is for; none: an audience or the public.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<PersonId>,
    /// Id of the campaign, bulk or journey it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign: Option<String>,
    /// Step of a sequence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Variant of an experiment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Where the text came from.
    pub origin: Origin,
    /// What it was made from.
    #[serde(default)]
    pub attribution: Attribution,
    /// What the checks found in it.
    pub content: ContentFacts,
    /// True when it goes out only after an approval.
    pub needs_approval: bool,
    /// State of this version.
    pub status: DraftStatus,
    /// Decisions, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reviews: Vec<Review>,
    /// Hash of channel, category, sender, parts and variables, 32 hex digits.
    pub hash: String,
}

impl Record for Draft {
    const KIND: &'static str = "draft";
    const INDEXES: &'static [Index] = &[Index::on("status"), Index::on("campaign")];
    fn id(&self) -> &str {
        self.id.as_str()
    }
    fn keys(&self) -> Vec<Option<Key>> {
        let status = match self.status {
            DraftStatus::Draft => "draft",
            DraftStatus::InReview => "in_review",
            DraftStatus::Approved => "approved",
            DraftStatus::Rejected => "rejected",
            DraftStatus::Archived => "archived",
        };
        vec![Some(Key::text(status)), self.campaign.as_ref().map(Key::text)]
    }
    fn personal(&self) -> Vec<String> {
        self.person.iter().map(ToString::to_string).collect()
    }
}

/// The hash that approvals and sends are bound to.
///
/// # Errors
/// `InvalidInput` when a variable cannot be written as JSON.
pub(super) fn content_hash(
    channel: Channel,
    category: Category,
    sender: &SenderId,
    parts: &Parts,
    variables: &BTreeMap<String, Value>,
) -> Result<String> {
    let text = canonical_json(&(channel, category, sender.as_str(), parts, variables))?;
    Ok(short_hash(&[&text]))
}

/// SHA-256 over length-prefixed parts, the first 16 bytes in hex.
pub(super) fn short_hash(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().take(16).map(|b| format!("{b:02x}")).collect()
}
