//! What an offline text may say: the brief in the brand's own words, without what is ruled out.

use super::brief::{Brief, Objective};
use super::lexicon::Lexicon;
use super::polish::polish;
use super::quote::{Cited, quotable, repeats};
use super::run::Task;
use super::sentence::{as_headline, as_sentence, is_sentence, lower_first};
use super::topic::Topic;
use crate::voice::model::{Pattern, Rule, RuleKind, Tone, Vocabulary, Voice};
use crate::voice::score::breaks;
use crate::voice::text;

/// A key message or offer.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) text: String,
    pub(super) is_sentence: bool,
}

impl Said {
    fn new(text: String) -> Self {
        Said { is_sentence: is_sentence(&text), text }
    }

    pub(super) fn sentence(&self) -> String {
        as_sentence(&self.text)
    }

    pub(super) fn headline(&self) -> String {
        as_headline(&self.text)
    }

    /// For use after a colon or inside a list.
    pub(super) fn fragment(&self) -> String {
        lower_first(self.text.trim().trim_end_matches(['.', '!']))
    }
}

/// What a text may say and how.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) brand: String,
    /// Name the reader knows the sender by.
    pub(super) sender: String,
    pub(super) topic: Option<Topic>,
    pub(super) objective: Objective,
    pub(super) is_new: bool,
    pub(super) has_deadline: bool,
    pub(super) messages: Vec<Said>,
    pub(super) offer: Option<Said>,
    pub(super) audience: Option<String>,
    pub(super) must_say: Vec<String>,
    pub(super) url: String,
    pub(super) quotes: Vec<Cited>,
    pub(super) tone: Tone,
    pub(super) oxford: bool,
    pub(super) may_exclaim: bool,
    pub(super) may_emoji: bool,
    pub(super) may_tag: bool,
    /// What was left out, with the reason word.
    pub(super) dropped: Vec<(String, &'static str)>,
    pub(super) contracts: bool,
    pub(super) lexicon: &'static Lexicon,
    refused: Refused,
}

impl Facts {
    /// True when `text` holds what the brief or the brand rules out.
    pub(super) fn refuses(&self, text: &str) -> bool {
        self.refused.holds(text)
    }
}

/// What no line may hold.
#[derive(Clone, Debug, Default)]
struct Refused {
    phrases: Vec<String>,
    patterns: Vec<Pattern>,
}

impl Refused {
    fn holds(&self, text: &str) -> bool {
        text::Folded::new(text).has_any(self.phrases.iter().map(String::as_str))
            || self.patterns.iter().any(|p| breaks(text, p).is_some())
    }
}

/// Words that tell that the goal is about something new.
const NEW: &[&str] =
    &["launch", "launches", "introduce", "announce", "release", "unveil", "relaunch", "introduction of"];
/// Words that give an offer its end.
const UNTIL: &[&str] = &[
    "until",
    "till",
    "by",
    "before",
    "through",
    "ends",
    "only this",
    "this week",
    "this month",
    "today",
    "last day",
];

