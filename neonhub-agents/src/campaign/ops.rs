//! Making, finding and planning campaigns.

use neonhub_core::bus::Event;
use neonhub_core::op::{Effect, Operation, Page};
use neonhub_core::store::{Key, Query, Stored};
use neonhub_core::{Error, ErrorKind, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::model::{Approval, Asset, AssetStatus, Campaign, CampaignId, StoredPlan, release_hash};
use super::{Brief, CampaignStatus, Plan, PlanFacts, example, speaker};
use crate::send::{ApproveDraft, only_people};

/// Makes a campaign from a brief, and its brand with the brief's sender when the workspace does not know it. The
/// same brief gives the same campaign, so calling it again is safe.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateCampaign {
    /// What the campaign is for.
    pub brief: Brief,
    /// Its name, 1 to 200 characters. Default: the goal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Operation for CreateCampaign {
    type Output = Campaign;
    const NAME: &'static str = "campaign.create";
    const NEEDS: &'static [Permission] = &[Permission::WriteContent, Permission::WriteBrand];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;
    const ERRORS: &'static [&'static str] = &["already_exists"];

    async fn run(self, cx: &Scope) -> Result<Campaign> {
        self.brief.check().map_err(|e| e.for_operation(Self::NAME))?;
        let key = self.brief.key();
        if let Some(found) = cx.find::<Campaign>("key", &key).await? {
            return Ok(found.body);
        }
        let name = match self.name {
            Some(name) => name.trim().to_owned(),
            None => default_name(&self.brief, &key),
        };
        if !(1..=200).contains(&name.chars().count()) || name.chars().any(char::is_control) {
            return Err(Error::invalid(Self::NAME, "name", "expected 1 to 200 characters on one line"));
        }
        let brand = speaker::speaker(cx, &self.brief).await?;
        if cx.find::<Campaign>("name", Key::text(brand.id.as_str()).and_text(&name)).await?.is_some() {
            let why = "a campaign of this brand has this name: choose another or archive that one";
            return Err(Error::new(ErrorKind::AlreadyExists, Self::NAME, why).with_context("field", "name"));
        }
        let campaign = Campaign {
            id: CampaignId::new(cx),
            key,
            name,
            status: CampaignStatus::Draft,
            brand: brand.id,
            brief: self.brief,
            plan_version: 0,
            approval: None,
            launched_at: None,
        };
        cx.create(&campaign)?;
        cx.emit(happened(cx, "campaign.created", &campaign))?;
        Ok(campaign)
    }

    fn examples() -> Vec<Self> {
        vec![CreateCampaign { brief: example::brief(), name: Some("Refill club before Christmas".into()) }]
    }
}

/// The goal, shortened, and the start of the key: two briefs with one goal are two campaigns.
fn default_name(brief: &Brief, key: &str) -> String {
    let goal = brief.goal.split_whitespace().collect::<Vec<_>>().join(" ");
    let short: String = goal.chars().take(160).collect();
    format!("{} ({})", short.trim_end(), key.get(..8).unwrap_or_default())
}

pub(super) fn happened(cx: &Scope, what: &str, campaign: &Campaign) -> Event {
    Event::new(cx, what, "campaign", campaign.id.as_str(), json!({ "status": campaign.status.word() }))
}

/// Gives a campaign.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetCampaign {
    /// The campaign.
    pub id: CampaignId,
}

impl Operation for GetCampaign {
    type Output = Campaign;
    const NAME: &'static str = "campaign.get";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, cx: &Scope) -> Result<Campaign> {
        Ok(cx.need::<Campaign>(self.id.as_str()).await?.body)
    }
    fn examples() -> Vec<Self> {
        vec![GetCampaign { id: example::campaign_id() }]
    }
}

/// Lists campaigns in the order they were made.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListCampaigns {
    /// Only those in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<CampaignStatus>,
    /// Where to go on: the `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// How many, 1 to 200. Default 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u16>,
}

impl Operation for ListCampaigns {
    type Output = Page<Campaign>;
    const NAME: &'static str = "campaign.list";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, cx: &Scope) -> Result<Page<Campaign>> {
        let query = match self.status {
            Some(status) => Query::index("status").prefix(Key::text(status.word())),
            None => Query::by_id(),
        };
        let limit = usize::from(self.limit.unwrap_or(50).clamp(1, 200));
        let page = cx.page::<Campaign>(query.limit(limit), self.cursor.as_deref()).await?;
        Ok(Page { items: page.items.into_iter().map(|c| c.body).collect(), next: page.next })
    }
    fn examples() -> Vec<Self> {
        vec![ListCampaigns { status: Some(CampaignStatus::Running), ..ListCampaigns::default() }]
    }
}

/// Makes the plan of a campaign, or gives the one it has.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanCampaign {
    /// The campaign.
    pub id: CampaignId,
    /// True to plan again; before the launch only.
    #[serde(default)]
    pub again: bool,
}

impl Operation for PlanCampaign {
    type Output = Plan;
    const NAME: &'static str = "campaign.plan";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;

