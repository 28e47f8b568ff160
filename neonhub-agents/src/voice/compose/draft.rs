//! The state of one offline text: the facts it may use, the seeded choice of lines, and what was already said.

use std::collections::BTreeSet;

use neonhub_core::Rng;

use super::brief::{Brief, Objective};
use super::lexicon::Line;
use super::parts::Channel;
use super::polish::polish;
use super::quote::{Chunk, Cited, quotable, repeats};
use super::sentence::{as_headline, as_sentence, contract, is_sentence, lower_first};
use super::topic::Topic;
use crate::guardrail;
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
    contracts: bool,
    refused: Refused,
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
const NEW: &[&str] = &[
    "launch",
    "launches",
    "introduce",
    "announce",
    "new",
    "release",
    "unveil",
    "open",
    "opening",
    "first",
    "relaunch",
];
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
    pub(super) fn new(
        brief: &Brief,
        brand: &str,
        objective: Objective,
        channel: Channel,
        voice: Option<&Voice>,
        rules: &[Rule],
        chunks: &[Chunk],
    ) -> Self {
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
        let topic = brief.topic.as_deref().map_or_else(|| Topic::of_goal(&brief.goal), Topic::named);
        let topic =
            topic.and_then(|t| polished_topic(&t, vocabulary, brief)).filter(|t| !refused.holds(&t.full));
        let banned = |pattern: &Pattern| refused.patterns.contains(pattern);
        let (may_exclaim, may_emoji) = (!banned(&Pattern::NoExclamation), !banned(&Pattern::NoEmoji));
        let emoji_here = voice_or.channel_overrides.get(channel.word()).and_then(|o| o.emoji);
        Facts {
            brand: brand.to_owned(),
            sender: brief.sender_name.clone().unwrap_or_else(|| brand.to_owned()),
            topic,
            objective,
            is_new: NEW.iter().any(|w| text::has_phrase(&brief.goal, w)),
            has_deadline: brief
                .offer
                .as_deref()
                .is_some_and(|o| UNTIL.iter().any(|w| text::has_phrase(o, w))),
            messages,
            offer,
            audience: audience(&brief.audience_text).filter(|a| !refused.holds(a)),
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
fn audience(text: &str) -> Option<String> {
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
        && words.last().is_some_and(|w| w.ends_with('s'));
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

/// Writes one text.
#[derive(Debug)]
pub(super) struct Writer<'f> {
    pub(super) facts: &'f Facts,
    pub(super) rng: Rng,
    /// Which of several texts this is; turns the order of messages and quotes.
    pub(super) turn: usize,
    pub(super) cited: Vec<Cited>,
    said: BTreeSet<String>,
}

impl<'f> Writer<'f> {
    pub(super) fn new(facts: &'f Facts, rng: Rng, turn: usize) -> Self {
        Writer { facts, rng, turn, cited: Vec::new(), said: BTreeSet::new() }
    }

    /// A line of the bank that fits the objective and tone, holds nothing refused and was not said yet.
    pub(super) fn line(&mut self, bank: &[Line]) -> Option<String> {
        self.line_within(bank, usize::MAX)
    }

    /// The same with at most `most` characters.
    pub(super) fn line_within(&mut self, bank: &[Line], most: usize) -> Option<String> {
        let mut open: Vec<(f64, String)> = Vec::new();
        for line in bank {
            let Some(text) = self.fill(line) else { continue };
            let fits = text.chars().count() <= most && self.is_new(&text) && !self.facts.refused.holds(&text);
            if fits {
                open.push((weight(line, &self.facts.tone) * precision(line), text));
            }
        }
        let total: f64 = open.iter().map(|(w, _)| w).sum();
        let mut at = self.rng.unit() * total;
        let drawn = open.iter().find(|(w, _)| {
            at -= w;
            at < 0.0
        });
        let text = drawn.or(open.last()).map(|(_, t)| t.clone()).filter(|_| total > 0.0)?;
        self.note(&text);
        Some(text)
    }

    fn fill(&self, line: &Line) -> Option<String> {
        let facts = self.facts;
        let letter = match facts.objective {
            Objective::Awareness => 'A',
            Objective::Traffic => 'T',
            Objective::Leads => 'L',
            Objective::Sales => 'S',
            Objective::Retention => 'R',
            Objective::Event => 'E',
        };
        let suits = line.on.contains(['*', letter])
            && (!line.on.contains('N') || facts.is_new)
            && (!line.on.contains('D') || facts.has_deadline);
        if !suits || weight(line, &facts.tone) <= 0.0 {
            return None;
        }
        let topic = facts.topic.as_ref();
        let slots: [(&str, Option<String>); 10] = [
            ("{topic}", topic.map(|t| t.full.clone())),
            ("{Topic}", topic.map(Topic::capital)),
            ("{bare}", topic.map(|t| t.bare.clone())),
            ("{is}", topic.map(|t| if t.is_plural { "are" } else { "is" }.to_owned())),
            ("{makes}", topic.map(|t| if t.is_plural { "make" } else { "makes" }.to_owned())),
            ("{brand}", Some(facts.brand.clone())),
            ("{team}", Some(team(&facts.brand).to_owned())),
            ("{offer}", facts.offer.as_ref().map(Said::fragment)),
            ("{Offer}", facts.offer.as_ref().map(Said::headline)),
            ("{audience}", facts.audience.clone()),
        ];
        let own = if facts.contracts { contract(line.text) } else { line.text.to_owned() };
        let mut out = String::with_capacity(own.len() + 32);
        let mut rest = own.as_str();
        while let Some(open) = rest.find('{') {
            let (head, tail) = rest.split_at(open);
            out.push_str(head);
            let close = tail.find('}')? + 1;
            let slot = tail.get(..close)?;
            match slots.iter().find(|(name, _)| *name == slot) {
                Some((_, value)) => out.push_str(value.as_ref()?),
                None => out.push_str(slot),
            }
            rest = tail.get(close..)?;
        }
        out.push_str(rest);
        Some(text::capitalised(&out))
    }

    /// True when no sentence of `text` was said in this text yet.
    pub(super) fn is_new(&self, text: &str) -> bool {
        keys(text).iter().all(|k| !self.said.contains(k))
    }

    pub(super) fn note(&mut self, text: &str) {
        self.said.extend(keys(text));
    }

    /// `text` when it is new; from now on it was said.
    pub(super) fn say(&mut self, text: String) -> Option<String> {
        let fresh = !text.trim().is_empty() && self.is_new(&text);
        fresh.then(|| {
            self.note(&text);
            text
        })
    }

    /// Key messages, turned so that another leads in another text; the first one leads in the first.
    pub(super) fn messages(&self) -> Vec<&'f Said> {
        let all = &self.facts.messages;
        let by = if all.is_empty() { 0 } else { self.turn % all.len() };
        all.iter().skip(by).chain(all.iter().take(by)).collect()
    }

    /// The next quote of at most `most` characters, with its source noted.
    pub(super) fn quote(&mut self, most: usize) -> Option<String> {
        let all = &self.facts.quotes;
        let by = if all.is_empty() { 0 } else { self.turn % all.len().min(4) };
        let order = all.iter().skip(by).chain(all.iter().take(by));
        let next =
            order.into_iter().find(|c| c.quote.chars().count() <= most && self.is_new(&c.quote))?.clone();
        self.note(&next.quote);
        self.cited.push(next.clone());
        Some(next.quote)
    }

    /// The offer as a sentence, in a frame of the bank when it is a noun phrase.
    pub(super) fn offer(&mut self, bank: &[Line]) -> Option<String> {
        let offer = self.facts.offer.as_ref()?;
        if offer.is_sentence {
            return self.say(offer.sentence());
        }
        self.line(bank)
    }

    /// Required phrases that stand in none of `texts`, each as a sentence of its own.
    pub(super) fn owed(&mut self, texts: &[&str]) -> Vec<String> {
        let missing = guardrail::must_say_missing(texts, &self.facts.must_say);
        let mut out: Vec<String> = Vec::new();
        for phrase in missing {
            let covered = out.iter().any(|o| text::has_phrase(o, phrase));
            if !covered {
                out.push(as_sentence(phrase));
            }
        }
        out.iter().for_each(|o| self.note(o));
        out
    }

    /// True in `share` of the draws.
    pub(super) fn chance(&mut self, share: f64) -> bool {
        self.rng.unit() < share
    }
}

/// Brand names with an article lose it after "the ... team".
fn team(brand: &str) -> &str {
    brand.strip_prefix("The ").unwrap_or(brand)
}

fn keys(text: &str) -> Vec<String> {
    let norm = |s: &str| {
        s.chars().filter(|c| c.is_alphanumeric() || c.is_whitespace()).collect::<String>().to_lowercase()
    };
    let fold = |s: String| s.split_whitespace().collect::<Vec<_>>().join(" ");
    text::sentences(text).iter().map(|s| fold(norm(s.of(text)))).filter(|k| !k.is_empty()).collect()
}

/// Lines that name the thing tell more than lines that would fit any campaign.
fn precision(line: &Line) -> f64 {
    let named = ["{topic}", "{Topic}", "{bare}", "{offer}", "{Offer}", "{audience}"]
        .iter()
        .any(|s| line.text.contains(s));
    if named || !line.on.contains('*') { 3.0 } else { 1.0 }
}

/// How well the register of a line suits the tone; 0 keeps it out. Ours.
fn weight(line: &Line, tone: &Tone) -> f64 {
    let from = |axis: f64, least: f64, worth: f64| if axis < least { 0.0 } else { worth * axis };
    match line.voice {
        'w' => from(tone.warm, 0.35, 2.5),
        'p' => from(tone.playful, 0.5, 2.5),
        'f' => from(tone.formal, 0.5, 3.0),
        'b' => from(tone.bold, 0.5, 2.0),
        't' => from(tone.technical, 0.5, 3.0),
        _ => 1.0,
    }
}
