//! The pages of a launch: each one commit.

use neonhub_core::op::{Effect, Operation};
use neonhub_core::store::{Key, Query};
use neonhub_core::{ErrorKind, Permission, Result, Scope, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::launch::LaunchOutcome;
use super::lifecycle::{launched_status, source_of};
use super::ops::{assets_of, happened, plan_of};
use super::{
    Asset, Campaign, CampaignChannel, CampaignId, CampaignStatus, Plan, StepKind, audience, example, planner,
};
use crate::people::PersonId;
use crate::send::{CreateSend, CreateSends, DraftId, Send, SendState, put_source};

/// Opens the campaign to the gate.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LaunchBegin {
    /// The campaign.
    pub id: CampaignId,
}

/// Whether there is anything left to launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Begun {
    /// True when the end of the campaign has passed.
    pub is_over: bool,
}

impl Operation for LaunchBegin {
    type Output = Begun;
    const NAME: &'static str = "campaign.launch_begin";
    const NEEDS: &'static [Permission] = &[Permission::SendMessages];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;
    const INTERNAL: bool = true;

    async fn run(self, cx: &Scope) -> Result<Begun> {
        let mut campaign = cx.need::<Campaign>(self.id.as_str()).await?;
        let is_over = campaign.brief.end <= cx.now();
        let next = match is_over {
            true if campaign.status == CampaignStatus::Running => CampaignStatus::Completed,
            true if campaign.status == CampaignStatus::Scheduled => CampaignStatus::Running,
            _ => launched_status(&campaign, cx),
        };
        if campaign.status != next && campaign.status.may_become(next) {
            campaign.body.status = next;
            campaign.body.launched_at = campaign.launched_at.or_else(|| Some(cx.now()));
            cx.save(&campaign)?;
            cx.emit(happened(cx, &format!("campaign.{}", event_of(next)), &campaign))?;
        }
        put_source(cx, source_of(&campaign)).await?;
        Ok(Begun { is_over })
    }

    fn examples() -> Vec<Self> {
        vec![LaunchBegin { id: example::campaign_id() }]
    }
}

const fn event_of(status: CampaignStatus) -> &'static str {
    match status {
        CampaignStatus::Running => "started",
        other => other.word(),
    }
}

/// What a page made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PageDone {
    /// Counts of new sends.
    pub made: LaunchOutcome,
    /// Where the next page starts; absent after the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// True for the page of public posts, after which people follow.
    #[serde(default)]
    pub is_posts: bool,
}

/// Puts the posts of a campaign through the gate.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LaunchPosts {
    /// The campaign.
    pub id: CampaignId,
}

impl Operation for LaunchPosts {
    type Output = PageDone;
    const NAME: &'static str = "campaign.launch_posts";
    const NEEDS: &'static [Permission] = &[Permission::SendMessages];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;
    const INTERNAL: bool = true;

    async fn run(self, cx: &Scope) -> Result<PageDone> {
        let stage = Stage::load(cx, &self.id).await?;
        let mut made = LaunchOutcome::default();
        for step in stage.plan.steps_of(StepKind::Publish) {
            let Some(draft) = step.params.channel.and_then(|c| stage.draft(c, 1)) else { continue };
            let known = Query::index("campaign").prefix(Key::text(self.id.as_str()).and_text(&step.key));
            if cx.count::<Send>(&known).await? > 0 {
                continue;
            }
            match cx.call(CreateSend::of(draft)).await {
                Ok(_) => made.posts += 1,
                // Refused and kept with its reasons; the other posts go on.
                Err(error) if error.kind() == ErrorKind::Blocked => {}
                Err(error) => return Err(error),
            }
        }
        made.created = made.posts;
        Ok(PageDone { made, next: None, is_posts: true })
    }

    fn examples() -> Vec<Self> {
        vec![LaunchPosts { id: example::campaign_id() }]
    }
}

