//! The eight channels a brief may name.

use std::fmt;

use neonhub_core::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a campaign speaks. The word is the same in briefs, folders, reports and bindings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CampaignChannel {
    /// A sequence of three e-mails to each person.
    Email,
    /// One text message to each person.
    Sms,
    /// A post on X.
    X,
    /// A post on LinkedIn.
    Linkedin,
    /// A post on Instagram.
    Instagram,
    /// A post on Facebook.
    Facebook,
    /// A search-ad set.
    Ads,
    /// The outline of a blog article.
    Blog,
}

impl CampaignChannel {
    /// Every channel, in the order reports use.
    pub const ALL: &'static [CampaignChannel] = &[
        CampaignChannel::Email,
        CampaignChannel::Sms,
        CampaignChannel::X,
        CampaignChannel::Linkedin,
        CampaignChannel::Instagram,
        CampaignChannel::Facebook,
        CampaignChannel::Ads,
        CampaignChannel::Blog,
    ];

    /// The word of briefs, folders and reports.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            CampaignChannel::Email => "email",
            CampaignChannel::Sms => "sms",
            CampaignChannel::X => "x",
            CampaignChannel::Linkedin => "linkedin",
            CampaignChannel::Instagram => "instagram",
            CampaignChannel::Facebook => "facebook",
            CampaignChannel::Ads => "ads",
            CampaignChannel::Blog => "blog",
        }
    }

    /// The name people read.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            CampaignChannel::Email => "E-mail",
            CampaignChannel::Sms => "SMS",
            CampaignChannel::X => "X",
            CampaignChannel::Linkedin => "LinkedIn",
            CampaignChannel::Instagram => "Instagram",
            CampaignChannel::Facebook => "Facebook",
            CampaignChannel::Ads => "Search ads",
            CampaignChannel::Blog => "Blog",
        }
    }

    /// True when each message goes to one person, so that consent decides.
    #[must_use]
    pub const fn is_personal(self) -> bool {
        matches!(self, CampaignChannel::Email | CampaignChannel::Sms)
    }

    /// True for a public post on a network.
    #[must_use]
    pub const fn is_post(self) -> bool {
        matches!(
            self,
            CampaignChannel::X
                | CampaignChannel::Linkedin
                | CampaignChannel::Instagram
                | CampaignChannel::Facebook
        )
    }

    /// Reads a word of a brief, in any case.
    ///
    /// # Errors
    /// `InvalidInput` naming `field` and every channel there is.
    pub fn parse(field: &str, word: &str) -> Result<Self> {
        let asked = word.trim().to_lowercase();
        CampaignChannel::ALL
            .iter()
            .copied()
            .find(|c| c.word() == asked)
            .ok_or_else(|| Error::invalid("campaign.channel", field, expected()))
    }
}

/// What a fault says about a word that is no channel.
pub(super) fn expected() -> String {
    let words: Vec<_> = CampaignChannel::ALL.iter().map(|c| c.word()).collect();
    format!("expected one of {}", words.join(", "))
}

impl fmt::Display for CampaignChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_finds_its_channel_back() {
        for channel in CampaignChannel::ALL {
            assert_eq!(CampaignChannel::parse("channels[0]", channel.word()).unwrap(), *channel);
            assert_eq!(serde_json::to_value(channel).unwrap(), channel.word());
        }
        assert_eq!(CampaignChannel::parse("c", " LinkedIn ").unwrap(), CampaignChannel::Linkedin);
    }

    #[test]
    fn unknown_word_is_refused_with_all_known_ones() {
        let err = CampaignChannel::parse("channels[2]", "fax").unwrap_err();
        assert!(CampaignChannel::ALL.iter().all(|c| err.message().contains(c.word())));
        assert_eq!(err.field_faults()[0].field, "channels[2]");
    }
}
