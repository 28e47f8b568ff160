//! Composing: write, judge, write again at most twice, keep what is safe, order by closeness to the voice.

use neonhub_core::llm::{Llm, Origin, repaired};
use neonhub_core::{Error, ErrorKind, Result, Seed};

use super::accept::{Accepted, accept, is_distinct, is_under};
use super::ask::{self, Findings};
use super::brief::{Brief, Objective};
use super::facts::Facts;
use super::lexicon;
use super::offline::{self, Draft, Shape};
use super::parts::{Channel, Parts};
use super::quote::Chunk;
use crate::guardrail;
use crate::voice::model::{Rule, Voice};
use crate::voice::score::{Outcome, Scorer};

/// Texts the offline grammar writes to choose from.
const DRAFTS: usize = 12;
/// How often a text that was not accepted is written again: `sending.md` 14 rule 2.
const AGAIN: usize = 2;

/// Everything one composition needs. Borrowed, so that a campaign composes many texts from one voice.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    /// What is to be said.
    pub brief: &'a Brief,
    /// The brand's name as readers know it.
    pub brand: &'a str,
    /// Where.
    pub channel: Channel,
    /// What for.
    pub objective: Objective,
    /// The voice, if the brand has one.
    pub voice: Option<&'a Voice>,
    /// Its rules.
    pub rules: &'a [Rule],
    /// Retrieved brand passages, best first.
    pub chunks: &'a [Chunk],
    /// Which text of a sequence, from 1.
    pub step: u32,
    /// How many texts the sequence has, at least 1.
    pub steps: u32,
    /// Most SMS segments; 1 unless the caller pays for more.
    pub max_segments: u32,
    /// How many texts to return, 1..=3.
    pub variants: usize,
    /// Makes the result repeatable.
    pub seed: Seed,
}

impl Task<'_> {
    pub(super) fn number_seed(&self, number: usize) -> u64 {
        let labels: [&[u8]; 3] =
            [self.channel.word().as_bytes(), &self.step.to_le_bytes(), &(number as u64).to_le_bytes()];
        self.seed.split(&labels).rng().next_u64()
    }
}

/// One accepted text with its judgement.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// The text and its quotes.
    pub draft: Draft,
    /// Guardrail, alignment and counts.
    pub judged: Accepted,
    /// Who wrote it.
    pub origin: Origin,
    /// True when the alignment stayed under the pass mark: a person should look.
    pub is_flagged: bool,
}

/// What a composition gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Composition {
    /// The texts, best first: the primary and its alternates. Never empty, never unsafe.
    pub variants: Vec<Variant>,
    /// What was left out or fell short, as (what, reason word).
    pub notes: Vec<(String, String)>,
}

/// Composes for one channel.
///
/// # Errors
/// `InvalidInput` listing every fault of the brief, or with code `too_long` when the required phrases do not fit the
/// channel; `Blocked` when a required phrase breaks the guardrail; `Unsupported` offline for a language without
/// phrases; those of the model.
pub async fn compose(task: Task<'_>, llm: &dyn Llm) -> Result<Composition> {
    check(&task)?;
    let is_offline = llm.provider() == "offline";
    let Some(lexicon) = lexicon::of(&task.brief.locale).or((!is_offline).then_some(&lexicon::EN)) else {
        return Err(no_phrases(&task));
    };
    let facts = Facts::new(&task, lexicon);
    let mut notes: Vec<(String, String)> =
        facts.dropped.iter().map(|(t, r)| (t.clone(), (*r).to_owned())).collect();
    let scorer = task.voice.map(|v| Scorer::new(v, task.rules));
    let (drafts, refused) = judged_drafts(&task, &facts, scorer.as_ref());
    if drafts.is_empty() {
        return Err(nothing_fits(&task, &refused));
    }
    let mut variants: Vec<Variant> = Vec::new();
    // Offline every draft is a try of its own; a model gets one slot per text and mends it inside.
    let order = if is_offline {
        spread(&drafts, &task)
    } else {
        (0..task.variants).map(|n| n % drafts.len()).collect()
    };
    for (number, offline) in order.into_iter().filter_map(|i| drafts.get(i)).enumerate() {
        if variants.len() == task.variants {
            break;
        }
        let taken: Vec<&Parts> = variants.iter().map(|v| &v.draft.parts).collect();
        if is_offline && !is_distinct(&offline.0.parts, taken.iter().copied(), task.brief) {
            continue;
        }
        let slot = Slot { llm, scorer: scorer.as_ref(), number, taken: &taken };
        let found = write(&task, slot, &offline.0, &mut notes).await?;
        variants.extend(found);
    }
    if variants.is_empty() {
        let reasons: Vec<String> = notes.iter().map(|(_, r)| r.clone()).collect();
        return Err(nothing_fits(&task, &reasons));
    }
    if variants.len() < task.variants {
        notes.push((format!("{} of {}", variants.len(), task.variants), "fewer_variants".to_owned()));
    }
    let rank = |v: &Variant| v.judged.alignment.as_ref().map_or(0.0, |a| a.score);
    variants.sort_by(|a, b| rank(b).total_cmp(&rank(a)));
    Ok(Composition { variants, notes })
}

