//! Tests of prompts against one another: deterministic assignment, exposures with their propensity, a decision by rule.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::analyse::{bucket, choose};
use super::library::{self, LATEST, Which};
use crate::bus::Event;
use crate::op::{Effect, Operation};
use crate::permission::Permission;
use crate::store::{Index, Key, Query, Record, Stored};
use crate::{Error, ErrorKind, Faults, Result, Scope, Timestamp};

/// Most variants of one experiment.
const MOST_VARIANTS: usize = 20;

/// Where an experiment stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExperimentStatus {
    /// Units are assigned.
    #[default]
    Running,
    /// It is over.
    Stopped,
}

/// A variant of an experiment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PromptVariant {
    /// A label or the number of a version: `production`, `4`.
    pub to: String,
    /// Its share, above 0; all shares make 1.
    pub weight: f64,
    /// The version it was when the experiment began. Not read on input.
    pub version: u32,
}

/// A test of versions of one prompt. Variants and weights are pinned when it begins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PromptExperiment {
    /// Its key.
    pub id: String,
    /// The prompt.
    pub prompt: String,
    /// The label whose users take part.
    pub label: String,
    /// The variants, the control first.
    pub variants: Vec<PromptVariant>,
    /// The share of units that take part, above 0 to 1.
    pub coverage: f64,
    /// Where it stands.
    pub status: ExperimentStatus,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_at: Option<Timestamp>,
}

impl Record for PromptExperiment {
    const KIND: &'static str = "prompt_experiment";
    const INDEXES: &'static [Index] = &[Index::on("prompt"), Index::unique("running")];
    fn id(&self) -> &str {
        &self.id
    }
    fn keys(&self) -> Vec<Option<Key>> {
        let running = self.status == ExperimentStatus::Running;
        vec![
            Some(Key::text(&self.prompt).and_time(self.started_at)),
            running.then(|| Key::text(&self.prompt).and_text(&self.label)),
        ]
    }
}

/// The first time a unit met its variant. The unit is kept as a keyed hash.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PromptExposure {
    /// Experiment and hash of the unit.
    pub id: String,
    /// The experiment.
    pub experiment: String,
    /// Index of the variant.
    pub variant: u32,
    /// The chance with which the unit got it, 0..=1.
    pub propensity: f64,
    /// True once a success or conversion was recorded for the unit.
    pub is_hit: bool,
    /// When.
    pub at: Timestamp,
}

impl Record for PromptExposure {
    const KIND: &'static str = "prompt_exposure";
    const INDEXES: &'static [Index] = &[Index::on("variant")];
    fn id(&self) -> &str {
        &self.id
    }
    fn keys(&self) -> Vec<Option<Key>> {
        let variant = Key::text(&self.experiment).and_int(i64::from(self.variant));
        vec![Some(variant.and_int(i64::from(self.is_hit)))]
    }
}

/// A variant that a unit gets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Assigned {
    /// The experiment.
    pub experiment: String,
    /// Index of the variant, from 0.
    pub variant: u32,
    /// The version.
    pub version: u32,
    /// The chance with which the unit got it, 0..=1.
    pub propensity: f64,
}

impl PromptExperiment {
    /// The variant of a unit: the same for ever. None outside of the coverage and for an empty unit.
    #[must_use]
    pub fn assign(&self, unit: &str) -> Option<Assigned> {
        let weights: Vec<f64> = self.variants.iter().map(|v| v.weight).collect();
        let at = choose(&weights, self.coverage, bucket(&self.id, unit)).filter(|_| !unit.is_empty())?;
        let variant = self.variants.get(at)?;
        Some(Assigned {
            experiment: self.id.clone(),
            variant: u32::try_from(at).ok()?,
            version: variant.version,
            propensity: variant.weight,
        })
    }
}

/// The variant of a unit that asks for a label of a prompt.
pub(super) async fn assign(cx: &Scope, name: &str, which: &Which, unit: &str) -> Result<Option<Assigned>> {
    let Which::Label(label) = which else { return Ok(None) };
    let found = cx.find::<PromptExperiment>("running", Key::text(name).and_text(label)).await?;
    Ok(found.and_then(|experiment| experiment.assign(unit)))
}

/// Begins a test of versions of a prompt: who asks `prompts.get` for the label with a `unit` gets its variant. One test
/// runs on a label at a time. A label as a variant is pinned to the version it names now.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StartPromptExperiment {
    /// Its key, 1 to 200 bytes; units are assigned by it.
    pub key: String,
    /// Name of the prompt.
    pub prompt: String,
    /// The label whose users take part. Default: `production`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The variants, the control first, 2 to 20.
    pub variants: Vec<PromptVariant>,
    /// The share of units that take part, above 0 to 1. Default: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage: Option<f64>,
}

