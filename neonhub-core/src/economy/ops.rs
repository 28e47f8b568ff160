//! Operations on quotas.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::meter::{MAX_QUOTAS, SOFT_SHARE, budget_id, budget_of, spend_id};
use super::model::{HardLimit, Quota, QuotaId, QuotaSubject, QuotaWindow, Spend, is_nothing};
use crate::op::{Effect, Operation, Sink};
use crate::permission::Permission;
use crate::run::AgentRun;
use crate::store::{Key, Query};
use crate::{Error, ErrorKind, Faults, Money, Result, Scope};

/// Sets how much a subject may use of models in a window, or takes the quota away when neither `tokens` nor `money` is
/// given. What was used in the window so far stays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PutQuota {
    /// Whose use.
    pub subject: QuotaSubject,
    /// In which window.
    pub window: QuotaWindow,
    /// Most tokens, input and output together; 0 allows none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Most money; 0 allows free calls alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub money: Option<Money>,
    /// The share of the limit from which the event `economy.soft_cap` is told; above 0, at most 1. Default: 0.8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soft_share: Option<f64>,
    /// What becomes of a call that could pass the limit. Default: `pause`.
    #[serde(default)]
    pub hard: HardLimit,
    /// Whether models of unknown price may be called in spite of a limit of money.
    #[serde(default)]
    pub allow_unknown_price: bool,
}

impl PutQuota {
    /// A quota without limits, to be filled.
    #[must_use]
    pub fn of(subject: QuotaSubject, window: QuotaWindow) -> Self {
        PutQuota {
            subject,
            window,
            tokens: None,
            money: None,
            soft_share: None,
            hard: HardLimit::Pause,
            allow_unknown_price: false,
        }
    }

    fn check(&self) -> Result<()> {
        let mut faults = Faults::new();
        let share = self.soft_share.unwrap_or(SOFT_SHARE);
        faults.check(share > 0.0 && share <= 1.0, "soft_share", "expected above 0, at most 1");
        faults.check(self.money.is_none_or(|money| money.minor >= 0), "money", "expected 0 or more");
        faults.check(
            self.tokens.is_none_or(|tokens| tokens < 1 << 53),
            "tokens",
            "expected a number below 2^53",
        );
        let name = self.subject.key();
        let is_named = !name.ends_with(':') && name.len() <= 200;
        faults.check(is_named, "subject", "expected a name of at most 180 bytes");
        let is_run = matches!(self.subject, QuotaSubject::Run { .. });
        faults.check(!is_run || self.window == QuotaWindow::Run, "window", "expected `run` for a run");
        faults.into_result(Self::NAME)
    }
}

/// A quota and what is left of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct QuotaState {
    /// The quota.
    pub quota: Quota,
    /// The window that lies now, such as `2026-11-21`; absent for one of runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// Micros used in it.
    pub used_micros: u64,
    /// Tokens used in it.
    pub used_tokens: u64,
    /// Micros that calls under way hold.
    pub held_micros: u64,
    /// Tokens that calls under way hold.
    pub held_tokens: u64,
    /// Micros that people allowed beyond the limit in it.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub more_micros: u64,
    /// Tokens that people allowed beyond the limit in it.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub more_tokens: u64,
    /// Micros left for new calls, when money is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_micros: Option<u64>,
    /// Tokens left for new calls, when they are limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_tokens: Option<u64>,
}

async fn state(cx: &Scope, quota: Quota) -> Result<QuotaState> {
    let run = match &quota.subject {
        QuotaSubject::Run { id } => Some(id.as_str()),
        _ => None,
    };
    let at = quota.window.at(cx.now(), run);
    let spend = at.as_ref().map(|window| spend_id(&quota, window));
    used(cx, quota, at, spend).await
}

async fn used(cx: &Scope, quota: Quota, at: Option<String>, spend: Option<String>) -> Result<QuotaState> {
    let mut spend = match spend {
        Some(id) => cx.get::<Spend>(&id).await?.map(|s| s.body).unwrap_or_default(),
        None => Spend::default(),
    };
    spend.expire(cx.now());
    let (micros, tokens) = spend.taken();
    Ok(QuotaState {
        at,
        used_micros: spend.micros,
        used_tokens: spend.tokens,
        held_micros: micros - spend.micros,
        held_tokens: tokens - spend.tokens,
        more_micros: spend.more_micros,
        more_tokens: spend.more_tokens,
        left_micros: spend.micros_of(&quota).map(|limit| limit.saturating_sub(micros)),
        left_tokens: spend.tokens_of(&quota).map(|limit| limit.saturating_sub(tokens)),
        quota,
    })
}