fn check(task: &Task<'_>) -> Result<()> {
    let mut faults = task.brief.faults();
    let mut fault = |field: &str, message: &str| {
        faults.push(neonhub_core::Fault { field: field.to_owned(), message: message.to_owned() });
    };
    if task.brand.trim().is_empty() {
        fault("brand", "expected the brand's name");
    }
    if !(1..=3).contains(&task.variants) {
        fault("variants", "expected 1 to 3");
    }
    if !(1..=10).contains(&task.max_segments) {
        fault("max_segments", "expected 1 to 10");
    }
    if task.step == 0 || task.step > task.steps.max(1) {
        fault("step", "expected a number from 1 to the number of steps");
    }
    if !faults.is_empty() {
        return Err(Error::faults("voice.compose", faults));
    }
    let context = guardrail::Context {
        channel: String::new(),
        own_contacts: task.brief.own_contacts.clone(),
        ..guardrail::Context::default()
    };
    for (i, phrase) in task.brief.must_say.iter().enumerate() {
        let report = guardrail::check(&[guardrail::Field::new("must_say", phrase)], &context);
        if let Some(block) = report.blocks().next() {
            let message = format!("must_say[{i}] breaks the guardrail ({}): {}", block.rule, block.fix);
            return Err(Error::new(ErrorKind::Blocked, "voice.compose", message));
        }
    }
    Ok(())
}

/// Offline drafts, accepted ones only, best first; and why others were refused.
fn judged_drafts(
    task: &Task<'_>,
    facts: &Facts,
    scorer: Option<&Scorer<'_>>,
) -> (Vec<(Draft, f64)>, Vec<String>) {
    let shape = Shape {
        channel: task.channel,
        step: task.step,
        steps: task.steps.max(1),
        max_segments: task.max_segments,
    };
    let mut out: Vec<(Draft, f64)> = Vec::new();
    let mut refused: Vec<String> = Vec::new();
    for turn in 0..DRAFTS {
        let Some(draft) = offline::write(facts, shape, &task.seed, turn) else { continue };
        let judged = accept(&draft, task.brief, task.channel, scorer, task.max_segments);
        if judged.problems.is_empty() {
            let warnings =
                judged.guardrail.findings.iter().filter(|f| f.level == guardrail::Level::Warn).count();
            let score = judged.alignment.as_ref().map_or(0.5, |a| a.score) - 0.05 * warnings as f64;
            // The first message leads in the first draft of each round; a small bonus keeps the brief's order.
            let order =
                if facts.messages.is_empty() || turn % facts.messages.len() == 0 { 0.03 } else { 0.0 };
            out.push((draft, score + order));
        }
        refused.extend(judged.problems.into_iter().map(|p| p.rule));
    }
    out.sort_by(|a, b| b.1.total_cmp(&a.1));
    refused.sort_unstable();
    refused.dedup();
    (out, refused)
}

/// The order in which drafts are tried: the best one, then those that say it most differently.
fn spread(drafts: &[(Draft, f64)], task: &Task<'_>) -> Vec<usize> {
    let mut order: Vec<usize> = vec![0];
    while order.len() < task.variants {
        let chosen: Vec<&Parts> = order.iter().filter_map(|i| drafts.get(*i)).map(|d| &d.0.parts).collect();
        let free = |(most, new_lead): (f64, bool)| {
            let fits = |d: &Draft| {
                let is_new = !new_lead || chosen.iter().all(|c| c.lead() != d.parts.lead());
                is_new && is_under(most, &d.parts, chosen.iter().copied(), task.brief)
            };
            drafts.iter().enumerate().position(|(i, d)| !order.contains(&i) && fits(&d.0))
        };
        // Ours: well apart and with another first line where the brief allows it, else as far as the rule asks.
        let tries = [(0.45, true), (0.6, true), (0.8, true), (0.8, false)];
        let Some(next) = tries.into_iter().find_map(free) else { break };
        order.push(next);
    }
    let rest: Vec<usize> = (0..drafts.len()).filter(|i| !order.contains(i)).collect();
    order.extend(rest);
    order
}

