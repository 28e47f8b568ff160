//! What models are worth to a task, learned from how they did, and the order that follows from it.
//!
//! The worth of a model is a Beta distribution over 0..=1 for each task (the purpose of requests). It begins at the
//! quality of the model table and moves with every answer. An order draws once from each (Thompson, Biometrika 25, 1933)
//! and divides by what the call may cost, so that a model nobody knows much of is tried now and then.

use serde::{Deserialize, Serialize};

use super::plan::{Considered, RoutePlan};
use super::{AttemptNote, Route, Router};
use crate::economy::{self, Left};
use crate::llm::{LlmRequest, StopKind};
use crate::store::{Batch, Expected, Kind, Record, Row, Write};
use crate::{Error, ErrorKind, Result, Rng, Scope};

/// How many answers the quality of the model table counts as. Our choice.
const PRIOR: f64 = 4.0;
/// Answers that are remembered; older ones fade. Our choice.
const MEMORY: f64 = 200.0;
/// How often a note that lost a race is made again; then it is lost, which costs one answer of many.
const TRIES: u32 = 4;
/// The label that names a campaign.
const CAMPAIGN: &str = "campaign";

/// How a model did at a task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ModelWorth {
    id: String,
    /// Answers that were worth something, in parts.
    good: f64,
    /// Answers that were worth nothing, in parts.
    bad: f64,
}

impl Record for ModelWorth {
    const KIND: &'static str = "model_worth";
    fn id(&self) -> &str {
        &self.id
    }
}

fn id_of(task: &str, provider: &str, model: Option<&str>) -> String {
    format!("{task}|{provider}/{}", model.unwrap_or("default"))
}

impl ModelWorth {
    fn add(&mut self, worth: f64) {
        self.good += worth;
        self.bad += 1.0 - worth;
        let all = self.good + self.bad;
        if all > MEMORY {
            self.good *= MEMORY / all;
            self.bad *= MEMORY / all;
        }
    }

    /// A draw of its worth, 0..=1.
    fn draw(&self, quality: Option<f64>, rng: &mut Rng) -> f64 {
        let (good, bad) = quality.map_or((0.0, 0.0), |q| (PRIOR * q, PRIOR * (1.0 - q)));
        let a = gamma(1.0 + good + self.good, rng);
        let b = gamma(1.0 + bad + self.bad, rng);
        a / (a + b)
    }
}

/// A draw from the Gamma distribution of a shape of at least 1 (Marsaglia and Tsang, ACM TOMS 26, 2000).
fn gamma(shape: f64, rng: &mut Rng) -> f64 {
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = normal(rng);
        let v = (1.0 + c * x).powi(3);
        if v > 0.0 && (1.0 - rng.unit()).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return d * v;
        }
    }
}

/// A draw from the normal distribution (Box and Muller, 1958).
fn normal(rng: &mut Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.unit()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.unit()).cos()
}

/// What an end says of the model; `None` when it says nothing of it.
pub(super) fn worth_of(stop: &StopKind) -> Option<f64> {
    match stop {
        StopKind::Done | StopKind::ToolCalls => Some(1.0),
        StopKind::Refused { .. } => Some(0.0),
        // The limit was the caller's.
        _ => None,
    }
}

/// What a failure says of the model; `None` when it is the caller's, or a matter of money and rates.
pub(super) fn worth(error: &Error) -> Option<f64> {
    use ErrorKind as K;
    matches!(error.kind(), K::Unavailable | K::Timeout | K::Corrupted | K::Internal | K::OutcomeUnknown)
        .then_some(0.0)
}

/// Notes how models do at one task.
#[derive(Clone, Debug)]
pub(super) struct Learning {
    cx: Scope,
    task: String,
}

impl Learning {
    pub(super) fn new(cx: &Scope, request: &LlmRequest) -> Self {
        Learning { cx: cx.clone(), task: task_of(request).to_owned() }
    }

    /// Notes the failures among attempts.
    pub(super) async fn failures(&self, attempts: &[AttemptNote]) {
        let is_fault = |code: &str| {
            matches!(code, "unavailable" | "network" | "timeout" | "truncated" | "corrupted" | "undecodable")
        };
        for note in attempts.iter().filter(|note| note.tries > 0) {
            if note.failure.as_ref().is_some_and(|(code, _)| is_fault(code)) {
                self.note(&note.provider, note.model.as_deref(), 0.0).await;
            }
        }
    }

    /// Notes what one answer was worth. What cannot be written is not learned.
    pub(super) async fn note(&self, provider: &str, model: Option<&str>, worth: f64) {
        if let Err(error) = learn(&self.cx, &self.task, provider, model, worth).await {
            tracing::debug!(error = %error, "what a model was worth could not be written");
        }
    }
}

fn task_of(request: &LlmRequest) -> &str {
    request.purpose.as_deref().unwrap_or("any")
}

async fn learn(cx: &Scope, task: &str, provider: &str, model: Option<&str>, worth: f64) -> Result<()> {
    if provider == "offline" {
        return Ok(());
    }
    let (id, kind) = (id_of(task, provider, model), Kind::of::<ModelWorth>());
    let mut last = None;
    for _ in 0..TRIES {
        let found = cx.store().get(kind, cx.workspace(), &id).await?;
        let (mut known, expected) = match &found {
            Some(row) => (crate::store::Stored::<ModelWorth>::from_row(row)?.body, Expected::Rev(row.rev)),
            None => (ModelWorth { id: id.clone(), ..ModelWorth::default() }, Expected::Absent),
        };
        known.add(worth.clamp(0.0, 1.0));
        let mut batch = Batch::new(cx.workspace().clone(), cx.now());
        let row = Row::of(&known, cx.now(), "system:router")?;
        batch.writes.push(Write::Put { kind, row, expected });
        match cx.store().commit(batch).await {
            Ok(_) => return Ok(()),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| Error::internal("llm.route", "no try was made")))
}

