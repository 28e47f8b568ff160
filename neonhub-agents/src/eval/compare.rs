//! Whether one run is better than another, and whether a run may pass.

use std::collections::BTreeMap;

use neonhub_core::op::{Effect, Operation};
use neonhub_core::{Error, Faults, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::model::{CaseResult, EvalRun};
use super::stats::{Interval, Verdict, interval, verdict};

/// Compares two runs over the cases that are the same in both: mean difference of the scores with a paired bootstrap
/// interval of 95 % (10 000 seeded draws). While 0 lies inside, none is called better.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CompareEvals {
    /// The run to compare with.
    pub baseline: String,
    /// The run that is to be better.
    pub candidate: String,
    /// Seed of the draws. Default: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

/// One case in both runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CaseChange {
    /// The case.
    pub case: String,
    /// Its score in the baseline.
    pub baseline: f64,
    /// Its score in the candidate.
    pub candidate: f64,
    /// Whether it passed in the baseline.
    pub was_passed: bool,
    /// Whether it passes in the candidate.
    pub is_passed: bool,
}

/// What a comparison says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// Whether the candidate is better.
    pub verdict: Verdict,
    /// Candidate minus baseline over the pairs.
    pub difference: Interval,
    /// Pairs that were compared.
    pub pairs: u32,
    /// Cases whose score or outcome changed, the worst change first.
    pub changed: Vec<CaseChange>,
    /// Cases that are in one run only, that changed in between, or that a model gave no answer to.
    pub unpaired: Vec<String>,
    /// Candidate minus baseline, in micros by currency.
    pub cost_micros: BTreeMap<String, i64>,
    /// Candidate minus baseline.
    pub tokens: i64,
}

impl Operation for CompareEvals {
    type Output = Comparison;
    const NAME: &'static str = "evals.compare";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<Comparison> {
        let baseline = cx.need::<EvalRun>(&self.baseline).await?.body;
        let candidate = cx.need::<EvalRun>(&self.candidate).await?.body;
        if baseline.agent != candidate.agent {
            let why = "expected runs of one agent";
            return Err(Error::invalid(Self::NAME, "candidate", why));
        }
        Ok(compare(&baseline, &candidate, self.seed.unwrap_or(1)))
    }

    fn examples() -> Vec<Self> {
        let id = |last: char| format!("evr_01kaf3w000000000000000000{last}");
        vec![CompareEvals { baseline: id('0'), candidate: id('1'), seed: None }]
    }
}

/// Compares two runs by case.
pub(super) fn compare(baseline: &EvalRun, candidate: &EvalRun, seed: u64) -> Comparison {
    let old: BTreeMap<&str, &CaseResult> = baseline.results.iter().map(|r| (r.case.as_str(), r)).collect();
    let new: BTreeMap<&str, &CaseResult> = candidate.results.iter().map(|r| (r.case.as_str(), r)).collect();
    let (mut pairs, mut unpaired) = (Vec::new(), Vec::new());
    for (name, now) in &new {
        match old.get(name) {
            Some(was) if was.hash == now.hash && !was.is_broken && !now.is_broken => pairs.push((*was, *now)),
            _ => unpaired.push((*name).to_owned()),
        }
    }
    unpaired.extend(old.keys().filter(|name| !new.contains_key(*name)).map(|name| (*name).to_owned()));
    let differences: Vec<f64> = pairs.iter().map(|(was, now)| now.score - was.score).collect();
    let difference = interval(&differences, seed);
    let mut changed: Vec<CaseChange> = pairs
        .iter()
        .filter(|(was, now)| was.score != now.score || was.is_passed != now.is_passed)
        .map(|(was, now)| CaseChange {
            case: now.case.clone(),
            baseline: was.score,
            candidate: now.score,
            was_passed: was.is_passed,
            is_passed: now.is_passed,
        })
        .collect();
    changed.sort_by(|a, b| (a.candidate - a.baseline).total_cmp(&(b.candidate - b.baseline)));
    let tokens =
        |run: &EvalRun| i64::try_from(run.results.iter().map(|r| r.tokens).sum::<u64>()).unwrap_or(i64::MAX);
    Comparison {
        verdict: verdict(&difference, pairs.len()),
        difference,
        pairs: u32::try_from(pairs.len()).unwrap_or(u32::MAX),
        changed,
        unpaired,
        cost_micros: cost_change(baseline, candidate),
        tokens: tokens(candidate) - tokens(baseline),
    }
}

