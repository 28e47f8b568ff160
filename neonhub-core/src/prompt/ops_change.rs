//! Writing prompts: drafts, versions, labels.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::library::{
    self, DRAFT, LATEST, NamedPrompt, PRODUCTION, PromptDraft, PromptKind, PromptVersion, Which,
};
use super::registry::Prompt;
use super::variable::{PromptVar, VarKind};
use crate::audit::{AuditDraft, Outcome};
use crate::bus::Event;
use crate::op::{Effect, Operation, Sink};
use crate::permission::Permission;
use crate::store::Expected;
use crate::{Error, ErrorKind, Result, Scope};

/// Writes the draft of a prompt, which may be new. The number of its version is not read: a draft gets the next one.
///
/// Needs `write:content`, or `write:brand` for a name under `voice/`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PutPrompt {
    /// The prompt.
    pub prompt: Prompt,
    /// What changed, for people; up to 2 000 characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub notes: String,
}

impl Operation for PutPrompt {
    type Output = NamedPrompt;
    const NAME: &'static str = "prompts.put";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;
    const ERRORS: &'static [&'static str] = &["kind_changed"];

    async fn run(self, cx: &Scope) -> Result<NamedPrompt> {
        let PutPrompt { mut prompt, notes } = self;
        library::check_name(Self::NAME, &prompt.name)?;
        library::may_write(cx, &prompt.name)?;
        if notes.chars().count() > 2_000 {
            return Err(Error::invalid(Self::NAME, "notes", "expected at most 2 000 characters"));
        }
        let found = cx.get::<NamedPrompt>(&prompt.name).await?;
        let expected = found.as_ref().map_or(Expected::Absent, |row| Expected::Rev(row.rev));
        let mut head = found.map(|row| row.body).unwrap_or_default();
        let kind = PromptKind::of(&prompt);
        if head.latest > 0 && head.kind != kind {
            let why = "a prompt stays text or chat: take another name";
            return Err(Error::new(ErrorKind::Conflict, Self::NAME, why).with_code("kind_changed"));
        }
        prompt.version = head.latest + 1;
        prompt.check().map_err(|error| error.for_operation(Self::NAME))?;
        (head.id, head.kind) = (prompt.name.clone(), kind);
        head.draft = Some(PromptDraft { prompt, notes, author: cx.label().to_owned(), at: cx.now() });
        cx.concern(<NamedPrompt as crate::store::Record>::KIND, &head.id);
        cx.put(&head, expected)?;
        Ok(head)
    }

    fn examples() -> Vec<Self> {
        let prompt = Prompt::new("mail/subject", 1, "Write a subject line about {{ topic }}.")
            .var(PromptVar::required("topic", VarKind::Text))
            .offline_template("{{ pick(['New', 'Now here']) }}: {{ topic }}");
        vec![PutPrompt { prompt, notes: "shorter".into() }]
    }
}

/// Makes the draft of a prompt its next version, which never changes. The label `latest` names it from then on; no other
/// label moves.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishPrompt {
    /// Name of the prompt.
    pub name: String,
}

impl Operation for PublishPrompt {
    type Output = PromptVersion;
    const NAME: &'static str = "prompts.publish";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Idempotent;
    const SINKS: &'static [Sink] = &[Sink::MemoryWrite];
    const RERUNS: u8 = 3;
    const ERRORS: &'static [&'static str] = &["unknown_prompt", "no_draft"];

    async fn run(self, cx: &Scope) -> Result<PromptVersion> {
        library::may_write(cx, &self.name)?;
        let mut head = library::head(cx, Self::NAME, &self.name).await?;
        let Some(draft) = head.body.draft.take() else {
            library::number_of(Self::NAME, &head, &Which::Draft)?;
            return Err(cx.missing("draft"));
        };
        let prompt = Prompt { version: head.latest + 1, ..draft.prompt };
        let version = PromptVersion {
            id: PromptVersion::id_of(&self.name, prompt.version),
            hash: prompt.hash()?,
            prompt,
            author: draft.author,
            at: cx.now(),
            notes: draft.notes,
        };
        head.body.latest = version.prompt.version;
        cx.create(&version)?;
        cx.save(&head)?;
        let data = json!({ "version": version.prompt.version, "hash": version.hash });
        cx.emit(Event::new(cx, "prompt.published", "prompt", &self.name, data))?;
        Ok(version)
    }

    fn examples() -> Vec<Self> {
        vec![PublishPrompt { name: "mail/subject".into() }]
    }
}

/// Removes the draft of a prompt, and the prompt itself when no version of it was ever published.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeletePromptDraft {
    /// Name of the prompt.
    pub name: String,
}

