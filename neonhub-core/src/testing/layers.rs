//! Models and connectors under a fault injector. They are wrapped where the hub gives them out.

use std::sync::Arc;

use async_trait::async_trait;

use super::faults::{FaultInjector, FaultSite};
use crate::Result;
use crate::connector::{Channel, Cleared, Connector, EffectId, Manifest, Probe, Receipt};
use crate::llm::{Answer, DeltaStream, Llm, LlmRequest, ModelCaps, TokenCount};

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
        let site = (FaultSite::Model, self.inner.provider(), "llm.call");
        self.faults.around(site, self.inner.call(request)).await
    }
    async fn complete(&self, request: LlmRequest) -> Result<Answer> {
        let site = (FaultSite::Model, self.inner.provider(), "llm.call");
        self.faults.around(site, self.inner.complete(request)).await
    }
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