fn cost_change(baseline: &EvalRun, candidate: &EvalRun) -> BTreeMap<String, i64> {
    let mut change: BTreeMap<String, i64> = BTreeMap::new();
    for (run, sign) in [(candidate, 1), (baseline, -1)] {
        for (currency, micros) in &run.cost_micros {
            *change.entry(currency.clone()).or_default() += sign * i64::try_from(*micros).unwrap_or(i64::MAX);
        }
    }
    change
}

/// Says whether a run may pass, for a pipeline: `exit_code` is 0 when every bound holds and 1 when one is broken. At least
/// one bound is to be given.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GateEvals {
    /// The run.
    pub run: String,
    /// Least mean score, 0..=1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_score: Option<f64>,
    /// Least lower bound of the mean score, 0..=1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_score_lo: Option<f64>,
    /// Least share of cases that pass, 0..=1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_pass_rate: Option<f64>,
    /// Most questions that nothing was recorded for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_misses: Option<u32>,
    /// Most micros of any one currency; a run with calls of unknown price breaks it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cost_micros: Option<u64>,
    /// Tags whose cases must all pass, and of which there must be one: `security`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub all_pass: Vec<String>,
    /// The run to compare with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<String>,
    /// With a baseline: the lower bound of the difference may not be below minus this, 0..=1. Default: 0.05.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_drop: Option<f64>,
    /// With a baseline: whether the candidate must be better, beyond doubt.
    pub must_be_better: bool,
}

/// One bound.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GateBound {
    /// Its word: `min_score`.
    pub bound: String,
    /// What is wanted.
    pub wanted: f64,
    /// What was found.
    pub found: f64,
    /// Whether it holds.
    pub is_ok: bool,
    /// Which cases break it, where it is about cases.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cases: Vec<String>,
}

/// Whether a run may pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GateAnswer {
    /// Whether every bound holds.
    pub is_ok: bool,
    /// For the process of a pipeline: 0 or 1.
    pub exit_code: u8,
    /// The bounds in the order they are declared in.
    pub bounds: Vec<GateBound>,
}

/// Default of `max_drop`.
// Ours: a loss of one case in twenty.
const MAX_DROP: f64 = 0.05;

impl Operation for GateEvals {
    type Output = GateAnswer;
    const NAME: &'static str = "evals.gate";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<GateAnswer> {
        self.check()?;
        let run = cx.need::<EvalRun>(&self.run).await?.body;
        let baseline = match &self.baseline {
            Some(id) => Some(cx.need::<EvalRun>(id).await?.body),
            None => None,
        };
        if baseline.as_ref().is_some_and(|baseline| baseline.agent != run.agent) {
            return Err(Error::invalid(Self::NAME, "baseline", "expected a run of the same agent"));
        }
        let bounds = self.bounds(&run, baseline.as_ref());
        let is_ok = bounds.iter().all(|bound| bound.is_ok);
        Ok(GateAnswer { is_ok, exit_code: u8::from(!is_ok), bounds })
    }

    fn examples() -> Vec<Self> {
        vec![GateEvals {
            run: "evr_01kaf3w0000000000000000000".into(),
            min_pass_rate: Some(0.9),
            max_misses: Some(0),
            all_pass: vec!["security".into()],
            ..Self::default()
        }]
    }
}

