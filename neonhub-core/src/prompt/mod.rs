//! Prompts and templates: strict, bounded, and blind to everything but the values they are given.
//!
//! A template cannot read files, the clock or chance, and a missing value is an error that names it. What a value
//! holds is data: template marks inside it are printed, never run. [`Engine`] renders any template (messages,
//! pages, prompts) with escaping for its kind of output; [`Prompt`] adds declared variables, labels of trust and
//! the hashes that a run log keeps.
//!
//! The registry keeps prompts by name: a draft ([`PutPrompt`]) becomes a version that never changes
//! ([`PublishPrompt`]), labels name versions ([`LabelPrompt`], [`RollbackPrompt`]), and versions are tested against
//! one another ([`StartPromptExperiment`]).
//!
//! Beside the usual filters a template has `first_upper`, `clip(n)` (at most `n` characters, cut at a word) and
//! `urlencode`; it has no `safe`, so no value gets round its escaping.
//!
//! ```
//! use neonhub_core::prompt::{Escape, render};
//! use serde_json::json;
//! let html = render("<p>Hello {{ name }}</p>", &json!({ "name": "<b>{{ 7*7 }}</b>" }), Escape::Html)?;
//! assert_eq!(html, "<p>Hello &lt;b&gt;{{ 7*7 }}&lt;&#x2f;b&gt;</p>");
//! let err = render("Hello {{ nmae }}", &json!({ "name": "Ann" }), Escape::Text).unwrap_err();
//! assert!(err.message().contains("nmae"));
//! # Ok::<(), neonhub_core::Error>(())
//! ```

mod analyse;
mod diff;
mod engine;
mod experiment;
mod fence;
mod library;
mod ops;
mod ops_change;
mod ops_read;
mod registry;
mod stat;
mod transfer;
mod variable;

use crate::op::{Entry, entry};
use crate::store::Kind;

pub use diff::{DiffLine, LineChange};
pub use engine::{Engine, Escape, render};
pub(crate) use engine::{clip, refuse};
pub use experiment::{
    Assigned, ExperimentStatus, PromptExperiment, PromptExposure, PromptVariant, StartPromptExperiment,
    StopPromptExperiment,
};
pub use library::{LabelMove, NamedPrompt, PromptDraft, PromptKind, PromptVersion};
pub use ops::{RenderPrompt, TestPrompt, TestedPrompt};
pub use ops_change::{DeletePromptDraft, LabelPrompt, PublishPrompt, PutPrompt, RollbackPrompt};
pub use ops_read::{DiffPrompts, FoundPrompt, GetPrompt, ListPrompts, PromptDiff};
pub use registry::{Prompt, PromptConfig, PromptMessage, Rendered, RenderedMessage};
pub use stat::{ExperimentReport, PromptFigures, PromptStat, PromptStats, RecordPromptUse, VariantReport};
pub use transfer::{ExportPrompts, ExportedPrompt, ImportPrompts, ImportedPrompts, PromptBundle};
pub use variable::{PromptValue, PromptVar, VarKind};

/// Text for a model: what somebody else wrote stands between marks, so that it is read as data.
pub(crate) fn fenced(text: &str, taint: crate::llm::Taint, source: Option<&crate::llm::Source>) -> String {
    if taint.is_foreign() { fence::fence(text, taint, source) } else { text.to_owned() }
}

/// Operations on prompts.
pub static CATALOGUE: &[Entry] = &[
    entry::<RenderPrompt>(),
    entry::<TestPrompt>(),
    entry::<PutPrompt>(),
    entry::<PublishPrompt>(),
    entry::<DeletePromptDraft>(),
    entry::<LabelPrompt>(),
    entry::<RollbackPrompt>(),
    entry::<GetPrompt>(),
    entry::<ListPrompts>(),
    entry::<DiffPrompts>(),
    entry::<ExportPrompts>(),
    entry::<ImportPrompts>(),
    entry::<StartPromptExperiment>(),
    entry::<StopPromptExperiment>(),
    entry::<RecordPromptUse>(),
    entry::<PromptStats>(),
];

/// Records of prompts.
pub(crate) static KINDS: &[Kind] = &[
    Kind::of::<NamedPrompt>(),
    Kind::of::<PromptVersion>(),
    Kind::of::<PromptExperiment>(),
    Kind::of::<PromptExposure>(),
    Kind::of::<PromptStat>(),
];

#[cfg(test)]
mod tests;
