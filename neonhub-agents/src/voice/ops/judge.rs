//! Judging a text: how close to the voice, and whether it may go out.

use neonhub_core::op::{Effect, Operation};
use neonhub_core::{Error, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::profile::current;
use crate::brand::by_id_or_slug;
use crate::guardrail::{self, Category, Context, Field, Report};
use crate::voice::compose::Channel;
use crate::voice::score::{Alignment, Scorer};

/// Most characters of a text to judge. Ours: longer than any channel's text.
const MAX_CHARS: usize = 200_000;

fn check_text(operation: &'static str, text: &str) -> Result<()> {
    let length = text.chars().count();
    if text.trim().is_empty() || length > MAX_CHARS {
        return Err(Error::invalid(operation, "text", "expected 1 to 200,000 characters"));
    }
    Ok(())
}

/// How close a text is to a brand's voice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VoiceScore {
    /// Version of the voice; absent when the brand has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voice_version: Option<u32>,
    /// The score with its parts and violations; absent (not zero) when the brand has no voice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alignment: Option<Alignment>,
}

/// Scores a text against a brand's voice, with every violation, its place and its fix.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScoreText {
    /// Id or slug of the brand.
    pub brand: String,
    /// The text, 1 to 200,000 characters.
    pub text: String,
    /// Where it is for; a brand may sound different by channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<Channel>,
}

impl Operation for ScoreText {
    type Output = VoiceScore;
    const NAME: &'static str = "voice.score";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, cx: &Scope) -> Result<VoiceScore> {
        check_text(Self::NAME, &self.text)?;
        let brand = by_id_or_slug(cx, &self.brand).await?;
        let Some(view) = current(cx, &brand).await? else {
            return Ok(VoiceScore { voice_version: None, alignment: None });
        };
        let rules = view.plain_rules();
        let channel = self.channel.map_or("", Channel::word);
        let alignment = Scorer::new(&view.voice, &rules).score(&self.text, channel);
        Ok(VoiceScore { voice_version: Some(view.version), alignment: Some(alignment) })
    }
    fn examples() -> Vec<Self> {
        vec![ScoreText {
            brand: "bergkaffee".into(),
            text: "Fresh from the roaster this morning.".into(),
            channel: Some(Channel::Email),
        }]
    }
}

/// Checks a text for personal data, spam, unproven claims, injected instructions and ruled-out phrases.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CheckText {
    /// The text, 1 to 200,000 characters.
    pub text: String,
    /// Subject, for a mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Where it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<Channel>,
    /// Id or slug of the brand: its banned words count as ruled out, its name must stand in a text message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    /// Country of the readers, ISO 3166-1 alpha-2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// What kind of message it is. Default: marketing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<Category>,
    /// Phrases that must not appear.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub must_not_say: Vec<String>,
    /// The sender's own contact details, which may stand in the text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub own_contacts: Vec<String>,
    /// The text is a paid post and needs its disclosure.
    pub is_paid: bool,
}

impl Operation for CheckText {
    type Output = Report;
    const NAME: &'static str = "voice.guardrail";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, cx: &Scope) -> Result<Report> {
        check_text(Self::NAME, &self.text)?;
        let mut context = Context {
            channel: self.channel.map_or("", Channel::word).to_owned(),
            region: self.region,
            category: self.category.unwrap_or_default(),
            own_contacts: self.own_contacts,
            must_not_say: self.must_not_say,
            is_paid: self.is_paid,
            ..Context::default()
        };
        if let Some(brand) = &self.brand {
            let brand = by_id_or_slug(cx, brand).await?;
            if let Some(view) = current(cx, &brand).await? {
                context.must_not_say.extend(view.voice.vocabulary.banned);
            }
            context.sender_name = Some(brand.name);
        }
        let mut fields = vec![Field::new("body", &self.text)];
        fields.extend(self.subject.as_deref().map(|s| Field::new("subject", s)));
        if context.channel == Channel::Email.word() && self.subject.is_none() {
            // A body alone is judged as a body: no point for the subject it does not show.
            context.channel.clear();
        }
        Ok(guardrail::check(&fields, &context))
    }
    fn examples() -> Vec<Self> {
        vec![CheckText {
            text: "Bergkaffee: new beans. Reply STOP to opt out".into(),
            channel: Some(Channel::Sms),
            ..CheckText::default()
        }]
    }
}
