//! Deliveries and questions to a connection, under the one owner of retries.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{Channel, Cleared, Connector, EffectId, Probe, Receipt};
use crate::resilience::{Call, Plan, is_untried};
use crate::{Error, ErrorKind, Result, Retry, Scope};

/// Code of a passing refusal of one recipient (a full or a greylisted mailbox): the service itself answered. It is
/// neither tried again at once nor counted by the breaker.
pub const RECIPIENT_DEFERRED: &str = "recipient_deferred";

/// A longer wait than this is left to the queue, where it survives the process and holds nothing up.
// Our choice: as long as a call waits for a place at its target.
const PATIENCE: Duration = Duration::from_secs(5);

/// The target of a connector, by its id: its breaker, bulkhead, budget and quota hang on this name.
pub(crate) fn connection_of(connector: &str) -> String {
    format!("connection:{connector}")
}

/// Hands a message over. Each try gets the same clearance while it holds.
pub(super) async fn deliver(cx: &Scope, connector: &dyn Connector, cleared: Cleared) -> Result<Receipt> {
    let target = connection_of(connector.manifest().id);
    // What the connector advised last: the queue is told this, not that the quick tries are used up.
    let advice = Mutex::new(None);
    let cleared = &cleared;
    let call = Call::new(|attempt| {
        let advice = &advice;
        async move {
            if cx.now() > cleared.until() {
                return Err(stale());
            }
            attempt.sent();
            let answer = connector.deliver(cleared.again()).await;
            // A connector that answers knows what happened; only a call that was cut off is unknown.
            attempt.answered();
            match answer {
                Ok(receipt) => Ok(Ok(receipt)),
                Err(error) if error.code() == RECIPIENT_DEFERRED => Ok(Err(error)),
                Err(error) => {
                    *advice.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.retry());
                    Err(hasty(error))
                }
            }
        }
    });
    let done = call.guard(Plan::new(&target)).run(cx).await;
    let advice = advice.into_inner().unwrap_or_else(PoisonError::into_inner);
    let error = match done {
        Ok(answer) => return answer,
        Err(error) => error,
    };
    let is_passing =
        matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::RateLimited);
    let Some(advice) = advice.filter(|_| is_passing && !is_untried(&error)) else { return Err(error) };
    if let (ErrorKind::RateLimited, Retry::After(wait)) = (error.kind(), advice) {
        cx.quota_used_up(&target, cx.now().plus(wait));
    }
    Err(error.with_retry(advice))
}

/// Asks whether an effect landed. A question may be asked again, and has a breaker of its own: a service that cannot
/// answer questions may still take messages, and the default answer says nothing about it.
pub(super) async fn probe(
    cx: &Scope,
    connector: &dyn Connector,
    effect: &EffectId,
    channel: &Channel,
) -> Result<Probe> {
    let target = format!("{}:probe", connection_of(connector.manifest().id));
    let call = Call::new(|_attempt| connector.probe(effect, channel));
    let done = call.guard(Plan::new(target).idempotent()).run(cx).await;
    // The question itself stays worth asking, later.
    done.map_err(|e| if e.retry() == Retry::Exhausted { e.with_retry(Retry::Backoff) } else { e })
}

fn hasty(error: Error) -> Error {
    match error.retry() {
        Retry::After(wait) if wait > PATIENCE => error.with_retry(Retry::Never),
        _ => error,
    }
}

fn stale() -> Error {
    Error::new(
        ErrorKind::Blocked,
        "connector.deliver",
        "the clearance is older than a minute: ask the gate again",
    )
}

impl Scope {
    /// Asks a connector of this hub whether an effect landed.
    ///
    /// # Errors
    /// What the connector answers; `Unavailable` while its connection is left alone.
    pub async fn probe(
        &self,
        connector: &dyn Connector,
        effect: &EffectId,
        channel: &Channel,
    ) -> Result<Probe> {
        probe(self, connector, effect, channel).await
    }
}

#[cfg(test)]
#[path = "guarded_tests.rs"]
mod tests;
