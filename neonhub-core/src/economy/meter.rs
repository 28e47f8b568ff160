//! Holding the worst case of a call against quotas, and settling what it used.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;

use super::gathered;
use super::model::{HardLimit, Hold, Quota, QuotaId, QuotaSubject, QuotaWindow, Spend, TokenUsage, UsageId};
use super::more::Over;
use crate::bus::Event;
use crate::llm::Usage;
use crate::llm::table::Prices;
use crate::op::on_behalf_of;
use crate::run::AgentRun;
use crate::store::{Batch, Expected, Kind, Query, Record, Row, Stored, Write};
use crate::tenancy::WorkspaceId;
use crate::{Error, ErrorKind, Principal, Result, Scope, Timestamp};

/// What a refusal by a quota of ours carries as its operation: nothing was asked of the provider.
pub(crate) const RESERVE: &str = "economy.reserve";
const OPERATION: &str = RESERVE;
/// Most quotas of a workspace.
pub(super) const MAX_QUOTAS: usize = 1_000;
/// From this share of a limit on it is told. Our choice.
pub(super) const SOFT_SHARE: f64 = 0.8;
/// How long a hold of tokens stands without being settled (`money-insight`, wallet rule 4).
const HELD: Duration = Duration::from_secs(3_600);
/// How often a commit that lost a race is made again.
const TRIES: u32 = 16;

/// One lock for each workspace: calls of one process reserve one after the other instead of losing races.
#[derive(Debug, Default)]
pub(crate) struct Ledgers {
    turns: Mutex<HashMap<WorkspaceId, Arc<tokio::sync::Mutex<()>>>>,
    calls: AtomicU64,
}

impl Ledgers {
    fn of(&self, workspace: &WorkspaceId) -> Arc<tokio::sync::Mutex<()>> {
        let mut all = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(workspace.clone()).or_default())
    }
}

/// A scope of its own for a call's id: what else draws from the caller's chance must not hang on whether it is counted.
fn aside(cx: &Scope) -> Scope {
    let number = cx.hub().ledgers().calls.fetch_add(1, Ordering::Relaxed);
    cx.fork(&["usage", &crate::llm::hex(&cx.hub().token()), &number.to_string()])
}

/// The worst case of a call.
#[derive(Clone, Debug)]
pub(super) struct Need {
    pub provider: String,
    pub model: String,
    pub input: u64,
    pub output: u64,
    pub tokens: u64,
    pub micros: Option<u64>,
    pub prices: Option<Prices>,
    pub campaign: Option<String>,
    pub purpose: Option<String>,
    pub price_version: String,
    /// Pictures that are asked for.
    pub images: u32,
}

/// What is held for a call under way. Dropped without an end it settles at the estimate.
#[derive(Debug)]
pub(super) struct Ticket(Option<Open>);

#[derive(Debug)]
struct Open {
    cx: Scope,
    id: UsageId,
    need: Need,
    /// Ids of what was used of the quotas.
    spends: Vec<String>,
    began: Timestamp,
}

/// The quotas that bound calls of a scope, each with the id of what was used of it in its window.
pub(super) async fn quotas(cx: &Scope, campaign: Option<&str>) -> Result<Vec<(Quota, String)>> {
    let all = cx.query::<Quota>(&Query::by_id().limit(MAX_QUOTAS)).await?;
    let run = run_of(cx);
    let bounds = |quota: &Quota| match &quota.subject {
        QuotaSubject::Workspace => true,
        // What an agent uses counts for whom it acts for as well.
        QuotaSubject::Principal { id } => *id == cx.label() || on_behalf_of(cx.principal()) == Some(id),
        QuotaSubject::Agent { name } => agent_of(cx) == Some(name),
        QuotaSubject::Campaign { id } => campaign == Some(id),
        QuotaSubject::Run { id } => run == Some(id),
    };
    let mine = all.into_iter().map(|stored| stored.body).filter(bounds);
    let mine = mine.filter_map(|quota| {
        let window = quota.window.at(cx.now(), run)?;
        Some((spend_id(&quota, &window), quota))
    });
    let mut found: Vec<(Quota, String)> = mine.map(|(id, quota)| (quota, id)).collect();
    let mut next = run.map(str::to_owned);
    // What a run uses is a part of what the runs above it use.
    while let Some(id) = next {
        let Some(row) = cx.get::<AgentRun>(&id).await? else { break };
        found.extend(budget_of(cx, &row).map(|quota| (quota, budget_id(&id))));
        next = row.body.parent_run;
    }
    Ok(found)
}

