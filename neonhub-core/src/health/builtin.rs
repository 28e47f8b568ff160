//! Checks of the parts that every hub has.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{Health, Status};
use crate::bus::{DeadEvent, Subscriber, SubscriberCursor};
use crate::connector::Connector;
use crate::job::Queue;
use crate::store::{Key, Query};
use crate::vault::KeyRotation;
use crate::{Hub, Result, Scope};

/// A job that is due for longer than this means that nobody works its queue.
// Our choice (rule of the runtime, section 9.10).
pub(super) const STUCK: Duration = Duration::from_secs(15 * 60);

/// The checks of a hub's own parts.
pub(crate) fn checks(hub: &Hub) -> Vec<Arc<dyn Health>> {
    let mut all: Vec<Arc<dyn Health>> = vec![Arc::new(StoreHealth), Arc::new(VaultHealth)];
    all.extend(hub.queues().iter().map(|q| Arc::new(QueueHealth(Arc::clone(q))) as Arc<dyn Health>));
    all.extend(hub.subscribers().into_iter().map(|s| Arc::new(SubscriberHealth(s)) as Arc<dyn Health>));
    all.extend(hub.connectors().into_iter().map(|c| Arc::new(ConnectorHealth(c)) as Arc<dyn Health>));
    all
}

#[derive(Debug)]
struct StoreHealth;

#[async_trait]
impl Health for StoreHealth {
    fn subject(&self) -> String {
        "store".to_owned()
    }
    async fn check(&self, cx: &Scope) -> Result<Status> {
        cx.store().seq().await?;
        cx.hub().workspace_of(cx).await?;
        Ok(Status::Healthy)
    }
}

#[derive(Debug)]
struct VaultHealth;

#[async_trait]
impl Health for VaultHealth {
    fn subject(&self) -> String {
        "vault".to_owned()
    }
    async fn check(&self, cx: &Scope) -> Result<Status> {
        if !cx.hub().vault().fits() {
            let why = "opened with another root key: sealed values stay closed".to_owned();
            return Ok(Status::Unhealthy { why });
        }
        let probe = cx.sealer().seal("vault", "probe", "probe")?;
        cx.sealer().open("vault", "probe", &probe)?;
        let rotation = cx.get::<KeyRotation>("data_key").await?;
        if rotation.is_some_and(|r| r.finished_at.is_none()) {
            let why = "a rotation of the data key was cut off: vault.rotate_data_key goes on".to_owned();
            return Ok(Status::Degraded { why });
        }
        Ok(Status::Healthy)
    }
}

#[derive(Debug)]
struct QueueHealth(Arc<Queue>);

#[async_trait]
impl Health for QueueHealth {
    fn subject(&self) -> String {
        format!("queue:{}", self.0.name())
    }
    async fn check(&self, cx: &Scope) -> Result<Status> {
        let stats = cx.queue_stats(self.0.name()).await?;
        if !stats.paused && u128::from(stats.oldest_ms) > STUCK.as_millis() {
            let why = "a job is due for more than 15 minutes: start workers for this queue".to_owned();
            return Ok(Status::Degraded { why });
        }
        Ok(Status::Healthy)
    }
}

#[derive(Debug)]
struct SubscriberHealth(Arc<dyn Subscriber>);

#[async_trait]
impl Health for SubscriberHealth {
    fn subject(&self) -> String {
        format!("subscriber:{}", self.0.name())
    }
    async fn check(&self, cx: &Scope) -> Result<Status> {
        let Some(cursor) = cx.get::<SubscriberCursor>(self.0.name()).await? else {
            return Ok(Status::Healthy);
        };
        let lag = cx.store().seq().await?.saturating_sub(cursor.seq);
        cx.hub().telemetry().projection_lag(&self.subject(), lag);
        if cursor.attempts >= 3 {
            let code = cursor.error.clone().unwrap_or_default();
            return Ok(Status::Unhealthy { why: format!("fails on an event: {code}") });
        }
        if cursor.is_silent(cx.store().seq().await?, cx.now()) {
            let why = "has not moved for 14 days: the change feed is no longer kept for it".to_owned();
            return Ok(Status::Degraded { why });
        }
        let dead = Query::index("subscriber").prefix(Key::text(self.0.name()));
        let dead = cx.count::<DeadEvent>(&dead).await?;
        if dead > 0 {
            return Ok(Status::Degraded { why: format!("{dead} events were put aside") });
        }
        Ok(Status::Healthy)
    }
}

#[derive(Debug)]
struct ConnectorHealth(Arc<dyn Connector>);

#[async_trait]
impl Health for ConnectorHealth {
    fn subject(&self) -> String {
        format!("connector:{}", self.0.manifest().id)
    }
    async fn check(&self, _cx: &Scope) -> Result<Status> {
        self.0.health().await.map(|()| Status::Healthy)
    }
}
