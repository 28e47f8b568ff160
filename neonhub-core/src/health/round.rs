//! Checking everything: on demand, and every five minutes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use serde_json::json;
use tokio::sync::watch;

use super::record::HealthRecord;
use super::{AwayBy, Health, Status, builtin_checks};
use crate::bus::Event;
use crate::resilience::BreakerState;
use crate::store::{Expected, Key, Query, Record as _};
use crate::telemetry::hushed;
use crate::{Error, ErrorKind, Hub, Result, Scope};

/// Time between rounds.
// Rule of the runtime, section 9.7.
const EVERY: Duration = Duration::from_secs(5 * 60);
/// A look that takes longer counts as unhealthy.
const LIMIT: Duration = Duration::from_secs(10);
/// Failures in a row before it is told.
// Rule of the runtime, section 9.7.
const ALERT_AT: u32 = 3;
/// How long records of parts that are gone are kept.
// Our choice (rule of the runtime, section 9.7).
const KEEP: Duration = Duration::from_secs(30 * 24 * 3600);

/// What one look found.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) subject: String,
    pub(crate) status: Status,
    pub(crate) latency_ms: u64,
}

impl Scope {
    /// Looks at every part, or at one.
    pub(crate) async fn check_subjects(&self, only: Option<&str>) -> Result<Vec<Found>> {
        let mut found = Vec::new();
        for check in self.checks().await? {
            if only.is_none_or(|subject| subject == check.subject()) {
                found.push(look(self, &check).await);
            }
        }
        Ok(found)
    }

    /// Looks at one part.
    pub(crate) async fn check_subject(&self, subject: &str) -> Result<Found> {
        if let Some(found) = self.check_subjects(Some(subject)).await?.pop() {
            return Ok(found);
        }
        let subjects: Vec<String> = self.checks().await?.iter().map(|c| c.subject()).collect();
        let close = crate::hub::closest(subject, subjects.iter().map(String::as_str));
        Err(Error::new(ErrorKind::NotFound, "health.check", "there is no such part")
            .with_context("closest", close.join(", ")))
    }

    /// The checks of the hub and of this workspace.
    async fn checks(&self) -> Result<Vec<Arc<dyn Health>>> {
        let mut all = self.hub().checks();
        for source in self.hub().check_sources() {
            all.extend(source.checks(self).await?);
        }
        Ok(all)
    }

    /// Looks at every part of this workspace, keeps a record of each in one commit, tells of what failed three times in a
    /// row, and tries to heal what has a recipe.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn check_health(&self) -> Result<()> {
        let found = self.check_subjects(None).await?;
        for look in &found {
            self.hub().telemetry().health_state(&look.subject, look.status.rank());
        }
        let looks: Vec<&Found> = found.iter().collect();
        let kept = match self.keep_looks(&looks, "all").await {
            Ok(kept) => kept,
            // Another process looked at one of them at the same time: the others are kept without it.
            Err(error) if error.is_lost_race() => {
                let mut kept = Vec::new();
                for look in looks {
                    match self.keep_looks(&[look], &look.subject).await {
                        Ok(records) => kept.extend(records),
                        // Its look is as good.
                        Err(error) if error.is_lost_race() => {}
                        Err(error) => return Err(error),
                    }
                }
                kept
            }
            Err(error) => return Err(error),
        };
        for record in kept {
            if record.subject.starts_with("agent:") {
                // A process that died after it moved the breaker has told nobody.
                let breaker = self.breaker_of(&record.subject).await?;
                let is_shut = breaker.is_some_and(|b| b.state != BreakerState::Closed);
                self.turn_away(&record.subject, AwayBy::Breaker, is_shut).await?;
            }
            // What is merely worse than it should be gets until the next round to mend.
            let lasts = record.since < record.at && record.status != Status::Healthy.word();
            if (record.failures > 0 || lasts)
                && let Err(error) = self.heal_by_itself(&record.subject).await
            {
                tracing::warn!(subject = record.subject, code = error.code(), "a try to heal was cut off");
            }
        }
        self.forget_old().await
    }

    /// Keeps what was found, with the events it makes, in one commit.
    async fn keep_looks(&self, found: &[&Found], label: &str) -> Result<Vec<HealthRecord>> {
        let cx = self.outside().staging("health.round", label);
        let subjects: Vec<String> = found.iter().map(|look| look.subject.clone()).collect();
        let olds = cx.get_many::<HealthRecord>(&subjects).await?;
        let mut records = Vec::with_capacity(found.len());
        let mut alerts = Vec::new();
        for (look, old) in found.iter().zip(olds) {
            let record = next(&cx, old.as_ref().map(|o| &o.body), look);
            if record.failures == ALERT_AT {
                let data = json!({ "status": record.status, "detail": record.detail });
                cx.emit(Event::new(&cx, "health.failed", "health", &record.subject, data))?;
                alerts.push(records.len());
            } else if record.failures == 0 && old.as_ref().is_some_and(|o| o.failures >= ALERT_AT) {
                cx.emit(Event::new(&cx, "health.restored", "health", &record.subject, json!({})))?;
            }
            cx.stage_away(&record.subject, AwayBy::Health, record.failures >= ALERT_AT).await?;
            cx.put(&record, old.map_or(Expected::Absent, |o| Expected::Rev(o.rev)))?;
            records.push(record);
        }
        cx.flush().await?;
        for record in alerts.into_iter().filter_map(|n| records.get(n)) {
            let HealthRecord { subject, status, .. } = record;
            tracing::error!(subject, status, "a part failed three times in a row");
        }
        Ok(records)
    }

    /// Records of parts that are gone.
    async fn forget_old(&self) -> Result<()> {
        let cx = self.outside().staging("health.round", "old");
        let mut query = Query::by_id().limit(200);
        loop {
            let page = cx.query::<HealthRecord>(&query).await?;
            let Some(last) = page.last() else { break };
            query = query.after(Key::new(), last.id());
            for record in page.iter().filter(|r| r.at.plus(KEEP) < cx.now()) {
                cx.delete::<HealthRecord>(record.id(), Expected::Any)?;
                cx.stage_away(record.id(), AwayBy::Health, false).await?;
            }
        }
        cx.flush().await.map(drop)
    }
}