/// The budget of a run as the quota that it is. It lives and goes with the run.
pub(super) fn budget_of(cx: &Scope, run: &AgentRun) -> Option<Quota> {
    Some(Quota {
        id: QuotaId::new(&cx.fork(&["budget", &run.id])),
        subject: QuotaSubject::Run { id: run.id.clone() },
        window: QuotaWindow::Run,
        tokens: None,
        money: Some(run.budget?),
        soft_share: SOFT_SHARE,
        hard: HardLimit::Fail,
        allow_unknown_price: false,
    })
}

/// Id of what was used of the budget of a run.
pub(super) fn budget_id(run: &str) -> String {
    format!("budget|{run}")
}

fn agent_of(cx: &Scope) -> Option<&str> {
    match cx.principal() {
        Principal::Agent { name, .. } => Some(name),
        _ => None,
    }
}

fn run_of(cx: &Scope) -> Option<&str> {
    match cx.principal() {
        Principal::Agent { run, .. } => Some(run),
        _ => None,
    }
}

/// Id of what was used of a quota in a window.
pub(super) fn spend_id(quota: &Quota, window: &str) -> String {
    format!("{}|{window}", quota.id)
}

/// Holds the worst case of a call from every quota that applies, or from none.
///
/// # Errors
/// `BudgetExceeded` naming what is needed and what is left; `Config` when a quota limits money and the price of the model
/// is not known, or known in another currency.
pub(super) async fn reserve(cx: &Scope, need: Need) -> Result<Ticket> {
    let cx = &aside(cx);
    let open = Open { cx: cx.clone(), id: UsageId::new(cx), need, spends: Vec::new(), began: cx.now() };
    let quotas = quotas(cx, open.need.campaign.as_deref()).await?;
    if quotas.is_empty() {
        return Ok(Ticket(Some(open)));
    }
    let lock = cx.hub().ledgers().of(cx.workspace());
    let _turn = lock.lock().await;
    for _ in 0..TRIES {
        let mut batch = Batch::new(cx.workspace().clone(), cx.now());
        let mut spends = Vec::new();
        for (quota, id) in &quotas {
            let (mut spend, rev) = load(cx, id).await?;
            let told = hold(cx, quota, &mut spend, &open)?;
            put(cx, &mut batch, &spend, rev)?;
            if told {
                batch.writes.push(event(cx, quota, &spend)?);
            }
            spends.push(id.clone());
        }
        match cx.store().commit(batch).await {
            Ok(_) => return Ok(Ticket(Some(Open { spends, ..open }))),
            Err(error) if is_race(&error) => {}
            Err(error) => return Err(error),
        }
    }
    let message = "others use the same quotas all the time: call again";
    Err(Error::new(ErrorKind::Unavailable, OPERATION, message).with_retry(crate::Retry::Backoff))
}

/// Checks that every quota that applies would hold a call of this worst case now. Nothing is held.
///
/// # Errors
/// As [`reserve`].
pub(super) async fn check(cx: &Scope, need: Need) -> Result<()> {
    let cx = &aside(cx);
    let open = Open { cx: cx.clone(), id: UsageId::new(cx), need, spends: Vec::new(), began: cx.now() };
    for (quota, id) in quotas(cx, open.need.campaign.as_deref()).await? {
        let (mut spend, _) = load(cx, &id).await?;
        hold(cx, &quota, &mut spend, &open)?;
    }
    Ok(())
}

