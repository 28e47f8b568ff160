//! The report of a campaign: counts that reconcile, and what stands behind them.

use std::collections::BTreeMap;

use neonhub_core::{Money, Result, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BudgetShare, CampaignChannel, CostRange, Kpi, ScheduleEntry, report_html};

/// What a campaign did, and why.
///
/// Written as `report.json`; [`Report::to_html`] makes the page people read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// Which campaign this is.
    pub campaign: CampaignLine,
    /// The instant the report was made, by the clock of the hub.
    pub generated_at: Timestamp,
    /// True when no provider was configured: texts come from the offline model, sends went to the outbox.
    pub is_offline: bool,
    /// What the contacts file gave.
    pub contacts: ContactCounts,
    /// The first step to each person on each personal channel.
    pub sends: SendCounts,
    /// Deferred and denied sends by the rule that decided, each send once.
    pub reasons: BTreeMap<String, u64>,
    /// The same with words, most frequent first.
    pub reason_lines: Vec<ReasonLine>,
    /// The counts of `sends` for each personal channel.
    pub channels: BTreeMap<String, SendCounts>,
    /// The brand documents.
    pub knowledge: KnowledgeCounts,
    /// Assets by channel.
    pub assets: BTreeMap<String, u64>,
    /// Public posts handed to the outbox so far.
    pub posts: u64,
    /// What was learnt about the brand's voice.
    pub voice: VoiceLine,
    /// The plan in short.
    pub plan: PlanLine,
    /// Money.
    pub budget: BudgetLine,
    /// Each asset with its checks.
    pub asset_cards: Vec<AssetCard>,
    /// Wall time of each part of the last run, in milliseconds. The one thing that differs between two runs.
    pub timings_ms: BTreeMap<String, u64>,
}

/// Which campaign a report is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CampaignLine {
    /// Its id.
    pub id: String,
    /// Key of its brief.
    pub key: String,
    /// Its name.
    pub name: String,
    /// Its state.
    pub status: String,
    /// From the brief.
    pub goal: String,
    /// From the brief.
    pub brand: String,
    /// From the brief.
    pub audience_text: String,
    /// From the brief.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer: Option<String>,
    /// From the brief.
    pub start: Timestamp,
    /// From the brief.
    pub end: Timestamp,
    /// From the brief; the times of the page are shown in it.
    pub timezone: String,
}

/// What the contacts file gave. `rows` = `imported` + `rejected`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContactCounts {
    /// Rows below the header.
    pub rows: u64,
    /// Rows that gave or updated a person.
    pub imported: u64,
    /// Rows without any usable identifier.
    pub rejected: u64,
    /// People in the workspace.
    pub people: u64,
}

/// Verdicts on the first step: `allowed` + `deferred` + `denied` = people x personal channels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SendCounts {
    /// The gate let it go.
    pub allowed: u64,
    /// The gate holds it until a later instant.
    pub deferred: u64,
    /// The gate refused it.
    pub denied: u64,
    /// Handed to the outbox or a provider, in all runs.
    pub sent: u64,
    /// Of those, in the last run.
    pub sent_now: u64,
    /// Later steps of the sequence that wait for their day.
    pub scheduled: u64,
}

impl SendCounts {
    /// Sends of the first step that were judged.
    #[must_use]
    pub fn judged(&self) -> u64 {
        self.allowed + self.deferred + self.denied
    }

    /// Adds another channel's counts.
    pub fn add(&mut self, other: &SendCounts) {
        self.allowed += other.allowed;
        self.deferred += other.deferred;
        self.denied += other.denied;
        self.sent += other.sent;
        self.sent_now += other.sent_now;
        self.scheduled += other.scheduled;
    }
}

/// How often one rule decided.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReasonLine {
    /// The rule, such as `G05.consent`.
    pub rule: String,
    /// `defer` or `deny`.
    pub decision: String,
    /// How many sends.
    pub count: u64,
    /// What the rule says, for people.
    pub meaning: String,
}

/// The brand documents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KnowledgeCounts {
    /// Documents that were read.
    pub documents: u64,
    /// Chunks that can be cited.
    pub chunks: u64,
    /// Files that could not be read; the others went on.
    pub failed: Vec<FailedFile>,
    /// Files that were read, by name.
    pub files: Vec<ReadFile>,
}

/// A brand file that could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FailedFile {
    /// Name inside the brand folder.
    pub file: String,
    /// Why, and what to do.
    pub reason: String,
}

