//! Breakers of work that is no single call, such as the run of an agent: asked when it begins, told when it ends, which
//! may be hours later and in another process.

use super::breaker::{Breaker, BreakerState};
use super::call::Plan;
use crate::{ErrorKind, Result, Scope, Timestamp};

impl Breaker {
    /// True while it refuses: it is open, or one call is on trial.
    #[must_use]
    pub fn refuses(&self, now: Timestamp) -> bool {
        self.state != BreakerState::Closed && self.until.is_some_and(|until| now < until)
    }
}

impl Scope {
    /// Asks the breaker of a target whether work may begin. Ten seconds after it opened, one asker is let through as the
    /// trial; its end, told with [`note_breaker`](Self::note_breaker), closes the breaker or opens it again. A trial of
    /// which nothing is heard for 30 s makes way for another.
    ///
    /// # Errors
    /// `Unavailable`, code `breaker_open`, with the wait; what the store answers.
    pub async fn pass_breaker(&self, target: &str) -> Result<()> {
        self.ask_breaker(&Plan::new(target)).await
    }

    /// Tells the breaker of a target how work ended: well, or with the kind of its failure. Three failures in a row that
    /// this process hears of open it. The breaker of an agent (`agent:NAME`) emits `agent.unavailable` and
    /// `agent.recovered`.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn note_breaker(&self, target: &str, failure: Option<ErrorKind>) -> Result<()> {
        let plan = Plan::new(target);
        // It may have begun in another process, which moved the breaker.
        self.look_again_at_breaker(&plan).await?;
        self.tell_breaker(&plan, failure).await
    }

    /// The breaker of a target as it is stored; closed when it never moved. Nothing is let through by this.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn breaker_at(&self, target: &str) -> Result<Breaker> {
        Ok(self.breaker_of(target).await?.unwrap_or_else(|| Breaker::new(target)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::bus::Event;
    use crate::store::{MemoryStore, Query, SharedStore};
    use crate::{Clock, Hub, ManualClock};

    async fn open(store: &SharedStore, clock: &Arc<ManualClock>) -> Scope {
        let clock = Arc::clone(clock) as Arc<dyn Clock>;
        let hub = Hub::builder().store_backend(Arc::clone(store)).clock(clock).build().await.unwrap();
        hub.workspace("default").await.unwrap()
    }

    async fn told(cx: &Scope) -> Vec<String> {
        let all = cx.query::<Event>(&Query::by_id().limit(100)).await.unwrap();
        all.into_iter().map(|e| e.body.kind).filter(|kind| kind.starts_with("agent.")).collect()
    }

    #[tokio::test]
    async fn the_breaker_of_an_agent_is_shared_and_tells_each_change_once() {
        let store: SharedStore = Arc::new(MemoryStore::new());
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
        let (one, two) = (open(&store, &clock).await, open(&store, &clock).await);
        let down = Some(ErrorKind::Unavailable);
        for _ in 0..3 {
            one.pass_breaker("agent:a").await.unwrap();
            one.note_breaker("agent:a", down).await.unwrap();
        }
        for cx in [&one, &two] {
            assert_eq!(cx.pass_breaker("agent:a").await.unwrap_err().code(), "breaker_open");
        }
        assert!(one.breaker_at("agent:a").await.unwrap().refuses(clock.now()));
        clock.advance(Duration::from_secs(10));
        // The trial fails: it was away before, so nothing is told.
        two.pass_breaker("agent:a").await.unwrap();
        two.note_breaker("agent:a", down).await.unwrap();
        clock.advance(Duration::from_secs(10));
        one.pass_breaker("agent:a").await.unwrap();
        // It began here and ends there.
        two.note_breaker("agent:a", None).await.unwrap();
        let mut all = told(&one).await;
        all.sort();
        assert_eq!(all, ["agent.recovered", "agent.unavailable"]);
        assert!(!one.breaker_at("agent:a").await.unwrap().refuses(clock.now()));
        assert_eq!(one.query::<crate::health::AwayPart>(&Query::by_id()).await.unwrap().len(), 0);
    }
}
