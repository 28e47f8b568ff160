//! Vectors of texts from a provider: the embedding endpoints of OpenAI, of servers that speak like it, and of Ollama.

use std::ops::Range;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::fault::{self, Who};
use super::{Provider, SETTING, lenient};
use crate::economy::{Made, RESERVE, Worst, affordable, metered};
use crate::llm::{ModelCost, TokenCount, Usage, ollama};
use crate::resilience::{Call, Plan};
use crate::{Error, ErrorKind, Faults, Result, Scope};

const BUILD: &str = "llm.embedding_model";
const EMBED: &str = "llm.embed";

/// Texts of one request. OpenAI takes 2 048 (API specification 2.3.0, 2026); others say nothing, so we stay low.
const MAX_TEXTS: (u32, u32) = (2_048, 96);
/// Tokens of one request in sum: OpenAI's limit (same source), which others are held to as well.
const MAX_TOKENS: u64 = 300_000;
/// Numbers of a vector that anyone offers, and then some.
const MAX_DIMS: u32 = 16_384;
/// First and longest pause between tries. Defaults of the vendors' SDKs, 2026.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(8));
/// Bytes of an answer that an error shows.
const SHOWN: usize = 2 << 10;

/// Which wire format a provider embeds in.
#[derive(Clone, Debug)]
pub(super) enum EmbedApi {
    /// `POST /embeddings`.
    OpenAi {
        /// Takes `encoding_format: base64`, a quarter of the bytes.
        base64: bool,
    },
    /// `POST /api/embed`.
    Ollama {
        /// How long the model stays loaded.
        keep_alive: Option<String>,
    },
}

/// Which vectors are wanted of a provider.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct EmbeddingConfig {
    /// The model. Default: the provider's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Numbers of a vector, 1 to 16 384. Default: what the model table says; needed for a model it does not know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dims: Option<u32>,
    /// Asks the provider to cut vectors to `dims`. A model of the table is asked by itself when `dims` is less than it
    /// gives.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub shorten: bool,
    /// Most texts of one request. Default: 2 048 at OpenAI, 96 elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_batch: Option<u32>,
}

/// Vectors of one request.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedded {
    /// One for each text, in order, of length 1.
    pub vectors: Vec<Vec<f32>>,
    /// Tokens that were read.
    pub input_tokens: u64,
    /// False when the provider did not count and this is our estimate.
    pub is_exact: bool,
}

/// A model that turns texts into vectors, at a provider over HTTP. Nothing is sent before the first call, nothing is
/// retried, and nothing is cut: a text that is too long for the model is refused by the provider.
///
/// ```
/// # #[cfg(feature = "http")] {
/// use neonhub_core::Secret;
/// use neonhub_core::llm::{EmbeddingConfig, Provider};
/// let openai = Provider::builder("openai").api_key(Secret::new("key")).build()?;
/// let mut wanted = EmbeddingConfig::default();
/// wanted.model = Some("text-embedding-3-small".into());
/// assert_eq!(openai.embedding_model(wanted)?.dims(), 1_536);
/// # }
/// # Ok::<(), neonhub_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct EmbeddingModel {
    provider: Provider,
    api: EmbedApi,
    model: String,
    dims: u32,
    asks_dims: bool,
    max_batch: u32,
}

impl Provider {
    /// A model of this provider that turns texts into vectors.
    ///
    /// # Errors
    /// `Unsupported` when the provider has no embedding endpoint; `InvalidInput` naming a setting that is wrong or
    /// missing.
    pub fn embedding_model(&self, config: EmbeddingConfig) -> Result<EmbeddingModel> {
        let inner = &self.0;
        let Some(api) = inner.embed.clone() else {
            let message = "this provider has no embedding endpoint: use OpenAI, Ollama, a server that speaks like \
                           OpenAI, or a model from a folder";
            return Err(Error::new(ErrorKind::Unsupported, BUILD, message)
                .with_context("provider", &inner.word)
                .with_context("capability", "embedding"));
        };
        let model = config.model.or_else(|| inner.model.clone()).unwrap_or_default();
        let row = inner.table.row(&inner.word, &model);
        let given = row.and_then(|row| row.dims);
        let dims = config.dims.or(given).unwrap_or_default();
        let mut faults = Faults::new();
        faults.check(
            !model.is_empty(),
            "model",
            "expected a model: name one here or in the provider's settings",
        );
        let expected =
            "expected 1 to 16384, the numbers of one vector of this model: the model table does not know it";
        faults.check((1..=MAX_DIMS).contains(&dims), "dims", expected);
        let fits = given.is_none_or(|given| dims <= given);
        faults.check(fits, "dims", "expected no more than this model gives");
        faults.check(config.max_batch != Some(0), "max_batch", "expected at least 1");
        let is_embedding = row.is_none_or(|row| row.kinds.iter().any(|kind| kind == "embedding"));
        faults.check(
            is_embedding,
            "model",
            "expected a model for embeddings: this one is for something else",
        );
        faults.into_result(BUILD)?;
        let (most, few) = MAX_TEXTS;
        Ok(EmbeddingModel {
            provider: self.clone(),
            api,
            dims,
            asks_dims: config.shorten || given.is_some_and(|given| dims < given),
            max_batch: config.max_batch.unwrap_or(if inner.word == "openai" { most } else { few }),
            model,
        })
    }
}

