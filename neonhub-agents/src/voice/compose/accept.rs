//! The one acceptance for every text, of whatever origin.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::brief::Brief;
use super::fit::{self, Count};
use super::offline::Draft;
use super::parts::{Channel, Parts};
use crate::guardrail::{self, Category, Context, Report};
use crate::voice::score::{Alignment, Scorer};
use crate::voice::similar::{jaccard, shingles};
use crate::voice::text;

/// Why a text is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Problem {
    /// Stable word: `too_long`, `missing_part`, `must_say`, `repeated_sentence`, `guardrail`, `link`.
    pub rule: String,
    /// The part.
    pub field: String,
    /// What is wrong and what is expected.
    pub message: String,
}

/// A judged text.
#[derive(Clone, Debug, PartialEq)]
pub struct Accepted {
    /// Guardrail findings.
    pub guardrail: Report,
    /// Closeness to the voice; absent without one.
    pub alignment: Option<Alignment>,
    /// Lengths beside their limits.
    pub counts: Vec<Count>,
    /// What stands against it; empty = accepted.
    pub problems: Vec<Problem>,
}

/// Two texts are different below this overlap of word trigrams: `sending.md` 14 rule 3.
const DISTINCT: f64 = 0.8;

fn problem(rule: &str, field: &str, message: impl Into<String>) -> Problem {
    Problem { rule: rule.to_owned(), field: field.to_owned(), message: message.into() }
}

/// Judges a draft for its channel.
#[must_use]
pub fn accept(
    draft: &Draft,
    brief: &Brief,
    channel: Channel,
    scorer: Option<&Scorer<'_>>,
    max_segments: u32,
) -> Accepted {
    let fields = draft.parts.fields();
    let counts = fit::counts(&draft.parts, channel, max_segments);
    let mut problems: Vec<Problem> = counts
        .iter()
        .filter(|c| c.is_over())
        .map(|c| problem("too_long", &c.field, format!("{} {} of at most {}", c.length, c.unit, c.limit)))
        .collect();
    problems.extend(
        fit::missing(&draft.parts)
            .into_iter()
            .map(|(field, message)| problem("missing_part", field, message)),
    );
    let texts: Vec<&str> = fields.iter().map(|f| f.text).collect();
    for phrase in guardrail::must_say_missing(&texts, &brief.must_say) {
        problems.push(problem("must_say", "text", format!("the phrase \"{phrase}\" is missing")));
    }
    problems.extend(repeated(&fields));
    problems.extend(foreign_links(&fields, brief));
    let sender = brief.sender_name.clone().or_else(|| scorer.map(|s| s.brand().to_owned()));
    let context = Context {
        channel: channel.word().to_owned(),
        category: Category::Marketing,
        sender_name: sender,
        own_contacts: brief.own_contacts.clone(),
        must_not_say: brief.must_not_say.clone(),
        sourced: draft.cited.iter().map(|c| c.quote.clone()).collect(),
        ..Context::default()
    };
    let guardrail = guardrail::check(&fields, &context);
    problems.extend(
        guardrail.blocks().map(|f| problem("guardrail", &f.field, format!("{}: {}", f.rule, f.message))),
    );
    let alignment = scorer.map(|s| s.score(&draft.parts.prose(), channel.word()));
    Accepted { guardrail, alignment, counts, problems }
}

/// Sentences that stand twice in one text, whatever their casing and end mark.
fn repeated(fields: &[guardrail::Field<'_>]) -> Vec<Problem> {
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut out = Vec::new();
    for field in fields.iter().filter(|f| !f.name.starts_with("paths")) {
        for span in text::sentences(field.text) {
            let words: Vec<String> =
                text::words(span.of(field.text)).iter().map(|w| w.text.to_lowercase()).collect();
            // A brand name alone, or a word such as "Details", is no sentence.
            if words.len() > 2 && !seen.insert(words.join(" ")) {
                out.push(problem("repeated_sentence", &field.name, "a sentence stands twice in the text"));
            }
        }
    }
    out
}

/// Links to other places than the brief's: a model may have picked them up from a retrieved text.
fn foreign_links(fields: &[guardrail::Field<'_>], brief: &Brief) -> Vec<Problem> {
    let mut out = Vec::new();
    for field in fields {
        for span in text::links(field.text) {
            let link = span.of(field.text);
            let own = link == brief.landing_url
                || brief
                    .must_say
                    .iter()
                    .chain(&brief.key_messages)
                    .chain(&brief.offer)
                    .any(|t| t.contains(link));
            if !own && !brief.landing_url.starts_with(link) {
                out.push(problem("link", &field.name, "a link that the brief does not name"));
            }
        }
    }
    out
}

/// What differs from text to text: without links, required phrases, sender and opt-out.
fn own_words(parts: &Parts, brief: &Brief) -> String {
    let mut text = parts.prose();
    for phrase in &brief.must_say {
        for span in text::find_phrase(&text, phrase).into_iter().rev() {
            text.replace_range(span.start..span.end, " ");
        }
    }
    text
}

/// True when `parts` says it differently from all of `others`.
#[must_use]
pub fn is_distinct<'p>(parts: &Parts, others: impl IntoIterator<Item = &'p Parts>, brief: &Brief) -> bool {
    is_under(DISTINCT, parts, others, brief)
}

/// True when `parts` shares less than `most` of its wording with each of `others`.
pub(super) fn is_under<'p>(
    most: f64,
    parts: &Parts,
    others: impl IntoIterator<Item = &'p Parts>,
    brief: &Brief,
) -> bool {
    let own = shingles(&own_words(parts, brief));
    others.into_iter().all(|o| jaccard(&own, &shingles(&own_words(o, brief))) < most)
}
