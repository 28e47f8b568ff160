//! What versions of prompts brought, and what their tests say.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::analyse::{Arm, is_broken_split, split_p, winner};
use super::experiment::{ExperimentStatus, PromptExperiment, PromptExposure, of_prompt};
use super::library::{self, PromptVersion, Which};
use crate::op::{Effect, Operation};
use crate::permission::Permission;
use crate::store::{Expected, Index, Key, Query, Record};
use crate::{Error, Faults, Result, Scope};

/// Rows read at once.
const PAGE: usize = 500;
/// Least exposures of each variant, least time, and the chance of a false winner.
// growth.md 8: min_sample 100, min_days 7, alpha 0.05.
const LEAST_SHOWN: u64 = 100;
const LEAST_TIME: Duration = Duration::from_secs(7 * 86_400);
const ALPHA: f64 = 0.05;

/// What one version of a prompt brought so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PromptStat {
    /// Name and number of the version.
    pub id: String,
    /// The prompt.
    pub prompt: String,
    /// The version.
    pub version: u32,
    /// How often it was used.
    pub runs: u64,
    /// Of these, with success.
    pub success: u64,
    /// Of these, with a score.
    pub scored: u64,
    /// Mean of the scores; 0 while there is none.
    pub score_mean: f64,
    /// What models cost, in micros. Uses of several currencies are not for one sum: the currency of the first holds.
    pub cost_micros: u64,
    /// Currency of the cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Sum of the times, in milliseconds.
    pub latency_ms: u64,
    /// Conversions.
    pub conversions: u64,
    /// Times that somebody saw what it made.
    pub impressions: u64,
}

impl Record for PromptStat {
    const KIND: &'static str = "prompt_stat";
    const INDEXES: &'static [Index] = &[Index::on("prompt")];
    fn id(&self) -> &str {
        &self.id
    }
    fn keys(&self) -> Vec<Option<Key>> {
        vec![Some(Key::text(&self.prompt).and_int(i64::from(self.version)))]
    }
}

/// Adds what one use of a prompt brought. With a `unit` and a running test on the label, the unit's exposure is stored
/// at the first time with its propensity, and success or a conversion counts for its variant once.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RecordPromptUse {
    /// The version, as it was asked for: `name@label` or `name@3`.
    pub reference: String,
    /// The version that was used, when the label may have moved since. Default: what the reference means now, and for a
    /// unit of a running test its variant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Who or what it was for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// How many uses this is, 0 or 1: 0 adds a later outcome. Default: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs: Option<u32>,
    /// Whether it did what it was for.
    pub is_success: bool,
    /// How good it was, 0..=1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// What models cost, in micros of `currency`.
    pub cost_micros: u64,
    /// ISO 4217 code of the cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// How long it took, in milliseconds.
    pub latency_ms: u64,
    /// Conversions it led to.
    pub conversions: u32,
    /// Times that somebody saw what it made.
    pub impressions: u32,
}

impl Operation for RecordPromptUse {
    type Output = PromptStat;
    const NAME: &'static str = "prompts.record";
    const NEEDS: &'static [Permission] = &[Permission::WriteContent];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 10;
    const ERRORS: &'static [&'static str] = &["unknown_prompt", "unknown_label", "unknown_version"];

    async fn run(self, cx: &Scope) -> Result<PromptStat> {
        let mut faults = Faults::new();
        faults.check(self.score.is_none_or(|s| (0.0..=1.0).contains(&s)), "score", "expected 0 to 1");
        faults.check(self.runs.is_none_or(|n| n <= 1), "runs", "expected 0 or 1");
        let is_priced = self.cost_micros == 0 || self.currency.is_some();
        faults.check(is_priced, "currency", "expected the currency of the cost");
        faults.into_result(Self::NAME)?;
        let (name, which) = library::parse(Self::NAME, &self.reference)?;
        let head = library::head(cx, Self::NAME, &name).await?;
        let exposed = self.expose(cx, &name, &which).await?;
        let version = match (self.version, exposed) {
            (Some(used), _) => library::number_of(Self::NAME, &head, &Which::Number(used))?,
            (None, Some(version)) => version,
            (None, None) => library::number_of(Self::NAME, &head, &which)?,
        };
        let id = PromptVersion::id_of(&name, version);
        let found = cx.get::<PromptStat>(&id).await?;
        let expected = found.as_ref().map_or(Expected::Absent, |row| Expected::Rev(row.rev));
        let fresh = || PromptStat { id: id.clone(), prompt: name.clone(), version, ..PromptStat::default() };
        let mut stat = found.map_or_else(fresh, |row| row.body);
        self.add_to(&mut stat)?;
        cx.put(&stat, expected)?;
        Ok(stat)
    }

    fn examples() -> Vec<Self> {
        let (reference, unit) =
            ("mail/subject@production".into(), Some("per_01kaf3w0000000000000000000".into()));
        vec![RecordPromptUse { reference, unit, is_success: true, impressions: 1, ..Self::default() }]
    }
}

impl RecordPromptUse {
    fn add_to(&self, stat: &mut PromptStat) -> Result<()> {
        stat.runs += u64::from(self.runs.unwrap_or(1));
        stat.success += u64::from(self.is_success);
        if let Some(score) = self.score {
            stat.scored += 1;
            stat.score_mean += (score - stat.score_mean) / stat.scored as f64;
        }
        if self.cost_micros > 0 {
            if stat.currency.is_some() && stat.currency != self.currency {
                let why = "expected the currency of the uses before";
                return Err(Error::invalid(Self::NAME, "currency", why));
            }
            stat.currency.clone_from(&self.currency);
            stat.cost_micros += self.cost_micros;
        }
        stat.latency_ms += self.latency_ms;
        stat.conversions += u64::from(self.conversions);
        stat.impressions += u64::from(self.impressions);
        Ok(())
    }

