//! Responsive search ads: headlines of 30, descriptions of 90, paths of 15 characters, all whole.

use super::draft::Writer;
use super::fit;
use super::parts::{AdParts, Parts};
use super::sentence::{as_headline, as_sentence, title_case};
use crate::guardrail;
use crate::voice::similar::{jaccard, shingles};
use crate::voice::text;

/// Headlines to aim at; fewer are fine when the brief holds fewer short phrases.
const HEADLINES: usize = 8;

pub(super) fn write(w: &mut Writer<'_>) -> Option<Parts> {
    let lex = w.facts.lexicon;
    let mut headlines: Vec<String> = Vec::new();
    let mut descriptions: Vec<String> = Vec::new();
    owed(w, &mut headlines, &mut descriptions)?;
    for text in w.messages().iter().map(|m| m.headline()).collect::<Vec<_>>() {
        add_headline(w, &mut headlines, &text);
    }
    let short_offer = w.facts.offer.as_ref().map(|o| before_deadline(&o.headline()));
    if let Some(offer) = short_offer {
        add_headline(w, &mut headlines, &offer);
    }
    // The brand always appears: people search for it and trust it.
    let brand = w.facts.brand.clone();
    add_headline(w, &mut headlines, &brand);
    while headlines.len() < HEADLINES {
        let Some(line) = w.line_within(lex.ad_headlines, fit::AD_HEADLINE) else { break };
        push_headline(w, &mut headlines, &line);
    }
    let offer = w.facts.offer.as_ref().map(super::facts::Said::sentence);
    let said = offer.into_iter().chain(w.messages().iter().map(|m| m.sentence()).collect::<Vec<_>>());
    for text in said.collect::<Vec<_>>() {
        if descriptions.len() < 3
            && fit::width(&text) <= fit::AD_DESCRIPTION
            && !repeats(&descriptions, &text)
        {
            descriptions.extend(w.say(text));
        }
    }
    if descriptions.len() < 3 {
        descriptions.extend(w.quote(fit::AD_DESCRIPTION));
    }
    while descriptions.len() < 4 {
        let Some(line) = w.line_within(lex.ad_descriptions, fit::AD_DESCRIPTION) else { break };
        descriptions.push(line);
    }
    let enough = headlines.len() >= 3 && descriptions.len() >= 2;
    let paths = paths(w);
    enough.then(|| Parts::Ads(AdParts { headlines, descriptions, paths, url: w.facts.url.clone() }))
}

/// `10 % off the first loaf until 30 November` -> `10 % off the first loaf`; a description names the date.
fn before_deadline(offer: &str) -> String {
    let cut = [" until ", " till ", " through ", " before "].iter().filter_map(|m| offer.find(m)).min();
    cut.and_then(|p| offer.get(..p)).unwrap_or(offer).to_owned()
}

/// Required phrases first, so that the rest is built around them; `None` when one fits nowhere.
fn owed(w: &mut Writer<'_>, headlines: &mut Vec<String>, descriptions: &mut Vec<String>) -> Option<()> {
    let phrases = w.facts.must_say.clone();
    for phrase in phrases {
        let refs: Vec<&str> = headlines.iter().chain(descriptions.iter()).map(String::as_str).collect();
        if guardrail::must_say_missing(&refs, std::slice::from_ref(&phrase)).is_empty() {
            continue;
        }
        let carrier = w
            .messages()
            .iter()
            .map(|m| m.sentence())
            .find(|s| text::has_phrase(s, &phrase) && fit::width(s) <= fit::AD_DESCRIPTION);
        let sentence = carrier.unwrap_or_else(|| as_sentence(&phrase));
        if descriptions.len() < 4 && fit::width(&sentence) <= fit::AD_DESCRIPTION {
            w.note(&sentence);
            descriptions.push(sentence);
        } else if fit::width(&as_headline(&phrase)) <= fit::AD_HEADLINE && headlines.len() < 15 {
            headlines.push(as_headline(&phrase));
        } else {
            return None;
        }
    }
    Some(())
}

fn add_headline(w: &mut Writer<'_>, headlines: &mut Vec<String>, text: &str) {
    // Networks refuse exclamation marks in headlines.
    if fit::width(text) <= fit::AD_HEADLINE && !text.contains('!') && w.is_new(text) {
        w.note(text);
        push_headline(w, headlines, text);
    }
}

fn push_headline(w: &Writer<'_>, headlines: &mut Vec<String>, text: &str) {
    let text = text.trim_end_matches('.');
    // Headlines in title case are an English habit.
    let text = if w.facts.lexicon.language == "en" { title_case(text) } else { text.to_owned() };
    if !headlines.iter().any(|h| h.eq_ignore_ascii_case(&text)) {
        headlines.push(text);
    }
}

fn repeats(texts: &[String], text: &str) -> bool {
    let own = shingles(text);
    texts.iter().any(|t| jaccard(&shingles(t), &own) >= 0.8)
}

/// Path words from the topic: lower case, hyphens, at most 15 characters each.
fn paths(w: &Writer<'_>) -> Vec<String> {
    let Some(topic) = &w.facts.topic else { return Vec::new() };
    let words = topic.bare.split(|c: char| !c.is_alphanumeric()).filter(|p| p.chars().count() > 2);
    let mut out: Vec<String> = Vec::new();
    for word in words.map(str::to_lowercase) {
        let joined = out.last().map(|l| format!("{l}-{word}")).filter(|j| fit::width(j) <= fit::AD_PATH);
        if let (Some(joined), Some(last)) = (joined, out.last_mut()) {
            *last = joined;
        } else if out.len() < 2 && fit::width(&word) <= fit::AD_PATH {
            out.push(word);
        } else {
            break;
        }
    }
    out
}
