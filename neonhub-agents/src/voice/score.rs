//! How close a text is to a voice: 0..=1 with its parts, every violation with its place and its fix.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::measure::{self, Measures};
use super::model::{Calibration, Pattern, Person, Rule, RuleKind, Severity, Spread, Style, Voice};
use super::similar::Bag;
use super::text::{self, Span};
use super::tone::tone_of;

/// Weights of the parts and penalties: `sending.md` 14 rule 5.
const EXEMPLAR_WEIGHT: f64 = 0.35;
const STYLE_WEIGHT: f64 = 0.25;
const VOCABULARY_WEIGHT: f64 = 0.20;
const TONE_WEIGHT: f64 = 0.20;
const BANNED_PENALTY: f64 = 0.15;
const PRODUCT_PENALTY: f64 = 0.10;
const RULE_PENALTY: f64 = 0.20;

/// Parts of an alignment, each 0..=1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parts {
    /// Likeness to the on-brand examples; absent when the brand has none, and then the other parts share its weight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exemplar: Option<f64>,
    /// Closeness of the measured style.
    pub style: f64,
    /// Preferred words used where there was a choice.
    pub vocabulary: f64,
    /// Closeness on the tone axes.
    pub tone: f64,
    /// What banned words, wrong names and broken rules took off.
    pub penalty: f64,
}

/// A place where a text leaves the voice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Violation {
    /// Stable word: `banned_term`, `preferred_term`, `product_name`, `rule`.
    pub rule: String,
    /// How strictly it binds.
    pub severity: Severity,
    /// Byte range in the scored text; absent when the whole text breaks the rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<Span>,
    /// What is wrong.
    pub message: String,
    /// What to write instead, when there is one answer.
    pub fix: String,
}

/// What follows from an alignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Good as it is.
    Pass,
    /// Write it again with the violations as instructions.
    Regenerate,
    /// A person decides.
    Flag,
}

/// How close a text is to a voice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Alignment {
    /// 0 (foreign) to 1 (at home).
    pub score: f64,
    /// What it is made of.
    pub parts: Parts,
    /// Where it leaves the voice, by place.
    pub violations: Vec<Violation>,
    /// What follows.
    pub outcome: Outcome,
}

/// Scores `text` for `channel` (a channel word, or empty for none).
#[must_use]
pub fn score(text: &str, voice: &Voice, rules: &[Rule], channel: &str) -> Alignment {
    Scorer::new(voice, rules).score(text, channel)
}

/// A voice made ready to score many texts: its examples are read once.
#[derive(Debug)]
pub struct Scorer<'v> {
    voice: &'v Voice,
    rules: &'v [Rule],
    on_brand: Bag,
    off_brand: Bag,
}

impl<'v> Scorer<'v> {
    /// Reads the examples of the voice.
    #[must_use]
    pub fn new(voice: &'v Voice, rules: &'v [Rule]) -> Self {
        let side = |want: bool| {
            bag_of(voice.exemplars.iter().filter(|e| e.on_brand == want).map(|e| e.text.as_str()))
        };
        Scorer { voice, rules, on_brand: side(true), off_brand: side(false) }
    }

    /// Name of the brand.
    #[must_use]
    pub fn brand(&self) -> &str {
        &self.voice.brand
    }