/// Puts one page of people through the gate.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LaunchPage {
    /// The campaign.
    pub id: CampaignId,
    /// The last person of the page before.
    #[serde(default)]
    pub after: Option<String>,
    /// People looked at so far, for the progress.
    #[serde(default)]
    pub done: u64,
}

impl Operation for LaunchPage {
    type Output = PageDone;
    const NAME: &'static str = "campaign.launch_page";
    const NEEDS: &'static [Permission] = &[Permission::SendMessages];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 5;
    const INTERNAL: bool = true;

    async fn run(self, cx: &Scope) -> Result<PageDone> {
        let stage = Stage::load(cx, &self.id).await?;
        let (people, next) = audience::page(cx, self.after.as_deref()).await?;
        let mut made = LaunchOutcome { people: people.len() as u64, ..LaunchOutcome::default() };
        if !people.is_empty() {
            for channel in stage.campaign.brief.personal_channels().collect::<Vec<_>>() {
                stage.channel(cx, channel, &people, &mut made).await?;
            }
        }
        let total = audience::people(cx).await?;
        cx.progress("launch", self.done + made.people, total, format!("{} allowed", made.allowed));
        Ok(PageDone { made, next, is_posts: false })
    }

    fn examples() -> Vec<Self> {
        vec![LaunchPage { id: example::campaign_id(), after: None, done: 0 }]
    }
}

/// What every page of a campaign needs.
struct Stage {
    campaign: Campaign,
    plan: Plan,
    assets: Vec<Asset>,
}

impl Stage {
    async fn load(cx: &Scope, id: &CampaignId) -> Result<Self> {
        let campaign = cx.need::<Campaign>(id.as_str()).await?.body;
        let plan = plan_of(cx, &campaign).await?;
        let assets = assets_of(cx, &campaign, &plan).await?.into_iter().map(|a| a.body).collect();
        Ok(Stage { campaign, plan, assets })
    }

    fn draft(&self, channel: CampaignChannel, position: u32) -> Option<DraftId> {
        let key = format!("asset.{channel}.{position}");
        self.assets.iter().find(|a| a.step_key == key)?.draft.clone()
    }

    /// The first message of a channel is judged now; later ones go to those it was not refused to.
    async fn channel(
        &self,
        cx: &Scope,
        channel: CampaignChannel,
        people: &[PersonId],
        made: &mut LaunchOutcome,
    ) -> Result<()> {
        let Some(draft) = self.draft(channel, 1) else { return Ok(()) };
        let first = cx.call(CreateSends { draft, people: people.to_vec(), send_at: None }).await?;
        let mut going = Vec::new();
        for send in first.sends {
            if send.is_new {
                made.created += 1;
                match send.state {
                    SendState::Queued => made.allowed += 1,
                    SendState::Deferred => made.deferred += 1,
                    _ => made.denied += 1,
                }
                if matches!(send.state, SendState::Queued | SendState::Deferred) {
                    going.push(send.person);
                }
            }
        }
        if going.is_empty() {
            return Ok(());
        }
        for (position, at) in self.later(channel, cx.now()) {
            let Some(draft) = self.draft(channel, position) else { continue };
            let page = cx.call(CreateSends { draft, people: going.clone(), send_at: Some(at) }).await?;
            let new = page.sends.iter().filter(|s| s.is_new).count() as u64;
            made.created += new;
            made.scheduled += new;
        }
        Ok(())
    }

    /// The later steps of a channel and when they are due for someone who joins now.
    fn later(&self, channel: CampaignChannel, now: Timestamp) -> Vec<(u32, Timestamp)> {
        let positions = self
            .plan
            .steps_of(StepKind::Send)
            .filter(|s| s.params.channel == Some(channel))
            .filter_map(|s| s.params.position)
            .filter(|position| *position > 1);
        positions.filter_map(|p| Some((p, planner::mail_due(&self.campaign.brief, p, now)?))).collect()
    }
}
