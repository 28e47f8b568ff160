//! The operations of drafts.

use std::collections::BTreeMap;

use neonhub_core::op::{Effect, Operation};
use neonhub_core::store::{Key, Query, Stored};
use neonhub_core::{Error, ErrorKind, Faults, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::author::{is_agent, only_people, origin_of};
use super::draft::content_hash;
use super::render::{Compiled, Rendered, check_parts};
use super::{Attribution, Draft, DraftId, Parts, Review};
use crate::brand::{self, Brand, SenderProfile};
use crate::gate::facts::{DraftStatus, Origin};
use crate::gate::limits::{self, PostParts, Unit, Violation};
use crate::gate::{Category, Channel, ContentFacts, FooterNeeds, inspect_email, inspect_sms};
use crate::guardrail::{self, Context, Field, FindingKind};
use crate::people::PersonId;
use crate::sms;

/// Below this voice score a draft goes to review.
// Our setting, per brand later (brand voice rules, section 14).
const ALIGNMENT_TO_PASS: f64 = 0.75;

/// Creates a draft: checks its parts, its variables, its footer, its limits and its text, and keeps what was found.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateDraft {
    /// Id or slug of the brand that speaks.
    pub brand: String,
    /// Where it goes: `email`, `sms`, `x`, ...
    pub channel: Channel,
    /// Address, number or account it is sent from, or the id of its profile. Default: the brand's only one for the
    /// channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// What kind of message it is. Default `marketing`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<Category>,
    /// What it says; texts are templates.
    pub parts: Parts,
    /// Values for its variables besides those of the recipient (`first_name`, `last_name`, `locale`, `country`,
    /// `tags`, `traits.<name>`, `unsubscribe_url`, `sender_name`, `sender_address`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, Value>,
    /// Language, BCP 47. Default: that of the brand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// The one person it is for. Default: an audience or the public.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<PersonId>,
    /// Id of the campaign, bulk or journey it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign: Option<String>,
    /// Step of a sequence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Variant of an experiment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Where the text came from. Default `human`; what an agent hands in is never a person's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// What it was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attribution: Option<Attribution>,
    /// How well it fits the brand's voice, 0..=1. Below 0.75 it goes to review.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub alignment: Option<f64>,
    /// True when it goes out only after an approval. Default: for texts a model wrote; always for what an agent hands in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs_approval: Option<bool>,
    /// Phrases that must not appear.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub must_not_say: Vec<String>,
    /// Most segments of a text message, 1..=255. Default: 1 for texts a model wrote, 10 for others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 255))]
    pub max_segments: Option<u32>,
}

impl Operation for CreateDraft {
    type Output = Draft;
    const NAME: &'static str = "drafts.create";
    const NEEDS: &'static [Permission] = &[Permission::WriteContent];
    const EFFECT: Effect = Effect::Idempotent;
    async fn run(self, cx: &Scope) -> Result<Draft> {
        let mut faults = Faults::new();
        check_parts(self.channel, &self.parts, &mut faults);
        let alignment_ok = self.alignment.is_none_or(|a| (0.0..=1.0).contains(&a));
        faults.check(alignment_ok, "alignment", "expected a number from 0 to 1");
        faults.into_result(Self::NAME)?;
        let brand = brand::by_id_or_slug(cx, &self.brand).await?;
        let sender = sender_of(cx, &brand, self.channel, self.sender.as_deref()).await?;
        let origin = origin_of(cx, self.origin).await?;
        let draft = self.build(cx, &brand, &sender, origin)?;
        cx.create(&draft)?;
        Ok(draft)
    }
    fn examples() -> Vec<Self> {
        let parts = Parts {
            text: Some("Bergkaffee: fresh beans today. Reply STOP to end".into()),
            ..Parts::default()
        };
        vec![CreateDraft {
            brand: "bergkaffee".into(),
            channel: Channel::Sms,
            sender: None,
            category: None,
            parts,
            variables: BTreeMap::new(),
            locale: None,
            person: None,
            campaign: None,
            step: None,
            variant: None,
            origin: None,
            attribution: None,
            alignment: None,
            needs_approval: None,
            must_not_say: Vec::new(),
            max_segments: None,
        }]
    }
}

