//! Reading prompts: one, all, and what differs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::diff::{DiffLine, changed_fields, lines};
use super::experiment::{Assigned, assign};
use super::library::{self, NamedPrompt, PromptVersion};
use super::registry::Prompt;
use crate::op::{Effect, Operation, Page};
use crate::permission::Permission;
use crate::store::Query;
use crate::{Error, ErrorKind, Result, Scope};

/// Gives a version of a prompt. A label that no version has is an error: nothing is taken in its place, unless the call
/// brings its own `fallback`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GetPrompt {
    /// `name`, `name@label`, `name@3` or `name@draft`. The bare name means the newest version.
    pub reference: String,
    /// Who or what it is for. While an experiment runs on the label, its variant is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// What is given when there is no such prompt, label or version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Prompt>,
}

/// A prompt as it was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FoundPrompt {
    /// The prompt.
    pub prompt: Prompt,
    /// SHA-256 of it, in hex.
    pub hash: String,
    /// True when it is the caller's own fallback.
    pub is_fallback: bool,
    /// The variant of the experiment that chose it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assigned: Option<Assigned>,
}

impl Operation for GetPrompt {
    type Output = FoundPrompt;
    const NAME: &'static str = "prompts.get";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Read;
    const ERRORS: &'static [&'static str] =
        &["unknown_prompt", "unknown_label", "unknown_version", "no_draft"];

    async fn run(self, cx: &Scope) -> Result<FoundPrompt> {
        found(cx, Self::NAME, &self.reference, self.unit.as_deref(), self.fallback).await
    }

    fn examples() -> Vec<Self> {
        let unit = Some("per_01kaf3w0000000000000000000".into());
        vec![GetPrompt { reference: "mail/subject@production".into(), unit, fallback: None }]
    }
}

pub(super) async fn found(
    cx: &Scope,
    operation: &'static str,
    reference: &str,
    unit: Option<&str>,
    fallback: Option<Prompt>,
) -> Result<FoundPrompt> {
    let (name, which) = library::parse(operation, reference)?;
    let assigned = match unit {
        Some(unit) => assign(cx, &name, &which, unit).await?,
        None => None,
    };
    let sought = match &assigned {
        Some(assigned) => library::version(cx, &name, assigned.version).await,
        None => library::find(cx, operation, reference).await,
    };
    match (sought, fallback) {
        (Ok(PromptVersion { prompt, hash, .. }), _) => {
            Ok(FoundPrompt { prompt, hash, is_fallback: false, assigned })
        }
        (Err(error), Some(prompt)) if error.kind() == ErrorKind::NotFound => {
            prompt.check().map_err(|error| error.for_operation(operation))?;
            Ok(FoundPrompt { hash: prompt.hash()?, prompt, is_fallback: true, assigned: None })
        }
        (Err(error), _) => Err(error),
    }
}

/// Lists prompts by name, with their labels.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ListPrompts {
    /// Only names that begin so: `voice/acme/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Most prompts that are looked at for a page, 1..=500. Default 50.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// `next` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

impl Operation for ListPrompts {
    type Output = Page<NamedPrompt>;
    const NAME: &'static str = "prompts.list";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<Page<NamedPrompt>> {
        let query = Query::by_id().limit(self.limit.unwrap_or(50).clamp(1, 500) as usize);
        let page = cx.page::<NamedPrompt>(query, self.cursor.as_deref()).await?;
        let prefix = self.prefix.unwrap_or_default();
        let items = page.items.into_iter().map(|row| row.body).filter(|head| head.id.starts_with(&prefix));
        Ok(Page { items: items.collect(), next: page.next })
    }

    fn examples() -> Vec<Self> {
        vec![ListPrompts { prefix: Some("voice/".into()), ..Self::default() }]
    }
}

/// Says what differs between two versions of a prompt.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DiffPrompts {
    /// The one version, as `prompts.get` takes it.
    pub from: String,
    /// The other.
    pub to: String,
}

/// What differs between two prompts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PromptDiff {
    /// The number of the one version.
    pub from: u32,
    /// The number of the other.
    pub to: u32,
    /// Fields that differ, sorted; name and version are left out.
    pub fields: Vec<String>,
    /// The lines of the templates; empty when they are equal.
    pub lines: Vec<DiffLine>,
}

impl Operation for DiffPrompts {
    type Output = PromptDiff;
    const NAME: &'static str = "prompts.diff";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Read;
    const ERRORS: &'static [&'static str] =
        &["unknown_prompt", "unknown_label", "unknown_version", "no_draft"];

    async fn run(self, cx: &Scope) -> Result<PromptDiff> {
        let from = library::find(cx, Self::NAME, &self.from).await?.prompt;
        let to = library::find(cx, Self::NAME, &self.to).await?.prompt;
        let fields = changed_fields(&from, &to).map_err(|cause| Error::internal(Self::NAME, cause))?;
        let (old, new) = (text(&from), text(&to));
        let lines = if old == new { Vec::new() } else { lines(&old, &new) };
        Ok(PromptDiff { from: from.version, to: to.version, fields, lines })
    }

    fn examples() -> Vec<Self> {
        vec![DiffPrompts { from: "mail/subject@production".into(), to: "mail/subject".into() }]
    }
}

/// The templates of a prompt as one text.
fn text(prompt: &Prompt) -> String {
    if prompt.messages.is_empty() {
        return prompt.template.clone();
    }
    prompt.messages.iter().map(|m| format!("{:?}:\n{}\n", m.role, m.template)).collect()
}
