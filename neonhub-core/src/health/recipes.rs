//! Recipes for the parts that every hub has. A circuit breaker, a model or an index brings its own.

use std::sync::Arc;

use async_trait::async_trait;

use super::heal::Recipe;
use crate::bus::SubscriberCursor;
use crate::vault::RotateDataKey;
use crate::{Result, Scope};

pub(crate) fn recipes() -> Vec<Arc<dyn Recipe>> {
    vec![Arc::new(RequeueStalled), Arc::new(RetryNow), Arc::new(FinishRotation)]
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