    /// Scores `text` for `channel` (a channel word, or empty for none).
    #[must_use]
    pub fn score(&self, text: &str, channel: &str) -> Alignment {
        let voice = self.voice;
        let measures = measure::measure(text);
        let mut violations = Vec::new();
        let vocabulary = preferred(text, voice, &mut violations);
        let banned = banned(text, voice, &mut violations);
        let products = products(text, voice, &mut violations);
        let broken = broken_rules(text, self.rules, &mut violations);
        let parts = Parts {
            exemplar: self.exemplar(text),
            style: style(&measures, &voice.style),
            vocabulary,
            tone: tone_closeness(tone_of(text).distance(&voice.tone_on(channel))),
            penalty: BANNED_PENALTY * banned as f64
                + PRODUCT_PENALTY * products as f64
                + RULE_PENALTY * broken as f64,
        };
        let rest =
            STYLE_WEIGHT * parts.style + VOCABULARY_WEIGHT * parts.vocabulary + TONE_WEIGHT * parts.tone;
        let sum = parts.exemplar.map_or(rest / (1.0 - EXEMPLAR_WEIGHT), |e| rest + EXEMPLAR_WEIGHT * e);
        let score = round((sum - parts.penalty).clamp(0.0, 1.0));
        let limits = voice.thresholds_on(channel);
        let outcome = if score >= limits.pass {
            Outcome::Pass
        } else if score >= limits.flag {
            Outcome::Regenerate
        } else {
            Outcome::Flag
        };
        violations.sort_by(|a, b| (a.span, &a.rule, &a.message).cmp(&(b.span, &b.rule, &b.message)));
        Alignment { score, parts, violations, outcome }
    }

    /// Likeness rescaled between the brand's off-brand and on-brand medians.
    fn exemplar(&self, text: &str) -> Option<f64> {
        if self.on_brand.is_empty() {
            return None;
        }
        let scale = self.voice.calibration.unwrap_or_default();
        let raw = raw_likeness(&bag_of(std::iter::once(text)), &self.on_brand, &self.off_brand);
        Some(((raw - scale.off_median) / (scale.on_median - scale.off_median).max(0.01)).clamp(0.0, 1.0))
    }
}

fn round(x: f64) -> f64 {
    (x * 10_000.0).round() / 10_000.0
}

/// Ours: 1 at no distance, 0.61 at a mean distance of 0.22 of the axes, near 0 at half the scale.
fn tone_closeness(distance: f64) -> f64 {
    (-(distance / 0.22).powi(2) / 2.0).exp()
}

/// Mean closeness over the metrics: exp(-((x - mean) / max(sd, sd_min))^2 / 2). The smallest spreads are ours:
/// a brand with two examples would otherwise allow no variation.
fn style(m: &Measures, style: &Style) -> f64 {
    if m.words == 0 {
        return 0.0;
    }
    let near =
        |x: f64, want: Spread, sd_min: f64| (-((x - want.mean) / want.sd.max(sd_min)).powi(2) / 2.0).exp();
    let person = match (m.person, style.person) {
        (a, b) if a == b => 1.0,
        (Person::FirstAndSecond, Person::First | Person::Second)
        | (Person::First | Person::Second, Person::FirstAndSecond) => 0.8,
        _ => 0.4,
    };
    let parts = [
        near(m.sentence_words.mean, style.sentence_words, 4.0),
        near(m.reading_grade, style.reading_grade, 3.0),
        near(m.contraction_rate, style.contraction_rate, 2.5),
        near(m.emoji_rate, style.emoji_rate, 1.5),
        near(m.exclamation_rate, style.exclamation_rate, 0.2),
        near(m.capitals_rate, style.capitals_rate, 0.05),
        person,
    ];
    parts.iter().sum::<f64>() / parts.len() as f64
}

/// 1 - misses / uses over the preferred pairs; 1 when no pair is used.
fn preferred(text: &str, voice: &Voice, violations: &mut Vec<Violation>) -> f64 {
    let (mut uses, mut misses) = (0_usize, 0_usize);
    let folded = text::Folded::new(text);
    for pair in &voice.vocabulary.preferred {
        let good = folded.find(&pair.term);
        uses += good.len();
        for old in &pair.instead_of {
            for span in folded.find(old) {
                // "sign in" inside "please sign in here" may itself hold the old word.
                if good.iter().any(|g| g.overlaps(&span)) {
                    continue;
                }
                uses += 1;
                misses += 1;
                violations.push(Violation {
                    rule: "preferred_term".into(),
                    severity: Severity::Should,
                    span: Some(span),
                    message: format!("the brand says \"{}\" instead", pair.term),
                    fix: pair.term.clone(),
                });
            }
        }
    }
    if uses == 0 { 1.0 } else { 1.0 - misses as f64 / uses as f64 }
}

