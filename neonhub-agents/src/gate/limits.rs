//! Text and media limits of the networks: one dated table, and the check of a post against it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Network;
use super::text_count::{grapheme_len, utf16_len, weighted_length};

/// Version of the built-in table; verdicts store it.
pub const LIMITS_VERSION: &str = "platforms-2026-11-21";

/// What a limit counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Weighted characters of X.
    Weighted,
    /// Characters as a reader sees them (grapheme clusters).
    Graphemes,
    /// UTF-16 code units.
    Utf16,
    /// Bytes of UTF-8.
    Bytes,
    /// Pieces: images, hashtags.
    Count,
}

/// One row of the table.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Limit {
    /// The network.
    #[serde(skip)]
    pub network: Network,
    /// The field: `text`, `title`, `images_max`, ...
    pub field: &'static str,
    /// The most (for `_min` fields the least) allowed.
    pub value: u32,
    /// What is counted.
    pub unit: Unit,
    /// Where it was read.
    pub source: &'static str,
    /// When it was read, ISO date.
    pub read_at: &'static str,
}

const DOCS: &str = "network documentation and the settings of an open-source publisher";
const READ: &str = "2026-08-23";

const fn row(network: Network, field: &'static str, value: u32, unit: Unit) -> Limit {
    Limit { network, field, value, unit, source: DOCS, read_at: READ }
}

/// The built-in rows. Where sources differ both rows stand, and the lower one holds until the account is asked.
pub static LIMITS: &[Limit] = &[
    row(Network::X, "text", 280, Unit::Weighted),
    row(Network::X, "images_max", 4, Unit::Count),
    row(Network::X, "videos_max", 1, Unit::Count),
    row(Network::X, "cashtags_max", 1, Unit::Count),
    row(Network::Linkedin, "text", 3_000, Unit::Utf16),
    row(Network::Linkedin, "videos_max", 1, Unit::Count),
    row(Network::Facebook, "text", 63_206, Unit::Utf16),
    row(Network::Instagram, "text", 2_200, Unit::Utf16),
    row(Network::Instagram, "media_min", 1, Unit::Count),
    row(Network::Instagram, "media_max", 10, Unit::Count),
    row(Network::Instagram, "hashtags_max", 30, Unit::Count),
    row(Network::Instagram, "hashtags_max", 5, Unit::Count),
    row(Network::Threads, "text", 500, Unit::Graphemes),
    row(Network::Bluesky, "text", 300, Unit::Graphemes),
    row(Network::Bluesky, "images_max", 4, Unit::Count),
    row(Network::Bluesky, "videos_max", 1, Unit::Count),
    row(Network::Mastodon, "text", 500, Unit::Graphemes),
    row(Network::Farcaster, "text", 800, Unit::Bytes),
    row(Network::Tumblr, "text", 32_768, Unit::Utf16),
    row(Network::Tiktok, "text", 2_200, Unit::Utf16),
    row(Network::Tiktok, "text", 2_000, Unit::Utf16),
    row(Network::Tiktok, "media_min", 1, Unit::Count),
    row(Network::Youtube, "title", 100, Unit::Graphemes),
    row(Network::Youtube, "text", 5_000, Unit::Bytes),
    row(Network::Youtube, "videos_min", 1, Unit::Count),
    row(Network::Youtube, "videos_max", 1, Unit::Count),
    row(Network::Youtube, "tags_total", 500, Unit::Graphemes),
    row(Network::Pinterest, "title", 100, Unit::Graphemes),
    row(Network::Pinterest, "text", 800, Unit::Graphemes),
    row(Network::Pinterest, "text", 500, Unit::Graphemes),
    row(Network::Pinterest, "media_min", 1, Unit::Count),
    row(Network::Pinterest, "images_max", 5, Unit::Count),
    row(Network::Pinterest, "videos_max", 1, Unit::Count),
    row(Network::Telegram, "text", 4_096, Unit::Utf16),
    row(Network::Telegram, "caption", 1_024, Unit::Utf16),
    row(Network::Discord, "text", 2_000, Unit::Graphemes),
    row(Network::Reddit, "title", 300, Unit::Graphemes),
    row(Network::Reddit, "text", 10_000, Unit::Graphemes),
    row(Network::GoogleBusiness, "text", 1_500, Unit::Graphemes),
];

/// Every row of a network and field.
pub fn lookup<'a>(network: Network, field: &'a str) -> impl Iterator<Item = &'static Limit> + 'a {
    LIMITS.iter().filter(move |row| row.network == network && row.field == field)
}

/// The row that holds: the lowest of a maximum, the highest of a minimum.
#[must_use]
pub fn holding(network: Network, field: &str) -> Option<&'static Limit> {
    if field.ends_with("_min") {
        lookup(network, field).max_by_key(|row| row.value)
    } else {
        lookup(network, field).min_by_key(|row| row.value)
    }
}

/// A post as the limits see it.
#[derive(Clone, Copy, Debug, Default)]
pub struct PostParts<'a> {
    /// Main text.
    pub text: &'a str,
    /// Title, on networks that have one.
    pub title: &'a str,
    /// Number of images.
    pub images: u32,
    /// Number of videos.
    pub videos: u32,
    /// Tags outside the text.
    pub tags: &'a [String],
}

