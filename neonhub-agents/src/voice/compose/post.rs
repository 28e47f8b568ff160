//! Public posts for X, LinkedIn, Instagram and Facebook.

use super::draft::Writer;
use super::email::essentials;
use super::facts::Said;
use super::fit;
use super::parts::{Channel, Parts, PostParts};
use crate::gate::limits;
use crate::voice::text;

/// Instagram's newer accounts may set five hashtags; two or three read best anywhere. Ours.
const MOST_TAGS: usize = 3;

pub(super) fn write(w: &mut Writer<'_>, channel: Channel) -> Option<Parts> {
    let network = fit::network(channel)?;
    let limit = limits::holding(network, "text")?;
    let fits = |text: &str| limits::length(text, limit.unit) <= limit.value;
    let lex = w.facts.lexicon;
    let hook = hook(w);
    let cta = w.line(lex.post_cta)?;
    let offer = w.offer(lex.offer);
    let said: Vec<String> = w.messages().iter().map(|m| m.sentence()).collect();
    let tags = if matches!(channel, Channel::Instagram | Channel::Linkedin) && w.facts.may_tag {
        hashtags(w)
    } else {
        Vec::new()
    };
    let end = ending(&cta, &w.facts.url, &tags);
    let body = match channel {
        Channel::X => short_body(w, &hook, &said, offer.as_deref(), &end, &fits)?,
        _ => long_body(w, channel, hook, offer),
    };
    let text = format!("{body}\n\n{end}");
    fits(&text).then(|| Parts::Post(PostParts { text, url: w.facts.url.clone(), hashtags: tags }))
}

fn hook(w: &mut Writer<'_>) -> Option<String> {
    let mut hook = w.line(w.facts.lexicon.hook)?;
    if w.facts.may_exclaim && hook.ends_with('.') && w.chance(0.4) {
        hook.pop();
        hook.push('!');
    }
    if w.facts.may_emoji {
        let set = ["\u{2728}", "\u{1f44b}", "\u{1f31f}", "\u{1f9e1}"];
        if let Some(mark) = w.rng.pick(&set) {
            hook = format!("{hook} {mark}");
        }
    }
    Some(hook)
}

fn ending(cta: &str, url: &str, tags: &[String]) -> String {
    let link = format!("{cta} {url}");
    if tags.is_empty() {
        link
    } else {
        format!("{link}\n\n{}", tags.iter().map(|t| format!("#{t}")).collect::<Vec<_>>().join(" "))
    }
}

/// The richest body that fits, from whole sentences; required phrases are in every one of them.
fn short_body(
    w: &mut Writer<'_>,
    hook: &Option<String>,
    said: &[String],
    offer: Option<&str>,
    end: &str,
    fits: &dyn Fn(&str) -> bool,
) -> Option<String> {
    let first = said.first().map(String::as_str);
    let second = said.get(1).map(String::as_str);
    let hook = hook.as_deref();
    let tries: [&[Option<&str>]; 8] = [
        &[hook, first, offer, second],
        &[hook, first, offer],
        &[first, offer],
        &[hook, offer],
        &[hook, first],
        &[offer],
        &[first],
        &[hook],
    ];
    for parts in tries {
        let mut lines: Vec<String> = parts.iter().flatten().map(|t| (*t).to_owned()).collect();
        lines.dedup();
        if lines.is_empty() {
            continue;
        }
        let refs: Vec<&str> = lines.iter().map(String::as_str).collect();
        let owed = crate::guardrail::must_say_missing(&refs, &w.facts.must_say);
        let owed: Vec<String> = owed.into_iter().map(super::sentence::as_sentence).collect();
        lines.extend(owed);
        let body = lines.join(" ");
        if fits(&format!("{body}\n\n{end}")) {
            w.note(&body);
            return Some(body);
        }
    }
    None
}

fn long_body(w: &mut Writer<'_>, channel: Channel, hook: Option<String>, offer: Option<String>) -> String {
    let most = if channel == Channel::Linkedin { 4 } else { 2 };
    let chosen: Vec<&Said> = w.messages().into_iter().take(most).collect();
    let (whole, parts): (Vec<&Said>, Vec<&Said>) = chosen.into_iter().partition(|m| m.is_sentence);
    let mut blocks: Vec<String> = hook.into_iter().collect();
    let lines: Vec<String> = whole.iter().filter_map(|m| w.say(m.sentence())).collect();
    if channel == Channel::Linkedin {
        blocks.extend(lines);
    } else if !lines.is_empty() {
        blocks.push(lines.join(" "));
    }
    blocks.extend(essentials(w, &parts));
    blocks.extend(w.quote(200));
    blocks.extend(offer);
    let refs: Vec<&str> = blocks.iter().map(String::as_str).collect();
    let owed = w.owed(&refs);
    if !owed.is_empty() {
        blocks.push(owed.join(" "));
    }
    blocks.join("\n\n")
}

/// Brand and topic as tags in camel case.
fn hashtags(w: &Writer<'_>) -> Vec<String> {
    let tag = |name: &str| {
        let words: Vec<&str> = name.split(|c: char| !c.is_alphanumeric()).filter(|p| !p.is_empty()).collect();
        let joined: String = words.iter().map(|p| text::capitalised(p)).collect();
        let good = words.len() <= 3
            && (3..=24).contains(&joined.chars().count())
            && joined.chars().next().is_some_and(char::is_alphabetic);
        good.then_some(joined)
    };
    let mut out: Vec<String> = tag(&w.facts.brand).into_iter().collect();
    out.extend(w.facts.topic.as_ref().and_then(|t| tag(&t.bare)));
    out.dedup();
    out.truncate(MOST_TAGS);
    out
}
