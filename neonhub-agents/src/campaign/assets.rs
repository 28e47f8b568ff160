//! Writing the assets of a campaign.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use neonhub_core::op::{Effect, Operation};
use neonhub_core::{Error, ErrorKind, Permission, Result, Scope};
use neonhub_rag::Document;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::model::{Asset, AssetId, AssetStatus, Campaign, CampaignId};
use super::ops::{assets_of, happened, plan_of};
use super::report::AssetFinding;
use super::{CampaignChannel, CampaignStatus, Plan, PlanStep, StepKind, example, speaker, wording};
use crate::gate::facts::Origin;
use crate::send::{Attribution, CreateDraft, Draft};
use crate::voice::{Compose, Composed, ComposedText};

/// Writes the assets of a plan in the brand's voice, each with its checks and sources. What was written stays as it
/// is; only missing assets are written.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GenerateAssets {
    /// The campaign.
    pub id: CampaignId,
    /// Keys of the asset steps, such as `asset.email.1`. Default: every asset step of the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_keys: Option<Vec<String>>,
}

impl Operation for GenerateAssets {
    type Output = Vec<Asset>;
    const NAME: &'static str = "campaign.generate_assets";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents, Permission::WriteContent];
    const EFFECT: Effect = Effect::Idempotent;
    const DEADLINE: Duration = Duration::from_secs(3_600);
    const ERRORS: &'static [&'static str] = &["blocked", "conflict"];

    async fn run(self, cx: &Scope) -> Result<Vec<Asset>> {
        let campaign = cx.need::<Campaign>(self.id.as_str()).await?.body;
        let plan = plan_of(cx, &campaign).await?;
        let steps = self.steps(&plan)?;
        let written = assets_of(cx, &campaign, &plan).await?;
        let missing: Vec<&PlanStep> =
            steps.iter().copied().filter(|s| !written.iter().any(|a| a.step_key == s.key)).collect();
        if !missing.is_empty() && campaign.status != CampaignStatus::Planned {
            let why = "texts of a released campaign stay as they are: plan again to write new ones";
            return Err(Error::new(ErrorKind::Conflict, Self::NAME, why)
                .with_context("status", campaign.status.word()));
        }
        let mut assets: Vec<Asset> = written.into_iter().map(|a| a.body).collect();
        for (done, step) in missing.iter().enumerate() {
            cx.progress("assets", done as u64, missing.len() as u64, step.title.clone());
            cx.cancel_token().check(Self::NAME)?;
            assets.push(write(cx, &campaign, &plan, step).await?);
        }
        if !missing.is_empty() {
            cx.progress("assets", missing.len() as u64, missing.len() as u64, "");
            cx.emit(happened(cx, "campaign.assets_written", &campaign))?;
        }
        let place = |asset: &Asset| plan.steps.iter().position(|s| s.key == asset.step_key);
        assets.retain(|a| steps.iter().any(|s| s.key == a.step_key));
        assets.sort_by_key(place);
        Ok(assets)
    }

    fn examples() -> Vec<Self> {
        vec![GenerateAssets { id: example::campaign_id(), step_keys: Some(vec!["asset.email.1".into()]) }]
    }
}

impl GenerateAssets {
    fn steps<'p>(&self, plan: &'p Plan) -> Result<Vec<&'p PlanStep>> {
        let all: Vec<&PlanStep> = plan.steps_of(StepKind::Asset).collect();
        let Some(keys) = &self.step_keys else { return Ok(all) };
        if let Some(i) = keys.iter().position(|key| !all.iter().any(|s| s.key == *key)) {
            let known: Vec<&str> = all.iter().map(|s| s.key.as_str()).collect();
            let why = format!("is no asset step of the plan, expected one of {}", known.join(", "));
            return Err(Error::invalid(Self::NAME, format!("step_keys[{i}]"), why));
        }
        Ok(all.into_iter().filter(|s| keys.contains(&s.key)).collect())
    }
}