impl Operation for DeletePromptDraft {
    type Output = ();
    const NAME: &'static str = "prompts.delete_draft";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;
    const ERRORS: &'static [&'static str] = &["unknown_prompt"];

    async fn run(self, cx: &Scope) -> Result<()> {
        library::may_write(cx, &self.name)?;
        let mut head = library::head(cx, Self::NAME, &self.name).await?;
        if head.latest == 0 {
            return cx.delete::<NamedPrompt>(&self.name, Expected::Rev(head.rev));
        }
        if head.body.draft.take().is_some() {
            cx.save(&head)?;
        }
        Ok(())
    }

    fn examples() -> Vec<Self> {
        vec![DeletePromptDraft { name: "mail/subject".into() }]
    }
}

/// Moves a label to a version. `production` needs `approve:content` beside the right to write. The move is audited.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LabelPrompt {
    /// Name of the prompt.
    pub name: String,
    /// The label, `[a-z][a-z0-9_-]*`; `latest` and `draft` cannot be moved.
    pub label: String,
    /// The version. Default: the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Operation for LabelPrompt {
    type Output = NamedPrompt;
    const NAME: &'static str = "prompts.label";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Idempotent;
    const SINKS: &'static [Sink] = &[Sink::MemoryWrite];
    const RERUNS: u8 = 3;
    const ERRORS: &'static [&'static str] = &["unknown_prompt", "unknown_version"];

    async fn run(self, cx: &Scope) -> Result<NamedPrompt> {
        let LabelPrompt { name, label, version, reason } = self;
        library::check_label(Self::NAME, &label)?;
        if label == LATEST || label == DRAFT {
            return Err(Error::invalid(Self::NAME, "label", "expected a label of your own or `production`"));
        }
        library::may_label(cx, &name, &label)?;
        let mut head = library::head(cx, Self::NAME, &name).await?;
        let which = version.map_or_else(|| Which::Label(LATEST.to_owned()), Which::Number);
        let to = library::number_of(Self::NAME, &head, &which)?;
        if head.labels.get(&label) != Some(&to) {
            let from = head.labels.get(&label).copied();
            head.body.move_label(cx, &label, to, false, reason.as_deref());
            tell(cx, &name, &label, from, to)?;
            cx.save(&head)?;
        }
        Ok(head.body)
    }

    fn examples() -> Vec<Self> {
        let (name, label) = ("mail/subject".into(), PRODUCTION.into());
        vec![LabelPrompt { name, label, version: Some(3), reason: Some("won its test".into()) }]
    }
}

/// Takes the last move of a label back: it names the version it named before. The move is audited.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RollbackPrompt {
    /// Name of the prompt.
    pub name: String,
    /// The label. Default: `production`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Operation for RollbackPrompt {
    type Output = NamedPrompt;
    const NAME: &'static str = "prompts.rollback";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    // A second call takes one more move back: who repeats a call gives it a key.
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;
    const ERRORS: &'static [&'static str] = &["unknown_prompt", "unknown_label", "nothing_to_roll_back"];

    async fn run(self, cx: &Scope) -> Result<NamedPrompt> {
        let label = self.label.unwrap_or_else(|| PRODUCTION.to_owned());
        library::may_label(cx, &self.name, &label)?;
        let mut head = library::head(cx, Self::NAME, &self.name).await?;
        let now = library::number_of(Self::NAME, &head, &Which::Label(label.clone()))?;
        let Some(to) = before(&head, &label) else {
            let why = "the label has named no other version before: move it with prompts.label";
            return Err(Error::new(ErrorKind::Conflict, Self::NAME, why)
                .with_code("nothing_to_roll_back")
                .with_context("label", label));
        };
        head.body.move_label(cx, &label, to, true, self.reason.as_deref());
        tell(cx, &self.name, &label, Some(now), to)?;
        cx.save(&head)?;
        Ok(head.body)
    }

    fn examples() -> Vec<Self> {
        vec![RollbackPrompt { name: "mail/subject".into(), label: None, reason: Some("clicks fell".into()) }]
    }
}

/// The version that a label named before the last move that was not taken back.
fn before(head: &NamedPrompt, label: &str) -> Option<u32> {
    let mut stack: Vec<Option<u32>> = Vec::new();
    for step in head.moves.iter().filter(|step| step.label == label) {
        if step.is_rollback {
            stack.pop();
        } else {
            stack.push(step.from);
        }
    }
    stack.pop().flatten()
}

/// Audits a move and tells of it.
pub(super) fn tell(cx: &Scope, name: &str, label: &str, from: Option<u32>, to: u32) -> Result<()> {
    let (old, new) = (from.map(|n| format!("{label}={n}")), format!("{label}={to}"));
    cx.note(
        AuditDraft::of(cx, "prompt.label_moved", Outcome::Ok)
            .on("prompt", name)
            .changed(old.as_deref(), Some(&new)),
    )?;
    let data = json!({ "label": label, "from": from, "to": to });
    cx.emit(Event::new(cx, "prompt.label_moved", "prompt", name, data))
}