/// Counts distinct banned terms in use.
fn banned(text: &str, voice: &Voice, violations: &mut Vec<Violation>) -> usize {
    let mut count = 0;
    let folded = text::Folded::new(text);
    for term in &voice.vocabulary.banned {
        let spans = folded.find(term);
        count += usize::from(!spans.is_empty());
        let fix = voice
            .vocabulary
            .preferred
            .iter()
            .find(|p| p.instead_of.iter().any(|o| o.eq_ignore_ascii_case(term)));
        violations.extend(spans.into_iter().map(|span| Violation {
            rule: "banned_term".into(),
            severity: Severity::Must,
            span: Some(span),
            message: "a word the brand never uses".into(),
            fix: fix.map(|p| p.term.clone()).unwrap_or_default(),
        }));
    }
    count
}

fn products(text: &str, voice: &Voice, violations: &mut Vec<Violation>) -> usize {
    let mut count = 0;
    for name in &voice.vocabulary.products {
        let wrong = wrong_names(text, name);
        count += usize::from(!wrong.is_empty());
        violations.extend(wrong.into_iter().map(|span| Violation {
            rule: "product_name".into(),
            severity: Severity::Must,
            span: Some(span),
            message: format!("the name is written \"{name}\""),
            fix: name.clone(),
        }));
    }
    count
}

/// Places where `name` is written in other casing, apart or with a hyphen. A plain word in lower case is left
/// alone when the name is one plain capitalised word, since it may just be the word.
#[must_use]
pub fn wrong_names(text: &str, name: &str) -> Vec<Span> {
    let is_plain = !name.contains(char::is_whitespace) && name.chars().skip(1).all(char::is_lowercase);
    let links = text::links(text);
    let folded = text::Folded::new(text);
    let mut out: Vec<Span> = Vec::new();
    for form in spellings(name) {
        for span in folded.find(&form) {
            let written = span.of(text);
            let just_a_word = is_plain && written.chars().all(char::is_lowercase);
            let in_address = links.iter().any(|l| l.overlaps(&span)) || touches_address(text, span);
            let same = written.split_whitespace().eq(name.split_whitespace());
            if !same && !just_a_word && !in_address && !out.iter().any(|o| o.overlaps(&span)) {
                out.push(span);
            }
        }
    }
    out.sort_unstable();
    out
}

fn touches_address(text: &str, span: Span) -> bool {
    let before = Span::new(0, span.start).of(text).chars().next_back();
    let mut after = Span::new(span.end, text.len()).of(text).chars();
    let (next, then) = (after.next(), after.next());
    matches!(before, Some('@' | '#' | '/' | '.'))
        || next == Some('@')
        || (next == Some('.') && then.is_some_and(char::is_alphabetic))
}

/// The name itself, and with its inner capitals set apart by a blank or hyphen, or its blanks closed up.
fn spellings(name: &str) -> Vec<String> {
    let mut apart = String::new();
    let mut was_lower = false;
    for c in name.chars() {
        if was_lower && c.is_uppercase() {
            apart.push(' ');
        }
        apart.push(c);
        was_lower = c.is_lowercase();
    }
    let mut out = vec![name.to_owned(), apart.clone(), apart.replace(' ', "-")];
    if name.contains(' ') {
        out.push(name.replace(' ', ""));
        out.push(name.replace(' ', "-"));
    }
    out.dedup();
    out
}

/// Counts broken rules of severity `Must`; broken weaker rules are listed only.
fn broken_rules(text: &str, rules: &[Rule], violations: &mut Vec<Violation>) -> usize {
    let mut count = 0;
    let mut seen: Vec<&Pattern> = Vec::new();
    for rule in rules.iter().filter(|r| matches!(r.kind, RuleKind::Do | RuleKind::Dont)) {
        let Some(pattern) = &rule.pattern else { continue };
        let Some(span) = breaks(text, pattern).filter(|_| !seen.contains(&pattern)) else { continue };
        seen.push(pattern);
        count += usize::from(rule.severity == Severity::Must);
        violations.push(Violation {
            rule: "rule".into(),
            severity: rule.severity,
            span,
            message: rule.text.clone(),
            fix: String::new(),
        });
    }
    count
}

