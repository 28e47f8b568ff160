//! A model whose calls are held against quotas and counted.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};

use super::meter::{Need, Ticket, reserve};
use crate::llm::{Delta, DeltaStream, Llm, LlmRequest, ModelCaps, TokenCount};
use crate::{ErrorKind, Result, Scope};

/// The label that names a campaign.
const CAMPAIGN: &str = "campaign";

/// Wraps one model for one scope.
#[derive(Debug)]
pub(crate) struct Budgeted {
    inner: Arc<dyn Llm>,
    cx: Scope,
}

impl Budgeted {
    /// Wraps a model, unless its calls are free.
    pub(crate) fn of(cx: &Scope, inner: Arc<dyn Llm>) -> Arc<dyn Llm> {
        if inner.provider() == "offline" {
            return inner;
        }
        Arc::new(Budgeted { inner, cx: cx.clone() })
    }

    /// The worst case of a request.
    async fn need(&self, request: &LlmRequest) -> Result<Need> {
        let caps = self.inner.caps(request.model.as_deref());
        let model = request.model.clone().unwrap_or(caps.model);
        let count = self.inner.count(request)?;
        let output = request.max_output_tokens.map_or(caps.max_output_tokens, u64::from);
        let table = self.cx.model_table().await?;
        let prices = table.answered(self.inner.provider(), &model).and_then(|row| row.prices.clone());
        // An estimated input counts with a tenth more, as in the price of the worst case.
        let input = if count.exact { count.tokens } else { count.tokens + count.tokens.div_ceil(10) };
        Ok(Need {
            provider: self.inner.provider().to_owned(),
            model,
            input: count.tokens,
            output,
            tokens: input.saturating_add(output),
            micros: prices.as_ref().map(|prices| prices.worst(count.tokens, count.exact, output).micros()),
            prices,
            campaign: request.labels.get(CAMPAIGN).cloned(),
            purpose: request.purpose.clone(),
            price_version: table.version().to_owned(),
            images: 0,
        })
    }
}

#[async_trait]
impl Llm for Budgeted {
    fn provider(&self) -> &str {
        self.inner.provider()
    }

    fn region(&self) -> Option<&str> {
        self.inner.region()
    }

    fn caps(&self, model: Option<&str>) -> ModelCaps {
        self.inner.caps(model)
    }

    fn with_caps(&self, caps: ModelCaps) -> Option<Arc<dyn Llm>> {
        Some(Budgeted::of(&self.cx, self.inner.with_caps(caps)?))
    }

    fn count(&self, request: &LlmRequest) -> Result<TokenCount> {
        self.inner.count(request)
    }

    async fn call(&self, request: LlmRequest) -> Result<DeltaStream> {
        request.check()?;
        self.cx.check_residency(self.inner.provider(), self.inner.region()).await?;
        let ticket = reserve(&self.cx, self.need(&request).await?).await?;
        match self.cx.in_trace(self.inner.call(request)).await {
            Ok(stream) => Ok(counted(stream, ticket)),
            // It may have been paid although no answer came.
            Err(error) if matches!(error.kind(), ErrorKind::Timeout | ErrorKind::OutcomeUnknown) => {
                ticket.settle(None, None).await;
                Err(error)
            }
            Err(error) => {
                ticket.release().await;
                Err(error)
            }
        }
    }
}

/// Settles when the answer ends, before its end is told. A stream that is dropped settles by itself.
fn counted(stream: DeltaStream, ticket: Ticket) -> DeltaStream {
    let state = (stream, Some(ticket), None, None);
    Box::pin(stream::unfold(state, |(mut stream, mut ticket, mut usage, mut model)| async move {
        let item = stream.next().await;
        match &item {
            Some(Ok(Delta::Started { model: answered, .. })) => model = Some(answered.clone()),
            Some(Ok(Delta::Usage(counted))) => usage = Some(*counted),
            Some(Ok(Delta::Done(_)) | Err(_)) | None => {
                if let Some(ticket) = ticket.take() {
                    ticket.settle(usage, model.take()).await;
                }
            }
            Some(Ok(_)) => {}
        }
        item.map(|item| (item, (stream, ticket, usage, model)))
    }))
}