async fn write(cx: &Scope, campaign: &Campaign, plan: &Plan, step: &PlanStep) -> Result<Asset> {
    let (Some(channel), Some(position)) = (step.params.channel, step.params.position) else {
        return Err(Error::new(
            ErrorKind::Internal,
            GenerateAssets::NAME,
            "an asset step names channel and position",
        ));
    };
    let siblings = plan.steps_of(StepKind::Asset).filter(|s| s.params.channel == Some(channel)).count();
    let asked =
        Asked { campaign, step, channel, position, steps: u32::try_from(siblings).unwrap_or(position) };
    let Made { made, segments, left_out } = asked.compose(cx).await?;
    let titles = titles(cx, &made).await?;
    let draft = draft(cx, &asked, segments, &made.primary).await?;
    let asset = Asset {
        id: AssetId::new(cx),
        campaign: campaign.id.clone(),
        step_key: step.key.clone(),
        channel,
        title: title(step),
        status: if made.primary.is_flagged { AssetStatus::InReview } else { AssetStatus::Draft },
        origin: made.primary.origin.clone(),
        primary: wording::text(made.primary, &titles, &left_out),
        alternates: made.alternates.into_iter().map(|v| wording::text(v, &titles, &left_out)).collect(),
        draft: draft.map(|d| d.id),
    };
    cx.create(&asset)?;
    Ok(asset)
}

/// The step's title without its verb: `Mail 1 of 3`.
fn title(step: &PlanStep) -> String {
    let words = step.title.split_whitespace().skip(1).filter(|w| *w != "the").collect::<Vec<_>>().join(" ");
    let mut chars = words.chars();
    chars.next().into_iter().flat_map(char::to_uppercase).chain(chars).collect()
}

/// The names of the documents that were cited.
async fn titles(cx: &Scope, made: &Composed) -> Result<BTreeMap<String, String>> {
    let texts = std::iter::once(&made.primary).chain(&made.alternates);
    let ids: BTreeSet<String> = texts.flat_map(|t| &t.citations).map(|c| c.document.clone()).collect();
    let ids: Vec<String> = ids.into_iter().collect();
    let found = cx.get_many::<Document>(&ids).await?;
    Ok(found.into_iter().flatten().map(|d| (d.id.to_string(), d.external_key.clone())).collect())
}

/// One asset that is asked for.
struct Asked<'a> {
    campaign: &'a Campaign,
    step: &'a PlanStep,
    channel: CampaignChannel,
    position: u32,
    steps: u32,
}

/// What came of asking.
struct Made {
    made: Composed,
    segments: u32,
    /// What the channel had no room for, or the writer no words.
    left_out: Vec<AssetFinding>,
}

/// What is given up, one thing after the other, when a text does not fit its channel. Mails hold everything.
#[derive(Clone, Copy)]
struct Leeway {
    /// The link tells the channel.
    is_tagged: bool,
    segments: u32,
    is_whole: bool,
}

impl Leeway {
    /// In the order tried. A text message gives up the parameters of its link first: they cost most of it.
    fn of(channel: CampaignChannel) -> Vec<Leeway> {
        let room = |is_tagged, segments, is_whole| Leeway { is_tagged, segments, is_whole };
        match channel {
            CampaignChannel::Email => vec![room(true, 1, true)],
            CampaignChannel::Sms => {
                vec![
                    room(true, 1, true),
                    room(false, 1, true),
                    room(false, 2, true),
                    room(false, 3, true),
                    room(false, 3, false),
                ]
            }
            _ => vec![room(true, 1, true), room(true, 1, false)],
        }
    }
}

