//! What a log keeps of how an outcome came about, in words.

use neonhub_core::llm::{AttemptNote, Considered, RouteReport};
use neonhub_core::run::{AnswerFrom, CallCost, Receipt};

/// The route with why each model was left out or failed, where the answer is from, and what it cost.
pub(super) fn told(receipt: Option<&Receipt>) -> Vec<String> {
    let Some(receipt) = receipt else { return Vec::new() };
    let mut lines = receipt.route.as_ref().map(routed).unwrap_or_default();
    match receipt.from {
        AnswerFrom::Tool => {}
        AnswerFrom::Log => lines.push("taken over from the run that this one was forked from".to_owned()),
        AnswerFrom::Nowhere => lines.push("nothing was called: the fork simulates".to_owned()),
    }
    lines.extend(receipt.cost.as_ref().map(cost));
    lines
}

fn routed(report: &RouteReport) -> Vec<String> {
    let plan = &report.plan;
    let names: Vec<String> =
        plan.considered.iter().map(|one| name(&one.provider, one.model.as_deref())).collect();
    let mut lines = vec![format!("the route {} goes by {}", plan.route, names.join(", "))];
    lines.extend(plan.degraded.clone());
    lines.extend(plan.considered.iter().filter_map(left_out));
    lines.extend(report.attempts.iter().filter_map(failed));
    lines
}

fn left_out(one: &Considered) -> Option<String> {
    let why = one.skipped.as_ref()?;
    Some(format!("{} was left out: {why}", name(&one.provider, one.model.as_deref())))
}

fn failed(note: &AttemptNote) -> Option<String> {
    let (code, message) = note.failure.as_ref()?;
    let who = name(&note.provider, note.model.as_deref());
    Some(format!("{who} failed ({} tries): {code}: {message}", note.tries))
}

fn name(provider: &str, model: Option<&str>) -> String {
    model.map_or_else(|| provider.to_owned(), |model| format!("{provider}/{model}"))
}

fn cost(cost: &CallCost) -> String {
    let mut parts: Vec<String> =
        cost.micros.iter().map(|(currency, micros)| format!("{micros} micros of {currency}")).collect();
    if cost.unpriced > 0 {
        parts.push(format!("{} times what nobody knows the price of", cost.unpriced));
    }
    format!("it cost {}", parts.join(" and "))
}