impl Operation for PutQuota {
    type Output = Option<QuotaState>;
    const NAME: &'static str = "economy.put_quota";
    const NEEDS: &'static [Permission] = &[Permission::ManageBilling];
    const EFFECT: Effect = Effect::Idempotent;
    const SINKS: &'static [Sink] = &[Sink::Spend];
    const RERUNS: u8 = 5;

    async fn run(self, cx: &Scope) -> Result<Option<QuotaState>> {
        self.check()?;
        let key = Key::text(self.subject.key()).and_text(self.window.word());
        let found = cx.query::<Quota>(&Query::index("subject").prefix(key).limit(1)).await?.pop();
        if self.tokens.is_none() && self.money.is_none() {
            if let Some(found) = found {
                cx.concern(<Quota as crate::store::Record>::KIND, found.id.as_str());
                cx.delete::<Quota>(found.id.as_str(), crate::store::Expected::Rev(found.rev))?;
            }
            return Ok(None);
        }
        let body = |id: QuotaId| Quota {
            id,
            subject: self.subject.clone(),
            window: self.window,
            tokens: self.tokens,
            money: self.money,
            soft_share: self.soft_share.unwrap_or(SOFT_SHARE),
            hard: self.hard,
            allow_unknown_price: self.allow_unknown_price,
        };
        let quota = match found {
            Some(mut found) => {
                let quota = body(found.id.clone());
                if quota != found.body {
                    found.body = quota.clone();
                    cx.save(&found)?;
                }
                quota
            }
            None => {
                if cx.query::<Quota>(&Query::by_id().limit(MAX_QUOTAS)).await?.len() >= MAX_QUOTAS {
                    let message = "a workspace holds at most 1000 quotas: take one away first";
                    return Err(Error::new(ErrorKind::Conflict, Self::NAME, message));
                }
                let quota = body(QuotaId::new(cx));
                cx.create(&quota)?;
                quota
            }
        };
        cx.concern(<Quota as crate::store::Record>::KIND, quota.id.as_str());
        state(cx, quota).await.map(Some)
    }

    fn examples() -> Vec<Self> {
        let money = crate::Currency::parse("currency", "EUR").and_then(|eur| Money::new(2_000, eur)).ok();
        let agent = QuotaSubject::Agent { name: "campaign".into() };
        vec![
            PutQuota { money, ..PutQuota::of(QuotaSubject::Workspace, QuotaWindow::Month) },
            PutQuota { tokens: Some(200_000), ..PutQuota::of(agent, QuotaWindow::Run) },
        ]
    }
}

/// Lists quotas with what is used, held and left in the window that lies now. Asked for a run by its id, the budget of the
/// run comes first, if it has one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GetQuotas {
    /// Only those of this subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<QuotaSubject>,
}

impl Operation for GetQuotas {
    type Output = Vec<QuotaState>;
    const NAME: &'static str = "economy.get_quota";
    const NEEDS: &'static [Permission] = &[Permission::ReadAnalytics];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<Vec<QuotaState>> {
        let mut out = Vec::new();
        if let Some(QuotaSubject::Run { id }) = &self.subject
            && let Some(run) = cx.get::<AgentRun>(id).await?
            && let Some(quota) = budget_of(cx, &run)
        {
            out.push(used(cx, quota, Some(id.clone()), Some(budget_id(id))).await?);
        }
        for quota in cx.query::<Quota>(&Query::by_id().limit(MAX_QUOTAS)).await? {
            if self.subject.as_ref().is_none_or(|subject| *subject == quota.subject) {
                out.push(state(cx, quota.body).await?);
            }
        }
        Ok(out)
    }

    fn examples() -> Vec<Self> {
        vec![GetQuotas { subject: Some(QuotaSubject::Workspace) }]
    }
}
