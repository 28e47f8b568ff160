//! Editing a voice: a person's word over what was read.

use std::collections::BTreeMap;

use neonhub_core::bus::Event;
use neonhub_core::op::{Effect, Operation};
use neonhub_core::{Faults, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::profile::{VoiceView, current, numbered, put_version};
use crate::brand::by_id_or_slug;
use crate::voice::model::{
    ChannelOverride, Exemplar, Pattern, Rule, RuleKind, RuleSource, Severity, Thresholds, Tone, Vocabulary,
    Voice,
};
use crate::voice::record::{VoiceRuleId, VoiceStatus};
use crate::voice::score;

/// A rule that a person adds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRule {
    /// What it is about.
    pub kind: RuleKind,
    /// The rule in words, 1 to 500 characters.
    pub text: String,
    /// How a program checks it, when it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<Pattern>,
    /// How strictly it binds.
    pub severity: Severity,
}

/// Changes a brand's voice. What is left out stays; each change makes a new version, which then holds.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UpdateVoice {
    /// Id or slug of the brand.
    pub brand: String,
    /// Starts from this version instead of the one that holds: confirms a proposal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accept_version: Option<u32>,
    /// Tone axes, each 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tone: Option<Tone>,
    /// All words: preferred, banned, product names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vocabulary: Option<Vocabulary>,
    /// Pass and flag thresholds, 0 to 1, flag not above pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thresholds: Option<Thresholds>,
    /// Taglines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taglines: Option<Vec<String>>,
    /// Whom the brand speaks to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// Examples, on-brand and off-brand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exemplars: Option<Vec<Exemplar>>,
    /// Differences by channel word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel_overrides: Option<BTreeMap<String, ChannelOverride>>,
    /// Rules to add.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub add_rules: Vec<NewRule>,
    /// Ids of rules to take out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove_rules: Vec<VoiceRuleId>,
}

impl UpdateVoice {
    fn check(&self) -> Result<()> {
        let mut faults = Faults::new();
        let unit = |x: f64| (0.0..=1.0).contains(&x);
        if let Some(tone) = &self.tone {
            for (axis, value) in tone.axes() {
                faults.check(unit(value), format!("tone.{axis}"), "expected 0 to 1");
            }
        }
        if let Some(t) = &self.thresholds {
            faults.check(
                unit(t.pass) && unit(t.flag) && t.flag <= t.pass,
                "thresholds",
                "expected 0 to 1 with flag not above pass",
            );
        }
        for (i, rule) in self.add_rules.iter().enumerate() {
            let length = rule.text.trim().chars().count();
            faults.check(
                (1..=500).contains(&length),
                format!("add_rules[{i}].text"),
                "expected 1 to 500 characters",
            );
        }
        if let Some(exemplars) = &self.exemplars {
            faults.check(exemplars.len() <= 500, "exemplars", "expected at most 500");
        }
        faults.into_result(Self::NAME)
    }

    fn apply(&self, voice: &mut Voice) {
        fn set<T: Clone>(slot: &mut T, value: Option<&T>) {
            if let Some(value) = value {
                slot.clone_from(value);
            }
        }
        set(&mut voice.tone, self.tone.as_ref());
        set(&mut voice.vocabulary, self.vocabulary.as_ref());
        set(&mut voice.thresholds, self.thresholds.as_ref());
        set(&mut voice.taglines, self.taglines.as_ref());
        set(&mut voice.audience, self.audience.as_ref());
        set(&mut voice.channel_overrides, self.channel_overrides.as_ref());
        if let Some(exemplars) = &self.exemplars {
            voice.exemplars.clone_from(exemplars);
            voice.calibration = score::calibrate(voice);
        }
        for rule in &self.add_rules {
            match rule.kind {
                RuleKind::Banned => voice.vocabulary.banned.push(rule.text.clone()),
                RuleKind::Product => voice.vocabulary.products.push(rule.text.clone()),
                RuleKind::Do => voice.dos.push(rule.text.clone()),
                RuleKind::Dont => voice.donts.push(rule.text.clone()),
                RuleKind::Tagline => voice.taglines.push(rule.text.clone()),
                RuleKind::KeyPhrase => voice.key_phrases.push(rule.text.clone()),
                RuleKind::Preferred | RuleKind::Tone | RuleKind::OnBrand | RuleKind::OffBrand => {}
            }
        }
    }
}

/// Takes what a removed rule had put into the voice out again.
fn forget(voice: &mut Voice, rule: &Rule) {
    let list = match rule.kind {
        RuleKind::Banned => &mut voice.vocabulary.banned,
        RuleKind::Product => &mut voice.vocabulary.products,
        RuleKind::Do => &mut voice.dos,
        RuleKind::Dont => &mut voice.donts,
        RuleKind::Tagline => &mut voice.taglines,
        RuleKind::KeyPhrase => &mut voice.key_phrases,
        RuleKind::Preferred => {
            voice.vocabulary.preferred.retain(|p| p.term != rule.text);
            return;
        }
        RuleKind::OnBrand | RuleKind::OffBrand => {
            voice.exemplars.retain(|e| e.text != rule.text);
            voice.calibration = score::calibrate(voice);
            return;
        }
        RuleKind::Tone => return,
    };
    list.retain(|t| *t != rule.text);
}

impl Operation for UpdateVoice {
    type Output = VoiceView;
    const NAME: &'static str = "voice.update_settings";
    const NEEDS: &'static [Permission] = &[Permission::WriteBrand];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;
    async fn run(self, cx: &Scope) -> Result<VoiceView> {
        self.check()?;
        let brand = by_id_or_slug(cx, &self.brand).await?;
        let base = match self.accept_version {
            Some(version) => Some(numbered(cx, &brand.id, version).await?),
            None => current(cx, &brand).await?,
        };
        let (mut voice, old, documents) = match base {
            Some(view) => (view.voice, view.rules, view.documents),
            // A brand without a guide may still write its voice by hand.
            None => (Voice { brand: brand.name.clone(), ..Voice::default() }, Vec::new(), Vec::new()),
        };
        let mut rules: Vec<(Rule, Option<String>)> = Vec::with_capacity(old.len() + self.add_rules.len());
        let mut removed = 0;
        for record in old {
            if self.remove_rules.contains(&record.id) {
                removed += 1;
                forget(&mut voice, &record.rule);
            } else {
                rules.push((record.rule, record.edited_by));
            }
        }
        if removed < self.remove_rules.len() {
            return Err(cx.missing("voice_rule"));
        }
        self.apply(&mut voice);
        let by = cx.label().to_owned();
        for new in &self.add_rules {
            let NewRule { kind, text, pattern, severity } = new.clone();
            rules.push((
                Rule { kind, text, pattern, severity, source: RuleSource::default() },
                Some(by.clone()),
            ));
        }
        let view = put_version(cx, &brand, voice, rules, documents, VoiceStatus::Active).await?;
        cx.emit(Event::new(
            cx,
            "voice.updated",
            "voice_profile",
            view.id.as_str(),
            json!({ "version": view.version }),
        ))?;
        Ok(view)
    }
    fn examples() -> Vec<Self> {
        let rule = NewRule {
            kind: RuleKind::Dont,
            text: "Never use emoji.".into(),
            pattern: Some(Pattern::NoEmoji),
            severity: Severity::Must,
        };
        vec![UpdateVoice { brand: "bergkaffee".into(), add_rules: vec![rule], ..UpdateVoice::default() }]
    }
}
