//! Prompts and templates: strict, bounded, and blind to everything but the values they are given.
//!
//! A template cannot read files, the clock or chance, and a missing value is an error that names it. What a value
//! holds is data: template marks inside it are printed, never run. [`Engine`] renders any template (messages,
//! pages, prompts) with escaping for its kind of output; [`Prompt`] adds declared variables, labels of trust and
//! the hashes that a run log keeps.
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

mod engine;
mod fence;
mod ops;
mod registry;

use crate::op::{Entry, entry};

pub use engine::{Engine, Escape, render};
pub(crate) use engine::{clip, refuse};
pub use ops::RenderPrompt;
pub use registry::{Prompt, PromptValue, PromptVar, Rendered, VarKind};

/// Text for a model: what somebody else wrote stands between marks, so that it is read as data.
pub(crate) fn fenced(text: &str, taint: crate::llm::Taint, source: Option<&crate::llm::Source>) -> String {
    if fence::is_foreign(taint) { fence::fence(text, taint, source) } else { text.to_owned() }
}

/// Operations on prompts.
pub static CATALOGUE: &[Entry] = &[entry::<RenderPrompt>()];