impl CreateDraft {
    fn build(self, cx: &Scope, brand: &Brand, sender: &SenderProfile, origin: Origin) -> Result<Draft> {
        let category = self.category.unwrap_or_default();
        let is_flagged = self.alignment.is_some_and(|a| a < ALIGNMENT_TO_PASS);
        let hash = content_hash(self.channel, category, &sender.id, &self.parts, &self.variables)?;
        let mut draft = Draft {
            id: DraftId::new(cx),
            brand: brand.id.clone(),
            sender: sender.id.clone(),
            channel: self.channel,
            category,
            parts: self.parts,
            variables: self.variables,
            locale: self.locale.unwrap_or_else(|| brand.locale.clone()),
            person: self.person,
            campaign: self.campaign,
            step: self.step,
            variant: self.variant,
            origin,
            attribution: self.attribution.unwrap_or_default(),
            content: ContentFacts::default(),
            needs_approval: self.needs_approval.unwrap_or(origin != Origin::Human)
                || is_flagged
                || is_agent(cx),
            status: if is_flagged { DraftStatus::InReview } else { DraftStatus::Draft },
            reviews: Vec::new(),
            hash,
        };
        let default_segments = if origin == Origin::Human { 10 } else { 1 };
        let max_segments = self.max_segments.unwrap_or(default_segments);
        draft.content = inspect(&draft, sender, &self.must_not_say, max_segments)?;
        Ok(draft)
    }
}

/// The profile that a brand sends from on a channel.
async fn sender_of(
    cx: &Scope,
    brand: &Brand,
    channel: Channel,
    wanted: Option<&str>,
) -> Result<SenderProfile> {
    let query = Query::index("brand").prefix(Key::text(brand.id.as_str())).limit(500);
    let all = cx.query::<SenderProfile>(&query).await?;
    let mut fitting: Vec<Stored<SenderProfile>> = all.into_iter().filter(|s| s.channel == channel).collect();
    if let Some(wanted) = wanted {
        fitting.retain(|s| s.id.as_str() == wanted || s.from == wanted);
    }
    match fitting.len() {
        1 => fitting.pop().map(|s| s.body).ok_or_else(|| cx.missing("sender_profile")),
        0 => Err(Error::invalid(
            CreateDraft::NAME,
            "sender",
            "expected a sender profile of the brand for this channel: set one with brands.set_sender",
        )),
        _ => Err(Error::invalid(
            CreateDraft::NAME,
            "sender",
            "the brand has several for this channel: name one",
        )),
    }
}

/// Renders a sample and looks at it: footer, limits, guardrail, moderation.
fn inspect(
    draft: &Draft,
    sender: &SenderProfile,
    must_not_say: &[String],
    max_segments: u32,
) -> Result<ContentFacts> {
    let compiled = Compiled::new(draft, sender)?;
    let unknown = compiled.unknown_variables();
    if !unknown.is_empty() {
        let message = format!("expected only known variables, found {}", unknown.join(", "));
        return Err(Error::invalid(CreateDraft::NAME, "parts", message));
    }
    let rendered =
        compiled.render(&compiled.sample_vars()).map_err(|e| e.for_operation(CreateDraft::NAME))?;
    let mut content = match draft.channel {
        Channel::Email => {
            let unsubscribe = compiled.unsubscribe_url("sample").unwrap_or_default();
            let needs = FooterNeeds {
                postal_address: sender.postal_address.as_deref().unwrap_or_default(),
                unsubscribe: &unsubscribe,
                sender: &sender.name,
            };
            inspect_email(&needs, &rendered.subject, &html_or_text(&rendered), &rendered.text)
        }
        Channel::Post(network) => {
            let mut content = inspect_sms(&rendered.text, &sender.name);
            let images = u32::try_from(draft.parts.alt_texts.len()).unwrap_or(u32::MAX);
            let post = PostParts { text: &rendered.text, images, ..PostParts::default() };
            content.violations = limits::check(network, &post);
            content
        }
        _ => {
            let mut content = inspect_sms(&rendered.text, &sender.name);
            let segments = sms::segment(&rendered.text).segments;
            if segments > max_segments {
                let (field, unit) = ("segments_max".to_owned(), Unit::Count);
                content.violations.push(Violation { field, limit: max_segments, actual: segments, unit });
            }
            content
        }
    };
    let report = guardrail::check(&fields(&rendered), &context(draft, sender, must_not_say));
    let is_toxic = report.blocks().any(|f| f.kind == FindingKind::Toxicity);
    content.moderation_passed = Some(!is_toxic);
    content.guardrail_blocks = Some(report.blocks().map(|f| f.rule.clone()).collect());
    Ok(content)
}

