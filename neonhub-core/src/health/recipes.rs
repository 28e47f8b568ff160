//! Recipes for the parts that every hub has. A circuit breaker, a model or an index brings its own.

use std::sync::Arc;

use async_trait::async_trait;

use super::builtin::WORKERS;
use super::heal::Recipe;
use crate::bus::SubscriberCursor;
use crate::connector::{Connector, connection_of};
use crate::vault::RotateDataKey;
use crate::{Result, Scope};

/// How the subjects of connectors begin.
const CONNECTOR: &str = "connector:";

pub(crate) fn recipes() -> Vec<Arc<dyn Recipe>> {
    vec![
        Arc::new(RequeueStalled),
        Arc::new(RestartLoops),
        Arc::new(Reconnect),
        Arc::new(ResetBreaker),
        Arc::new(RetryNow),
        Arc::new(FinishRotation),
    ]
}

/// Gives jobs whose lease is over back to their queue, once; a second stall gives them up.
#[derive(Debug)]
struct RequeueStalled;

#[async_trait]
impl Recipe for RequeueStalled {
    fn name(&self) -> &'static str {
        "requeue_stalled"
    }
    fn fits(&self, subject: &str) -> bool {
        subject.starts_with("queue:")
    }
    async fn apply(&self, cx: &Scope, subject: &str) -> Result<String> {
        let queue = subject.strip_prefix("queue:").unwrap_or_default();
        let freed = cx.release_stalled(queue).await?;
        Ok(format!("{freed} jobs are free again"))
    }
}

/// Begins loops of this process anew that ended by a fault.
#[derive(Debug)]
struct RestartLoops;

#[async_trait]
impl Recipe for RestartLoops {
    fn name(&self) -> &'static str {
        "restart_loops"
    }
    fn fits(&self, subject: &str) -> bool {
        subject == WORKERS
    }
    async fn apply(&self, cx: &Scope, _subject: &str) -> Result<String> {
        let begun = cx.hub().restart_dead_loops().await?;
        Ok(format!("begun anew: {}", begun.join(", ")))
    }
}

/// The connector that a subject names.
fn connector_of(cx: &Scope, subject: &str) -> Result<Arc<dyn Connector>> {
    let id = subject.strip_prefix(CONNECTOR).unwrap_or_default();
    let found = cx.hub().connectors().into_iter().rev().find(|c| c.manifest().id == id);
    found.ok_or_else(|| cx.missing("connector"))
}

/// Has a connector give up its connection and what it can fetch anew, and connect again.
#[derive(Debug)]
struct Reconnect;

#[async_trait]
impl Recipe for Reconnect {
    fn name(&self) -> &'static str {
        "reconnect"
    }
    fn fits(&self, subject: &str) -> bool {
        subject.starts_with(CONNECTOR)
    }
    async fn apply(&self, cx: &Scope, subject: &str) -> Result<String> {
        connector_of(cx, subject)?.reconnect().await?;
        Ok("connected again".to_owned())
    }
}

/// Closes the circuit breaker of a connection, once its service answers a look.
#[derive(Debug)]
struct ResetBreaker;

#[async_trait]
impl Recipe for ResetBreaker {
    fn name(&self) -> &'static str {
        "reset_breaker"
    }
    fn fits(&self, subject: &str) -> bool {
        subject.starts_with(CONNECTOR)
    }
    async fn apply(&self, cx: &Scope, subject: &str) -> Result<String> {
        let connector = connector_of(cx, subject)?;
        connector.health().await?;
        let was_open = cx.close_breaker(&connection_of(connector.manifest().id)).await?;
        Ok(if was_open { "its breaker is closed" } else { "its breaker was closed already" }.to_owned())
    }
}

/// Lets a subscriber try its event again at once instead of after its pause.
#[derive(Debug)]
struct RetryNow;

#[async_trait]
impl Recipe for RetryNow {
    fn name(&self) -> &'static str {
        "retry_now"
    }
    fn fits(&self, subject: &str) -> bool {
        subject.starts_with("subscriber:")
    }
    async fn apply(&self, cx: &Scope, subject: &str) -> Result<String> {
        let name = subject.strip_prefix("subscriber:").unwrap_or_default();
        let staging = cx.staging("health.recover", subject);
        let mut cursor = staging.need::<SubscriberCursor>(name).await?;
        cursor.body.retry_at = None;
        staging.save(&cursor)?;
        staging.flush().await?;
        let done = cx.deliver_events().await?;
        Ok(format!("{} events taken, {} failed", done.done, done.failed))
    }
}

/// Goes on with a rotation of the data key that was cut off.
#[derive(Debug)]
struct FinishRotation;

#[async_trait]
impl Recipe for FinishRotation {
    fn name(&self) -> &'static str {
        "finish_rotation"
    }
    fn fits(&self, subject: &str) -> bool {
        subject == "vault"
    }
    async fn apply(&self, cx: &Scope, _subject: &str) -> Result<String> {
        let done = cx.call(RotateDataKey {}).await?;
        Ok(format!("{} values sealed with version {}", done.resealed, done.version))
    }
}
