//! Verdicts from a provider: OpenAI's moderation endpoint.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::fault::{self, Who};
use super::image::data_url;
use super::{Provider, lenient};
use crate::llm::Origin;
use crate::llm::moderation::{
    Moderated, ModerationCategory, ModerationInput, ModerationRequest, ModerationVerdict, Moderator,
};
use crate::resilience::Lane;
use crate::{Error, ErrorKind, Faults, Result};

const MODERATE: &str = "llm.moderate";
/// Texts of one request. OpenAI names no limit; ours.
const MAX_BATCH: usize = 32;
/// Bytes of an answer that an error shows.
const SHOWN: usize = 2 << 10;

#[async_trait]
impl Moderator for Provider {
    fn provider(&self) -> &str {
        &self.0.word
    }

    fn region(&self) -> Option<&str> {
        self.0.region.as_deref()
    }

    fn lane(&self) -> Lane {
        self.0.lane
    }

    fn max_batch(&self) -> usize {
        MAX_BATCH
    }

    async fn classify(&self, request: &ModerationRequest) -> Result<Moderated> {
        let inner = &self.0;
        request.check(MAX_BATCH)?;
        if !inner.moderates {
            let message = "this provider has no moderation endpoint: use OpenAI, or the offline model";
            return Err(Error::new(ErrorKind::Unsupported, MODERATE, message)
                .with_context("provider", &inner.word)
                .with_context("capability", "moderation"));
        }
        let model = request.model.as_deref().or(inner.model.as_deref()).unwrap_or_default();
        let mut faults = Faults::new();
        let expected = "expected a model: name one in the request or in the settings";
        faults.check(!model.is_empty(), "model", expected);
        let row = inner.table.row(&inner.word, model);
        let fits = row.is_none_or(|row| row.kinds.iter().any(|kind| kind == "moderation"));
        faults.check(fits, "model", "expected a model that moderates: this one is for something else");
        faults.into_result(MODERATE)?;
        let asked = self.asked(model);
        let left = request.deadline.map(|at| at.since(inner.clock.now()));
        let (mut verdicts, mut answered) = (Vec::with_capacity(request.inputs.len()), None);
        for (input, count) in inputs(&request.inputs) {
            let body = json!({ "model": model, "input": input });
            let exchange = self.exchange(&asked, "/moderations", &body, left).await;
            let mut exchange = exchange.map_err(|error| error.for_operation(MODERATE))?;
            let bytes = exchange.body.all().await;
            let bytes = bytes.map_err(|error| fault::named(error, asked.who()).for_operation(MODERATE))?;
            let (found, name) =
                read(&bytes, count, asked.who()).map_err(|error| error.for_operation(MODERATE))?;
            verdicts.extend(found);
            answered = name.or(answered);
        }
        Ok(Moderated {
            verdicts,
            provider: inner.word.clone(),
            model: answered.unwrap_or_else(|| model.to_owned()),
            origin: Origin::Model,
        })
    }
}

/// What goes into one request each, with how many verdicts it must bring: texts together, a picture with its words alone.
fn inputs(all: &[ModerationInput]) -> Vec<(Value, usize)> {
    let mut out: Vec<(Value, usize)> = Vec::new();
    let mut texts: Vec<&str> = Vec::new();
    let flush = |texts: &mut Vec<&str>, out: &mut Vec<(Value, usize)>| {
        if !texts.is_empty() {
            let count = texts.len();
            out.push((json!(std::mem::take(texts)), count));
        }
    };
    for input in all {
        match input {
            ModerationInput::Text(text) => texts.push(text),
            ModerationInput::Picture { picture, text } => {
                flush(&mut texts, &mut out);
                let mut parts = Vec::new();
                parts.extend(text.as_ref().map(|text| json!({ "type": "text", "text": text })));
                parts.push(json!({ "type": "image_url", "image_url": { "url": data_url(picture) } }));
                out.push((Value::Array(parts), 1));
            }
        }
    }
    flush(&mut texts, &mut out);
    out
}

fn read(bytes: &[u8], count: usize, who: Who<'_>) -> Result<(Vec<ModerationVerdict>, Option<String>)> {
    let shown = bytes.get(..SHOWN).unwrap_or(bytes);
    let bad = |message| fault::undecodable(who, message, shown);
    let answer: Value = serde_json::from_slice(bytes).map_err(|_| bad("the answer is no JSON"))?;
    if answer.get("error").is_some_and(|error| !error.is_null()) {
        return Err(fault::of_body(who, &answer));
    }
    let results = lenient::list(&answer, "results");
    if results.len() != count {
        return Err(bad("the answer holds another number of verdicts than inputs were sent"));
    }
    let verdicts: Option<Vec<ModerationVerdict>> = results.iter().map(verdict).collect();
    let verdicts =
        verdicts.ok_or_else(|| bad("a verdict says neither that it is flagged nor which category is"))?;
    Ok((verdicts, lenient::text(&answer, "model").map(str::to_owned)))
}

/// One verdict; `None` for one that says nothing, which must not pass for a clean one.
fn verdict(result: &Value) -> Option<ModerationVerdict> {
    let flagged = result.get("flagged").and_then(Value::as_bool);
    let mut categories: BTreeMap<String, ModerationCategory> = BTreeMap::new();
    for (name, value) in result.get("categories").and_then(Value::as_object).into_iter().flatten() {
        categories.entry(name.clone()).or_default().is_flagged = value.as_bool().unwrap_or(false);
    }
    for (name, value) in result.get("category_scores").and_then(Value::as_object).into_iter().flatten() {
        let score = value.as_f64().filter(|score| (0.0..=1.0).contains(score));
        categories.entry(name.clone()).or_default().score = score;
    }
    let has_verdict = flagged.is_some() || result.get("categories").is_some_and(Value::is_object);
    let any = categories.values().any(|category| category.is_flagged);
    has_verdict.then_some(ModerationVerdict { is_flagged: flagged.unwrap_or(false) || any, categories })
}
