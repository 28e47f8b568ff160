//! Composing for one channel from a brief, the brand's voice and its documents.

use neonhub_core::bus::Event;
use neonhub_core::llm::Origin;
use neonhub_core::op::{Effect, Operation};
use neonhub_core::{Permission, Result, Scope, Seed};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::profile::current;
use crate::brand::by_id_or_slug;
use crate::guardrail::Report;
use crate::voice::compose::{self, Brief, Channel, Cited, Count, Objective, Parts, Task, Variant};
use crate::voice::library;
use crate::voice::score::Alignment;

/// Passages that a composition may quote from.
const PASSAGES: usize = 8;

/// A composed text with its judgement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ComposedText {
    /// The text, part by part.
    pub parts: Parts,
    /// Guardrail findings; `safe` is always true here.
    pub guardrail: Report,
    /// Closeness to the voice; absent when the brand has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alignment: Option<Alignment>,
    /// Length of each part beside its limit.
    pub counts: Vec<Count>,
    /// Sentences quoted from brand documents.
    pub citations: Vec<Cited>,
    /// Who wrote it: `offline` (rules and phrases, no model), `model` or `human`.
    pub origin: String,
    /// True when its alignment is under the pass mark, so that a person should look.
    pub is_flagged: bool,
}

/// Something that was left out or fell short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ComposeNote {
    /// What: the text of the brief, or the variant.
    pub what: String,
    /// Why, as a stable word such as `refused_words`, `fewer_variants`, `too_alike`.
    pub reason: String,
}

/// What a composition gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Composed {
    /// The best text.
    pub primary: ComposedText,
    /// Others, best first; they say it in other words.
    pub alternates: Vec<ComposedText>,
    /// What was left out or fell short.
    pub notes: Vec<ComposeNote>,
    /// Version of the voice; absent when the brand has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voice_version: Option<u32>,
    /// True when no model wrote it.
    pub is_offline: bool,
}

/// Composes a text for one channel: a primary and up to two alternates, each judged, never unsafe.
///
/// Without a model configured the offline grammar writes, in English, marked `offline`. Personal greetings stand
/// in a part of their own with the declared variable `first_name` and a general form beside it.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Compose {
    /// Id or slug of the brand.
    pub brand: String,
    /// Where the text is for: email, sms, x, linkedin, instagram, facebook, ads, blog.
    pub channel: String,
    /// What for. Default: read from the goal of the brief.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objective: Option<Objective>,
    /// What is to be said.
    pub brief: Brief,
    /// How many texts, 1 to 3. Default 3: the primary and two alternates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variants: Option<u32>,
    /// Which text of a sequence, from 1. Default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<u32>,
    /// How many texts the sequence has. Default: `step`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u32>,
    /// Most segments of a text message, 1 to 10. Default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_segments: Option<u32>,
    /// Makes the texts repeatable, below 2^53. Default: from the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

impl Operation for Compose {
    type Output = Composed;
    const NAME: &'static str = "voice.compose";
    const NEEDS: &'static [Permission] = &[Permission::WriteContent];
    const EFFECT: Effect = Effect::Idempotent;
    const ERRORS: &'static [&'static str] = &["too_long", "blocked", "invalid_output"];
    async fn run(self, cx: &Scope) -> Result<Composed> {
        let channel = Channel::parse("channel", &self.channel)?;
        let brand = by_id_or_slug(cx, &self.brand).await?;
        let view = current(cx, &brand).await?;
        let rules = view.as_ref().map(super::VoiceView::plain_rules).unwrap_or_default();
        let chunks = library::passages(cx, &brand, &query(&self.brief), PASSAGES).await?;
        let step = self.step.unwrap_or(1);
        let task = Task {
            brief: &self.brief,
            brand: &brand.name,
            channel,
            objective: self.objective.unwrap_or_else(|| Objective::of_goal(&self.brief.goal)),
            voice: view.as_ref().map(|v| &v.voice),
            rules: &rules,
            chunks: &chunks,
            step,
            steps: self.steps.unwrap_or(step),
            max_segments: self.max_segments.unwrap_or(1),
            variants: self.variants.unwrap_or(3) as usize,
            seed: self.seed.map_or_else(|| cx.seed(), Seed::from_number),
        };
        let done = compose::compose(task, cx.hub().model().as_ref()).await?;
        let is_offline = done.variants.iter().all(|v| v.origin.is_offline());
        let flagged = done.variants.iter().filter(|v| v.is_flagged).count();
        if flagged > 0 {
            let data = json!({ "channel": channel.word(), "flagged": flagged });
            cx.emit(Event::new(cx, "voice.flagged", "brand", brand.id.as_str(), data))?;
        }
        let mut texts = done.variants.into_iter().map(ComposedText::of);
        let primary = texts.next().ok_or_else(|| cx.missing("text"))?;
        let notes = done.notes.into_iter().map(|(what, reason)| ComposeNote { what, reason }).collect();
        Ok(Composed {
            primary,
            alternates: texts.collect(),
            notes,
            voice_version: view.map(|v| v.version),
            is_offline,
        })
    }
    fn examples() -> Vec<Self> {
        let brief = Brief {
            goal: "Launch the spring roast".into(),
            key_messages: vec!["The spring roast is light and floral".into()],
            landing_url: "https://bergkaffee.example/spring".into(),
            locale: "en".into(),
            ..Brief::default()
        };
        vec![Compose { brand: "bergkaffee".into(), channel: "email".into(), brief, ..Compose::default() }]
    }
}

/// What brand documents are searched for.
fn query(brief: &Brief) -> String {
    let parts = [brief.topic.as_deref(), Some(brief.goal.as_str()), brief.offer.as_deref()];
    let words: Vec<&str> =
        parts.into_iter().flatten().chain(brief.key_messages.iter().map(String::as_str)).collect();
    // Long queries blur: the first 400 characters hold what matters most.
    words.join(" ").chars().take(400).collect()
}

impl ComposedText {
    fn of(variant: Variant) -> Self {
        let Variant { draft, judged, origin, is_flagged } = variant;
        ComposedText {
            parts: draft.parts,
            guardrail: judged.guardrail,
            alignment: judged.alignment,
            counts: judged.counts,
            citations: draft.cited,
            origin: Origin::as_str(origin).to_owned(),
            is_flagged,
        }
    }
}
