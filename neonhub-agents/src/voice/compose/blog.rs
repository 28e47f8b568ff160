//! Outlines of blog articles: sections with points, facts first, quotes with their source.

use super::draft::Writer;
use super::fit;
use super::parts::{BlogParts, BlogSection, Cta, Parts};

pub(super) fn write(w: &mut Writer<'_>) -> Option<Parts> {
    let lex = w.facts.lexicon;
    let title = w.line_within(lex.blog_title, fit::BLOG_TITLE)?;
    let intro = w.line(lex.blog_intro)?;
    let messages: Vec<String> = w.messages().iter().map(|m| m.sentence()).collect();
    let mut points: Vec<String> = messages.into_iter().filter_map(|m| w.say(m)).collect();
    points.extend(w.line(lex.blog_questions));
    let mut sections = Vec::new();
    push(&mut sections, w.line(lex.blog_what), points);
    let quotes: Vec<String> = (0..3).filter_map(|_| w.quote(200)).collect();
    push(&mut sections, w.line(lex.blog_how), quotes);
    let who: Vec<String> = w.line(lex.audience).into_iter().collect();
    push(&mut sections, w.line(lex.blog_who), who);
    let mut start: Vec<String> = w.offer(lex.offer).into_iter().collect();
    let texts: Vec<String> = sections
        .iter()
        .flat_map(|s: &BlogSection| s.points.clone())
        .chain([title.clone(), intro.clone()])
        .chain(start.iter().cloned())
        .collect();
    start.extend(w.owed(&texts.iter().map(String::as_str).collect::<Vec<_>>()));
    start.extend(w.line(lex.close_first));
    push(&mut sections, w.line(lex.blog_start), start);
    let meta_description = w.line_within(lex.blog_meta, fit::BLOG_META)?;
    let label = w.line_within(lex.cta, fit::CTA).unwrap_or_else(|| lex.cta_default.to_owned());
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