fn html_or_text(rendered: &Rendered) -> String {
    if rendered.html.is_empty() { crate::email::html_of(&rendered.text) } else { rendered.html.clone() }
}

fn fields(rendered: &Rendered) -> Vec<Field<'_>> {
    let mut out = vec![Field::new("body", &rendered.text)];
    if !rendered.subject.is_empty() {
        out.push(Field::new("subject", &rendered.subject));
    }
    out
}

fn context(draft: &Draft, sender: &SenderProfile, must_not_say: &[String]) -> Context {
    let mut own_contacts = vec![sender.from.clone()];
    own_contacts.extend(sender.reply_to.clone());
    own_contacts.extend(sender.postal_address.clone());
    Context {
        channel: draft.channel.word().into_owned(),
        region: None,
        category: match draft.category {
            Category::Marketing => guardrail::Category::Marketing,
            Category::Transactional | Category::Legal => guardrail::Category::Transactional,
            Category::Conversational => guardrail::Category::Conversational,
            Category::Confirmation => guardrail::Category::Confirmation,
        },
        sender_name: Some(sender.name.clone()),
        own_contacts,
        must_not_say: must_not_say.to_vec(),
        is_paid: false,
        sourced: Vec::new(),
    }
}

/// An id for examples.
fn example_id() -> Option<DraftId> {
    "dft_00000000000000000000000001".parse().ok()
}

/// Reads a draft.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetDraft {
    /// Its id.
    pub draft: DraftId,
}

impl Operation for GetDraft {
    type Output = Draft;
    const NAME: &'static str = "drafts.get";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, cx: &Scope) -> Result<Draft> {
        Ok(cx.need::<Draft>(self.draft.as_str()).await?.body)
    }
    fn examples() -> Vec<Self> {
        example_id().into_iter().map(|draft| GetDraft { draft }).collect()
    }
}

/// Approves a draft: from now on it may be sent. Bound to its content. No agent approves.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApproveDraft {
    /// Its id.
    pub draft: DraftId,
    /// The `hash` of the content that was read; another one is `Conflict`. Default: whatever it says now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Operation for ApproveDraft {
    type Output = Draft;
    const NAME: &'static str = "drafts.approve";
    const NEEDS: &'static [Permission] = &[Permission::ApproveContent];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;
    const ERRORS: &'static [&'static str] = &["not_a_person"];
    async fn run(self, cx: &Scope) -> Result<Draft> {
        only_people(cx)?;
        decide(cx, &self.draft, self.hash.as_deref(), self.note, true).await
    }
    fn examples() -> Vec<Self> {
        example_id()
            .into_iter()
            .map(|draft| ApproveDraft { draft, hash: None, note: Some("reads well".into()) })
            .collect()
    }
}

/// Rejects a draft: sends of it are denied.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RejectDraft {
    /// Its id.
    pub draft: DraftId,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Operation for RejectDraft {
    type Output = Draft;
    const NAME: &'static str = "drafts.reject";
    const NEEDS: &'static [Permission] = &[Permission::ApproveContent];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;
    async fn run(self, cx: &Scope) -> Result<Draft> {
        decide(cx, &self.draft, None, self.note, false).await
    }
    fn examples() -> Vec<Self> {
        example_id().into_iter().map(|draft| RejectDraft { draft, note: Some("too long".into()) }).collect()
    }
}

async fn decide(
    cx: &Scope,
    id: &DraftId,
    hash: Option<&str>,
    note: Option<String>,
    approved: bool,
) -> Result<Draft> {
    let mut draft = cx.need::<Draft>(id.as_str()).await?;
    if hash.is_some_and(|h| h != draft.hash) {
        let message = "the draft has other content than the one that was read: read it again";
        return Err(Error::new(ErrorKind::Conflict, cx.operation(), message).with_context("draft", id));
    }
    if draft.status == DraftStatus::Archived {
        let message = "the draft is archived";
        return Err(Error::new(ErrorKind::Conflict, cx.operation(), message).with_context("draft", id));
    }
    let status = if approved { DraftStatus::Approved } else { DraftStatus::Rejected };
    if draft.status != status {
        draft.body.status = status;
        let review =
            Review { by: cx.label().to_owned(), at: cx.now(), approved, hash: draft.hash.clone(), note };
        draft.body.reviews.push(review);
        cx.save(&draft)?;
    }
    Ok(draft.body)
}
