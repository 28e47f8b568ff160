//! The records of a voice: a profile per version, and its rules.

use neonhub_core::id_type;
use neonhub_core::store::{Index, Key, Record};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::model::{Rule, Voice};
use crate::brand::BrandId;

id_type!(VoiceProfileId, "voi", "One version of a brand's voice.");
id_type!(VoiceRuleId, "vru", "A rule of a voice.");

/// Whether a version of a voice holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VoiceStatus {
    /// Read from documents; used until a version is made active.
    #[default]
    Proposed,
    /// Confirmed or edited by a person: it holds.
    Active,
}

/// One version of a brand's voice. Versions are never changed; an edit makes the next one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VoiceProfile {
    /// Its id.
    pub id: VoiceProfileId,
    /// The brand.
    pub brand: BrandId,
    /// Version, from 1.
    pub version: u32,
    /// Whether it holds.
    pub status: VoiceStatus,
    /// How the brand sounds.
    pub voice: Voice,
    /// Documents it was read from.
    #[serde(default)]
    pub documents: Vec<String>,
}

impl Record for VoiceProfile {
    const KIND: &'static str = "voice_profile";
    const INDEXES: &'static [Index] = &[Index::unique("brand_version")];
    fn id(&self) -> &str {
        self.id.as_str()
    }
    fn keys(&self) -> Vec<Option<Key>> {
        vec![Some(Key::text(self.brand.as_str()).and_int(self.version.into()))]
    }
}

/// A rule of one version of a voice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VoiceRule {
    /// Its id.
    pub id: VoiceRuleId,
    /// The version it belongs to.
    pub voice: VoiceProfileId,
    /// Place in reading order, from 0.
    pub position: u32,
    /// The rule and where it was read.
    pub rule: Rule,
    /// Who wrote or changed it; absent for a rule as it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited_by: Option<String>,
}

impl Record for VoiceRule {
    const KIND: &'static str = "voice_rule";
    const INDEXES: &'static [Index] = &[Index::on("voice")];
    fn id(&self) -> &str {
        self.id.as_str()
    }
    fn keys(&self) -> Vec<Option<Key>> {
        vec![Some(Key::text(self.voice.as_str()).and_int(self.position.into()))]
    }
}
