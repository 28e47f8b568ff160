//! What a brand voice is: tone, style, vocabulary, rules with their source, examples and thresholds.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::text::Span;

/// The five tone axes, each 0 (not at all) to 1 (very).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tone {
    /// Formal rather than casual.
    pub formal: f64,
    /// Playful rather than serious.
    pub playful: f64,
    /// Warm rather than distant.
    pub warm: f64,
    /// Bold rather than careful.
    pub bold: f64,
    /// Technical rather than everyday.
    pub technical: f64,
}

impl Tone {
    /// The axes with their words, in a fixed order.
    #[must_use]
    pub fn axes(&self) -> [(&'static str, f64); 5] {
        [
            ("formal", self.formal),
            ("playful", self.playful),
            ("warm", self.warm),
            ("bold", self.bold),
            ("technical", self.technical),
        ]
    }

    /// Mean distance of the axes, 0..=1.
    #[must_use]
    pub fn distance(&self, other: &Tone) -> f64 {
        let pairs = self.axes().into_iter().zip(other.axes());
        pairs.map(|((_, a), (_, b))| (a - b).abs()).sum::<f64>() / 5.0
    }
}

/// Mean and standard deviation of a metric.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Spread {
    /// Mean.
    pub mean: f64,
    /// Standard deviation, 0 or more.
    pub sd: f64,
}

/// Who speaks and who is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Person {
    /// "we", "our", "I".
    First,
    /// "you", "your".
    Second,
    /// "we" and "you" about equally.
    FirstAndSecond,
    /// Neither: names and "they".
    #[default]
    Third,
}

/// How headings are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Casing {
    /// Only the first word and names begin with a capital.
    #[default]
    Sentence,
    /// Most Words Begin With a Capital.
    Title,
    /// no capitals.
    Lower,
    /// ALL CAPITALS.
    Upper,
}

/// Measurable style of a brand.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Style {
    /// Words per sentence.
    pub sentence_words: Spread,
    /// Flesch-Kincaid grade (years of school), 0..=20.
    pub reading_grade: Spread,
    /// Who speaks to whom.
    pub person: Person,
    /// Contractions per 100 words.
    pub contraction_rate: Spread,
    /// Emoji per 100 words.
    pub emoji_rate: Spread,
    /// Share of sentences that end with an exclamation mark, 0..=1.
    pub exclamation_rate: Spread,
    /// Share of words in capitals only, 0..=1.
    pub capitals_rate: Spread,
    /// How headings are written.
    pub casing: Casing,
    /// Comma before the last "and" of a list; absent when the brand's texts do not show it.
    pub oxford_comma: Option<bool>,
    /// Language tag, such as `en` or `en-GB`.
    pub locale: String,
}

/// A word the brand uses, and what it replaces.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PreferredTerm {
    /// The word or phrase to use.
    pub term: String,
    /// What it stands in for.
    #[serde(default)]
    pub instead_of: Vec<String>,
}

/// Words of a brand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Vocabulary {
    /// Preferred words.
    pub preferred: Vec<PreferredTerm>,
    /// Words and phrases that are never used.
    pub banned: Vec<String>,
    /// Product names in their exact casing.
    pub products: Vec<String>,
}

/// When a text passes, is written again, or goes to a person.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Thresholds {
    /// From this alignment on a text passes. Default 0.75.
    pub pass: f64,
    /// Below this alignment a text goes to a person at once. Default 0.5.
    pub flag: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Thresholds { pass: 0.75, flag: 0.5 }
    }
}

/// A text that shows how the brand sounds, or how it must not sound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exemplar {
    /// The text.
    pub text: String,
    /// True for an example to follow, false for one to avoid.
    pub on_brand: bool,
}

/// Where raw exemplar similarity stands for a typical off-brand and on-brand text of this brand.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Median raw similarity of off-brand texts.
    pub off_median: f64,
    /// Median raw similarity of on-brand texts.
    pub on_median: f64,
}