impl EmbeddingModel {
    /// The word of the provider.
    #[must_use]
    pub fn provider(&self) -> &str {
        &self.provider.0.word
    }

    /// The model's name there.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Numbers of a vector.
    #[must_use]
    pub fn dims(&self) -> u32 {
        self.dims
    }

    /// Most texts of one request.
    #[must_use]
    pub fn max_batch(&self) -> usize {
        self.max_batch as usize
    }

    /// What embedding so many tokens costs by the model table. `None` without a price, which does not mean that it is
    /// free.
    #[must_use]
    pub fn cost(&self, tokens: u64) -> Option<ModelCost> {
        let prices = self.provider.0.table.row(self.provider(), &self.model)?.prices.as_ref()?;
        let micros = prices.cost(&Usage { input_uncached: tokens, ..Usage::default() })?.micros();
        Some(ModelCost { currency: prices.currency.clone(), micros, is_estimated: true })
    }

    /// What [`resilience`](crate::resilience) guards calls of it as.
    #[must_use]
    pub fn target(&self) -> String {
        format!("model:{}/{}", self.provider(), self.model)
    }

    /// How texts are shared out among requests, so that none holds too many texts or, by our estimate, too many tokens.
    #[must_use]
    pub fn requests(&self, texts: &[&str]) -> Vec<Range<usize>> {
        let mut out = Vec::new();
        let (mut start, mut tokens) = (0, 0);
        for (i, text) in texts.iter().enumerate() {
            let next = TokenCount::of_text(text);
            if i > start && (i - start >= self.max_batch() || tokens + next > MAX_TOKENS) {
                out.push(start..i);
                (start, tokens) = (i, 0);
            }
            tokens += next;
        }
        if start < texts.len() {
            out.push(start..texts.len());
        }
        out
    }

    /// Embeds texts in one request. `left` is the time until the caller's deadline.
    ///
    /// # Errors
    /// `InvalidInput` for too many texts or a blank one, and for a text longer than the model takes; otherwise as
    /// [`Llm::call`](crate::llm::Llm::call); `Corrupted` (code `undecodable`) for an answer that does not fit the
    /// question, vectors of another length among them.
    pub async fn embed(&self, texts: &[&str], left: Option<Duration>) -> Result<Embedded> {
        let mut faults = Faults::new();
        let fits = (1..=self.max_batch()).contains(&texts.len());
        faults.check(fits, "texts", format!("expected 1 to {} texts", self.max_batch));
        if let Some(i) = texts.iter().position(|text| text.trim().is_empty()) {
            faults.push(format!("texts[{i}]"), "expected a text with a word in it");
        }
        faults.into_result(EMBED)?;
        let asked = self.provider.asked(&self.model);
        let (path, body) = self.body(texts);
        let mut exchange = self
            .provider
            .exchange(&asked, path, &body, left)
            .await
            .map_err(|error| error.for_operation(EMBED))?;
        let bytes = exchange
            .body
            .all()
            .await
            .map_err(|error| fault::named(error, asked.who()).for_operation(EMBED))?;
        self.read(texts, &bytes, asked.who()).map_err(|error| error.for_operation(EMBED))
    }

    /// The same for an operation: with retries, under the breaker and the limits of its target, held against the quotas
    /// of the scope and counted as every call of a model is.
    ///
    /// # Errors
    /// Those of [`embed`](Self::embed); `BudgetExceeded` when a quota does not hold its worst case, and `Config` (code
    /// `unknown_price`) when one limits money and the model table has no price.
    pub async fn embed_in(&self, cx: &Scope, texts: &[&str]) -> Result<Embedded> {
        cx.check_residency(&self.target(), self.provider.0.region.as_deref()).await?;
        let (first, longest) = PAUSES;
        let plan = Plan::new(self.target())
            .idempotent()
            .backoff(first, longest)
            .lane(self.provider.0.lane)
            .setting(SETTING);
        let call = Call::new(|attempt| {
            attempt.sent();
            async {
                match self.counted(cx, texts).await {
                    // The provider was not asked: its breaker is not told.
                    Err(refused) if refused.operation() == RESERVE => Ok(Err(refused)),
                    other => other.map(Ok),
                }
            }
        });
        call.guard(plan).run(cx).await?
    }

    /// Checks that the quotas of a scope would hold the embedding of so many tokens now, in as many calls as it takes.
    /// Nothing is held: each call holds and settles its own.
    ///
    /// # Errors
    /// `BudgetExceeded` naming what is needed and what is left; `Config` (code `unknown_price`) when a quota limits
    /// money and the model table has no price.
    pub async fn check_budget(&self, cx: &Scope, tokens: u64) -> Result<()> {
        let worst = Worst { input: tokens, ..Worst::default() };
        affordable(cx, (self.provider(), &self.model), "embed", worst).await
    }