/// Adds a hold to what was used of a quota. Gives whether the soft limit is to be told.
fn hold(cx: &Scope, quota: &Quota, spend: &mut Spend, open: &Open) -> Result<bool> {
    let need = &open.need;
    spend.expire(cx.now());
    let micros = match (quota.money, need.micros) {
        (None, micros) => micros.unwrap_or(0),
        (Some(_), None) if quota.allow_unknown_price => 0,
        (Some(money), Some(micros)) if need.is_in(money.currency.as_str()) => micros,
        (Some(_), _) => return Err(no_price(quota, need)),
    };
    let (used_micros, used_tokens) = spend.taken();
    let mut share = 0.0_f64;
    for (what, needed, used, limit) in [
        ("micros", micros, used_micros, spend.micros_of(quota)),
        ("tokens", need.tokens, used_tokens, spend.tokens_of(quota)),
    ] {
        let Some(limit) = limit else { continue };
        let then = used.saturating_add(needed);
        if then > limit {
            let over = Over { what, needed, left: limit.saturating_sub(used) };
            return Err(over.refusal(quota, spend, (micros, need.tokens)));
        }
        share = share.max(then as f64 / limit.max(1) as f64);
    }
    let until = cx.now().plus(HELD);
    spend.holds.push(Hold { id: open.id.clone(), micros, tokens: need.tokens, until });
    let is_new = share >= quota.soft_share && !spend.is_told;
    spend.is_told |= is_new;
    Ok(is_new)
}

impl Need {
    fn is_in(&self, currency: &str) -> bool {
        self.prices.as_ref().is_some_and(|prices| prices.currency == currency)
    }
}

fn no_price(quota: &Quota, need: &Need) -> Error {
    let message = "a quota limits money, and the price of this model is not known in its currency: give it a price \
                   with `models.override`, or allow unknown prices in the quota";
    Error::new(ErrorKind::Config, OPERATION, message)
        .with_code("unknown_price")
        .with_context("quota", quota.subject.key())
        .with_context("provider", &need.provider)
        .with_context("model", &need.model)
}

pub(super) async fn load(cx: &Scope, id: &str) -> Result<(Spend, u64)> {
    let row = cx.store().get(Kind::of::<Spend>(), cx.workspace(), id).await?;
    let Some(row) = row else { return Ok((Spend { id: id.to_owned(), ..Spend::default() }, 0)) };
    Ok((Stored::<Spend>::from_row(&row)?.body, row.rev))
}

fn put(cx: &Scope, batch: &mut Batch, spend: &Spend, rev: u64) -> Result<()> {
    let row = Row::of(spend, cx.now(), "system:economy")?;
    let expected = if rev == 0 { Expected::Absent } else { Expected::Rev(rev) };
    batch.writes.push(Write::Put { kind: Kind::of::<Spend>(), row, expected });
    Ok(())
}

fn event(cx: &Scope, quota: &Quota, spend: &Spend) -> Result<Write> {
    let (micros, tokens) = spend.taken();
    let data =
        json!({ "quota": quota.id, "subject": quota.subject.key(), "micros": micros, "tokens": tokens });
    let event = Event::new(cx, "economy.soft_cap", Quota::KIND, quota.id.as_str(), data);
    let row = Row::of(&event, cx.now(), "system:economy")?;
    Ok(Write::Put { kind: Kind::of::<Event>(), row, expected: Expected::Absent })
}

fn is_race(error: &Error) -> bool {
    matches!(error.code(), "stale_revision" | "already_exists" | "unique_taken")
}

impl Ticket {
    /// Ends the hold with what was used; without a count, with its estimate.
    pub(super) async fn settle(mut self, usage: Option<Usage>, model: Option<String>) {
        if let Some(open) = self.0.take() {
            open.end(Some((usage, model))).await;
        }
    }