impl Asked<'_> {
    async fn compose(&self, cx: &Scope) -> Result<Made> {
        let mut last = None;
        for leeway in Leeway::of(self.channel) {
            match self.attempt(cx, leeway, None).await {
                Ok(made) => return Ok(self.made(made, leeway, false)),
                Err(error) if error.kind() == ErrorKind::Unsupported => {
                    // No phrases for this language without a model: English, and said so.
                    let made = self.attempt(cx, leeway, Some("en")).await;
                    match made {
                        Ok(made) => return Ok(self.made(made, leeway, true)),
                        Err(error) => last = Some(error),
                    }
                }
                Err(error) if error.code() == "too_long" => last = Some(error),
                Err(error) => return Err(error.with_context("step", &self.step.key)),
            }
        }
        let lost = || Error::new(ErrorKind::Internal, GenerateAssets::NAME, "the composer answered nothing");
        Err(last.unwrap_or_else(lost).with_context("step", &self.step.key))
    }

    async fn attempt(&self, cx: &Scope, leeway: Leeway, locale: Option<&str>) -> Result<Composed> {
        let brief = &self.campaign.brief;
        let link = if leeway.is_tagged {
            wording::link(brief, self.channel, self.position)?
        } else {
            brief.landing_url.clone()
        };
        let mut asked = wording::ask(brief, &self.step.params.messages, &link);
        if !leeway.is_whole {
            asked.must_say.clear();
        }
        if let Some(locale) = locale {
            asked.locale = locale.to_owned();
        }
        let ask = Compose {
            brand: self.campaign.brand.to_string(),
            channel: self.channel.word().to_owned(),
            brief: asked,
            step: Some(self.position),
            steps: Some(self.steps),
            max_segments: Some(leeway.segments),
            ..Compose::default()
        };
        cx.call(ask).await
    }

    fn made(&self, made: Composed, leeway: Leeway, is_english: bool) -> Made {
        let mut left_out = Vec::new();
        let mut note = |rule: &str, message: String| {
            left_out.push(AssetFinding { rule: rule.into(), level: "warn".into(), message });
        };
        if !leeway.is_whole && !self.campaign.brief.must_say.is_empty() {
            note(
                "must_say.no_room",
                "the phrases that must be said do not fit this channel: shorten them".into(),
            );
        }
        if leeway.segments > 1 {
            note(
                "sms.segments",
                format!("needs up to {} segments: shorten link or phrases", leeway.segments),
            );
        }
        if is_english {
            let locale = &self.campaign.brief.locale;
            note(
                "locale.offline",
                format!("written in English: without a model there are no phrases for {locale}"),
            );
        }
        Made { made, segments: leeway.segments, left_out }
    }
}

/// The draft that is sent or posted, for the channels that have one.
async fn draft(cx: &Scope, asked: &Asked<'_>, segments: u32, text: &ComposedText) -> Result<Option<Draft>> {
    let (campaign, channel, position) = (asked.campaign, asked.channel, asked.position);
    let brief = &campaign.brief;
    let parts = wording::draft_parts(brief, channel, &text.parts)?;
    let (Some(parts), Some(place)) = (parts, speaker::gate_channel(channel)) else { return Ok(None) };
    let verb = if channel.is_personal() { "send" } else { "publish" };
    let draft = CreateDraft {
        brand: campaign.brand.to_string(),
        channel: place,
        sender: Some(speaker::address(brief, channel)),
        category: None,
        parts,
        variables: BTreeMap::new(),
        locale: Some(brief.locale.clone()),
        person: None,
        campaign: Some(campaign.id.to_string()),
        step: Some(format!("{verb}.{channel}.{position}")),
        variant: None,
        origin: Some(match text.origin.as_str() {
            "offline" => Origin::Offline,
            "human" => Origin::Human,
            _ => Origin::Model,
        }),
        attribution: Some(Attribution {
            citations: text.citations.iter().map(|c| c.chunk.clone()).collect(),
            ..Attribution::default()
        }),
        alignment: text.alignment.as_ref().map(|a| a.score),
        needs_approval: None,
        must_not_say: brief.must_not_say.clone(),
        max_segments: Some(segments),
    };
    cx.call(draft).await.map(Some)
}
