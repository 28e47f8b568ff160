//! Checks of the parts that every hub has.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{Health, Status};
use crate::bus::{DeadEvent, Subscriber, SubscriberCursor};
use crate::connector::{Connector, connection_of};
use crate::job::Queue;
use crate::llm::table::{self, Ending};
use crate::resilience::{Breaker, BreakerState};
use crate::run::Agent;
use crate::store::{Key, Query, Stored};
use crate::vault::KeyRotation;
use crate::{Hub, Result, Scope};

/// A job that is due for longer than this means that nobody works its queue.
// Our choice (rule of the runtime, section 9.10).
pub(super) const STUCK: Duration = Duration::from_secs(15 * 60);

/// The subject of the loops of this process.
pub(super) const WORKERS: &str = "workers";

/// The checks of a hub's own parts.
pub(crate) fn checks(hub: &Hub) -> Vec<Arc<dyn Health>> {
    let mut all: Vec<Arc<dyn Health>> =
        vec![Arc::new(StoreHealth), Arc::new(VaultHealth), Arc::new(WorkerHealth), Arc::new(SchedulerHealth)];
    all.extend(hub.queues().iter().map(|q| Arc::new(QueueHealth(Arc::clone(q))) as Arc<dyn Health>));
    all.extend(hub.subscribers().into_iter().map(|s| Arc::new(SubscriberHealth(s)) as Arc<dyn Health>));
    all.push(Arc::new(ModelHealth));
    all.extend(hub.agents().iter().map(|a| Arc::new(AgentHealth(Arc::clone(a))) as Arc<dyn Health>));
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

/// The loops of this process that work queues, fire schedules and hear other processes.
#[derive(Debug)]
struct WorkerHealth;

#[async_trait]
impl Health for WorkerHealth {
    fn subject(&self) -> String {
        WORKERS.to_owned()
    }
    async fn check(&self, cx: &Scope) -> Result<Status> {
        let dead = cx.hub().dead_loops();
        if dead.is_empty() {
            return Ok(Status::Healthy);
        }
        Ok(Status::Unhealthy { why: format!("loops that ended: {}", dead.join(", ")) })
    }
}

#[derive(Debug)]
struct SchedulerHealth;

#[async_trait]
impl Health for SchedulerHealth {
    fn subject(&self) -> String {
        "scheduler".to_owned()
    }
    async fn check(&self, cx: &Scope) -> Result<Status> {
        if cx.next_firing().await?.is_some_and(|at| cx.now().since(at) > STUCK) {
            let why = "a schedule is due for more than 15 minutes: start workers".to_owned();
            return Ok(Status::Degraded { why });
        }
        let lost = cx.lost_zones().await?;
        if !lost.is_empty() {
            let why = format!(
                "these schedules name a zone that is not in the tables any more, that of the workspace stands in: {}",
                lost.join(", ")
            );
            return Ok(Status::Degraded { why });
        }
        Ok(Status::Healthy)
    }
}

/// The models by their breakers and their last days: to ask one costs money.
#[derive(Debug)]
struct ModelHealth;

#[async_trait]
impl Health for ModelHealth {
    fn subject(&self) -> String {
        "models".to_owned()
    }
    async fn check(&self, cx: &Scope) -> Result<Status> {
        let all = cx.query::<Breaker>(&Query::index("target").limit(1_000)).await?;
        let is_open = |b: &Stored<Breaker>| b.target.starts_with("model:") && b.state == BreakerState::Open;
        let open: Vec<String> = all.into_iter().filter(is_open).map(|b| b.body.target).collect();
        let mut why = Vec::new();
        if !open.is_empty() {
            why.push(format!("their circuit breakers are open: {}", open.join(", ")));
        }
        why.extend(table::endings(cx).await?.iter().map(ending));
        Ok(if why.is_empty() { Status::Healthy } else { Status::Degraded { why: why.join("; ") } })
    }
}

/// When a model goes away, and what comes after it.
fn ending(ending: &Ending) -> String {
    let Ending { provider, model, shutdown_on, is_over, successor } = ending;
    let tense = if *is_over { "was shut down" } else { "is shut down" };
    let next = match successor {
        Some(successor) => format!("take {successor}"),
        None => "take another model".to_owned(),
    };
    format!("{provider}/{model} {tense} on {shutdown_on}: {next}")
}

#[derive(Debug)]
struct AgentHealth(Arc<dyn Agent>);

#[async_trait]
impl Health for AgentHealth {
    fn subject(&self) -> String {
        agent_subject(self.0.name())
    }
    async fn check(&self, cx: &Scope) -> Result<Status> {
        self.0.health(cx).await
    }
}

/// The subject of an agent.
pub(crate) fn agent_subject(name: &str) -> String {
    format!("agent:{name}")
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
    async fn check(&self, cx: &Scope) -> Result<Status> {
        self.0.health().await?;
        let breaker = cx.breaker_of(&connection_of(self.0.manifest().id)).await?;
        if breaker.is_some_and(|b| b.state != BreakerState::Closed) {
            let why = "it can be reached, and its circuit breaker is open after failed calls".to_owned();
            return Ok(Status::Degraded { why });
        }
        Ok(Status::Healthy)
    }
}
