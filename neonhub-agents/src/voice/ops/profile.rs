//! Reading a voice, and how versions are found and written.

use neonhub_core::op::{Effect, Operation};
use neonhub_core::store::{Key, Query, Record as _, Stored};
use neonhub_core::{Error, ErrorKind, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::brand::{Brand, BrandId, by_id_or_slug};
use crate::voice::model::{Rule, Voice};
use crate::voice::record::{VoiceProfile, VoiceProfileId, VoiceRule, VoiceRuleId, VoiceStatus};

/// Most rules of one voice. Ours: the longest public brand guides hold about 300.
pub(super) const MAX_RULES: usize = 2_000;
/// Versions that are looked at to find the one that holds.
const RECENT: usize = 50;

/// A voice with its rules.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VoiceView {
    /// Id of this version.
    pub id: VoiceProfileId,
    /// The brand.
    pub brand: BrandId,
    /// Version, from 1.
    pub version: u32,
    /// Whether it holds.
    pub status: VoiceStatus,
    /// How the brand sounds.
    pub voice: Voice,
    /// Rules in reading order, each with its source.
    pub rules: Vec<VoiceRule>,
    /// Documents it was read from.
    pub documents: Vec<String>,
}

impl VoiceView {
    pub(super) fn of(profile: VoiceProfile, rules: Vec<VoiceRule>) -> Self {
        let VoiceProfile { id, brand, version, status, voice, documents } = profile;
        VoiceView { id, brand, version, status, voice, rules, documents }
    }

    /// The rules without their records.
    #[must_use]
    pub fn plain_rules(&self) -> Vec<Rule> {
        self.rules.iter().map(|r| r.rule.clone()).collect()
    }
}

/// Reads a brand's voice: the active version, else the newest proposal.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetVoice {
    /// Id or slug of the brand.
    pub brand: String,
    /// A certain version; absent = the one that holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
}

impl Operation for GetVoice {
    type Output = VoiceView;
    const NAME: &'static str = "voice.get";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, cx: &Scope) -> Result<VoiceView> {
        let brand = by_id_or_slug(cx, &self.brand).await?;
        match self.version {
            Some(version) => numbered(cx, &brand.id, version).await,
            None => current(cx, &brand).await?.ok_or_else(|| no_voice(Self::NAME)),
        }
    }
    fn examples() -> Vec<Self> {
        vec![GetVoice { brand: "bergkaffee".into(), version: None }]
    }
}

fn no_voice(operation: &'static str) -> Error {
    Error::new(
        ErrorKind::NotFound,
        operation,
        "the brand has no voice yet: upload its guide with voice.upload_guide",
    )
    .with_code("no_voice")
}

/// This version.
///
/// # Errors
/// `NotFound` when the brand has no such version.
pub(super) async fn numbered(cx: &Scope, brand: &BrandId, version: u32) -> Result<VoiceView> {
    let key = Key::text(brand.as_str()).and_int(version.into());
    let found = cx.find::<VoiceProfile>("brand_version", key).await?;
    view(cx, found.ok_or_else(|| cx.missing(VoiceProfile::KIND))?.body).await
}

/// The version that holds: the newest active one, else the newest.
pub(super) async fn holding(cx: &Scope, brand: &BrandId) -> Result<Option<Stored<VoiceProfile>>> {
    let query = Query::index("brand_version").prefix(Key::text(brand.as_str())).descending().limit(RECENT);
    let recent = cx.query::<VoiceProfile>(&query).await?;
    let active = recent.iter().position(|p| p.status == VoiceStatus::Active).unwrap_or(0);
    Ok(recent.into_iter().nth(active))
}

/// The voice that holds with its rules, if the brand has one.
pub(super) async fn current(cx: &Scope, brand: &Brand) -> Result<Option<VoiceView>> {
    match holding(cx, &brand.id).await? {
        Some(profile) => view(cx, profile.body).await.map(Some),
        None => Ok(None),
    }
}

pub(super) async fn view(cx: &Scope, profile: VoiceProfile) -> Result<VoiceView> {
    let query = Query::index("voice").prefix(Key::text(profile.id.as_str())).limit(MAX_RULES);
    let rules = cx.query::<VoiceRule>(&query).await?;
    Ok(VoiceView::of(profile, rules.into_iter().map(|r| r.body).collect()))
}

/// Stages the next version. Rules that a person wrote or changed carry who did.
pub(super) async fn put_version(
    cx: &Scope,
    brand: &Brand,
    voice: Voice,
    rules: Vec<(Rule, Option<String>)>,
    documents: Vec<String>,
    status: VoiceStatus,
) -> Result<VoiceView> {
    let query = Query::index("brand_version").prefix(Key::text(brand.id.as_str())).descending().limit(1);
    let last = cx.query::<VoiceProfile>(&query).await?.first().map_or(0, |p| p.version);
    let profile = VoiceProfile {
        id: VoiceProfileId::new(cx),
        brand: brand.id.clone(),
        version: last + 1,
        status,
        voice,
        documents,
    };
    cx.create(&profile)?;
    let mut records = Vec::with_capacity(rules.len().min(MAX_RULES));
    for (position, (rule, edited_by)) in rules.into_iter().take(MAX_RULES).enumerate() {
        let position = u32::try_from(position).unwrap_or(u32::MAX);
        let record =
            VoiceRule { id: VoiceRuleId::new(cx), voice: profile.id.clone(), position, rule, edited_by };
        cx.create(&record)?;
        records.push(record);
    }
    Ok(VoiceView::of(profile, records))
}
