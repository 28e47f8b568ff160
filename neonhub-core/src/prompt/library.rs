//! Named prompts in the store: a head with its labels, and versions that never change.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::registry::Prompt;
use crate::permission::Permission;
use crate::store::{Index, Key, Record, Stored};
use crate::{Error, ErrorKind, Result, Scope, Timestamp};

/// Moves of labels that a prompt remembers for a rollback.
// Ours: a label that moves daily can be taken back for months.
const MOST_MOVES: usize = 200;
/// Prompts of this folder belong to a brand's voice.
const VOICE: &str = "voice/";
/// The label that always names the newest version.
pub(super) const LATEST: &str = "latest";
/// The word for what is not published yet.
pub(super) const DRAFT: &str = "draft";
/// The label that asks for an approver.
pub(super) const PRODUCTION: &str = "production";

/// What a prompt is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PromptKind {
    /// One template.
    #[default]
    Text,
    /// Messages with roles.
    Chat,
}

impl PromptKind {
    /// The kind of a prompt.
    #[must_use]
    pub fn of(prompt: &Prompt) -> Self {
        if prompt.messages.is_empty() { PromptKind::Text } else { PromptKind::Chat }
    }
}

/// A version that is still being written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PromptDraft {
    /// The prompt; its version is the one it would get.
    pub prompt: Prompt,
    /// What changed, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub notes: String,
    /// Who wrote it last.
    pub author: String,
    /// When.
    pub at: Timestamp,
}

/// One move of a label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LabelMove {
    /// The label.
    pub label: String,
    /// The version before; none: the label was new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u32>,
    /// The version after.
    pub to: u32,
    /// True when it was taken back.
    #[serde(default)]
    pub is_rollback: bool,
    /// Who moved it.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why, if that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A named prompt: its labels and its draft.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NamedPrompt {
    /// Its name, a path: `voice/acme/newsletter/email`.
    pub id: String,
    /// What it is made of.
    pub kind: PromptKind,
    /// Its newest version; 0 while there is only a draft. The label `latest` names it.
    pub latest: u32,
    /// The version of each label.
    pub labels: BTreeMap<String, u32>,
    /// The last 200 moves of labels, oldest first.
    pub moves: Vec<LabelMove>,
    /// What is not published yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub draft: Option<PromptDraft>,
}

impl Record for NamedPrompt {
    const KIND: &'static str = "prompt";
    fn id(&self) -> &str {
        &self.id
    }
}

impl NamedPrompt {
    /// Moves a label and remembers it.
    pub(super) fn move_label(
        &mut self,
        cx: &Scope,
        label: &str,
        to: u32,
        is_rollback: bool,
        reason: Option<&str>,
    ) {
        let from = self.labels.insert(label.to_owned(), to);
        self.moves.push(LabelMove {
            label: label.to_owned(),
            from,
            to,
            is_rollback,
            by: cx.label().to_owned(),
            at: cx.now(),
            reason: reason.map(str::to_owned),
        });
        let over = self.moves.len().saturating_sub(MOST_MOVES);
        self.moves.drain(..over);
    }
}

/// A published version of a prompt. It never changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromptVersion {
    /// Name and number: `mail/subject@3`.
    pub id: String,
    /// The prompt.
    pub prompt: Prompt,
    /// SHA-256 of the prompt, in hex.
    pub hash: String,
    /// Who wrote it.
    pub author: String,
    /// When it was published.
    pub at: Timestamp,
    /// What changed, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub notes: String,
}

impl PromptVersion {
    /// The id of a version.
    #[must_use]
    pub fn id_of(name: &str, version: u32) -> String {
        format!("{name}@{version}")
    }
}

impl Record for PromptVersion {
    const KIND: &'static str = "prompt_version";
    const INDEXES: &'static [Index] = &[Index::on("prompt")];
    fn id(&self) -> &str {
        &self.id
    }
    fn keys(&self) -> Vec<Option<Key>> {
        vec![Some(Key::text(&self.prompt.name).and_int(i64::from(self.prompt.version)))]
    }
}

/// Which version is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Label(String),
    Number(u32),
    Draft,
}

/// A name with what stands behind its `@`; without one the newest version is meant.
///
/// # Errors
/// `InvalidInput` for a name or label that cannot be one.
pub(super) fn parse(operation: &'static str, reference: &str) -> Result<(String, Which)> {
    let (name, which) = match reference.split_once('@') {
        None => (reference, Which::Label(LATEST.to_owned())),
        Some((name, DRAFT)) => (name, Which::Draft),
        Some((name, word)) => match word.parse::<u32>() {
            Ok(number) => (name, Which::Number(number)),
            Err(_) => {
                check_label(operation, word)?;
                (name, Which::Label(word.to_owned()))
            }
        },
    };
    check_name(operation, name)?;
    Ok((name.to_owned(), which))
}

