//! `campaign.report`: folds what the store holds into the report.

use std::collections::BTreeMap;

use neonhub_core::op::{Effect, Operation};
use neonhub_core::{Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::model::{Asset, Campaign, CampaignId};
use super::ops::{assets_of, plan_of};
use super::report::{
    AssetCard, BudgetLine, CampaignLine, ContactCounts, PlanLine, ReasonLine, Report, SendCounts,
};
use super::{
    Brief, CampaignChannel, CampaignStatus, Plan, StepKind, audience, example, known, meaning, wording,
};
use crate::people::ImportId;
use crate::people::import::ImportJob;
use crate::send::{ReadTotals, SendTotals};

/// Says what a campaign did, and why: every count is folded from the records of its sends.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportCampaign {
    /// The campaign.
    pub id: CampaignId,
    /// The import whose rows are shown. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub import: Option<ImportId>,
    /// Sends handed over before this run, to tell what this run sent. Default: all count as sent now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_before: Option<u64>,
}

impl Operation for ReportCampaign {
    type Output = Report;
    const NAME: &'static str = "campaign.report";
    const NEEDS: &'static [Permission] = &[Permission::ReadAnalytics, Permission::ReadContent];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<Report> {
        let campaign = cx.need::<Campaign>(self.id.as_str()).await?.body;
        let mut report = Report {
            campaign: line(&campaign),
            generated_at: cx.now(),
            is_offline: cx.hub().model().provider() == "offline" && is_outbox(cx, &campaign.brief),
            contacts: self.contacts(cx).await?,
            ..Report::default()
        };
        if campaign.plan_version > 0 {
            let plan = plan_of(cx, &campaign).await?;
            let assets = assets_of(cx, &campaign, &plan).await?;
            for asset in &assets {
                *report.assets.entry(asset.channel.word().to_owned()).or_default() += 1;
            }
            report.asset_cards = assets.iter().map(|a| card(a)).collect();
            sends(cx, &campaign, &plan, self.sent_before.unwrap_or(0), &mut report).await?;
            report.budget = BudgetLine {
                total: Some(campaign.brief.budget),
                split: plan.budget_split.clone(),
                cost: Some(plan.cost.clone()),
            };
            report.plan = plan_line(plan);
        }
        report.knowledge = known::knowledge(cx, &campaign).await?;
        report.voice = known::voice(cx, &campaign).await?;
        Ok(report)
    }

    fn examples() -> Vec<Self> {
        vec![ReportCampaign { id: example::campaign_id(), import: None, sent_before: None }]
    }
}

/// Renders a report as one self-contained HTML page, with charts and without scripts or outside links.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RenderReport {
    /// What `campaign.report` said; the host may have added its `timings_ms`.
    pub report: Report,
}

/// A report as a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReportPage {
    /// The whole document, UTF-8.
    pub html: String,
}

impl Operation for RenderReport {
    type Output = ReportPage;
    const NAME: &'static str = "campaign.render_report";
    const NEEDS: &'static [Permission] = &[Permission::ReadAnalytics];
    const EFFECT: Effect = Effect::Pure;

    async fn run(self, _cx: &Scope) -> Result<ReportPage> {
        Ok(ReportPage { html: self.report.to_html()? })
    }

    fn examples() -> Vec<Self> {
        vec![RenderReport::default()]
    }
}

impl ReportCampaign {
    async fn contacts(&self, cx: &Scope) -> Result<ContactCounts> {
        let mut counts = ContactCounts { people: audience::people(cx).await?, ..ContactCounts::default() };
        if let Some(import) = &self.import {
            let job = cx.need::<ImportJob>(import.as_str()).await?;
            (counts.rows, counts.imported, counts.rejected) = (job.rows, job.imported, job.rejected);
        }
        Ok(counts)
    }
}

/// True when every channel of the brief is taken by an outbox: nothing leaves the computer.
fn is_outbox(cx: &Scope, brief: &Brief) -> bool {
    let is_live = |channel: &CampaignChannel| {
        let channel = neonhub_core::connector::Channel::new(channel.word()).ok();
        channel.and_then(|c| cx.hub().connector(&c)).is_some_and(|c| c.manifest().id != "outbox")
    };
    !brief.channels.iter().any(is_live)
}