impl Router {
    /// Tells routes by value how good an answer was, as an evaluation or a person found it: 0 is useless, 1 is perfect.
    /// `task` is the purpose of the request, or `any`.
    ///
    /// # Errors
    /// `InvalidInput` for a number outside of 0..=1; those of the store.
    pub async fn rate(cx: &Scope, task: &str, provider: &str, model: Option<&str>, worth: f64) -> Result<()> {
        if !(0.0..=1.0).contains(&worth) {
            return Err(Error::invalid("llm.rate", "worth", "expected 0 to 1"));
        }
        learn(cx, task, provider, model, worth).await
    }

    /// The plan of a request in the order in which models are asked: as the route says, by value, or, once a soft limit
    /// of a quota is reached, the cheapest first.
    pub(super) async fn ordered(&self, cx: &Scope, route: &Route, request: &LlmRequest) -> Result<RoutePlan> {
        let left = economy::left(cx, request.labels.get(CAMPAIGN).map(String::as_str)).await?;
        let cheaper = route.cheaper.as_ref().filter(|_| left.is_soft);
        let mut plan = match cheaper {
            Some(name) => {
                let found = self.routes.get(name).ok_or_else(|| {
                    Error::new(ErrorKind::Config, "llm.route", "the cheaper route of this route is not there")
                        .with_context("route", name)
                })?;
                let mut plan = self.plan_for(found, request)?;
                plan.degraded =
                    Some(format!("a soft limit is reached: `{name}` in the place of `{}`", route.name));
                plan
            }
            None => self.plan_for(route, request)?,
        };
        let region = |provider: &str| self.models.get(provider)?.region().map(str::to_owned);
        plan.within(cx, region).await?;
        plan.pass_ill(cx).await?;
        if route.by_value && cheaper.is_none() {
            self.by_value(cx, route, request, &left, &mut plan).await?;
        }
        if left.is_soft && cheaper.is_none() {
            cheapest_first(&mut plan);
        }
        Ok(plan)
    }

    async fn by_value(
        &self,
        cx: &Scope,
        route: &Route,
        request: &LlmRequest,
        left: &Left,
        plan: &mut RoutePlan,
    ) -> Result<()> {
        let floor = f64::from(route.floor) / 1_000.0;
        let fits = |one: &Considered| match (&one.currency, one.worst_micros) {
            (Some(currency), Some(micros)) => left.holds(currency, micros),
            _ => true,
        };
        let may_answer = |one: &Considered| one.skipped.is_none() && one.provider != "offline";
        let any_fits = plan.considered.iter().any(|one| may_answer(one) && fits(one));
        let mut ranked: Vec<(Rank, Considered)> = Vec::with_capacity(plan.considered.len());
        for mut one in std::mem::take(&mut plan.considered) {
            if !may_answer(&one) {
                ranked.push((Rank::last(), one));
                continue;
            }
            if any_fits && !fits(&one) {
                let worst = one.worst_micros.unwrap_or(0);
                one.skipped = Some(format!("it may cost {worst} micros, more than is left of a budget"));
                ranked.push((Rank::last(), one));
                continue;
            }
            let id = id_of(task_of(request), &one.provider, one.model.as_deref());
            let known = cx.get::<ModelWorth>(&id).await?.map(|stored| stored.body).unwrap_or_default();
            let row = one.model.as_deref().and_then(|model| self.table.row(&one.provider, model));
            let quality = row.and_then(|row| row.quality);
            let worth = cx.with_rng(|rng| known.draw(quality, rng));
            // A call that costs nothing at all is worth most; one of unknown price cannot be compared.
            let value = one.worst_micros.map(|micros| worth / (micros.max(1) as f64));
            let class = match value {
                Some(_) if worth >= floor => 0,
                Some(_) => 1,
                None => 2,
            };
            let by = if class == 0 { value.unwrap_or(worth) } else { worth };
            ranked.push((Rank { class, value: by }, one));
        }
        ranked.sort_by(|(a, _), (b, _)| a.class.cmp(&b.class).then(b.value.total_cmp(&a.value)));
        plan.considered = ranked.into_iter().map(|(_, one)| one).collect();
        Ok(())
    }
}

/// Where a model stands: by class first, then the higher value first.
#[derive(Clone, Copy, Debug)]
struct Rank {
    class: u8,
    value: f64,
}

impl Rank {
    /// What is left out, and the offline model.
    fn last() -> Self {
        Rank { class: 3, value: 0.0 }
    }
}

/// The cheapest first; the offline model stays where it is, at the end, and what has no price comes before it.
fn cheapest_first(plan: &mut RoutePlan) {
    let key = |one: &Considered| match (one.provider.as_str(), one.worst_micros) {
        ("offline", _) => (2, 0),
        (_, None) => (1, 0),
        (_, Some(micros)) => (0, micros),
    };
    let was: Vec<Considered> = plan.considered.clone();
    plan.considered.sort_by_key(key);
    if plan.considered != was {
        plan.degraded = Some("a soft limit is reached: the cheapest first".into());
    }
}

#[cfg(test)]
mod tests;