/// # Errors
/// `InvalidInput` for what is no path of a prompt.
pub(super) fn check_name(operation: &'static str, name: &str) -> Result<()> {
    let is_word = |part: &str| {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-.".contains(&b);
        !part.is_empty() && !part.starts_with('.') && part.bytes().all(fits)
    };
    if name.len() <= 200 && name.split('/').all(is_word) {
        return Ok(());
    }
    let message = "expected words of a-z, 0-9, `_`, `-` and `.` with `/` between, at most 200 bytes";
    Err(Error::invalid(operation, "name", message))
}

/// # Errors
/// `InvalidInput` for what is no label.
pub(super) fn check_label(operation: &'static str, label: &str) -> Result<()> {
    let begins = label.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    if begins && label.len() <= 40 && label.bytes().all(fits) {
        return Ok(());
    }
    let message = "expected a letter, then a-z, 0-9, `_` or `-`, at most 40 bytes";
    Err(Error::invalid(operation, "label", message))
}

/// The right to change a prompt: those of a voice belong to the brand, all others are content.
///
/// # Errors
/// `PermissionDenied` naming the right.
pub(super) fn may_write(cx: &Scope, name: &str) -> Result<()> {
    let word = if name.starts_with(VOICE) { Permission::WriteBrand } else { Permission::WriteContent };
    cx.require(word)
}

/// The right to move a label of a prompt: what `production` names is approved.
///
/// # Errors
/// `PermissionDenied` naming the right.
pub(super) fn may_label(cx: &Scope, name: &str, label: &str) -> Result<()> {
    may_write(cx, name)?;
    if label == PRODUCTION { cx.require(Permission::ApproveContent) } else { Ok(()) }
}

/// The head of a prompt.
///
/// # Errors
/// `NotFound`, code `unknown_prompt`.
pub(super) async fn head(cx: &Scope, operation: &'static str, name: &str) -> Result<Stored<NamedPrompt>> {
    cx.get::<NamedPrompt>(name).await?.ok_or_else(|| {
        Error::new(ErrorKind::NotFound, operation, "there is no prompt of this name")
            .with_code("unknown_prompt")
            .with_context("prompt", name)
    })
}

/// The number that a label or a number means.
///
/// # Errors
/// `NotFound`: code `unknown_label` naming the labels there are, or `unknown_version`.
pub(super) fn number_of(operation: &'static str, head: &NamedPrompt, which: &Which) -> Result<u32> {
    let missing = |code: &'static str, why: String| {
        Err(Error::new(ErrorKind::NotFound, operation, why).with_code(code).with_context("prompt", &head.id))
    };
    match which {
        Which::Label(label) if label == LATEST && head.latest > 0 => Ok(head.latest),
        Which::Label(label) => match head.labels.get(label) {
            Some(number) => Ok(*number),
            None => {
                let known: Vec<&str> = head.labels.keys().map(String::as_str).collect();
                missing("unknown_label", format!("no version has the label {label:?}; labels: {known:?}"))
            }
        },
        Which::Number(number) if (1..=head.latest).contains(number) => Ok(*number),
        Which::Number(number) => {
            missing("unknown_version", format!("there is no version {number}; the newest is {}", head.latest))
        }
        Which::Draft => missing("no_draft", "the prompt has no draft".to_owned()),
    }
}

/// The prompt that a reference means.
///
/// # Errors
/// As [`parse`], [`head`] and [`number_of`].
pub(super) async fn find(cx: &Scope, operation: &'static str, reference: &str) -> Result<PromptVersion> {
    let (name, which) = parse(operation, reference)?;
    let head = head(cx, operation, &name).await?;
    if which == Which::Draft
        && let Some(draft) = &head.draft
    {
        return Ok(PromptVersion {
            id: format!("{name}@{DRAFT}"),
            hash: draft.prompt.hash()?,
            prompt: draft.prompt.clone(),
            author: draft.author.clone(),
            at: draft.at,
            notes: draft.notes.clone(),
        });
    }
    version(cx, &name, number_of(operation, &head, &which)?).await
}

/// A version that is known to be there.
pub(super) async fn version(cx: &Scope, name: &str, number: u32) -> Result<PromptVersion> {
    Ok(cx.need::<PromptVersion>(&PromptVersion::id_of(name, number)).await?.body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_or_refused() {
        let read = |text: &str| parse("t", text);
        assert_eq!(read("a/b").unwrap(), ("a/b".into(), Which::Label(LATEST.into())));
        assert_eq!(read("a/b@production").unwrap().1, Which::Label("production".into()));
        assert_eq!(read("a/b@12").unwrap().1, Which::Number(12));
        assert_eq!(read("a/b@draft").unwrap().1, Which::Draft);
        for bad in ["", "/a", "a/", "a//b", "../a", "A", "a@", "a@B", "a@b@c", "a@-1"] {
            assert_eq!(read(bad).unwrap_err().kind(), ErrorKind::InvalidInput, "{bad}");
        }
    }
}
