//! The records of brands.

use neonhub_core::id_type;
use neonhub_core::store::{Index, Key, Record};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::gate::{Channel, Week};

id_type!(BrandId, "brd", "A brand.");
id_type!(SenderId, "spr", "A sender profile: an address, number or account of a brand.");

/// State of a brand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BrandStatus {
    /// It speaks.
    #[default]
    Active,
    /// Its sends stop at the gate; its history stays.
    Archived,
}

/// A brand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Brand {
    /// Its id.
    pub id: BrandId,
    /// Display name.
    pub name: String,
    /// Short name, unique in the workspace.
    pub slug: String,
    /// Domains it owns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<String>,
    /// Postal address for the footers of its mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postal_address: Option<String>,
    /// Language it writes in, BCP 47.
    pub locale: String,
    /// Its zone, IANA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// When it sends marketing, on the recipient's clock; none: at any hour the law allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Week>,
    /// State.
    #[serde(default)]
    pub status: BrandStatus,
}

impl Record for Brand {
    const KIND: &'static str = "brand";
    const INDEXES: &'static [Index] = &[Index::unique("slug")];
    fn id(&self) -> &str {
        self.id.as_str()
    }
    fn keys(&self) -> Vec<Option<Key>> {
        vec![Some(Key::text(&self.slug))]
    }
}

/// An address, number or account a brand sends from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SenderProfile {
    /// Its id.
    pub id: SenderId,
    /// The brand.
    pub brand: BrandId,
    /// The channel.
    pub channel: Channel,
    /// E-mail address, number, short name or account.
    pub from: String,
    /// Display name; also what a text message must name.
    pub name: String,
    /// Where answers go, if not to `from`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// Postal address for footers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postal_address: Option<String>,
    /// Where recipients leave the list: an https link; the recipient's token is put behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsubscribe_url: Option<String>,
}

impl Record for SenderProfile {
    const KIND: &'static str = "sender_profile";
    const INDEXES: &'static [Index] = &[Index::unique("from"), Index::on("brand")];
    fn id(&self) -> &str {
        self.id.as_str()
    }
    fn keys(&self) -> Vec<Option<Key>> {
        vec![Some(Key::text(self.channel.word()).and_text(&self.from)), Some(Key::text(self.brand.as_str()))]
    }
}