    async fn counted(&self, cx: &Scope, texts: &[&str]) -> Result<Embedded> {
        let input = texts.iter().map(|text| TokenCount::of_text(text)).sum();
        let left = cx.deadline().map(|at| at.since(cx.now()));
        metered(cx, (self.provider(), &self.model), "embed", Worst { input, ..Worst::default() }, async {
            let value = self.embed(texts, left).await?;
            let usage =
                Usage { input_uncached: value.input_tokens, exact: value.is_exact, ..Usage::default() };
            Ok(Made { value, usage: Some(usage), model: None })
        })
        .await
    }

    fn body(&self, texts: &[&str]) -> (&'static str, Value) {
        let mut body = json!({ "model": self.model, "input": texts });
        let mut set = |name: &str, value: Value| {
            if let Value::Object(fields) = &mut body {
                fields.insert(name.into(), value);
            }
        };
        if self.asks_dims {
            set("dimensions", self.dims.into());
        }
        match &self.api {
            EmbedApi::OpenAi { base64 } => {
                if *base64 {
                    set("encoding_format", "base64".into());
                }
                ("/embeddings", body)
            }
            EmbedApi::Ollama { keep_alive } => {
                // Without this a long text is cut in silence.
                set("truncate", false.into());
                if let Some(keep) = keep_alive {
                    set("keep_alive", ollama::keep_alive(keep));
                }
                ("/api/embed", body)
            }
        }
    }

    fn read(&self, texts: &[&str], bytes: &[u8], who: Who<'_>) -> Result<Embedded> {
        let shown = bytes.get(..SHOWN).unwrap_or(bytes);
        let bad = |message| fault::undecodable(who, message, shown);
        let answer: Value = serde_json::from_slice(bytes).map_err(|_| bad("the answer is no JSON"))?;
        if answer.get("error").is_some_and(|error| !error.is_null()) {
            return Err(fault::of_body(who, &answer));
        }
        let (found, counted) = match self.api {
            EmbedApi::OpenAi { .. } => {
                let usage = lenient::object(&answer, "usage");
                (numbered(&answer), usage.and_then(|usage| lenient::count(usage, "prompt_tokens")))
            }
            EmbedApi::Ollama { .. } => {
                let rows = lenient::list(&answer, "embeddings").iter().map(numbers).collect();
                (rows, lenient::count(&answer, "prompt_eval_count"))
            }
        };
        let mut vectors =
            found.ok_or_else(|| bad("the answer holds no vectors, or not each of them once"))?;
        if vectors.len() != texts.len() {
            return Err(bad("the answer holds another number of vectors than texts were sent"));
        }
        for vector in &mut vectors {
            if vector.len() != self.dims as usize {
                let error =
                    bad("the vectors have another length than `dims` says: set it to what the model gives");
                return Err(error.with_context("dims", self.dims).with_context("found", vector.len()));
            }
            normalise(vector).ok_or_else(|| bad("a vector is zero or not finite"))?;
        }
        let estimate = || texts.iter().map(|text| TokenCount::of_text(text)).sum();
        Ok(Embedded { vectors, is_exact: counted.is_some(), input_tokens: counted.unwrap_or_else(estimate) })
    }
}

/// The vectors of OpenAI's answer, by the index that each one carries.
fn numbered(answer: &Value) -> Option<Vec<Vec<f32>>> {
    let data = lenient::list(answer, "data");
    let mut out = vec![None; data.len()];
    for (position, item) in data.iter().enumerate() {
        let index =
            lenient::count(item, "index").map_or(Some(position), |index| usize::try_from(index).ok())?;
        let slot = out.get_mut(index).filter(|slot| slot.is_none())?;
        *slot = Some(numbers(item.get("embedding")?)?);
    }
    out.into_iter().collect()
}

/// A vector as numbers, or as base64 of 4-byte floats, least significant byte first.
#[allow(clippy::cast_possible_truncation, reason = "vectors are kept in single precision")]
fn numbers(value: &Value) -> Option<Vec<f32>> {
    match value {
        Value::Array(items) => items.iter().map(|item| item.as_f64().map(|number| number as f32)).collect(),
        Value::String(text) => {
            let bytes = BASE64_STANDARD.decode(text).ok()?;
            let (floats, rest) = bytes.as_chunks::<4>();
            rest.is_empty().then(|| floats.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
        }
        _ => None,
    }
}

/// Brings a vector to length 1. Shortened ones are not.
fn normalise(vector: &mut [f32]) -> Option<()> {
    let length = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
    if !length.is_finite() || length <= f64::EPSILON {
        return None;
    }
    #[allow(clippy::cast_possible_truncation, reason = "a quotient of at most 1")]
    vector.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
    Some(())
}
