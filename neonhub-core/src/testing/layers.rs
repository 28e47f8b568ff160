//! Models and connectors under a fault injector. They are wrapped where the hub gives them out.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt as _;

use super::faults::{FaultInjector, FaultSite};
use crate::connector::{Channel, Cleared, Connector, EffectId, Manifest, Probe, Receipt};
use crate::llm::{Answer, Delta, DeltaStream, Llm, LlmRequest, ModelCaps, TokenCount};
use crate::{Error, ErrorKind, Result, Retry};

const CALL: &str = "llm.call";

#[derive(Debug)]
struct FaultyModel {
    inner: Arc<dyn Llm>,
    faults: FaultInjector,
}

#[async_trait]
impl Llm for FaultyModel {
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
        let Some(rule) = self.faults.next(FaultSite::Model, self.inner.provider()) else {
            return self.inner.call(request).await;
        };
        let stream = rule.befall(CALL, self.inner.call(request)).await?;
        Ok(match rule.cut {
            Some(bytes) => cut(stream, bytes),
            None => stream,
        })
    }
    async fn complete(&self, request: LlmRequest) -> Result<Answer> {
        let Some(rule) = self.faults.next(FaultSite::Model, self.inner.provider()) else {
            return self.inner.complete(request).await;
        };
        let answer = rule.befall(CALL, self.inner.complete(request)).await?;
        let is_cut = rule.cut.is_some_and(|bytes| answer.text.len() as u64 > bytes);
        if is_cut { Err(broken()) } else { Ok(answer) }
    }
}

fn broken() -> Error {
    Error::new(ErrorKind::Unavailable, CALL, "the answer ended before its last event, as the test asked")
        .with_code("truncated")
        .with_retry(Retry::Backoff)
}

/// The stream up to so many bytes of text, and then an error in the place of what is left.
fn cut(stream: DeltaStream, bytes: u64) -> DeltaStream {
    let left = usize::try_from(bytes).unwrap_or(usize::MAX);
    let pieces = stream.scan(Some(left), |left, delta| {
        let out = left.map(|most| match delta {
            Ok(Delta::Text { choice, text }) if text.len() > most => {
                *left = None;
                let piece = text.get(..text.floor_char_boundary(most)).unwrap_or_default().to_owned();
                vec![Ok(Delta::Text { choice, text: piece }), Err(broken())]
            }
            Ok(Delta::Text { choice, text }) => {
                *left = Some(most - text.len());
                vec![Ok(Delta::Text { choice, text })]
            }
            other => vec![other],
        });
        std::future::ready(out)
    });
    Box::pin(pieces.flat_map(futures_util::stream::iter))
}

#[derive(Debug)]
struct FaultyConnector {
    inner: Arc<dyn Connector>,
    faults: FaultInjector,
}

#[async_trait]
impl Connector for FaultyConnector {
    fn manifest(&self) -> &'static Manifest {
        self.inner.manifest()
    }
    fn channels(&self) -> Vec<Channel> {
        self.inner.channels()
    }
    async fn deliver(&self, cleared: Cleared) -> Result<Receipt> {
        let site = (FaultSite::Connector, self.inner.manifest().id, "connector.deliver");
        self.faults.around(site, self.inner.deliver(cleared)).await
    }
    async fn probe(&self, effect: &EffectId, channel: &Channel) -> Result<Probe> {
        self.inner.probe(effect, channel).await
    }
    async fn settle(&self) -> Result<()> {
        self.inner.settle().await
    }
    async fn reconnect(&self) -> Result<()> {
        self.inner.reconnect().await
    }
    async fn health(&self) -> Result<()> {
        self.inner.health().await
    }
}

impl FaultInjector {
    pub(crate) fn model(&self, inner: Arc<dyn Llm>) -> Arc<dyn Llm> {
        Arc::new(FaultyModel { inner, faults: self.clone() })
    }

    pub(crate) fn connector(&self, inner: Arc<dyn Connector>) -> Arc<dyn Connector> {
        Arc::new(FaultyConnector { inner, faults: self.clone() })
    }
}
