//! Moderation: what is wrong with a text or a picture, by category.

mod lexicon;
mod offline;
mod ops;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::image::Picture;
use super::{Origin, TokenCount};
use crate::resilience::Lane;
use crate::{Faults, Result, Timestamp};

#[cfg(any(test, feature = "testing"))]
pub(crate) use lexicon::CATEGORIES;
pub use ops::{ModerateTexts, ModeratedTexts};

/// Something to be looked at.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ModerationInput {
    /// A text.
    Text(String),
    /// A picture, with the words beside it.
    Picture {
        /// The picture.
        picture: Picture,
        /// Its words, when it has some.
        text: Option<String>,
    },
}

/// What is to be looked at.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ModerationRequest {
    /// The model. Default: the provider's.
    pub model: Option<String>,
    /// Up to [`Moderator::max_batch`] of them.
    pub inputs: Vec<ModerationInput>,
    /// No call after this instant.
    pub deadline: Option<Timestamp>,
}

impl ModerationRequest {
    /// A request for these texts.
    #[must_use]
    pub fn texts<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Self {
        let inputs = texts.into_iter().map(|text| ModerationInput::Text(text.into())).collect();
        ModerationRequest { inputs, ..ModerationRequest::default() }
    }

    /// Tokens of its texts, an estimate.
    pub(super) fn tokens(&self) -> u64 {
        let texts = self.inputs.iter().filter_map(|input| match input {
            ModerationInput::Text(text) => Some(text.as_str()),
            ModerationInput::Picture { text, .. } => text.as_deref(),
        });
        texts.map(TokenCount::of_text).sum()
    }

    pub(super) fn check(&self, most: usize) -> Result<()> {
        let mut faults = Faults::new();
        let fits = (1..=most).contains(&self.inputs.len());
        faults.check(fits, "inputs", format!("expected 1 to {most} texts or pictures"));
        faults.into_result("llm.moderate")
    }
}

/// One category of a verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModerationCategory {
    /// True when the model finds it there.
    pub is_flagged: bool,
    /// How sure it is, 0..=1; absent when the model gave no number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
}

/// What a model finds in one input.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModerationVerdict {
    /// True when any category is flagged.
    pub is_flagged: bool,
    /// By the provider's words, such as `hate` and `violence/graphic`. New ones may come at any time.
    pub categories: BTreeMap<String, ModerationCategory>,
}

/// Verdicts of one call.
#[derive(Clone, Debug, PartialEq)]
pub struct Moderated {
    /// One for each input, in order.
    pub verdicts: Vec<ModerationVerdict>,
    /// The provider.
    pub provider: String,
    /// The model that answered.
    pub model: String,
    /// Who judged: rules of ours, or a model.
    pub origin: Origin,
}

/// A model that finds what is wrong with texts. It never waits to retry, and never passes over an input: a verdict that
/// is missing is an error.
#[async_trait]
pub trait Moderator: fmt::Debug + Send + Sync + 'static {
    /// The word of the provider.
    fn provider(&self) -> &str;

    /// The region that its data goes to, such as `eu`, or [`LOCAL`](crate::tenancy::LOCAL) when it leaves no machine.
    /// Default: unknown, which workspaces of one region refuse.
    fn region(&self) -> Option<&str> {
        None
    }

    /// How many calls of this provider run and wait at a time. Default: [`Lane::MODEL`](crate::resilience::Lane::MODEL).
    fn lane(&self) -> Lane {
        Lane::MODEL
    }

    /// Most inputs of one call.
    fn max_batch(&self) -> usize;

    /// Judges every input.
    ///
    /// # Errors
    /// `InvalidInput` for no input or too many; `Unsupported` for a picture that this model does not see; otherwise as
    /// [`Llm::call`](super::Llm::call).
    async fn classify(&self, request: &ModerationRequest) -> Result<Moderated>;
}
