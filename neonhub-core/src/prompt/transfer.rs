//! Prompts out as JSON and in again, with their versions and labels.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::library::{self, NamedPrompt, PromptKind, PromptVersion};
use super::ops_change::tell;
use super::registry::Prompt;
use crate::op::{Effect, Operation, Sink};
use crate::permission::Permission;
use crate::store::{Expected, Key, Query};
use crate::{Error, ErrorKind, Faults, Result, Scope};

/// The shape of a bundle.
const FORMAT: u32 = 1;
/// Most prompts of one bundle, and versions of one prompt in it.
const MOST_PROMPTS: usize = 200;
const MOST_VERSIONS: usize = 500;

/// One prompt of a bundle.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ExportedPrompt {
    /// Its name.
    pub name: String,
    /// Its versions from 1 on, without gaps.
    pub versions: Vec<PromptVersion>,
    /// The version of each label.
    pub labels: BTreeMap<String, u32>,
}

/// Prompts as they go from one store to another.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PromptBundle {
    /// The shape: 1.
    pub format: u32,
    /// The prompts by name.
    pub prompts: Vec<ExportedPrompt>,
}

/// Gives prompts with all their versions and labels. Drafts, figures and tests stay here.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ExportPrompts {
    /// Their names, 1 to 200.
    pub names: Vec<String>,
}

impl Operation for ExportPrompts {
    type Output = PromptBundle;
    const NAME: &'static str = "prompts.export";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Read;
    const SINKS: &'static [Sink] = &[Sink::Export];
    const ERRORS: &'static [&'static str] = &["unknown_prompt"];

    async fn run(self, cx: &Scope) -> Result<PromptBundle> {
        if self.names.is_empty() || self.names.len() > MOST_PROMPTS {
            return Err(Error::invalid(Self::NAME, "names", "expected 1 to 200 names"));
        }
        let mut names = self.names;
        names.sort();
        names.dedup();
        let mut prompts = Vec::with_capacity(names.len());
        for name in names {
            let head = library::head(cx, Self::NAME, &name).await?.body;
            let query = Query::index("prompt").prefix(Key::text(&name)).limit(MOST_VERSIONS + 1);
            let rows = cx.query::<PromptVersion>(&query).await?;
            if rows.len() > MOST_VERSIONS {
                let why = "the prompt has more than 500 versions: take the store's own export";
                return Err(Error::new(ErrorKind::Unsupported, Self::NAME, why).with_context("prompt", name));
            }
            let versions = rows.into_iter().map(|row| row.body).collect();
            prompts.push(ExportedPrompt { name, versions, labels: head.labels });
        }
        Ok(PromptBundle { format: FORMAT, prompts })
    }

    fn examples() -> Vec<Self> {
        vec![ExportPrompts { names: vec!["mail/subject".into()] }]
    }
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImportedPrompts {
    /// Versions that were new.
    pub versions: u32,
    /// Labels that moved.
    pub labels: u32,
    /// Versions that were there already.
    pub known: u32,
}

/// Takes in what `prompts.export` gave. Doing it again changes nothing; a number that holds another prompt here is a
/// conflict, and then nothing is taken in. A bundle that moves `production` needs `approve:content`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportPrompts {
    /// The bundle.
    pub bundle: PromptBundle,
}

impl Operation for ImportPrompts {
    type Output = ImportedPrompts;
    const NAME: &'static str = "prompts.import";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Idempotent;
    const SINKS: &'static [Sink] = &[Sink::MemoryWrite];
    const RERUNS: u8 = 3;
    const MAX_INPUT: usize = 32 << 20;
    const ERRORS: &'static [&'static str] = &["version_taken"];

    async fn run(self, cx: &Scope) -> Result<ImportedPrompts> {
        check(&self.bundle)?;
        let mut done = ImportedPrompts::default();
        for prompt in self.bundle.prompts {
            take(cx, prompt, &mut done).await?;
        }
        Ok(done)
    }

    fn examples() -> Vec<Self> {
        let prompt = Prompt::new("mail/subject", 1, "Write a subject line.");
        let version = PromptVersion {
            id: "mail/subject@1".into(),
            hash: prompt.hash().unwrap_or_default(),
            prompt,
            author: "user:ada".into(),
            at: crate::Timestamp::from_millis(1_796_000_000_000),
            notes: String::new(),
        };
        let labels = [("production".to_owned(), 1)].into();
        let exported = ExportedPrompt { name: "mail/subject".into(), versions: vec![version], labels };
        vec![ImportPrompts { bundle: PromptBundle { format: FORMAT, prompts: vec![exported] } }]
    }
}

