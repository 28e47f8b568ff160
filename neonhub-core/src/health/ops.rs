//! Operations of health.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::record::{HealAction, HealthRecord};
use super::round::Found;
use crate::op::{Audit, Effect, Operation, Page};
use crate::permission::Permission;
use crate::store::{Key, Query};
use crate::{Error, Result, Scope};

/// Tells how the hub is: every part, or one.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CheckHealth {
    /// Only this part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
}

/// How one part is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SubjectHealth {
    /// The part.
    pub subject: String,
    /// `healthy`, `degraded` or `unhealthy`.
    pub status: String,
    /// Time of the check, in milliseconds.
    pub latency_ms: u64,
    /// What is wrong; for who may `manage:jobs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// How the hub is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HealthReport {
    /// The worst of all parts: `healthy`, `degraded` or `unhealthy`.
    pub status: String,
    /// Version of NeonHub.
    pub version: String,
    /// Time since the hub was opened, in milliseconds.
    pub uptime_ms: u64,
    /// The parts.
    pub checks: Vec<SubjectHealth>,
}

impl Operation for CheckHealth {
    type Output = HealthReport;
    const NAME: &'static str = "health.check";
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<HealthReport> {
        let found = match &self.subject {
            Some(subject) => vec![cx.check_subject(subject).await?],
            None => cx.check_subjects(None).await?,
        };
        let worst = found.iter().max_by_key(|f| f.status.rank()).map_or("healthy", |f| f.status.word());
        let sees_detail = cx.permissions().has(Permission::ManageJobs);
        let view = |f: Found| SubjectHealth {
            status: f.status.word().to_owned(),
            detail: f.status.why().filter(|_| sees_detail).map(str::to_owned),
            subject: f.subject,
            latency_ms: f.latency_ms,
        };
        let uptime = cx.now().since(cx.hub().opened_at());
        Ok(HealthReport {
            status: worst.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_ms: u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX),
            checks: found.into_iter().map(view).collect(),
        })
    }

    fn examples() -> Vec<Self> {
        vec![CheckHealth::default()]
    }
}

/// Lists what the rounds of checks found, by part.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ListHealth {
    /// Only `healthy`, `degraded` or `unhealthy`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Most records of the page, 1..500. Default 50.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// `next` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

impl Operation for ListHealth {
    type Output = Page<HealthRecord>;
    const NAME: &'static str = "health.list";
    const NEEDS: &'static [Permission] = &[Permission::ManageJobs];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<Page<HealthRecord>> {
        if self.limit.is_some_and(|n| !(1..=500).contains(&n)) {
            return Err(Error::invalid(Self::NAME, "limit", "expected 1..500"));
        }
        let query = match self.status.as_deref() {
            None => Query::by_id(),
            Some(word @ ("healthy" | "degraded" | "unhealthy")) => {
                Query::index("status").prefix(Key::text(word))
            }
            Some(_) => {
                return Err(Error::invalid(Self::NAME, "status", "expected healthy, degraded or unhealthy"));
            }
        };
        let limit = self.limit.unwrap_or(50) as usize;
        let page = cx.page::<HealthRecord>(query.limit(limit), self.cursor.as_deref()).await?;
        Ok(Page { items: page.items.into_iter().map(|r| r.body).collect(), next: page.next })
    }

    fn examples() -> Vec<Self> {
        vec![ListHealth { status: Some("unhealthy".into()), ..Self::default() }]
    }
}

/// Tries to heal a part: at most three times per hour, then a person should look.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recover {
    /// The part.
    pub subject: String,
    /// The recipe. Default: the first that fits the part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<String>,
}

impl Operation for Recover {
    type Output = HealAction;
    const NAME: &'static str = "health.recover";
    const NEEDS: &'static [Permission] = &[Permission::ManageJobs];
    const EFFECT: Effect = Effect::Idempotent;
    const AUDIT: Audit = Audit::Security;

    async fn run(self, cx: &Scope) -> Result<HealAction> {
        cx.heal(&self.subject, self.recipe.as_deref()).await
    }

    fn examples() -> Vec<Self> {
        vec![Recover { subject: "queue:email.send".into(), recipe: Some("requeue_stalled".into()) }]
    }
}
