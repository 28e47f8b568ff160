//! The watchdog: queues and subscribers that have work and make no progress.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::builtin::STUCK;
use crate::bus::{Event, SubscriberCursor};
use crate::job::Job;
use crate::permission::Permission;
use crate::run::{AgentRun, RunStatus};
use crate::store::{Key, Query, Stored};
use crate::{Result, Scope, Timestamp};

/// The same for messages under way: people wait for them.
// Rule of the runtime, section 9.10.
const STUCK_SENDING: Duration = Duration::from_secs(5 * 60);
/// Runs under way that are looked at, the oldest first.
const MAX_RUNS: usize = 500;

/// Something that has work and makes no progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stuck {
    /// The part: `queue:email.send`, `subscriber:webhooks`, `run:run_…`.
    pub subject: String,
    /// Since when.
    pub since: Timestamp,
}

impl Scope {
    /// Queues with a due job, subscribers with a failing event, and runs in the middle of their work that no process
    /// holds any more, which have moved nothing for 15 minutes, queues of messages for 5. Each is told as an event
    /// `watchdog.stuck`.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn find_stuck(&self) -> Result<Vec<Stuck>> {
        let mut stuck = Vec::new();
        for queue in self.hub().queues() {
            let limit = if queue.needs == Permission::SendMessages { STUCK_SENDING } else { STUCK };
            if let Some(since) = self.queue_stuck_since(queue.name(), limit).await? {
                stuck.push(Stuck { subject: format!("queue:{}", queue.name()), since });
            }
        }
        for subscriber in self.hub().subscribers() {
            let Some(cursor) = self.get::<SubscriberCursor>(subscriber.name()).await? else { continue };
            if cursor.attempts > 0 && self.now().since(cursor.moved_at) > STUCK {
                let subject = format!("subscriber:{}", subscriber.name());
                stuck.push(Stuck { subject, since: cursor.moved_at });
            }
        }
        stuck.extend(self.stuck_runs().await?);
        if !stuck.is_empty() {
            let cx = self.outside().staging("health.watchdog", "stuck");
            for found in &stuck {
                let data = json!({ "since": found.since });
                cx.emit(Event::new(&cx, "watchdog.stuck", "health", &found.subject, data))?;
                tracing::warn!(subject = found.subject, "there is work and no progress");
            }
            cx.flush().await?;
        }
        Ok(stuck)
    }

    /// Runs, such as launches of campaigns, whose process is gone and which no other took over.
    async fn stuck_runs(&self) -> Result<Vec<Stuck>> {
        let running = Key::text(RunStatus::Running.word());
        let query = Query::index("status").prefix(running).limit(MAX_RUNS);
        let gone = |run: &Stored<AgentRun>| run.standing(self) == RunStatus::Interrupted;
        let since = |run: &Stored<AgentRun>| run.lease.as_ref().map_or(run.started_at, |l| l.until);
        let runs = self.query::<AgentRun>(&query).await?.into_iter().filter(gone);
        Ok(runs
            .map(|run| Stuck { subject: format!("run:{}", run.id), since: since(&run) })
            .filter(|stuck| self.now().since(stuck.since) > STUCK)
            .collect())
    }

    /// The later of when the oldest ready job became ready and when a job of the queue was last done.
    async fn queue_stuck_since(&self, queue: &str, limit: Duration) -> Result<Option<Timestamp>> {
        let stats = self.queue_stats(queue).await?;
        if stats.paused || stats.waiting == 0 {
            return Ok(None);
        }
        let ready = self.now().minus(Duration::from_millis(stats.oldest_ms));
        let ended =
            Query::index("ended").prefix(Key::text(queue).and_text("completed")).descending().limit(1);
        let moved = self.query::<Job>(&ended).await?.first().map(|j| j.updated_at);
        let since = moved.map_or(ready, |at| at.max(ready));
        Ok((self.now().since(since) > limit).then_some(since))
    }
}