    /// Stores the first exposure of the unit, or its first hit; gives the version of its variant.
    async fn expose(&self, cx: &Scope, name: &str, which: &Which) -> Result<Option<u32>> {
        let Some(unit) = &self.unit else { return Ok(None) };
        let assigned = super::experiment::assign(cx, name, which, unit).await?;
        // Who used another version than this test gives has not met its variant.
        let is_used = |version| self.version.is_none_or(|used| used == version);
        let Some(assigned) = assigned.filter(|assigned| is_used(assigned.version)) else { return Ok(None) };
        let hash = crate::store_hex(cx.sealer().blind("prompt.unit", unit).get(..16).unwrap_or_default());
        let id = format!("{}/{hash}", assigned.experiment);
        let is_hit = self.is_success || self.conversions > 0;
        match cx.get::<PromptExposure>(&id).await? {
            None => cx.create(&PromptExposure {
                id,
                experiment: assigned.experiment,
                variant: assigned.variant,
                propensity: assigned.propensity,
                is_hit,
                at: cx.now(),
            })?,
            Some(mut row) if is_hit && !row.is_hit => {
                row.body.is_hit = true;
                cx.save(&row)?;
            }
            Some(_) => {}
        }
        Ok(Some(assigned.version))
    }
}

/// One variant of a report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VariantReport {
    /// The label or number it was named by.
    pub to: String,
    /// The version.
    pub version: u32,
    /// Its share.
    pub weight: f64,
    /// Units that met it.
    pub shown: u64,
    /// Of these, with a success or conversion.
    pub hits: u64,
}

/// What a test says so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExperimentReport {
    /// Its key.
    pub key: String,
    /// Where it stands.
    pub status: ExperimentStatus,
    /// Its variants.
    pub variants: Vec<VariantReport>,
    /// The chance of a split so uneven under the weights; absent below 100 exposures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split_p: Option<f64>,
    /// True when that chance is below 0.001: something is wrong with the test, and no winner is named.
    pub is_split_broken: bool,
    /// The variant that won; absent while none has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub winner: Option<String>,
    /// Why, or why not yet: `decided`, `split_broken`, `min_sample`, `min_days`, `no_difference`.
    pub reason: String,
}

/// What the versions of a prompt brought, and what its tests say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PromptFigures {
    /// By version, oldest first.
    pub versions: Vec<PromptStat>,
    /// Its last 20 tests, newest first.
    pub experiments: Vec<ExperimentReport>,
}

/// Gives the figures of a prompt.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromptStats {
    /// Name of the prompt.
    pub name: String,
}

impl Operation for PromptStats {
    type Output = PromptFigures;
    const NAME: &'static str = "prompts.stats";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Read;
    const ERRORS: &'static [&'static str] = &["unknown_prompt"];

    async fn run(self, cx: &Scope) -> Result<PromptFigures> {
        library::head(cx, Self::NAME, &self.name).await?;
        let query = Query::index("prompt").prefix(Key::text(&self.name)).descending().limit(PAGE);
        let mut versions: Vec<PromptStat> =
            cx.query::<PromptStat>(&query).await?.into_iter().map(|row| row.body).collect();
        versions.reverse();
        let mut experiments = Vec::new();
        for experiment in of_prompt(cx, &self.name).await? {
            experiments.push(report(cx, experiment).await?);
        }
        Ok(PromptFigures { versions, experiments })
    }

    fn examples() -> Vec<Self> {
        vec![PromptStats { name: "mail/subject".into() }]
    }
}

async fn report(cx: &Scope, experiment: PromptExperiment) -> Result<ExperimentReport> {
    let mut arms = Vec::with_capacity(experiment.variants.len());
    for at in 0..experiment.variants.len() {
        let key = Key::text(&experiment.id).and_int(i64::try_from(at).unwrap_or(i64::MAX));
        let all = Query::index("variant").prefix(key.clone());
        let hits = Query::index("variant").equals(key.and_int(1));
        let shown = cx.count::<PromptExposure>(&all).await?;
        arms.push(Arm { shown, hits: cx.count::<PromptExposure>(&hits).await? });
    }
    let weights: Vec<f64> = experiment.variants.iter().map(|v| v.weight).collect();
    let counts: Vec<u64> = arms.iter().map(|arm| arm.shown).collect();
    let p = split_p(&counts, &weights);
    let end = experiment.stopped_at.unwrap_or_else(|| cx.now());
    let (won, reason) = if is_broken_split(p) {
        (None, "split_broken")
    } else if counts.iter().any(|n| *n < LEAST_SHOWN) {
        (None, "min_sample")
    } else if end.since(experiment.started_at) < LEAST_TIME {
        (None, "min_days")
    } else {
        winner(&arms, ALPHA).map_or((None, "no_difference"), |at| (Some(at), "decided"))
    };
    let variants = experiment.variants.iter().zip(&arms).map(|(variant, arm)| VariantReport {
        to: variant.to.clone(),
        version: variant.version,
        weight: variant.weight,
        shown: arm.shown,
        hits: arm.hits,
    });
    Ok(ExperimentReport {
        variants: variants.collect(),
        winner: won.and_then(|at| experiment.variants.get(at)).map(|variant| variant.to.clone()),
        key: experiment.id,
        status: experiment.status,
        split_p: p,
        is_split_broken: is_broken_split(p),
        reason: reason.to_owned(),
    })
}