    async fn run(self, cx: &Scope) -> Result<Plan> {
        let mut campaign = cx.need::<Campaign>(self.id.as_str()).await?;
        if campaign.plan_version > 0 && !self.again {
            return plan_of(cx, &campaign).await;
        }
        campaign.status.check_move(Self::NAME, CampaignStatus::Planned)?;
        let facts =
            PlanFacts { now: cx.now(), people: super::audience::people(cx).await?, price_micros: Vec::new() };
        let mut plan = Plan::build(&campaign.brief, &facts).map_err(|e| e.for_operation(Self::NAME))?;
        plan.version = campaign.plan_version + 1;
        let id = StoredPlan::id_of(&campaign.id, plan.version);
        cx.create(&StoredPlan { id, campaign: campaign.id.clone(), plan: plan.clone() })?;
        campaign.body.plan_version = plan.version;
        campaign.body.status = CampaignStatus::Planned;
        campaign.body.approval = None;
        cx.save(&campaign)?;
        cx.emit(happened(cx, "campaign.planned", &campaign))?;
        Ok(plan)
    }

    fn examples() -> Vec<Self> {
        vec![PlanCampaign { id: example::campaign_id(), again: false }]
    }
}

/// The plan in force.
pub(super) async fn plan_of(cx: &Scope, campaign: &Campaign) -> Result<Plan> {
    if campaign.plan_version == 0 {
        let why = "the campaign has no plan: call campaign.plan first";
        return Err(Error::new(ErrorKind::Conflict, cx.operation(), why));
    }
    let id = StoredPlan::id_of(&campaign.id, campaign.plan_version);
    Ok(cx.need::<StoredPlan>(&id).await?.body.plan)
}

/// The assets of a campaign in the order of its plan.
pub(super) async fn assets_of(cx: &Scope, campaign: &Campaign, plan: &Plan) -> Result<Vec<Stored<Asset>>> {
    // A plan holds at most 200 steps, so one page is all.
    let query = Query::index("step").prefix(Key::text(campaign.id.as_str())).limit(500);
    let mut assets = cx.query::<Asset>(&query).await?;
    let place = |asset: &Stored<Asset>| plan.steps.iter().position(|s| s.key == asset.step_key);
    assets.sort_by_key(place);
    Ok(assets)
}

/// Releases plan, texts and budget of a campaign. A later change of these takes the release back. No agent releases.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApproveCampaign {
    /// The campaign.
    pub id: CampaignId,
    /// The plan that was looked at; another one in force is a `conflict`.
    pub plan_version: u32,
    /// Why, at most 1,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Operation for ApproveCampaign {
    type Output = Campaign;
    const NAME: &'static str = "campaign.approve";
    const NEEDS: &'static [Permission] = &[Permission::ApproveContent];
    const EFFECT: Effect = Effect::Idempotent;
    const ERRORS: &'static [&'static str] = &["conflict", "blocked", "not_a_person"];

    async fn run(self, cx: &Scope) -> Result<Campaign> {
        only_people(cx)?;
        if self.note.as_ref().is_some_and(|n| n.chars().count() > 1_000) {
            return Err(Error::invalid(Self::NAME, "note", "expected at most 1,000 characters"));
        }
        let mut campaign = cx.need::<Campaign>(self.id.as_str()).await?;
        let plan = plan_of(cx, &campaign).await?;
        if plan.version != self.plan_version {
            let why = "the plan changed since: look at the one in force and approve that";
            return Err(
                Error::new(ErrorKind::Conflict, Self::NAME, why).with_context("in_force", plan.version)
            );
        }
        let mut assets = assets_of(cx, &campaign, &plan).await?;
        let bodies: Vec<Asset> = assets.iter().map(|a| a.body.clone()).collect();
        let hash = release_hash(&campaign, &plan, &bodies);
        let is_same = campaign.approval.as_ref().is_some_and(|a| a.hash == hash);
        if is_same && campaign.status != CampaignStatus::Planned {
            return Ok(campaign.body);
        }
        campaign.status.check_move(Self::NAME, CampaignStatus::Approved)?;
        check_complete(&plan, &bodies)?;
        for asset in assets.iter_mut().filter(|a| a.status != AssetStatus::Approved) {
            if let Some(draft) = asset.draft.clone() {
                cx.call(ApproveDraft { draft, hash: None, note: self.note.clone() }).await?;
            }
            asset.body.status = AssetStatus::Approved;
            cx.save(asset)?;
        }
        let by = cx.label().to_owned();
        campaign.body.approval =
            Some(Approval { plan_version: plan.version, hash, by, at: cx.now(), note: self.note });
        campaign.body.status = CampaignStatus::Approved;
        cx.save(&campaign)?;
        cx.emit(happened(cx, "campaign.approved", &campaign))?;
        Ok(campaign.body)
    }

    fn examples() -> Vec<Self> {
        vec![ApproveCampaign { id: example::campaign_id(), plan_version: 1, note: Some("looks good".into()) }]
    }
}

/// Every asset step has its text, and no text holds what the guardrail blocks.
fn check_complete(plan: &Plan, assets: &[Asset]) -> Result<()> {
    let missing: Vec<&str> = plan
        .steps_of(super::StepKind::Asset)
        .filter(|s| !assets.iter().any(|a| a.step_key == s.key))
        .map(|s| s.key.as_str())
        .collect();
    if !missing.is_empty() {
        let why = format!("not written yet: {}: call campaign.generate_assets first", missing.join(", "));
        return Err(Error::new(ErrorKind::Conflict, ApproveCampaign::NAME, why));
    }
    let blocked = assets.iter().find(|a| a.primary.findings.iter().any(|f| f.level == "block"));
    match blocked {
        None => Ok(()),
        Some(asset) => {
            let why = "the guardrail blocks a text: change it before the release";
            Err(Error::new(ErrorKind::Blocked, ApproveCampaign::NAME, why)
                .with_context("step", &asset.step_key))
        }
    }
}

#[cfg(test)]
#[path = "ops_tests.rs"]
mod tests;
