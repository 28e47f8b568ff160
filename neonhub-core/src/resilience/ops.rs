//! Operations on breakers and limits.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Breaker, Counted, LimitOverride, Rate};
use crate::health::AwayBy;
use crate::op::{Effect, Entry, Operation, entry};
use crate::permission::Permission;
use crate::store::{Expected, Kind, Query};
use crate::{Result, Scope, Timestamp};

/// Operations of this room.
pub static CATALOGUE: &[Entry] =
    &[entry::<ListBreakers>(), entry::<ResetBreaker>(), entry::<ListLimits>(), entry::<OverrideLimit>()];

/// Records of this room.
pub static KINDS: &[Kind] =
    &[Kind::of::<super::Bucket>(), Kind::of::<LimitOverride>(), Kind::of::<Breaker>()];

/// Lists the circuit breakers of this workspace: those that moved, and those this process calls through.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ListBreakers {
    /// Only targets that start so, such as `model:`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

impl Operation for ListBreakers {
    type Output = Vec<Breaker>;
    const NAME: &'static str = "breakers.list";
    const NEEDS: &'static [Permission] = &[Permission::ManageJobs];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, cx: &Scope) -> Result<Vec<Breaker>> {
        let stored = cx.query::<Breaker>(&Query::index("target").limit(10_000)).await?;
        let mut all: Vec<Breaker> = stored.into_iter().map(|s| s.body).collect();
        for known in cx.hub().targets().breakers(cx.workspace()) {
            match all.iter_mut().find(|b| b.target == known.target) {
                // Failures in a row are counted by each process; the rest is shared.
                Some(stored) if stored.state == known.state => *stored = known,
                Some(_) => {}
                None => all.push(known),
            }
        }
        all.retain(|b| self.target.as_deref().is_none_or(|t| b.target.starts_with(t)));
        all.sort_by(|a, b| a.target.cmp(&b.target));
        Ok(all)
    }
    fn examples() -> Vec<Self> {
        vec![ListBreakers { target: Some("model:".into()) }]
    }
}

/// Closes a circuit breaker, so that the next call goes through.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResetBreaker {
    /// The target, such as `model:openai`.
    pub target: String,
}

impl Operation for ResetBreaker {
    type Output = Breaker;
    const NAME: &'static str = "breakers.reset";
    const NEEDS: &'static [Permission] = &[Permission::ManageJobs];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;
    async fn run(self, cx: &Scope) -> Result<Breaker> {
        let Some(mut stored) = cx.get::<Breaker>(&self.target).await? else {
            let known = cx.hub().targets().breakers(cx.workspace());
            let close = crate::hub::closest(&self.target, known.iter().map(|b| b.target.as_str()));
            if !close.contains(&self.target.as_str()) {
                return Err(cx.missing("breaker").with_context("closest", close.join(", ")));
            }
            cx.hub().targets().forget(cx, &self.target);
            return Ok(Breaker::new(&self.target));
        };
        if stored.body.close() {
            cx.save(&stored)?;
            cx.stage_away(&self.target, AwayBy::Breaker, false).await?;
        }
        cx.hub().targets().forget(cx, &self.target);
        Ok(stored.body)
    }
    fn examples() -> Vec<Self> {
        vec![ResetBreaker { target: "model:openai".into() }]
    }
}

/// Lists the limits of calls: what is counted, how many are admitted, since when a limit is overridden.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListLimits {}

/// One limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LimitRow {
    /// Name of the bucket, or the kind of buckets: `principal`, `agent`, `source`, `webhook`.
    pub bucket: String,
    /// The rate that holds now; none: not limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// Where it comes from: the name of the profile, or `override`.
    pub from: String,
    /// Of an override: until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Of an override: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Operation for ListLimits {
    type Output = Vec<LimitRow>;
    const NAME: &'static str = "limits.list";
    const NEEDS: &'static [Permission] = &[Permission::ManagePolicies];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, cx: &Scope) -> Result<Vec<LimitRow>> {
        let profile = cx.hub().limits();
        let rows = Counted::ALL.iter().map(|counted| LimitRow {
            bucket: counted.word().to_owned(),
            rate: profile.rate(*counted),
            from: profile.name.clone(),
            until: None,
            reason: None,
        });
        let mut rows: Vec<LimitRow> = rows.collect();
        let from = Query::index("until").from(cx.now()).limit(10_000);
        for set in cx.query::<LimitOverride>(&from).await?.into_iter().filter(|o| o.until > cx.now()) {
            let set = set.body;
            rows.retain(|row| row.bucket != set.id);
            rows.push(LimitRow {
                bucket: set.id,
                rate: set.rate,
                from: "override".into(),
                until: Some(set.until),
                reason: Some(set.reason),
            });
        }
        rows.sort_by(|a, b| a.bucket.cmp(&b.bucket));
        Ok(rows)
    }
    fn examples() -> Vec<Self> {
        vec![ListLimits {}]
    }
}

/// Sets another limit for a bucket, or for all buckets of a kind, for a time.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OverrideLimit {
    /// A kind such as `principal`, or one bucket of it such as `principal|user:ada`.
    pub bucket: String,
    /// The rate in its place; left out: not limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// Until when; at most a year from now. An instant that has passed ends an override.
    pub until: Timestamp,
    /// Why, 1..500 characters; kept in the audit log.
    pub reason: String,
}

impl Operation for OverrideLimit {
    type Output = LimitOverride;
    const NAME: &'static str = "limits.override";
    const NEEDS: &'static [Permission] = &[Permission::ManagePolicies];
    const EFFECT: Effect = Effect::Idempotent;
    async fn run(self, cx: &Scope) -> Result<LimitOverride> {
        let mut faults = crate::Faults::new();
        let kind = self.bucket.split('|').next().unwrap_or_default();
        if !Counted::ALL.iter().any(|c| c.word() == kind) {
            let words: Vec<&str> = Counted::ALL.iter().map(|c| c.word()).collect();
            faults.push("bucket", format!("expected one of {} or a bucket of it", words.join(", ")));
        }
        faults.check(self.bucket.len() <= 200, "bucket", "expected at most 200 bytes");
        let is_reason = (1..=500).contains(&self.reason.chars().count());
        faults.check(is_reason, "reason", "expected 1..500 characters that say why");
        let year = std::time::Duration::from_secs(366 * 86_400);
        faults.check(self.until <= cx.now().plus(year), "until", "expected an instant within a year");
        if let Some(rate) = self.rate {
            faults.check((1..=1_000_000).contains(&rate.max), "rate.max", "expected 1..1 000 000");
            let is_bounded = (1_000..=31 * 86_400_000).contains(&rate.per_ms);
            faults.check(is_bounded, "rate.per_ms", "expected a second to 31 days in milliseconds");
        }
        faults.into_result(Self::NAME)?;
        let record =
            LimitOverride { id: self.bucket, rate: self.rate, until: self.until, reason: self.reason };
        cx.put(&record, Expected::Any)?;
        cx.concern("limit", &record.id);
        Ok(record)
    }
    fn examples() -> Vec<Self> {
        vec![OverrideLimit {
            bucket: "principal|user:ada".into(),
            rate: Some(Rate { max: 600, per_ms: 60_000 }),
            until: Timestamp::from_millis(1_795_255_200_000),
            reason: "import of the old list".into(),
        }]
    }
}