fn line(campaign: &Campaign) -> CampaignLine {
    let brief = &campaign.brief;
    CampaignLine {
        id: campaign.id.to_string(),
        key: campaign.key.clone(),
        name: campaign.name.clone(),
        status: campaign.status.word().to_owned(),
        goal: brief.goal.clone(),
        brand: brief.brand.clone(),
        audience_text: brief.audience_text.clone(),
        offer: brief.offer.clone(),
        start: brief.start,
        end: brief.end,
        timezone: brief.timezone.clone(),
    }
}

fn plan_line(plan: Plan) -> PlanLine {
    PlanLine {
        version: plan.version,
        steps: plan.steps.len() as u64,
        schedule: plan.schedule,
        kpis: plan.kpis,
        assumptions: plan.assumptions,
        risks: plan.risks,
    }
}

fn card(asset: &Asset) -> AssetCard {
    AssetCard {
        id: asset.id.to_string(),
        step_key: asset.step_key.clone(),
        channel: Some(asset.channel),
        title: asset.title.clone(),
        status: asset.status.word().to_owned(),
        origin: asset.origin.clone(),
        parts: wording::shown(&asset.primary.parts),
        voice_score: asset.primary.voice_score,
        findings: asset.primary.findings.clone(),
        limits: asset.primary.limits.clone(),
        citations: asset.primary.citations.clone(),
        alternates: asset.alternates.len() as u64,
    }
}

/// Counts the sends step by step: the first of each channel was judged, later ones wait for their day.
async fn sends(cx: &Scope, campaign: &Campaign, plan: &Plan, before: u64, report: &mut Report) -> Result<()> {
    if campaign.status == CampaignStatus::Planned || campaign.launched_at.is_none() {
        return Ok(());
    }
    for step in plan.steps_of(StepKind::Send) {
        let Some(channel) = step.params.channel else { continue };
        let totals = totals(cx, campaign, &step.key).await?;
        let counts = report.channels.entry(channel.word().to_owned()).or_default();
        let is_first = step.params.position == Some(1);
        count(counts, &totals, is_first);
        if is_first {
            for (rule, n) in &totals.reasons {
                *report.reasons.entry(rule.clone()).or_default() += n;
            }
        }
    }
    report.channels.values().for_each(|counts| report.sends.add(counts));
    report.sends.sent_now = report.sends.sent.saturating_sub(before);
    for step in plan.steps_of(StepKind::Publish) {
        report.posts += totals(cx, campaign, &step.key).await?.sent;
    }
    report.reason_lines = lines(&report.reasons, report.sends.deferred > 0);
    Ok(())
}

async fn totals(cx: &Scope, campaign: &Campaign, step: &str) -> Result<SendTotals> {
    cx.call(ReadTotals { campaign: campaign.id.to_string(), step: Some(step.to_owned()) }).await
}

fn count(counts: &mut SendCounts, totals: &SendTotals, is_first: bool) {
    counts.sent += totals.sent;
    if is_first {
        counts.allowed += totals.allowed;
        counts.deferred += totals.deferred;
        counts.denied += totals.denied;
    } else {
        counts.scheduled += totals.scheduled + totals.deferred;
    }
}

/// The rules with their words, the most frequent first.
fn lines(reasons: &BTreeMap<String, u64>, is_any_held: bool) -> Vec<ReasonLine> {
    let mut lines: Vec<ReasonLine> = reasons
        .iter()
        .map(|(rule, count)| ReasonLine {
            rule: rule.clone(),
            // A rule that can hold a send refuses it once its time has run out.
            decision: if is_any_held { meaning::decision(rule) } else { "deny" }.to_owned(),
            count: *count,
            meaning: meaning::of(rule).to_owned(),
        })
        .collect();
    lines.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.rule.cmp(&b.rule)));
    lines
}