async fn look(cx: &Scope, check: &Arc<dyn Health>) -> Found {
    let began = Instant::now();
    let looked = std::panic::AssertUnwindSafe(hushed(check.check(cx))).catch_unwind();
    let status = match tokio::time::timeout(LIMIT, looked).await {
        Ok(Ok(Ok(status))) => status,
        Ok(Ok(Err(error))) => Status::Unhealthy { why: error.code().to_owned() },
        Ok(Err(_panic)) => Status::Unhealthy { why: "the check panicked".to_owned() },
        Err(_) => Status::Unhealthy { why: "no answer within 10 s".to_owned() },
    };
    let latency_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    Found { subject: check.subject(), status, latency_ms }
}

fn next(cx: &Scope, old: Option<&HealthRecord>, found: &Found) -> HealthRecord {
    let status = found.status.word().to_owned();
    let failed = matches!(found.status, Status::Unhealthy { .. });
    let since = old.filter(|o| o.status == status).map_or_else(|| cx.now(), |o| o.since);
    HealthRecord {
        subject: found.subject.clone(),
        status,
        since,
        checks: old.map_or(0, |o| o.checks) + 1,
        failures: if failed { old.map_or(0, |o| o.failures) + 1 } else { 0 },
        latency_ms: found.latency_ms,
        detail: found.status.why().map(|why| crate::telemetry::redact(why).into_owned()),
        at: cx.now(),
    }
}

impl Hub {
    pub(crate) fn checks(&self) -> Vec<Arc<dyn Health>> {
        let mut all = builtin_checks(self);
        all.extend(self.own_checks());
        all
    }

    /// True when a part failed three times in a row in this workspace. Such an agent is not started, and such a model
    /// (`model:PROVIDER` or `model:PROVIDER/MODEL`) is passed over by the router. Kept in memory: it costs no read.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn is_unavailable(&self, cx: &Scope, subject: &str) -> Result<bool> {
        Ok(cx.control().await?.away.iter().any(|part| part.by_health && part.id == subject))
    }

    /// Checks every part and looks for stuck work every five minutes, with some jitter, in all workspaces, until the
    /// hub closes. Runs in the background on the tokio runtime of the caller. [`start_workers`](Hub::start_workers)
    /// does it too: this is for a process without workers.
    pub fn start_health_checks(&self) {
        let hub = self.clone();
        tokio::spawn(async move {
            let (_never, stop) = watch::channel(None);
            hub.keep_checking(stop).await;
        });
    }

    /// Looks again and again, until it is told to stop or the hub closes.
    pub(crate) async fn keep_checking(self, mut stop: watch::Receiver<Option<Duration>>) {
        loop {
            let jitter = self.hub_scope().with_rng(|rng| rng.below(30_000));
            let round = async {
                tokio::time::sleep(EVERY + Duration::from_millis(jitter)).await;
                self.running().await;
                self.health_round().await
            };
            tokio::select! {
                () = self.closing() => return,
                _ = stop.changed() => return,
                done = round => if let Err(error) = done {
                    tracing::warn!(code = error.code(), "the round of health checks was cut off");
                }
            }
        }
    }

    async fn health_round(&self) -> Result<()> {
        for workspace in self.workspaces().await? {
            let cx = self.system_scope(workspace, "health");
            cx.check_health().await?;
            cx.find_stuck().await?;
        }
        Ok(())
    }
}
