//! What people say about a run.

use neonhub_core::bus::Event;
use neonhub_core::op::{Effect, Operation};
use neonhub_core::run::AgentRun;
use neonhub_core::store::{Expected, Index, Key, Query, Record};
use neonhub_core::{Faults, Permission, Result, Scope, Timestamp, id_type};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

id_type!(FeedbackId, "fbk", "What somebody said about a run or a text.");

/// Longest text, in characters.
// Our choice: what a form takes.
const MAX_TEXT: usize = 10_000;

/// How something is judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FeedbackKind {
    /// Up or down: `value` is 1 or -1.
    #[default]
    Thumbs,
    /// Stars: `value` is 1 to 5.
    Rating,
    /// How it should have been: `corrected_text`.
    Correction,
    /// What one likes better, in `text`.
    Preference,
    /// Something is wrong: in `text` or `category`.
    Report,
}

impl FeedbackKind {
    pub(super) const fn word(self) -> &'static str {
        match self {
            FeedbackKind::Thumbs => "thumbs",
            FeedbackKind::Rating => "rating",
            FeedbackKind::Correction => "correction",
            FeedbackKind::Preference => "preference",
            FeedbackKind::Report => "report",
        }
    }
}

/// What feedback is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FeedbackTarget {
    /// A run.
    Run {
        /// The run.
        id: String,
    },
    /// One entry of its log.
    Step {
        /// The run.
        id: String,
        /// Number of the entry.
        seq: u32,
    },
}

impl FeedbackTarget {
    fn run(&self) -> &str {
        match self {
            FeedbackTarget::Run { id } | FeedbackTarget::Step { id, .. } => id,
        }
    }
}

/// A part of a text, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FeedbackSpan {
    /// The first character, from 0.
    pub from: u32,
    /// The one after its last.
    pub to: u32,
}

/// What somebody said about a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Feedback {
    /// Its id.
    pub id: FeedbackId,
    /// What it is about.
    pub target: FeedbackTarget,
    /// How it judges.
    #[serde(rename = "type")]
    pub kind: FeedbackKind,
    /// The figure of thumbs and ratings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// In their words. Hidden without `read:pii`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// How it should have been. Hidden without `read:pii`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrected_text: Option<String>,
    /// The part of the text that is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<FeedbackSpan>,
    /// A word of the host's own, such as `tone`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// The person that the run is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person_id: Option<String>,
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

impl Feedback {
    /// Praise.
    pub(crate) fn is_up(&self) -> bool {
        match self.kind {
            FeedbackKind::Thumbs => self.value > Some(0.0),
            FeedbackKind::Rating => self.value >= Some(4.0),
            _ => false,
        }
    }

    /// Blame.
    pub(crate) fn is_down(&self) -> bool {
        match self.kind {
            FeedbackKind::Thumbs => self.value.is_some_and(|value| value < 0.0),
            FeedbackKind::Rating => self.value.is_some_and(|value| value <= 2.0),
            _ => false,
        }
    }
}

impl Record for Feedback {
    const KIND: &'static str = "feedback";
    const INDEXES: &'static [Index] = &[Index::on("target"), Index::on("type")];
    fn id(&self) -> &str {
        self.id.as_str()
    }
    fn keys(&self) -> Vec<Option<Key>> {
        vec![
            Some(Key::text(self.target.run()).and_time(self.at)),
            Some(Key::text(self.kind.word()).and_time(self.at)),
        ]
    }
    fn personal(&self) -> Vec<String> {
        self.person_id.iter().cloned().collect()
    }
}

/// Says what one thinks of a run, or of one step of it. What was said stays; several people may say something.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct JudgeRun {
    /// The run.
    pub id: String,
    /// One entry of its log, by its number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<u32>,
    /// How it is judged. Default: `thumbs`.
    #[serde(rename = "type")]
    pub kind: FeedbackKind,
    /// For thumbs 1 or -1, for a rating 1 to 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// In one's own words, at most 10 000 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// How the text should have been, at most 10 000 characters; needed for a correction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corrected_text: Option<String>,
    /// The part of the text that is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub span: Option<FeedbackSpan>,
    /// A word of the host's own, at most 100 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
}

