//! Pausing, going on and cancelling.

use neonhub_core::op::{Effect, Operation, Sink};
use neonhub_core::{Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ops::happened;
use super::{Campaign, CampaignId, CampaignStatus, example};
use crate::gate::facts::SourceState;
use crate::send::{SendSource, put_source};

/// Stops a campaign for a while: what was not handed over yet waits.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseCampaign {
    /// The campaign.
    pub id: CampaignId,
}

impl Operation for PauseCampaign {
    type Output = Campaign;
    const NAME: &'static str = "campaign.pause";
    const NEEDS: &'static [Permission] = &[Permission::WriteContent];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;
    const ERRORS: &'static [&'static str] = &["conflict"];
    async fn run(self, cx: &Scope) -> Result<Campaign> {
        go(cx, &self.id, Self::NAME, |_| CampaignStatus::Paused, "campaign.paused").await
    }
    fn examples() -> Vec<Self> {
        vec![PauseCampaign { id: example::campaign_id() }]
    }
}

/// Lets a paused campaign go on.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResumeCampaign {
    /// The campaign.
    pub id: CampaignId,
}

impl Operation for ResumeCampaign {
    type Output = Campaign;
    const NAME: &'static str = "campaign.resume";
    const NEEDS: &'static [Permission] = &[Permission::SendMessages];
    const EFFECT: Effect = Effect::Idempotent;
    const SINKS: &'static [Sink] = &[Sink::Send, Sink::Publish];
    const RERUNS: u8 = 3;
    const ERRORS: &'static [&'static str] = &["conflict"];
    async fn run(self, cx: &Scope) -> Result<Campaign> {
        let next = |campaign: &Campaign| launched_status(campaign, cx);
        go(cx, &self.id, Self::NAME, next, "campaign.resumed").await
    }
    fn examples() -> Vec<Self> {
        vec![ResumeCampaign { id: example::campaign_id() }]
    }
}

/// Ends a campaign early: nothing more of it goes out. What was handed over before stays as it is.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelCampaign {
    /// The campaign.
    pub id: CampaignId,
}

impl Operation for CancelCampaign {
    type Output = Campaign;
    const NAME: &'static str = "campaign.cancel";
    const NEEDS: &'static [Permission] = &[Permission::WriteContent];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;
    const ERRORS: &'static [&'static str] = &["conflict"];
    async fn run(self, cx: &Scope) -> Result<Campaign> {
        go(cx, &self.id, Self::NAME, |_| CampaignStatus::Cancelled, "campaign.cancelled").await
    }
    fn examples() -> Vec<Self> {
        vec![CancelCampaign { id: example::campaign_id() }]
    }
}

/// The state of a launched campaign: it runs from its start on.
pub(super) fn launched_status(campaign: &Campaign, cx: &Scope) -> CampaignStatus {
    if campaign.brief.start > cx.now() { CampaignStatus::Scheduled } else { CampaignStatus::Running }
}

async fn go(
    cx: &Scope,
    id: &CampaignId,
    operation: &'static str,
    next: impl FnOnce(&Campaign) -> CampaignStatus,
    event: &str,
) -> Result<Campaign> {
    let mut campaign = cx.need::<Campaign>(id.as_str()).await?;
    let next = next(&campaign);
    if campaign.status == next {
        return Ok(campaign.body);
    }
    campaign.status.check_move(operation, next)?;
    campaign.body.status = next;
    cx.save(&campaign)?;
    put_source(cx, source_of(&campaign)).await?;
    cx.emit(happened(cx, event, &campaign))?;
    Ok(campaign.body)
}

/// A campaign as the gate sees it. Written in the commit that changes its state: a pause stops what was taken
/// from the queue already.
pub(super) fn source_of(campaign: &Campaign) -> SendSource {
    let state = match campaign.status {
        CampaignStatus::Scheduled | CampaignStatus::Running => SourceState::Running,
        CampaignStatus::Paused => SourceState::Paused,
        CampaignStatus::Completed => SourceState::Finished,
        // Before the launch nothing may go out, and after an early end neither.
        _ => SourceState::Cancelled,
    };
    let (start, end) = (Some(campaign.brief.start), Some(campaign.brief.end));
    SendSource { id: campaign.id.to_string(), state, start, end }
}
