//! Channel limits: how long each part is, and what is too long. Nothing is ever cut to fit.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::parts::{Channel, Parts};
use crate::gate::Network;
use crate::gate::limits::{self, PostParts as Post};
use crate::sms;

/// The length of one part beside its limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Count {
    /// The part, such as `subject`.
    pub field: String,
    /// Its length.
    pub length: u32,
    /// The most allowed.
    pub limit: u32,
    /// What is counted: `characters`, `weighted`, `segments`, `items`.
    pub unit: String,
}

impl Count {
    fn new(field: impl Into<String>, length: usize, limit: u32, unit: &str) -> Self {
        Count {
            field: field.into(),
            length: u32::try_from(length).unwrap_or(u32::MAX),
            limit,
            unit: unit.to_owned(),
        }
    }

    /// True when it is over its limit.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.length > self.limit
    }
}

/// RFC 5322 2.1.1 recommends lines of at most 78 characters; most programs show fewer.
pub(super) const SUBJECT: usize = 78;
/// Ours: mail programs show 40 to 110 characters after the subject.
pub(super) const PREHEADER: usize = 110;
/// Ours: a button holds about this much on a phone.
pub(super) const CTA: usize = 30;
/// Google responsive search ads, from secondary sources (2026): headlines, descriptions, paths.
pub(super) const AD_HEADLINE: usize = 30;
pub(super) const AD_DESCRIPTION: usize = 90;
pub(super) const AD_PATH: usize = 15;
/// Ours: what search results show of a title and a summary.
pub(super) const BLOG_TITLE: usize = 70;
pub(super) const BLOG_META: usize = 155;

pub(super) fn chars(text: &str) -> usize {
    text.chars().count()
}

/// Width in an ad: East Asian wide characters count twice (the blocks of UAX #11 that matter).
pub(super) fn width(text: &str) -> usize {
    let wide = |c: char| matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ff60}' | '\u{1f300}'..='\u{1faff}');
    text.chars().map(|c| if wide(c) { 2 } else { 1 }).sum()
}

pub(super) fn network(channel: Channel) -> Option<Network> {
    match channel {
        Channel::X | Channel::Linkedin | Channel::Instagram | Channel::Facebook => {
            Network::from_word(channel.word())
        }
        _ => None,
    }
}

/// Every length with its limit.
pub(super) fn counts(parts: &Parts, channel: Channel, max_segments: u32) -> Vec<Count> {
    let text = |field: &str, value: &str, limit: usize| {
        Count::new(field, chars(value), u32::try_from(limit).unwrap_or(u32::MAX), "characters")
    };
    match parts {
        Parts::Email(mail) => vec![
            text("subject", &mail.subject, SUBJECT),
            text("preheader", &mail.preheader, PREHEADER),
            text("cta", &mail.cta.label, CTA),
        ],
        Parts::Sms(parts) => {
            vec![Count::new("body", sms::segment(&parts.body).segments as usize, max_segments, "segments")]
        }
        Parts::Post(post) => network(channel).map(|n| post_counts(n, &post.text)).unwrap_or_default(),
        Parts::Ads(ad) => {
            let wide =
                |field: String, value: &str, limit: u32| Count::new(field, width(value), limit, "characters");
            let mut out = vec![
                Count::new("headlines", ad.headlines.len(), 15, "items"),
                Count::new("descriptions", ad.descriptions.len(), 4, "items"),
                Count::new("paths", ad.paths.len(), 2, "items"),
            ];
            out.extend(ad.headlines.iter().enumerate().map(|(i, t)| wide(format!("headlines[{i}]"), t, 30)));
            out.extend(
                ad.descriptions.iter().enumerate().map(|(i, t)| wide(format!("descriptions[{i}]"), t, 90)),
            );
            out.extend(ad.paths.iter().enumerate().map(|(i, t)| wide(format!("paths[{i}]"), t, 15)));
            out
        }
        Parts::Blog(blog) => vec![
            text("title", &blog.title, BLOG_TITLE),
            text("meta_description", &blog.meta_description, BLOG_META),
            Count::new("sections", blog.sections.len(), 8, "items"),
        ],
    }
}

fn post_counts(network: Network, text: &str) -> Vec<Count> {
    let mut out = Vec::new();
    if let Some(limit) = limits::holding(network, "text") {
        out.push(Count::new("text", limits::length(text, limit.unit) as usize, limit.value, "characters"));
    }
    // Fields of the text alone; media are added when the post is scheduled.
    let post = Post { text, ..Post::default() };
    let broken = limits::check(network, &post)
        .into_iter()
        .filter(|v| v.field == "hashtags_max" || v.field == "cashtags_max");
    out.extend(
        broken.map(|v| Count::new(v.field.trim_end_matches("_max"), v.actual as usize, v.limit, "items")),
    );
    out
}

/// Parts that a channel cannot do without and that are missing or too few, as (field, what is expected).
pub(super) fn missing(parts: &Parts) -> Vec<(&'static str, &'static str)> {
    let mut out = Vec::new();
    let mut need = |ok: bool, field, what| {
        if !ok {
            out.push((field, what));
        }
    };
    let said = |t: &str| !t.trim().is_empty();
    match parts {
        Parts::Email(mail) => {
            need(said(&mail.subject), "subject", "expected a subject");
            need(!mail.subject.contains(['\r', '\n']), "subject", "expected one line");
            need(
                mail.paragraphs.iter().any(|p| said(p)) && mail.paragraphs.iter().all(|p| said(p)),
                "paragraphs",
                "expected paragraphs with text",
            );
            need(said(&mail.cta.label) && said(&mail.cta.url), "cta", "expected a label and an address");
        }
        Parts::Sms(sms) => need(said(&sms.body), "body", "expected a text"),
        Parts::Post(post) => need(said(&post.text), "text", "expected a text"),
        Parts::Ads(ad) => {
            need(ad.headlines.len() >= 3, "headlines", "expected at least 3");
            need(ad.descriptions.len() >= 2, "descriptions", "expected at least 2");
        }
        Parts::Blog(blog) => {
            need(said(&blog.title), "title", "expected a title");
            need(
                blog.sections.len() >= 2
                    && blog.sections.iter().all(|s| said(&s.heading) && !s.points.is_empty()),
                "sections",
                "expected at least 2, each with a heading and points",
            );
        }
    }
    out
}
