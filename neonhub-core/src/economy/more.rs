//! What a person allows beyond a quota, so that a run which it holds up goes on.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::meter::{RESERVE, spend_id};
use super::model::{HardLimit, Quota, QuotaId, Spend};
use crate::op::{Effect, Operation, Sink};
use crate::permission::Permission;
use crate::policy::{Ask, call_hash};
use crate::store::Record as _;
use crate::{Error, ErrorKind, Result, Scope};

/// How long the question stands. Rule of agents, section 5: 72 h.
const QUESTION: Duration = Duration::from_secs(72 * 3_600);

/// Lets so much be used of a quota in one window on top of what is used and held by then. Runs ask for it, people allow it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AllowMore {
    /// The quota.
    pub quota: QuotaId,
    /// The window, such as `2026-11-21`, or the run.
    pub at: String,
    /// Micros of the currency of the quota.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub micros: Option<u64>,
    /// Tokens, input and output together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
}

impl Operation for AllowMore {
    type Output = ();
    const NAME: &'static str = "economy.allow_more";
    const NEEDS: &'static [Permission] = &[Permission::ManageBilling];
    const EFFECT: Effect = Effect::Idempotent;
    const SINKS: &'static [Sink] = &[Sink::Spend];
    const INTERNAL: bool = true;

    async fn run(self, cx: &Scope) -> Result<()> {
        // A quota that was taken away bounds nothing.
        let Some(quota) = cx.get::<Quota>(self.quota.as_str()).await? else { return Ok(()) };
        let id = spend_id(&quota, &self.at);
        let found = cx.get::<Spend>(&id).await?;
        let mut spend = match &found {
            Some(found) => found.body.clone(),
            None => Spend { id, ..Spend::default() },
        };
        spend.expire(cx.now());
        let (micros, tokens) = spend.taken();
        spend.more_micros = raised(spend.more_micros, quota.limit_micros(), micros, self.micros);
        spend.more_tokens = raised(spend.more_tokens, quota.tokens, tokens, self.tokens);
        cx.concern(Quota::KIND, quota.id.as_str());
        match found {
            Some(mut found) => {
                found.body = spend;
                cx.save(&found)
            }
            None => cx.create(&spend),
        }
    }
}

/// What is allowed beyond a limit, so that so much can be used yet. It never falls.
fn raised(held: u64, limit: Option<u64>, used: u64, allowed: Option<u64>) -> u64 {
    let (Some(limit), Some(allowed)) = (limit, allowed) else { return held };
    held.max(used.saturating_add(allowed).saturating_sub(limit))
}

/// What a call would use beyond a limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Over {
    /// `micros` or `tokens`.
    pub(super) what: &'static str,
    pub(super) needed: u64,
    pub(super) left: u64,
}

impl Over {
    /// The refusal of a call whose worst case are so many micros and tokens, with what would let it pass where the quota pauses.
    pub(super) fn refusal(self, quota: &Quota, spend: &Spend, (micros, tokens): (u64, u64)) -> Error {
        let Over { what, needed, left } = self;
        let message = "this call could pass a limit: raise the quota, ask for a shorter answer, or wait for its next window";
        let of = format!("{} per {}", quota.subject.key(), quota.window.word());
        let error = Error::new(ErrorKind::BudgetExceeded, RESERVE, message)
            .with_context("quota", &of)
            .with_context("unit", what)
            .with_context("needed", needed)
            .with_context("left", left);
        if quota.hard == HardLimit::Fail {
            return error.with_code("budget_spent");
        }
        // The id of what was used: the quota, and the window.
        let at = spend.id.split_once('|').map(|(_, window)| window.to_owned()).unwrap_or_default();
        let more = AllowMore {
            quota: quota.id.clone(),
            at,
            micros: quota.money.map(|_| micros),
            tokens: quota.tokens.map(|_| tokens),
        };
        let why = format!(
            "more may be used than the quota of {of} allows: the call takes up to {needed} {what}, {left} are left"
        );
        error.with_code("budget_paused").with_source(Paused { more, why })
    }
}

/// A quota that pauses: the source of an error with the code `budget_paused`.
#[derive(Debug)]
pub(crate) struct Paused {
    /// What would let the call pass.
    more: AllowMore,
    /// What is needed and what is left, in words.
    why: String,
}

impl fmt::Display for Paused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for Paused {}

impl Paused {
    /// The quota behind an error, also where a route or an operation stands before it.
    pub(crate) fn of(error: &Error) -> Option<&Self> {
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            if let Some(paused) = cause.downcast_ref() {
                return Some(paused);
            }
            source = cause.source();
        }
        None
    }

    /// The question whether more is allowed.
    pub(crate) fn ask(&self) -> Result<Ask> {
        let args =
            serde_json::to_value(&self.more).map_err(|cause| Error::internal(AllowMore::NAME, cause))?;
        Ok(Ask {
            operation: AllowMore::NAME.to_owned(),
            args_hash: call_hash(AllowMore::NAME, &args),
            args,
            summary: self.why.clone(),
            quorum: 1,
            approvers: Vec::new(),
            ttl_ms: u64::try_from(QUESTION.as_millis()).unwrap_or(u64::MAX),
            policies: Vec::new(),
        })
    }
}