impl JudgeRun {
    fn check(&self) -> Result<()> {
        let mut faults = Faults::new();
        let fits = |text: &Option<String>, most: usize| {
            text.as_ref().is_none_or(|t| !t.trim().is_empty() && t.chars().count() <= most)
        };
        faults.check(fits(&self.text, MAX_TEXT), "text", "expected 1..10 000 characters");
        faults.check(fits(&self.corrected_text, MAX_TEXT), "corrected_text", "expected 1..10 000 characters");
        faults.check(fits(&self.category, 100), "category", "expected 1..100 characters");
        faults.check(self.span.is_none_or(|span| span.from < span.to), "span", "expected `from` before `to`");
        let stars = |v: f64| (1.0..=5.0).contains(&v) && v.fract() == 0.0;
        match self.kind {
            FeedbackKind::Thumbs => {
                let is_thumb = self.value.is_some_and(|v| v == 1.0 || v == -1.0);
                faults.check(is_thumb, "value", "expected 1 for up or -1 for down");
            }
            FeedbackKind::Rating => {
                faults.check(self.value.is_some_and(stars), "value", "expected a whole number from 1 to 5");
            }
            FeedbackKind::Correction => {
                faults.check(
                    self.corrected_text.is_some(),
                    "corrected_text",
                    "expected the text as it should be",
                );
            }
            FeedbackKind::Preference => {
                faults.check(self.text.is_some(), "text", "expected what is liked better");
            }
            FeedbackKind::Report => {
                let is_told = self.text.is_some() || self.category.is_some();
                faults.check(is_told, "text", "expected what is wrong, here or in `category`");
            }
        }
        if !matches!(self.kind, FeedbackKind::Thumbs | FeedbackKind::Rating) {
            faults.check(self.value.is_none(), "value", "expected no figure for this type");
        }
        faults.into_result(Self::NAME)
    }
}

impl Operation for JudgeRun {
    type Output = Feedback;
    const NAME: &'static str = "runs.feedback";
    const NEEDS: &'static [Permission] = &[Permission::WriteContent];
    const EFFECT: Effect = Effect::Idempotent;
    const MASKS: &'static [&'static str] = &["text", "corrected_text"];

    async fn run(self, cx: &Scope) -> Result<Feedback> {
        self.check()?;
        let run = cx.need::<AgentRun>(&self.id).await?;
        let target = match self.step {
            None => FeedbackTarget::Run { id: self.id },
            Some(seq) if seq < run.used.steps => FeedbackTarget::Step { id: self.id, seq },
            Some(_) => {
                let why = format!("expected an entry of the log, below {}", run.used.steps);
                return Err(neonhub_core::Error::invalid(Self::NAME, "step", why));
            }
        };
        let said = Feedback {
            id: FeedbackId::new(cx),
            target,
            kind: self.kind,
            value: self.value,
            text: self.text,
            corrected_text: self.corrected_text,
            span: self.span,
            category: self.category,
            person_id: run.person_id.clone(),
            by: cx.label().to_owned(),
            at: cx.now(),
        };
        cx.put(&said, Expected::Absent)?;
        let data = json!({ "run": run.id, "agent": run.agent, "type": said.kind, "value": said.value });
        cx.emit(Event::new(cx, "feedback.added", "feedback", said.id.as_str(), data))?;
        Ok(said)
    }

    fn mask(output: &mut Feedback) {
        hide(output);
    }

    fn examples() -> Vec<Self> {
        let id = "run_01kaf3w0000000000000000000".to_owned();
        let better = JudgeRun {
            step: Some(6),
            kind: FeedbackKind::Correction,
            corrected_text: Some("You may return it within 30 days.".into()),
            category: Some("facts".into()),
            ..Self::default()
        };
        vec![JudgeRun { id: id.clone(), value: Some(1.0), ..Self::default() }, JudgeRun { id, ..better }]
    }
}

/// Takes out what may speak of people.
pub(super) fn hide(said: &mut Feedback) {
    (said.text, said.corrected_text) = (None, None);
}

/// What was said about a run and its steps, oldest first.
pub(crate) async fn of_run(cx: &Scope, run: &str) -> Result<Vec<Feedback>> {
    super::all(cx, Query::index("target").prefix(Key::text(run))).await
}
