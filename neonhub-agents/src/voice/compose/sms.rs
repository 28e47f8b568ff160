//! Text messages: sender, one thing to say, link, way to opt out; the richest that fits the segments.

use super::draft::Writer;
use super::parts::{Parts, SmsParts};
use crate::sms::segment;
use crate::voice::text;

/// Folds typographic marks that would force a whole message into the costly alphabet.
fn plain(text: &str) -> String {
    let folded: String = text.chars().map(text::fold_mark).collect();
    folded.replace('\u{2026}', "...")
}

pub(super) fn write(w: &mut Writer<'_>, max_segments: u32) -> Option<Parts> {
    let lex = w.facts.lexicon;
    let open = w.line(lex.sms_open)?.replace(&w.facts.brand, &w.facts.sender);
    let cta = w.line(lex.sms_cta).unwrap_or_default();
    // Carriers and readers know the word in capitals, whatever a brand says about capitals.
    let stop = w.rng.pick(lex.sms_stop)?.text;
    let topic = w.line(lex.sms_topic);
    let offer = w.facts.offer.as_ref().map(super::facts::Said::sentence);
    let message = w.messages().first().map(|m| m.sentence());
    let mut bodies: Vec<Vec<String>> = Vec::new();
    let some = |parts: &[&Option<String>]| parts.iter().filter_map(|p| (*p).clone()).collect::<Vec<_>>();
    let lead = if w.turn.is_multiple_of(2) { [&message, &offer] } else { [&offer, &message] };
    bodies.push(some(&[lead[0], lead[1]]));
    bodies.push(some(&[&topic, &offer]));
    bodies.push(some(&[&offer]));
    bodies.push(some(&[&message]));
    bodies.push(some(&[&topic]));
    // Another text begins with another of the bodies, so that alternates differ.
    let by = w.turn % 3;
    let order: Vec<Vec<String>> = bodies.iter().skip(by).chain(bodies.iter().take(by)).cloned().collect();
    for body in order.into_iter().filter(|b| !b.is_empty()) {
        for short in [false, true] {
            let text = join(w, &open, &body, &cta, stop, short);
            if segment(&text).segments <= max_segments {
                w.note(&text);
                return Some(Parts::Sms(SmsParts { body: text, url: w.facts.url.clone() }));
            }
        }
    }
    None
}

/// `short` leaves the lead-in of the link away and takes the shortest opening.
fn join(w: &mut Writer<'_>, open: &str, body: &[String], cta: &str, stop: &str, short: bool) -> String {
    let open = if short { format!("{}: ", w.facts.sender) } else { open.to_owned() };
    let cta = if short { "" } else { cta };
    let mut said: Vec<String> = Vec::new();
    for part in body {
        if !said.contains(part) {
            said.push(part.clone());
        }
    }
    let refs: Vec<&str> = said.iter().map(String::as_str).collect();
    let owed = crate::guardrail::must_say_missing(&refs, &w.facts.must_say);
    let owed: Vec<String> = owed.into_iter().map(super::sentence::as_sentence).collect();
    let middle = said.into_iter().chain(owed).collect::<Vec<_>>().join(" ");
    let stop = if short {
        w.facts.lexicon.sms_stop.iter().map(|l| l.text).min_by_key(|t| t.len()).unwrap_or(stop)
    } else {
        stop
    };
    plain(&format!("{open}{middle} {cta}{} {stop}", w.facts.url))
}
