//! What a check found.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::voice::text::Span;

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// Insults and worse.
    Toxicity,
    /// Personal data.
    Pii,
    /// What mail filters punish.
    Spam,
    /// Law and platform rules.
    Compliance,
    /// The brand's own rules and the words of the brief.
    Brand,
    /// Instructions to the model inside text, or system text inside output.
    Injection,
}

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Good to know.
    Info,
    /// A person should look.
    Warn,
    /// Must not go out.
    Block,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// Stable word of the rule, such as `pii.iban`.
    pub rule: String,
    /// What it is about.
    pub kind: FindingKind,
    /// How much it weighs.
    pub level: Level,
    /// Strength: confidence 0..=1, or points on the spam scale for spam rules.
    pub score: f64,
    /// The part it stands in, such as `subject` or `body`.
    pub field: String,
    /// Byte range in that part; absent when the finding is about something missing.
    pub span: Option<Span>,
    /// What is wrong, without the value itself.
    pub message: String,
    /// What to do.
    pub fix: String,
}

impl Finding {
    /// A finding without a place yet.
    #[must_use]
    pub fn new(rule: &str, kind: FindingKind, level: Level, message: &str, fix: &str) -> Self {
        Finding {
            rule: rule.to_owned(),
            kind,
            level,
            score: 1.0,
            field: "text".to_owned(),
            span: None,
            message: message.to_owned(),
            fix: fix.to_owned(),
        }
    }

    /// The same finding at this place.
    #[must_use]
    pub fn at(mut self, span: Span) -> Self {
        self.span = Some(span);
        self
    }

    /// The same finding in this part.
    #[must_use]
    pub fn within(mut self, field: &str) -> Self {
        field.clone_into(&mut self.field);
        self
    }

    /// The same finding with this strength.
    #[must_use]
    pub fn scored(mut self, score: f64) -> Self {
        self.score = score;
        self
    }
}

/// Everything the checks found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// True when no finding blocks.
    pub safe: bool,
    /// Sum of the spam rules, on the scale of SpamAssassin (5 = spam).
    pub spam_score: f64,
    /// Findings, blocking ones first, then by part and place.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Sorts the findings and decides.
    #[must_use]
    pub fn of(mut findings: Vec<Finding>) -> Self {
        findings
            .sort_by(|a, b| (b.level, &a.field, a.span, &a.rule).cmp(&(a.level, &b.field, b.span, &b.rule)));
        findings.dedup();
        let spam: f64 = findings
            .iter()
            .filter(|f| f.kind == FindingKind::Spam && f.rule != "spam.total")
            .map(|f| f.score)
            .sum();
        Report {
            safe: findings.iter().all(|f| f.level != Level::Block),
            spam_score: (spam * 1000.0).round() / 1000.0,
            findings,
        }
    }

    /// The findings that block.
    pub fn blocks(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|f| f.level == Level::Block)
    }
}