impl Facts {
    pub(super) fn new(task: &Task<'_>, lexicon: &'static Lexicon) -> Self {
        let Task { brief, brand, channel, voice, rules, chunks, .. } = *task;
        let default = Voice::default();
        let voice_or = voice.unwrap_or(&default);
        let vocabulary = &voice_or.vocabulary;
        let refused = refused(brief, vocabulary, rules);
        let mut dropped = Vec::new();
        let mut keep = |field: &'static str, raw: &str| {
            let text = polish(raw, vocabulary, &brief.must_say);
            let must = brief.must_say.iter().any(|m| text::has_phrase(&text, m));
            // A required phrase outweighs the brand's own habits, never the brief's own ban.
            let refuse = if must {
                brief.must_not_say.iter().any(|p| text::has_phrase(&text, p))
            } else {
                refused.phrases.iter().any(|p| text::has_phrase(&text, p))
            };
            if refuse {
                dropped.push((raw.to_owned(), field));
            }
            (!refuse).then(|| Said::new(text))
        };
        let messages = brief.key_messages.iter().filter_map(|m| keep("refused_words", m)).collect();
        let offer = brief.offer.as_deref().and_then(|o| keep("refused_words", o));
        let about = format!(
            "{} {} {}",
            brief.goal,
            brief.key_messages.join(" "),
            brief.offer.as_deref().unwrap_or("")
        );
        let told: Vec<&str> = brief.key_messages.iter().chain(&brief.offer).map(String::as_str).collect();
        let no_quote = |quote: &str| refused.holds(quote) || repeats(quote, &told);
        let is_english = lexicon.language == "en";
        let topic = match brief.topic.as_deref() {
            Some(named) if is_english => Topic::named(named),
            Some(named) => Topic::verbatim(named),
            None if is_english => Topic::of_goal(&brief.goal),
            None => None,
        };
        let topic =
            topic.and_then(|t| polished_topic(&t, vocabulary, brief)).filter(|t| !refused.holds(&t.full));
        let banned = |pattern: &Pattern| refused.patterns.contains(pattern);
        let (may_exclaim, may_emoji) = (!banned(&Pattern::NoExclamation), !banned(&Pattern::NoEmoji));
        let emoji_here = voice_or.channel_overrides.get(channel.word()).and_then(|o| o.emoji);
        Facts {
            brand: brand.to_owned(),
            sender: brief.sender_name.clone().unwrap_or_else(|| brand.to_owned()),
            objective: task.objective,
            is_new: NEW.iter().any(|w| text::has_phrase(&brief.goal, w))
                || topic.as_ref().is_some_and(|t| text::has_phrase(&t.bare, "new")),
            lexicon,
            has_deadline: brief
                .offer
                .as_deref()
                .is_some_and(|o| UNTIL.iter().any(|w| text::has_phrase(o, w))),
            messages,
            offer,
            topic,
            audience: audience(&brief.audience_text, lexicon.language).filter(|a| !refused.holds(a)),
            must_say: brief.must_say.clone(),
            url: brief.landing_url.clone(),
            quotes: quotable(chunks, &about, brand, &no_quote),
            tone: voice.map(|v| v.tone_on(channel.word())).unwrap_or_default(),
            oxford: voice_or.style.oxford_comma.unwrap_or(false),
            may_exclaim: may_exclaim && voice_or.style.exclamation_rate.mean >= 0.1,
            may_emoji: may_emoji && emoji_here.unwrap_or(voice_or.style.emoji_rate.mean > 0.3),
            may_tag: !banned(&Pattern::NoHashtags),
            contracts: !banned(&Pattern::NoContractions) && voice_or.style.contraction_rate.mean >= 1.5,
            dropped,
            refused,
        }
    }
}

fn refused(brief: &Brief, vocabulary: &Vocabulary, rules: &[Rule]) -> Refused {
    let old = vocabulary.preferred.iter().flat_map(|p| p.instead_of.iter());
    let phrases = brief
        .must_not_say
        .iter()
        .chain(&vocabulary.banned)
        .chain(old)
        .filter(|p| !p.trim().is_empty())
        .cloned()
        .collect();
    let checked = rules
        .iter()
        .filter(|r| matches!(r.kind, RuleKind::Dont | RuleKind::Do))
        .filter_map(|r| r.pattern.clone());
    Refused { phrases, patterns: checked.collect() }
}

fn polished_topic(topic: &Topic, vocabulary: &Vocabulary, brief: &Brief) -> Option<Topic> {
    let full = polish(&topic.full, vocabulary, &brief.must_say);
    let bare = polish(&topic.bare, vocabulary, &brief.must_say);
    Some(Topic { full, bare, is_plural: topic.is_plural })
}

/// The audience as a name that may be printed: at most five plain words without a verb, a figure or the office's
/// own terms ("lapsed buyers" must not read what we call them).
fn audience(text: &str, language: &str) -> Option<String> {
    let text = text.trim().trim_end_matches('.');
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    let inner = [
        "customers",
        "lapsed",
        "leads",
        "prospects",
        "segment",
        "subscribers",
        "users",
        "list",
        "target",
        "audience",
        "buyers",
        "inactive",
        "people",
        "who",
        "aged",
        "our",
        "we",
        "us",
        "male",
        "female",
        "income",
        "persons",
        "contacts",
        "existing",
        "former",
        "churned",
        "everyone",
        "anyone",
        "all",
    ];
    let plain = words.iter().all(|w| {
        w.chars().all(|c| c.is_alphabetic() || c == '-' || c == '\'' || c == '\u{2019}')
            && !inner.contains(&w.as_str())
    });
    let named = (1..=5).contains(&words.len())
        && plain
        && !is_sentence(text)
        && (language != "en" || words.last().is_some_and(|w| w.ends_with('s')));
    if language != "en" {
        return named.then(|| text.to_owned());
    }
    named.then(|| super::sentence::lower_first(text)).map(|t| {
        let mut chars = t.chars();
        // A common noun in front becomes lower case; "Vienna's bakers" keeps its name only in the list of small words.
        if words.len() == 1 {
            chars.next().map_or_else(String::new, |c| c.to_lowercase().chain(chars).collect())
        } else {
            t
        }
    })
}