impl GateEvals {
    fn check(&self) -> Result<()> {
        let mut faults = Faults::new();
        for (value, field) in [
            (self.min_score, "min_score"),
            (self.min_score_lo, "min_score_lo"),
            (self.min_pass_rate, "min_pass_rate"),
            (self.max_drop, "max_drop"),
        ] {
            faults.check(value.is_none_or(|v| (0.0..=1.0).contains(&v)), field, "expected 0 to 1");
        }
        let compares = self.max_drop.is_some() || self.must_be_better;
        faults.check(!compares || self.baseline.is_some(), "baseline", "expected a run to compare with");
        let has_one = self.min_score.is_some()
            || self.min_score_lo.is_some()
            || self.min_pass_rate.is_some()
            || self.max_misses.is_some()
            || self.max_cost_micros.is_some()
            || !self.all_pass.is_empty()
            || self.baseline.is_some();
        faults.check(has_one, "min_score", "expected at least one bound: a gate without one is always open");
        faults.into_result(Self::NAME)
    }

    fn bounds(&self, run: &EvalRun, baseline: Option<&EvalRun>) -> Vec<GateBound> {
        let mut bounds = Vec::new();
        let mut bound = |word: &str, wanted: f64, found: f64, is_ok: bool, cases: Vec<String>| {
            bounds.push(GateBound { bound: word.to_owned(), wanted, found, is_ok, cases });
        };
        let names = |keep: &dyn Fn(&CaseResult) -> bool| {
            run.results.iter().filter(|r| keep(r)).map(|r| r.case.clone()).collect::<Vec<_>>()
        };
        // A case that no model answered was not tried: no run with one passes.
        let broken = names(&|r| r.is_broken);
        bound("answered", 0.0, broken.len() as f64, broken.is_empty(), broken);
        for (word, wanted, found) in [
            ("min_score", self.min_score, run.score.mean),
            ("min_score_lo", self.min_score_lo, run.score.lo),
            ("min_pass_rate", self.min_pass_rate, run.pass_rate),
        ] {
            if let Some(wanted) = wanted {
                let cases = if found >= wanted { Vec::new() } else { names(&|r| !r.is_passed) };
                bound(word, wanted, found, found >= wanted, cases);
            }
        }
        if let Some(most) = self.max_misses {
            let is_ok = run.misses <= most;
            let cases = if is_ok { Vec::new() } else { names(&|r| !r.misses.is_empty()) };
            bound("max_misses", f64::from(most), f64::from(run.misses), is_ok, cases);
        }
        if let Some(most) = self.max_cost_micros {
            let spent = run.cost_micros.values().copied().max().unwrap_or_default();
            let is_ok = spent <= most && run.unpriced == 0;
            bound("max_cost_micros", most as f64, spent as f64, is_ok, Vec::new());
        }
        for tag in &self.all_pass {
            let tagged = run.results.iter().filter(|r| r.tags.contains(tag)).count();
            let failed = names(&|r| r.tags.contains(tag) && !r.is_passed);
            let passed = tagged - failed.len();
            let is_ok = tagged > 0 && failed.is_empty();
            bound(&format!("all_pass {tag}"), tagged.max(1) as f64, passed as f64, is_ok, failed);
        }
        if let Some(baseline) = baseline {
            let found = compare(baseline, run, 1);
            let least = -self.max_drop.unwrap_or(MAX_DROP);
            let lost = found.changed.iter().filter(|c| c.candidate < c.baseline);
            let lost: Vec<String> = lost.map(|c| c.case.clone()).collect();
            let is_ok = found.verdict != Verdict::TooFewCases && found.difference.lo >= least;
            bound("max_drop", least, found.difference.lo, is_ok, if is_ok { Vec::new() } else { lost });
            if self.must_be_better {
                bound(
                    "must_be_better",
                    0.0,
                    found.difference.lo,
                    found.verdict == Verdict::Better,
                    Vec::new(),
                );
            }
        }
        bounds
    }
}