fn check(bundle: &PromptBundle) -> Result<()> {
    const OPERATION: &str = ImportPrompts::NAME;
    let mut faults = Faults::new();
    faults.check(bundle.format == FORMAT, "bundle.format", "expected 1");
    faults.check(bundle.prompts.len() <= MOST_PROMPTS, "bundle.prompts", "expected at most 200");
    for (i, exported) in bundle.prompts.iter().enumerate() {
        let field = format!("bundle.prompts[{i}]");
        let is_first = !bundle.prompts.iter().take(i).any(|p| p.name == exported.name);
        faults.check(is_first, format!("{field}.name"), "expected each prompt once");
        let named = library::check_name(OPERATION, &exported.name);
        faults.check(named.is_ok(), format!("{field}.name"), "expected the name of a prompt");
        let count = exported.versions.len();
        faults.check((1..=MOST_VERSIONS).contains(&count), format!("{field}.versions"), "expected 1 to 500");
        for (j, version) in exported.versions.iter().enumerate() {
            let field = format!("{field}.versions[{j}]");
            let prompt = &version.prompt;
            let fits = prompt.name == exported.name && usize::try_from(prompt.version) == Ok(j + 1);
            faults.check(fits, &*field, "expected the versions of the prompt from 1 on without gaps");
            let is_whole = prompt.hash().is_ok_and(|hash| hash == version.hash);
            faults.check(
                is_whole,
                format!("{field}.hash"),
                "expected the hash of the prompt: the bundle was changed",
            );
            if let Err(error) = prompt.check() {
                faults.push(format!("{field}.prompt"), error.message());
            }
        }
        for (label, number) in &exported.labels {
            let fits = library::check_label(OPERATION, label).is_ok()
                && usize::try_from(*number).is_ok_and(|n| (1..=count).contains(&n));
            faults.check(fits, format!("{field}.labels.{label}"), "expected a label of one of the versions");
        }
    }
    faults.into_result(OPERATION)
}

async fn take(cx: &Scope, exported: ExportedPrompt, done: &mut ImportedPrompts) -> Result<()> {
    library::may_write(cx, &exported.name)?;
    let found = cx.get::<NamedPrompt>(&exported.name).await?;
    let expected = found.as_ref().map_or(Expected::Absent, |row| Expected::Rev(row.rev));
    let before = found.map(|row| row.body).unwrap_or_default();
    let mut head = before.clone();
    head.id.clone_from(&exported.name);
    for version in exported.versions {
        let number = version.prompt.version;
        head.kind = PromptKind::of(&version.prompt);
        let id = PromptVersion::id_of(&exported.name, number);
        match cx.get::<PromptVersion>(&id).await? {
            Some(known) if known.hash == version.hash => done.known += 1,
            Some(_) => {
                let why = "a version of this number holds another prompt here: nothing was taken in";
                return Err(Error::new(ErrorKind::Conflict, ImportPrompts::NAME, why)
                    .with_code("version_taken")
                    .with_context("version", id));
            }
            None => {
                cx.create(&PromptVersion { id, ..version })?;
                done.versions += 1;
            }
        }
        head.latest = head.latest.max(number);
    }
    for (label, number) in exported.labels {
        let from = head.labels.get(&label).copied();
        if from == Some(number) {
            continue;
        }
        library::may_label(cx, &exported.name, &label)?;
        head.move_label(cx, &label, number, false, Some("import"));
        tell(cx, &exported.name, &label, from, number)?;
        done.labels += 1;
    }
    // A draft was written for the number that was free then.
    if let Some(draft) = &mut head.draft {
        draft.prompt.version = head.latest + 1;
    }
    if head != before { cx.put(&head, expected) } else { Ok(()) }
}