impl StartPromptExperiment {
    fn check(&self) -> Result<()> {
        let mut faults = Faults::new();
        faults.check((1..=200).contains(&self.key.len()), "key", "expected 1 to 200 bytes");
        let count = self.variants.len();
        faults.check((2..=MOST_VARIANTS).contains(&count), "variants", "expected 2 to 20 variants");
        for (i, variant) in self.variants.iter().enumerate() {
            let fits = variant.weight > 0.0 && variant.weight <= 1.0;
            faults.check(fits, format!("variants[{i}].weight"), "expected above 0, up to 1");
            let is_first = !self.variants.iter().take(i).any(|v| v.to == variant.to);
            faults.check(is_first, format!("variants[{i}].to"), "expected each variant once");
        }
        let sum: f64 = self.variants.iter().map(|v| v.weight).sum();
        faults.check((sum - 1.0).abs() <= 0.01, "variants", "expected weights that make 1 together");
        let covered = self.coverage.is_none_or(|c| c > 0.0 && c <= 1.0);
        faults.check(covered, "coverage", "expected above 0, up to 1");
        faults.into_result(Self::NAME)
    }
}

impl Operation for StartPromptExperiment {
    type Output = PromptExperiment;
    const NAME: &'static str = "prompts.experiment_start";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Idempotent;
    const ERRORS: &'static [&'static str] =
        &["unknown_prompt", "unknown_label", "unknown_version", "experiment_running", "experiment_exists"];

    async fn run(self, cx: &Scope) -> Result<PromptExperiment> {
        self.check()?;
        let label = self.label.unwrap_or_else(|| library::PRODUCTION.to_owned());
        library::check_label(Self::NAME, &label)?;
        library::may_label(cx, &self.prompt, &label)?;
        let head = library::head(cx, Self::NAME, &self.prompt).await?;
        if label != LATEST {
            library::number_of(Self::NAME, &head, &Which::Label(label.clone()))?;
        }
        let conflict = |code: &'static str, why: &'static str| {
            Err(Error::new(ErrorKind::Conflict, Self::NAME, why).with_code(code))
        };
        if cx.get::<PromptExperiment>(&self.key).await?.is_some() {
            return conflict(
                "experiment_exists",
                "this key was used before: units would carry over, take a new key",
            );
        }
        let place = Key::text(&self.prompt).and_text(&label);
        if cx.find::<PromptExperiment>("running", place).await?.is_some() {
            return conflict("experiment_running", "another test runs on this label: stop it first");
        }
        let mut variants = self.variants;
        for variant in &mut variants {
            let (_, which) = library::parse(Self::NAME, &format!("{}@{}", self.prompt, variant.to))?;
            variant.version = library::number_of(Self::NAME, &head, &which)?;
        }
        let experiment = PromptExperiment {
            id: self.key,
            prompt: self.prompt,
            label,
            variants,
            coverage: self.coverage.unwrap_or(1.0),
            status: ExperimentStatus::Running,
            started_at: cx.now(),
            stopped_at: None,
        };
        cx.create(&experiment)?;
        let data = json!({ "prompt": experiment.prompt, "label": experiment.label });
        cx.emit(Event::new(cx, "prompt.experiment_started", "prompt_experiment", &experiment.id, data))?;
        Ok(experiment)
    }

    fn examples() -> Vec<Self> {
        let variant = |to: &str, weight| PromptVariant { to: to.into(), weight, version: 0 };
        vec![StartPromptExperiment {
            key: "subject-2026-11".into(),
            prompt: "mail/subject".into(),
            variants: vec![variant("production", 0.5), variant("4", 0.5)],
            ..Self::default()
        }]
    }
}

/// Ends a test. Everybody gets the version of the label again; to keep a winner, move the label to it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StopPromptExperiment {
    /// Its key.
    pub key: String,
}

impl Operation for StopPromptExperiment {
    type Output = PromptExperiment;
    const NAME: &'static str = "prompts.experiment_stop";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;

    async fn run(self, cx: &Scope) -> Result<PromptExperiment> {
        let mut row: Stored<PromptExperiment> = cx.need(&self.key).await?;
        library::may_label(cx, &row.prompt, &row.label)?;
        if row.status == ExperimentStatus::Running {
            row.body.status = ExperimentStatus::Stopped;
            row.body.stopped_at = Some(cx.now());
            cx.save(&row)?;
            let data = json!({ "prompt": row.prompt });
            cx.emit(Event::new(cx, "prompt.experiment_stopped", "prompt_experiment", &row.id, data))?;
        }
        Ok(row.body)
    }

    fn examples() -> Vec<Self> {
        vec![StopPromptExperiment { key: "subject-2026-11".into() }]
    }
}

/// The last experiments of a prompt, newest first.
pub(super) async fn of_prompt(cx: &Scope, name: &str) -> Result<Vec<PromptExperiment>> {
    let query = Query::index("prompt").prefix(Key::text(name)).descending().limit(20);
    Ok(cx.query::<PromptExperiment>(&query).await?.into_iter().map(|row| row.body).collect())
}