/// A brand file that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReadFile {
    /// Name inside the brand folder.
    pub file: String,
    /// Chunks it gave.
    pub chunks: u64,
}

/// What was learnt about the brand's voice.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VoiceLine {
    /// Tone axes, each 0..=1.
    pub tone: BTreeMap<String, f64>,
    /// Rules found in the documents.
    pub rules: u64,
    /// Preferred terms.
    pub preferred: Vec<PreferredTerm>,
    /// Words the brand never uses.
    pub banned: Vec<String>,
    /// Product names with their exact casing.
    pub product_names: Vec<String>,
}

/// A term the brand prefers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PreferredTerm {
    /// What the brand says.
    pub term: String,
    /// What it does not say.
    pub instead_of: String,
}

/// The plan in short.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanLine {
    /// Its version.
    pub version: u32,
    /// How many steps it has.
    pub steps: u64,
    /// What happens when.
    pub schedule: Vec<ScheduleEntry>,
    /// What tells whether it worked.
    pub kpis: Vec<Kpi>,
    /// What was taken as given.
    pub assumptions: Vec<String>,
    /// What could go wrong.
    pub risks: Vec<String>,
}

/// Money of the campaign.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BudgetLine {
    /// The whole budget; the shares sum to it.
    pub total: Option<Money>,
    /// Its shares.
    pub split: Vec<BudgetShare>,
    /// What the plan costs.
    pub cost: Option<CostRange>,
}

/// One asset with its checks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AssetCard {
    /// Its id.
    pub id: String,
    /// The step it was written for.
    pub step_key: String,
    /// Where it goes; absent only in an empty report.
    pub channel: Option<CampaignChannel>,
    /// Its heading, for people.
    pub title: String,
    /// Its state: `approved`, or `in_review` when something must be looked at first.
    pub status: String,
    /// Who wrote it: `offline` or the model's name.
    pub origin: String,
    /// The parts in reading order.
    pub parts: Vec<AssetPart>,
    /// How well it fits the brand's voice, 0..=1; absent without a voice.
    pub voice_score: Option<f64>,
    /// What the guardrail found.
    pub findings: Vec<AssetFinding>,
    /// Lengths against the limits of the channel.
    pub limits: Vec<LimitCheck>,
    /// The brand chunks it used.
    pub citations: Vec<Citation>,
    /// How many other versions were kept.
    pub alternates: u64,
}

/// A named part of an asset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AssetPart {
    /// Such as `subject`, `body`, `headline 1`.
    pub name: String,
    /// The text.
    pub text: String,
}

/// What a check found in an asset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AssetFinding {
    /// The rule.
    pub rule: String,
    /// `info`, `warn` or `block`.
    pub level: String,
    /// What was found and what to do.
    pub message: String,
}

/// A length against its limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LimitCheck {
    /// What was counted, such as `text`.
    pub field: String,
    /// The count.
    pub count: u64,
    /// The most that is allowed.
    pub limit: u64,
    /// Unit of both.
    pub unit: String,
}

impl LimitCheck {
    /// True when the count is inside the limit.
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.count <= self.limit
    }
}

/// A brand chunk that an asset used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Citation {
    /// The document's name.
    pub document: String,
    /// The chunk's id.
    pub chunk: String,
    /// The words that were used.
    pub quote: String,
}

impl Report {
    /// The report as one HTML page that needs nothing else: styles and charts are inside, no script.
    ///
    /// # Errors
    /// `Internal` when the page cannot be rendered, which is a fault of ours.
    pub fn to_html(&self) -> Result<String> {
        report_html::page(self)
    }

    /// What does not add up, one line each; empty when the counts reconcile.
    #[must_use]
    pub fn inconsistencies(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut check = |what: &str, left: u64, right: u64| {
            if left != right {
                lines.push(format!("inconsistent: {what} {left}, counted {right}"));
            }
        };
        let contacts = &self.contacts;
        check("contact rows", contacts.rows, contacts.imported + contacts.rejected);
        let mut sum = SendCounts::default();
        self.channels.values().for_each(|c| sum.add(c));
        check("sends over all channels", self.sends.judged(), sum.judged());
        let held = self.sends.deferred + self.sends.denied;
        check("deferred and denied sends", held, self.reasons.values().sum());
        check("assets", self.assets.values().sum(), self.asset_cards.len() as u64);
        for (channel, counts) in &self.channels {
            check(&format!("{channel} verdicts"), counts.judged(), contacts.people);
        }
        lines
    }
}