    /// Ends the hold of a call that cost nothing.
    pub(super) async fn release(mut self) {
        if let Some(open) = self.0.take() {
            open.end(None).await;
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let Some(open) = self.0.take() else { return };
        // Without a runtime the hold stands until its time is over, and then counts as used.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(open.end(Some((None, None))));
        }
    }
}

impl Open {
    /// What cannot be written stays held, and counts as used once its time is over.
    async fn end(self, used: Option<(Option<Usage>, Option<String>)>) {
        let usage = used.map(|(usage, model)| self.usage(usage, model));
        if let (Some(gathered), Some(usage)) = (self.cx.gathered(), &usage) {
            gathered.charge(usage);
        }
        match (self.cx.gathered().filter(|gathered| gathered.holds_counts()), &usage) {
            (_, None) if self.spends.is_empty() => return,
            // Nothing is held, so nothing has to be let go at once.
            (Some(gathered), Some(usage)) if self.spends.is_empty() => return gathered.add(usage.clone()),
            _ => {}
        }
        if let Err(error) = self.write(usage.as_ref()).await {
            tracing::warn!(error = %error, "what a model used could not be written: its hold stands");
        }
    }

    fn usage(&self, counted: Option<Usage>, model: Option<String>) -> TokenUsage {
        let (need, cx) = (&self.need, &self.cx);
        let estimate = Usage {
            input_uncached: need.input,
            output_visible: need.output,
            exact: false,
            ..Usage::default()
        };
        let used = counted.unwrap_or(estimate);
        let cost =
            need.prices.as_ref().and_then(|prices| prices.cost(&used)).map(crate::llm::table::Cost::micros);
        TokenUsage {
            id: self.id.clone(),
            at: cx.now(),
            principal: cx.label().to_owned(),
            agent: agent_of(cx).map(str::to_owned),
            run: run_of(cx).map(str::to_owned),
            campaign: need.campaign.clone(),
            purpose: need.purpose.clone(),
            provider: need.provider.clone(),
            model: model.unwrap_or_else(|| need.model.clone()),
            input: used.input_uncached,
            cached_read: used.input_cache_read,
            cache_write: used.input_cache_write,
            output: used.output_visible,
            reasoning: used.output_reasoning,
            latency_ms: u64::try_from(cx.now().since(self.began).as_millis()).unwrap_or(u64::MAX),
            cost_micros: cost,
            currency: need.prices.as_ref().filter(|_| cost.is_some()).map(|prices| prices.currency.clone()),
            price_version: need.price_version.clone(),
            images: need.images,
            estimated: !used.exact,
        }
    }

    async fn write(&self, usage: Option<&TokenUsage>) -> Result<()> {
        let cx = &self.cx;
        let lock = cx.hub().ledgers().of(cx.workspace());
        // Calls without a quota touch nothing that others touch.
        let _turn = if self.spends.is_empty() { None } else { Some(lock.lock().await) };
        let mut last = None;
        for _ in 0..TRIES {
            let mut batch = Batch::new(cx.workspace().clone(), cx.now());
            if let Some(usage) = usage {
                batch.writes.push(gathered::put(cx, usage)?);
            }
            for id in &self.spends {
                let (mut spend, rev) = load(cx, id).await?;
                let before = spend.holds.len();
                spend.holds.retain(|hold| hold.id != self.id);
                // A hold whose time was over counts already, at its worst case.
                if let Some(usage) = usage.filter(|_| spend.holds.len() < before) {
                    let tokens =
                        usage.input + usage.cached_read + usage.cache_write + usage.output + usage.reasoning;
                    spend.tokens = spend.tokens.saturating_add(tokens);
                    let unpriced = self.need.micros.unwrap_or(0);
                    spend.micros = spend.micros.saturating_add(usage.cost_micros.unwrap_or(unpriced));
                }
                put(cx, &mut batch, &spend, rev)?;
            }
            match cx.store().commit(batch).await {
                Ok(_) => return Ok(()),
                Err(error) if is_race(&error) => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(|| Error::internal(OPERATION, "no try was made")))
    }
}