/// A limit that is broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Violation {
    /// The field: `text`, `title`, `images_max`, `segments_max`, ...
    pub field: String,
    /// The most (for `_min` fields the least) allowed.
    pub limit: u32,
    /// What the message has.
    pub actual: u32,
    /// What is counted.
    pub unit: Unit,
}

/// The length of `text` in `unit`.
#[must_use]
pub fn length(text: &str, unit: Unit) -> u32 {
    match unit {
        Unit::Weighted => weighted_length(text, u32::MAX / 100).length,
        Unit::Graphemes => grapheme_len(text),
        Unit::Utf16 => utf16_len(text),
        Unit::Bytes | Unit::Count => u32::try_from(text.len()).unwrap_or(u32::MAX),
    }
}

/// Every limit of `network` that the post breaks; empty when it may go.
#[must_use]
pub fn check(network: Network, post: &PostParts<'_>) -> Vec<Violation> {
    let mut fields: Vec<&'static str> =
        LIMITS.iter().filter(|r| r.network == network).map(|r| r.field).collect();
    fields.dedup();
    fields
        .into_iter()
        .filter_map(|field| {
            let limit = holding(network, field)?;
            let actual = actual(network, limit, post)?;
            let is_broken = if field.ends_with("_min") { actual < limit.value } else { actual > limit.value };
            is_broken.then(|| Violation {
                field: field.to_owned(),
                limit: limit.value,
                actual,
                unit: limit.unit,
            })
        })
        .collect()
}

fn actual(network: Network, limit: &Limit, post: &PostParts<'_>) -> Option<u32> {
    let has_media = post.images + post.videos > 0;
    match limit.field {
        // A post with media on Telegram is a caption, and the other way round.
        "text" if network == Network::Telegram && has_media => None,
        "text" => Some(length(post.text, limit.unit)),
        "caption" => has_media.then(|| length(post.text, limit.unit)),
        "title" => Some(length(post.title, limit.unit)),
        "tags_total" => Some(post.tags.iter().map(|t| length(t, limit.unit)).sum()),
        "images_max" => Some(post.images),
        "videos_max" | "videos_min" => Some(post.videos),
        "media_min" | "media_max" => Some(post.images + post.videos),
        "hashtags_max" => Some(marks(post.text, '#', char::is_alphabetic)),
        "cashtags_max" => Some(marks(post.text, '$', |c| c.is_ascii_alphabetic())),
        _ => None,
    }
}

/// Words that begin with `mark` and hold at least one letter.
fn marks(text: &str, mark: char, is_letter: fn(char) -> bool) -> u32 {
    let words = text.split(|c: char| c.is_whitespace());
    let count = words
        .flat_map(|word| word.split(mark).skip(1).map(move |tail| (word, tail)))
        .filter(|(_, tail)| {
            let tag: String = tail.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if mark == '$' { tag.chars().next().is_some_and(is_letter) } else { tag.chars().any(is_letter) }
        })
        .count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(network: Network, post: &PostParts<'_>) -> Vec<String> {
        check(network, post).into_iter().map(|v| v.field).collect()
    }

    #[test]
    fn a_text_at_the_limit_passes_and_one_more_does_not() {
        for network in Network::ALL {
            let Some(limit) = holding(*network, "text") else { continue };
            let (at, over) = ("a".repeat(limit.value as usize), "a".repeat(limit.value as usize + 1));
            let has = |text: &str| {
                broken(*network, &PostParts { text, ..PostParts::default() }).contains(&"text".to_owned())
            };
            assert!(!has(&at), "{network:?}");
            assert!(has(&over), "{network:?}");
        }
    }

    #[test]
    fn the_lower_of_two_sources_holds() {
        assert_eq!(holding(Network::Tiktok, "text").map(|r| r.value), Some(2_000));
        assert_eq!(holding(Network::Instagram, "hashtags_max").map(|r| r.value), Some(5));
        assert_eq!(lookup(Network::Pinterest, "text").count(), 2);
    }

    #[test]
    fn media_hashtags_and_captions_count() {
        let tags = "#one #two #three #four #five #six #7";
        assert_eq!(
            broken(Network::Instagram, &PostParts { text: tags, ..PostParts::default() }),
            ["media_min", "hashtags_max"]
        );
        let long = "a".repeat(1_025);
        let post = PostParts { text: &long, images: 1, ..PostParts::default() };
        assert_eq!(broken(Network::Telegram, &post), ["caption"]);
        assert_eq!(
            broken(Network::X, &PostParts { text: "$AAA $BBB $5", images: 5, ..PostParts::default() }),
            ["images_max", "cashtags_max"]
        );
    }

    #[test]
    fn units_differ_for_the_same_text() {
        let family = "👨‍👩‍👧";
        assert_eq!(length(family, Unit::Graphemes), 1);
        assert_eq!(length(family, Unit::Utf16), 8);
        assert_eq!(length(family, Unit::Bytes), 18);
        assert_eq!(length(family, Unit::Weighted), 2);
    }
}