/// The first place that breaks the pattern; `Some(None)` when the text as a whole does.
pub(crate) fn breaks(text: &str, pattern: &Pattern) -> Option<Option<Span>> {
    let first_char = |test: &dyn Fn(char) -> bool| {
        text.char_indices().find(|(_, c)| test(*c)).map(|(p, c)| Some(Span::new(p, p + c.len_utf8())))
    };
    match pattern {
        Pattern::Term(term) => text::find_phrase(text, term).first().copied().map(Some),
        Pattern::NoExclamation => first_char(&|c| c == '!'),
        Pattern::NoQuestions => first_char(&|c| c == '?'),
        Pattern::NoEmoji => first_char(&text::is_emoji),
        Pattern::NoHashtags => text
            .match_indices('#')
            .map(|(p, _)| p)
            .find(|p| is_hashtag(text, *p))
            .map(|p| Some(Span::new(p, p + 1))),
        Pattern::NoCapitals => {
            text::words(text).iter().find(|w| measure::is_loud(w.text)).map(|w| Some(w.span))
        }
        Pattern::NoContractions => {
            text::words(text).iter().find(|w| measure::is_contraction(w.text)).map(|w| Some(w.span))
        }
        Pattern::MaxSentenceWords(most) => {
            let long = |s: &Span| text::words(s.of(text)).len() > *most as usize;
            text::sentences(text).into_iter().find(long).map(Some)
        }
    }
}

fn is_hashtag(text: &str, at: usize) -> bool {
    let fresh =
        !Span::new(0, at).of(text).chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '/');
    fresh && Span::new(at + 1, text.len()).of(text).chars().next().is_some_and(char::is_alphabetic)
}

/// Raw likeness: cosine to the on-brand examples less half the cosine to the off-brand ones.
fn raw_likeness(bag: &Bag, on: &Bag, off: &Bag) -> f64 {
    bag.cosine(on) - 0.5 * bag.cosine(off)
}

fn bag_of<'a>(texts: impl Iterator<Item = &'a str>) -> Bag {
    let mut bag = Bag::default();
    texts.for_each(|t| bag.add(t));
    bag
}

/// The scale of exemplar likeness from the brand's own examples, each judged by the others. `None` with fewer
/// than three on either side, or when they do not separate.
#[must_use]
pub fn calibrate(voice: &Voice) -> Option<Calibration> {
    let likeness = |skip: usize| {
        let side = |want: bool| {
            let others =
                voice.exemplars.iter().enumerate().filter(move |(i, e)| *i != skip && e.on_brand == want);
            bag_of(others.map(|(_, e)| e.text.as_str()))
        };
        let own = voice.exemplars.get(skip).map(|e| bag_of(std::iter::once(e.text.as_str())))?;
        Some(raw_likeness(&own, &side(true), &side(false)))
    };
    let of = |want: bool| -> Vec<f64> {
        let side = voice.exemplars.iter().enumerate().filter(|(_, e)| e.on_brand == want);
        side.filter_map(|(i, _)| likeness(i)).collect()
    };
    let (on, off) = (of(true), of(false));
    if on.len() < 3 || off.len() < 3 {
        return None;
    }
    let scale = Calibration { off_median: median(off), on_median: median(on) };
    (scale.on_median - scale.off_median >= 0.02).then_some(scale)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    let upper = values.get(half).copied().unwrap_or(0.0);
    if values.len() % 2 == 1 {
        upper
    } else {
        f64::midpoint(upper, values.get(half.wrapping_sub(1)).copied().unwrap_or(upper))
    }
}

#[cfg(test)]
mod tests;