impl Default for Calibration {
    // Ours: medians over the fixture brands of this crate, rounded.
    fn default() -> Self {
        Calibration { off_median: 0.05, on_median: 0.20 }
    }
}

/// How one channel differs from the brand's usual voice.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ChannelOverride {
    /// Tone on this channel.
    pub tone: Option<Tone>,
    /// Thresholds on this channel.
    pub thresholds: Option<Thresholds>,
    /// Emoji are welcome here (true) or refused (false).
    pub emoji: Option<bool>,
}

/// How a brand sounds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Voice {
    /// The brand's name as customers read it.
    pub brand: String,
    /// Tone axes.
    pub tone: Tone,
    /// Measured style.
    pub style: Style,
    /// Words.
    pub vocabulary: Vocabulary,
    /// What to do, as the guide says it.
    pub dos: Vec<String>,
    /// What not to do, as the guide says it.
    pub donts: Vec<String>,
    /// Taglines.
    pub taglines: Vec<String>,
    /// Phrases that recur in the brand's own texts.
    pub key_phrases: Vec<String>,
    /// Whom the brand speaks to.
    pub audience: String,
    /// Differences by channel word (`email`, `sms`, `x`, ...).
    pub channel_overrides: BTreeMap<String, ChannelOverride>,
    /// Pass and flag thresholds.
    pub thresholds: Thresholds,
    /// Examples, on-brand and off-brand.
    pub exemplars: Vec<Exemplar>,
    /// Scale of exemplar similarity; absent = the built-in one.
    pub calibration: Option<Calibration>,
}

impl Voice {
    /// Tone on this channel.
    #[must_use]
    pub fn tone_on(&self, channel: &str) -> Tone {
        self.channel_overrides.get(channel).and_then(|o| o.tone).unwrap_or(self.tone)
    }

    /// Thresholds on this channel.
    #[must_use]
    pub fn thresholds_on(&self, channel: &str) -> Thresholds {
        self.channel_overrides.get(channel).and_then(|o| o.thresholds).unwrap_or(self.thresholds)
    }
}

/// What a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RuleKind {
    /// Something to do.
    Do,
    /// Something not to do.
    Dont,
    /// Use this word instead of that one.
    Preferred,
    /// Never use this word.
    Banned,
    /// A product name with its casing.
    Product,
    /// A tagline.
    Tagline,
    /// A recurring phrase.
    KeyPhrase,
    /// A statement about tone.
    Tone,
    /// An example to follow.
    OnBrand,
    /// An example to avoid.
    OffBrand,
}

/// How strictly a rule binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Should be followed.
    Should,
    /// Must be followed: a break lowers the score by 0.20.
    Must,
}

/// A rule that a program can check.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "check", content = "value", rename_all = "snake_case")]
pub enum Pattern {
    /// This phrase must not appear.
    Term(String),
    /// No exclamation marks.
    NoExclamation,
    /// No emoji.
    NoEmoji,
    /// No words in capitals only.
    NoCapitals,
    /// No contractions.
    NoContractions,
    /// No hashtags.
    NoHashtags,
    /// No question marks.
    NoQuestions,
    /// At most this many words in a sentence.
    MaxSentenceWords(u32),
}

/// Where a rule was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleSource {
    /// Document.
    pub document: String,
    /// Chunk of the document, when chunks are known.
    #[serde(default)]
    pub chunk: Option<String>,
    /// Byte range in the extracted text of the document.
    pub span: Span,
}

/// One rule of a voice, with the place it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What it is about.
    pub kind: RuleKind,
    /// The rule in words.
    pub text: String,
    /// How a program checks it, when it can.
    #[serde(default)]
    pub pattern: Option<Pattern>,
    /// How strictly it binds.
    pub severity: Severity,
    /// Where it was read.
    pub source: RuleSource,
}