/// One text to be written, beside those already `taken`.
#[derive(Clone, Copy)]
struct Slot<'a> {
    llm: &'a dyn Llm,
    scorer: Option<&'a Scorer<'a>>,
    number: usize,
    taken: &'a [&'a Parts],
}

/// One text through the model, written again with its findings at most twice. `None` when it stays unacceptable.
async fn write(
    task: &Task<'_>,
    slot: Slot<'_>,
    offline: &Draft,
    notes: &mut Vec<(String, String)>,
) -> Result<Option<Variant>> {
    let Slot { llm, scorer, number, taken } = slot;
    let mut findings: Option<Findings> = None;
    let mut best: Option<Variant> = None;
    for _ in 0..=AGAIN {
        let request = ask::request(task, offline, number, findings.as_ref());
        let answer = repaired(llm, request).await.map_err(|e| e.for_operation("voice.compose"))?;
        let value = match &answer.json {
            Some(value) => value.clone(),
            None => serde_json::from_str(&answer.text).map_err(|e| {
                Error::new(ErrorKind::Corrupted, "voice.compose", "the model's answer is no JSON")
                    .with_code("invalid_output")
                    .with_source(e)
            })?,
        };
        let mut draft = ask::read(&value, task, offline)?;
        if answer.origin.is_offline() {
            draft.cited.clone_from(&offline.cited);
        }
        let judged = accept(&draft, task.brief, task.channel, scorer, task.max_segments);
        let outcome = judged.alignment.as_ref().map_or(Outcome::Pass, |a| a.outcome);
        let violations = judged.alignment.as_ref().map(|a| a.violations.clone()).unwrap_or_default();
        let mut problems = judged.problems.clone();
        if !is_distinct(&draft.parts, taken.iter().copied(), task.brief) {
            problems.push(super::Problem {
                rule: "too_alike".into(),
                field: "text".into(),
                message: "it says the same as another variant in the same words".into(),
            });
        }
        let is_good = problems.is_empty();
        if is_good {
            let found =
                Variant { draft, judged, origin: answer.origin, is_flagged: outcome != Outcome::Pass };
            let better = |old: &Variant| score_of(&found) > score_of(old);
            if best.as_ref().is_none_or(better) {
                best = Some(found);
            }
        }
        // The offline model answers the same again; below the flag mark a person decides at once.
        if (is_good && outcome != Outcome::Regenerate) || answer.origin.is_offline() {
            break;
        }
        findings = Some(Findings { problems, violations });
    }
    if best.is_none() {
        let reasons = findings
            .map(|f| f.problems.iter().map(|p| p.rule.clone()).collect::<Vec<_>>().join(","))
            .unwrap_or_default();
        notes.push((format!("variant {number}"), reasons));
    }
    Ok(best)
}

fn score_of(variant: &Variant) -> f64 {
    variant.judged.alignment.as_ref().map_or(0.0, |a| a.score)
}

fn no_phrases(task: &Task<'_>) -> Error {
    let known: Vec<&str> = lexicon::ALL.iter().map(|l| l.language).collect();
    let message = format!(
        "there are offline phrases for {} only: configure a model for other languages, or set the locale to one of them",
        known.join(", ")
    );
    Error::new(ErrorKind::Unsupported, "voice.compose", message).with_context("locale", &task.brief.locale)
}

fn nothing_fits(task: &Task<'_>, reasons: &[String]) -> Error {
    let message = format!(
        "no text for {} holds every must_say phrase, none of must_not_say and keeps the channel's limits: shorten must_say or the address, or allow more segments",
        task.channel.word()
    );
    Error::new(ErrorKind::InvalidInput, "voice.compose", message)
        .with_code("too_long")
        .with_context("channel", task.channel.word())
        .with_context("reasons", reasons.join(","))
}
