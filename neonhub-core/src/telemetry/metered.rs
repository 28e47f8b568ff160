//! A model that counts what it does.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use futures_util::StreamExt as _;

use super::metrics::Telemetry;
use crate::Result;
use crate::llm::table::ModelTable;
use crate::llm::{Answer, Delta, DeltaStream, Llm, LlmRequest, ModelCaps, TokenCount, Usage};

/// Counts calls, tokens and times of a model.
#[derive(Debug)]
pub(crate) struct Metered {
    inner: Arc<dyn Llm>,
    telemetry: Arc<Telemetry>,
    prices: Arc<ModelTable>,
}

impl Metered {
    pub(crate) fn new(inner: Arc<dyn Llm>, telemetry: Arc<Telemetry>, prices: Arc<ModelTable>) -> Self {
        Metered { inner, telemetry, prices }
    }

    fn failed(&self, error: &crate::Error, began: Instant) {
        self.telemetry.model_ended(self.inner.provider(), "", error.code(), began.elapsed());
    }
}

/// Counts tokens and, where there is a price, what they cost.
pub(super) fn used(telemetry: &Telemetry, prices: &ModelTable, provider: &str, model: &str, usage: &Usage) {
    telemetry.model_used(provider, model, usage);
    if let Some((currency, micros)) = prices.cost(provider, model, usage).filter(|(_, micros)| *micros > 0) {
        telemetry.model_cost(provider, model, &currency, micros);
    }
}

#[async_trait]
impl Llm for Metered {
    fn provider(&self) -> &str {
        self.inner.provider()
    }

    fn region(&self) -> Option<&str> {
        self.inner.region()
    }

    fn caps(&self, model: Option<&str>) -> ModelCaps {
        self.inner.caps(model)
    }

    fn count(&self, request: &LlmRequest) -> Result<TokenCount> {
        self.inner.count(request)
    }

    async fn call(&self, request: LlmRequest) -> Result<DeltaStream> {
        let began = Instant::now();
        let stream = self.inner.call(request).await.inspect_err(|error| self.failed(error, began))?;
        let (telemetry, prices) = (Arc::clone(&self.telemetry), Arc::clone(&self.prices));
        let mut who = (self.inner.provider().to_owned(), String::new());
        Ok(Box::pin(stream.inspect(move |item| match item {
            Ok(Delta::Started { provider, model, .. }) => {
                who = (provider.clone(), model.clone());
                telemetry.model_began(&who.0, &who.1, began.elapsed());
            }
            Ok(Delta::Usage(usage)) => used(&telemetry, &prices, &who.0, &who.1, usage),
            Ok(Delta::Done(_)) => telemetry.model_ended(&who.0, &who.1, "", began.elapsed()),
            Err(error) => telemetry.model_ended(&who.0, &who.1, error.code(), began.elapsed()),
            Ok(_) => {}
        })))
    }

    async fn complete(&self, request: LlmRequest) -> Result<Answer> {
        let began = Instant::now();
        let answer = self.inner.complete(request).await.inspect_err(|error| self.failed(error, began))?;
        used(&self.telemetry, &self.prices, &answer.provider, &answer.model, &answer.usage);
        self.telemetry.model_ended(&answer.provider, &answer.model, "", began.elapsed());
        Ok(answer)
    }
}
