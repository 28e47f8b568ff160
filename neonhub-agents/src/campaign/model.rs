//! The records of campaigns.

use neonhub_core::Timestamp;
use neonhub_core::id_type;
use neonhub_core::store::{Index, Key, Record};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::report::{AssetFinding, Citation, LimitCheck};
use super::{Brief, CampaignChannel, CampaignStatus, Plan};
use crate::brand::BrandId;
use crate::send::DraftId;
use crate::voice::compose::Parts;

id_type!(CampaignId, "cmp", "A campaign.");
id_type!(AssetId, "ast", "A text that was written for a campaign.");

/// A campaign: a brief, how far it has come, and what was released.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Campaign {
    /// Its id.
    pub id: CampaignId,
    /// Key of its brief: the same brief is the same campaign.
    pub key: String,
    /// Its name, unique among campaigns of the brand that are not archived.
    pub name: String,
    /// Where it stands.
    pub status: CampaignStatus,
    /// The brand that speaks.
    pub brand: BrandId,
    /// What it is for.
    pub brief: Brief,
    /// Version of its plan; 0 before the first.
    pub plan_version: u32,
    /// What was released, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// When it was launched first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launched_at: Option<Timestamp>,
}

/// A release: bound to what was released, so that a later change takes it back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Approval {
    /// Version of the plan.
    pub plan_version: u32,
    /// Hash over plan, assets, audience and budget.
    pub hash: String,
    /// Who released it.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why, if something was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Record for Campaign {
    const KIND: &'static str = "campaign";
    const INDEXES: &'static [Index] = &[Index::unique("key"), Index::unique("name"), Index::on("status")];
    fn id(&self) -> &str {
        self.id.as_str()
    }
    fn keys(&self) -> Vec<Option<Key>> {
        let is_kept = self.status != CampaignStatus::Archived;
        vec![
            Some(Key::text(&self.key)),
            is_kept.then(|| Key::text(self.brand.as_str()).and_text(&self.name)),
            Some(Key::text(self.status.word()).and_text(self.id.as_str())),
        ]
    }
}

/// A plan as it is kept: one record per version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StoredPlan {
    /// `<campaign>.<version>`.
    pub id: String,
    /// The campaign it is for.
    pub campaign: CampaignId,
    /// The plan.
    pub plan: Plan,
}

impl StoredPlan {
    /// The id of a version.
    #[must_use]
    pub fn id_of(campaign: &CampaignId, version: u32) -> String {
        format!("{campaign}.{version}")
    }
}

impl Record for StoredPlan {
    const KIND: &'static str = "campaign_plan";
    const INDEXES: &'static [Index] = &[Index::unique("version")];
    fn id(&self) -> &str {
        &self.id
    }
    fn keys(&self) -> Vec<Option<Key>> {
        vec![Some(Key::text(self.campaign.as_str()).and_int(self.plan.version.into()))]
    }
}

/// State of an asset.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum AssetStatus {
    /// Written, not released yet.
    #[default]
    Draft,
    /// Someone must look at it: its voice score is low or a check warned.
    InReview,
    /// Released.
    Approved,
}

impl AssetStatus {
    /// The word that is stored and shown.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            AssetStatus::Draft => "draft",
            AssetStatus::InReview => "in_review",
            AssetStatus::Approved => "approved",
        }
    }
}

/// A text that was written for one step of a plan, with its other versions and every check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Asset {
    /// Its id.
    pub id: AssetId,
    /// The campaign it belongs to.
    pub campaign: CampaignId,
    /// The step it was written for.
    pub step_key: String,
    /// Where it goes.
    pub channel: CampaignChannel,
    /// What it is, for people.
    pub title: String,
    /// Where it stands.
    pub status: AssetStatus,
    /// The version that is used.
    pub primary: AssetText,
    /// Other versions that passed the checks, best first.
    pub alternates: Vec<AssetText>,
    /// Who wrote it: `offline` or the model's name.
    pub origin: String,
    /// The draft that is sent or posted, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draft: Option<DraftId>,
}

/// One version of an asset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AssetText {
    /// The text.
    pub parts: Parts,
    /// Fit with the brand's voice, 0..=1; absent without a voice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voice_score: Option<f64>,
    /// What the guardrail found.
    pub findings: Vec<AssetFinding>,
    /// Lengths against the limits of the channel.
    pub limits: Vec<LimitCheck>,
    /// The brand chunks it used.
    pub citations: Vec<Citation>,
}

impl Record for Asset {
    const KIND: &'static str = "campaign_asset";
    const INDEXES: &'static [Index] = &[Index::unique("step")];
    fn id(&self) -> &str {
        self.id.as_str()
    }
    fn keys(&self) -> Vec<Option<Key>> {
        vec![Some(Key::text(self.campaign.as_str()).and_text(&self.step_key))]
    }
}

/// The hash a release is bound to.
#[must_use]
pub(super) fn release_hash(campaign: &Campaign, plan: &Plan, assets: &[Asset]) -> String {
    let mut hash = Sha256::new().chain_update(b"neonhub-release-v1\n").chain_update(&campaign.key);
    hash.update(serde_json::to_vec(plan).unwrap_or_default());
    for asset in assets {
        hash.update(&asset.step_key);
        hash.update(serde_json::to_vec(&asset.primary).unwrap_or_default());
    }
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}
