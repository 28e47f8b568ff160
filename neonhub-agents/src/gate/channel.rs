//! The words for where a message goes and what kind of message it is.

use std::borrow::Cow;
use std::fmt;

use neonhub_core::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! networks {
    ($($(#[$doc:meta])* $name:ident = $word:literal),+ $(,)?) => {
        /// A public network that posts and direct messages go to.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Network { $($(#[$doc])* $name),+ }

        impl Network {
            /// Every network, in alphabetical order of the words.
            pub const ALL: &'static [Network] = &[$(Network::$name),+];

            /// The word of this network.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Network::$name => $word),+ }
            }
        }
    };
}

networks! {
    /// Bluesky.
    Bluesky = "bluesky",
    /// Discord.
    Discord = "discord",
    /// Facebook pages.
    Facebook = "facebook",
    /// Farcaster.
    Farcaster = "farcaster",
    /// Google Business Profile.
    GoogleBusiness = "google_business",
    /// Instagram.
    Instagram = "instagram",
    /// LinkedIn.
    Linkedin = "linkedin",
    /// Mastodon.
    Mastodon = "mastodon",
    /// Pinterest.
    Pinterest = "pinterest",
    /// Reddit.
    Reddit = "reddit",
    /// Telegram.
    Telegram = "telegram",
    /// Threads.
    Threads = "threads",
    /// TikTok.
    Tiktok = "tiktok",
    /// Tumblr.
    Tumblr = "tumblr",
    /// X, formerly Twitter.
    X = "x",
    /// YouTube.
    Youtube = "youtube",
}

impl Network {
    /// The network with this word, if there is one.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Network::ALL.iter().copied().find(|n| n.as_str() == word)
    }
}

/// Where a message goes: one person (`email`, `sms`, `whatsapp`, `push`, `web_push`, `inapp`, `phone`, `mail`,
/// `dm:<network>`) or the public (`x`, `linkedin`, ... a post on that network).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Channel {
    /// E-mail.
    Email,
    /// Text message.
    Sms,
    /// WhatsApp.
    Whatsapp,
    /// Push to a mobile app.
    Push,
    /// Push to a browser.
    WebPush,
    /// Inbox inside the app.
    Inapp,
    /// Voice call.
    Phone,
    /// Postal letter.
    Mail,
    /// Direct message on a network.
    Dm(Network),
    /// Public post on a network.
    Post(Network),
}

const PLAIN: [(Channel, &str); 8] = [
    (Channel::Email, "email"),
    (Channel::Sms, "sms"),
    (Channel::Whatsapp, "whatsapp"),
    (Channel::Push, "push"),
    (Channel::WebPush, "web_push"),
    (Channel::Inapp, "inapp"),
    (Channel::Phone, "phone"),
    (Channel::Mail, "mail"),
];

impl Channel {
    /// Reads a channel word.
    ///
    /// # Errors
    /// `InvalidInput` naming `field` and the words there are.
    pub fn parse(field: &str, word: &str) -> Result<Self> {
        Channel::from_word(word).ok_or_else(|| {
            let plain = PLAIN.iter().map(|(_, w)| *w).collect::<Vec<_>>().join(", ");
            let networks = Network::ALL.iter().map(|n| n.as_str()).collect::<Vec<_>>().join(", ");
            Error::invalid(
                "channel.parse",
                field,
                format!("expected one of {plain}, dm:<network>, or a network: {networks}"),
            )
        })
    }

    fn from_word(word: &str) -> Option<Self> {
        if let Some((channel, _)) = PLAIN.iter().find(|(_, w)| *w == word) {
            return Some(*channel);
        }
        match word.strip_prefix("dm:") {
            Some(network) => Network::from_word(network).map(Channel::Dm),
            None => Network::from_word(word).map(Channel::Post),
        }
    }

    /// The word, as stored and as bindings see it.
    #[must_use]
    pub fn word(self) -> Cow<'static, str> {
        match self {
            Channel::Dm(network) => Cow::Owned(format!("dm:{}", network.as_str())),
            Channel::Post(network) => Cow::Borrowed(network.as_str()),
            plain => Cow::Borrowed(PLAIN.iter().find(|(c, _)| *c == plain).map_or("email", |(_, w)| *w)),
        }
    }

    /// True when the message has one recipient, so that identity, suppression, consent, law and caps apply.
    #[must_use]
    pub fn is_personal(self) -> bool {
        !matches!(self, Channel::Post(_))
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.word())
    }
}

impl Serialize for Channel {
    fn serialize<S: Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        s.serialize_str(&self.word())
    }
}

impl<'de> Deserialize<'de> for Channel {
    fn deserialize<D: Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
        let word = <Cow<'de, str>>::deserialize(d)?;
        Channel::parse("channel", &word).map_err(|e| serde::de::Error::custom(e.message().to_owned()))
    }
}

impl JsonSchema for Channel {
    fn schema_name() -> Cow<'static, str> {
        "Channel".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let mut words: Vec<Cow<'static, str>> = PLAIN.iter().map(|(_, w)| Cow::Borrowed(*w)).collect();
        words.extend(Network::ALL.iter().map(|n| Channel::Dm(*n).word()));
        words.extend(Network::ALL.iter().map(|n| Channel::Post(*n).word()));
        schemars::json_schema!({ "type": "string", "enum": words })
    }
}

/// What kind of message it is. The category decides which rules it may skip; it is set with the content and a
/// send cannot override it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Promotes something. Every rule applies.
    #[default]
    Marketing,
    /// Follows from something the person did: a receipt, a password reset.
    Transactional,
    /// A reply inside an open thread.
    Conversational,
    /// Double opt-in request or stop confirmation.
    Confirmation,
    /// A notice the law requires.
    Legal,
}

impl Category {
    /// Every category.
    pub const ALL: [Category; 5] = [
        Category::Marketing,
        Category::Transactional,
        Category::Conversational,
        Category::Confirmation,
        Category::Legal,
    ];

    /// The word of this category.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Category::Marketing => "marketing",
            Category::Transactional => "transactional",
            Category::Conversational => "conversational",
            Category::Confirmation => "confirmation",
            Category::Legal => "legal",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_channel_word_reads_back() {
        let mut all: Vec<Channel> = PLAIN.iter().map(|(c, _)| *c).collect();
        all.extend(Network::ALL.iter().flat_map(|n| [Channel::Dm(*n), Channel::Post(*n)]));
        for channel in all {
            assert_eq!(Channel::parse("channel", &channel.word()).unwrap(), channel);
            let json = serde_json::to_string(&channel).unwrap();
            assert_eq!(serde_json::from_str::<Channel>(&json).unwrap(), channel);
        }
    }

    #[test]
    fn an_unknown_channel_names_the_allowed_set() {
        let err = Channel::parse("channels[2]", "fax").unwrap_err();
        assert_eq!(err.field_faults()[0].field, "channels[2]");
        assert!(err.message().contains("email, sms") && err.message().contains("linkedin"));
    }

    #[test]
    fn network_words_are_sorted_and_distinct() {
        let words: Vec<_> = Network::ALL.iter().map(|n| n.as_str()).collect();
        assert!(words.windows(2).all(|w| w[0] < w[1]));
    }
}
