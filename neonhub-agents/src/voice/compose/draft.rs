//! The state of one offline text: the seeded choice of lines, and what was already said.

use std::collections::BTreeSet;

use neonhub_core::Rng;

use super::brief::Objective;
use super::facts::{Facts, Said};
use super::lexicon::Line;
use super::quote::Cited;
use super::sentence::{as_sentence, contract};
use super::topic::Topic;
use crate::guardrail;
use crate::voice::model::Tone;
use crate::voice::text;

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
            let fits = text.chars().count() <= most && self.is_new(&text) && !self.facts.refuses(&text);
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
        let own = if facts.contracts && facts.lexicon.language == "en" {
            contract(line.text)
        } else {
            line.text.to_owned()
        };
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
        'p' => from(tone.playful, 0.45, 2.5),
        'f' => from(tone.formal, 0.5, 3.0),
        'b' => from(tone.bold, 0.5, 2.0),
        't' => from(tone.technical, 0.5, 3.0),
        _ => 1.0,
    }
}
