//! Outlines of blog articles: sections with points, facts first, quotes with their source.

use super::draft::Writer;
use super::fit;
use super::lexicon as lex;
use super::parts::{BlogParts, BlogSection, Cta, Parts};
use crate::voice::text;

pub(super) fn write(w: &mut Writer<'_>) -> Option<Parts> {
    let title = w.line_within(lex::BLOG_TITLE, fit::BLOG_TITLE)?;
    let intro = w.line(lex::BLOG_INTRO)?;
    let messages: Vec<String> = w.messages().iter().map(|m| m.sentence()).collect();
    let mut points: Vec<String> = messages.into_iter().filter_map(|m| w.say(m)).collect();
    points.extend(w.line(lex::BLOG_QUESTIONS));
    let mut sections = Vec::new();
    push(&mut sections, w.line(lex::BLOG_WHAT), points);
    let quotes: Vec<String> = (0..3).filter_map(|_| w.quote(200)).collect();
    push(&mut sections, w.line(lex::BLOG_HOW), quotes);
    let who: Vec<String> = w.line(lex::AUDIENCE).into_iter().collect();
    push(&mut sections, w.line(lex::BLOG_WHO), who);
    let mut start: Vec<String> = w.offer(lex::OFFER).into_iter().collect();
    let texts: Vec<String> = sections
        .iter()
        .flat_map(|s: &BlogSection| s.points.clone())
        .chain([title.clone(), intro.clone()])
        .chain(start.iter().cloned())
        .collect();
    start.extend(w.owed(&texts.iter().map(String::as_str).collect::<Vec<_>>()));
    start.extend(w.line(lex::CLOSE_FIRST));
    push(&mut sections, w.line(lex::BLOG_START), start);
    let meta_description = meta(w, &title)?;
    let label = w.line_within(lex::CTA, fit::CTA).unwrap_or_else(|| "Learn more".to_owned());
    Some(Parts::Blog(BlogParts {
        title,
        meta_description,
        intro,
        sections,
        cta: Cta { label, url: w.facts.url.clone() },
    }))
}

fn push(sections: &mut Vec<BlogSection>, heading: Option<String>, points: Vec<String>) {
    if let Some(heading) = heading.filter(|_| !points.is_empty()) {
        sections.push(BlogSection { heading, points });
    }
}

/// A summary in other words than the body: the title's thing and what the article gives.
fn meta(w: &mut Writer<'_>, title: &str) -> Option<String> {
    let name = w
        .facts
        .topic
        .as_ref()
        .map_or_else(|| format!("News from {}", w.facts.brand), super::topic::Topic::capital);
    let tries = [
        format!("{name}: the main points, how it works and where to start. By {}.", w.facts.brand),
        format!("{name}: the main points in brief, from {}.", w.facts.brand),
        format!("The main points in brief, from {}.", w.facts.brand),
    ];
    tries.into_iter().find(|t| fit::chars(t) <= fit::BLOG_META && !text::has_phrase(title, t) && w.is_new(t))
}
