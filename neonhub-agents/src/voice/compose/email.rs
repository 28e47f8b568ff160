//! Mails: the first tells, the second explains, the last reminds.

use super::draft::Writer;
use super::facts::Said;
use super::fit;
use super::lexicon::Line;
use super::parts::{Cta, EmailParts, Greeting, Parts};
use super::sentence::list;

/// The three mails of a sequence.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    First,
    Second,
    Last,
}

/// The mail at `step` (from 1) of `steps`.
pub(super) fn write(w: &mut Writer<'_>, step: u32, steps: u32) -> Option<Parts> {
    let lex = w.facts.lexicon;
    let step = if step <= 1 {
        Step::First
    } else if step >= steps {
        Step::Last
    } else {
        Step::Second
    };
    let (subjects, opens, closes) = match step {
        Step::First => (lex.subject_first, lex.open_first, lex.close_first),
        Step::Second => (lex.subject_second, lex.open_second, lex.close_second),
        Step::Last => (lex.subject_last, lex.open_last, lex.close_last),
    };
    let subject = w.line_within(subjects, 60).or_else(|| w.line_within(lex.subject_first, fit::SUBJECT))?;
    let greeting = greeting(w);
    let sign_off = w.line(lex.sign_off)?;
    let heading = w.line_within(lex.heading, 60)?;
    let mut paragraphs = body(w, step, opens);
    let close = w.line(closes);
    let offer = (step != Step::Last).then(|| w.offer(lex.offer)).flatten();
    let preheader = w.line_within(lex.preheader, fit::PREHEADER)?;
    let label = w.line_within(lex.cta, fit::CTA).unwrap_or_else(|| lex.cta_default.to_owned());
    paragraphs.extend(offer);
    let said: Vec<String> = paragraphs.iter().cloned().chain([subject.clone(), heading.clone()]).collect();
    let owed = w.owed(&said.iter().map(String::as_str).collect::<Vec<_>>());
    if !owed.is_empty() {
        paragraphs.push(owed.join(" "));
    }
    paragraphs.extend(close);
    Some(Parts::Email(EmailParts {
        subject: subject.trim_end_matches('.').to_owned(),
        preheader,
        heading: heading.trim_end_matches('.').to_owned(),
        greeting,
        paragraphs,
        cta: Cta { label, url: w.facts.url.clone() },
        sign_off,
    }))
}

fn body(w: &mut Writer<'_>, step: Step, opens: &[Line]) -> Vec<String> {
    let lex = w.facts.lexicon;
    let mut out = Vec::new();
    let (most, quotes) = match step {
        Step::First => (3, 1),
        Step::Second => (3, 2),
        Step::Last => (1, 0),
    };
    let all = w.messages();
    // The second mail begins where the first one stopped.
    let skip = if step == Step::Second && all.len() > 2 { 1 } else { 0 };
    let chosen: Vec<&Said> = all.into_iter().skip(skip).take(most).collect();
    let (whole, parts): (Vec<&Said>, Vec<&Said>) = chosen.into_iter().partition(|m| m.is_sentence);
    let lead = whole.first().and_then(|m| w.say(m.sentence()));
    // Often the first message says it best without an opening.
    let direct = lead.is_some() && step == Step::First && w.chance(0.3);
    let open = if direct { None } else { w.line(opens) };
    let first = join(open, lead);
    out.extend(first);
    if step == Step::Last {
        out.extend(w.offer(lex.offer));
    }
    if step == Step::Second {
        out.extend(quote_paragraph(w, quotes));
    }
    let rest: Vec<String> = whole.iter().skip(1).filter_map(|m| w.say(m.sentence())).collect();
    out.extend(paragraphs(rest));
    out.extend(essentials(w, &parts));
    if step == Step::First {
        if let Some(line) = w.chance(0.5).then(|| w.line(lex.audience)).flatten() {
            out.push(line);
        }
        out.extend(quote_paragraph(w, quotes));
    }
    out
}

fn join(a: Option<String>, b: Option<String>) -> Option<String> {
    match (a, b) {
        (Some(a), Some(b)) => Some(format!("{a} {b}")),
        (a, b) => a.or(b),
    }
}

/// Two short sentences share a paragraph, a long one stands alone.
fn paragraphs(sentences: Vec<String>) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for sentence in sentences {
        match out.last_mut() {
            Some(last) if last.chars().count() + sentence.chars().count() < 160 => {
                last.push(' ');
                last.push_str(&sentence);
            }
            _ => out.push(sentence),
        }
    }
    out
}

/// Messages that are noun phrases become one list in a sentence.
pub(super) fn essentials(w: &mut Writer<'_>, parts: &[&Said]) -> Option<String> {
    if parts.is_empty() {
        return None;
    }
    let items: Vec<String> = parts.iter().map(|p| p.fragment()).collect();
    // Items with commas of their own would blur: then each is a sentence.
    if items.iter().any(|i| i.contains(',') || i.contains(" and "))
        || items.iter().map(String::len).sum::<usize>() > 200
    {
        let whole: Vec<String> = parts.iter().filter_map(|p| w.say(p.sentence())).collect();
        return (!whole.is_empty()).then(|| whole.join(" "));
    }
    let lex = w.facts.lexicon;
    let is_short = items.iter().all(|i| i.split_whitespace().count() <= 5);
    let lead = w.line(if is_short { lex.essentials } else { lex.notes })?;
    w.say(format!("{} {}.", lead.trim_end(), list(&items, lex.and, w.facts.oxford)))
}

fn quote_paragraph(w: &mut Writer<'_>, most: usize) -> Option<String> {
    let quotes: Vec<String> = (0..most).filter_map(|_| w.quote(200)).collect();
    (!quotes.is_empty()).then(|| quotes.join(" "))
}

fn greeting(w: &mut Writer<'_>) -> Greeting {
    let lex = w.facts.lexicon;
    let line = w.line(lex.greeting).unwrap_or_else(|| lex.greeting_default.to_owned());
    let general = if line.starts_with("Hi") || line.starts_with("Hey") { lex.nobody } else { "" };
    Greeting {
        personal: line.replace("{name}", " {{ first_name }}"),
        general: line.replace("{name}", general),
    }
}
