//! The plan of a campaign: typed steps, times, money, measures, assumptions and risks.

use neonhub_core::{Money, Result, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Brief, CampaignChannel, dag, planner};

/// What a campaign will do, in which order, when, and for how much.
///
/// Made by [`Plan::build`] from a brief without any model; the same brief and facts give the same plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// Counts up with each plan of the campaign; the first is 1.
    pub version: u32,
    /// Key of the brief it was made from.
    pub brief_key: String,
    /// When it was made.
    pub planned_at: Timestamp,
    /// The steps, each after all it depends on.
    pub steps: Vec<PlanStep>,
    /// What happens when, earliest first.
    pub schedule: Vec<ScheduleEntry>,
    /// How the budget is shared out; the amounts sum to it exactly.
    pub budget_split: Vec<BudgetShare>,
    /// What it will cost.
    pub cost: CostRange,
    /// What tells whether it worked.
    pub kpis: Vec<Kpi>,
    /// What was taken as given.
    pub assumptions: Vec<String>,
    /// What could go wrong, and what is done about it.
    pub risks: Vec<String>,
    /// Keys of the steps that are undone when the campaign is cancelled, in that order.
    pub rollback: Vec<String>,
}

/// One node of the plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanStep {
    /// Unique inside the plan, such as `send.email.1`.
    pub key: String,
    /// What sort of work it is.
    pub kind: StepKind,
    /// The agent that does it.
    pub agent: String,
    /// What that agent is asked for.
    pub intent: String,
    /// What it is, for people.
    pub title: String,
    /// Keys of the steps that must be finished first.
    pub depends_on: Vec<String>,
    /// Not before this instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// The particulars.
    #[serde(default)]
    pub params: StepParams,
    /// What it does to the world.
    pub effect: StepEffect,
    /// How it is undone, if it can be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<String>,
    /// What it costs, when that is known before it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub est_cost: Option<Money>,
    /// How long it works, waits apart, in milliseconds.
    pub est_duration_ms: u64,
}

/// The particulars of a step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepParams {
    /// The channel it works for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<CampaignChannel>,
    /// Place in its sequence, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u32>,
    /// What its text is about, the brief's own words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<String>,
    /// What its text should make people do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
}

/// What sort of work a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StepKind {
    /// Read the brand's knowledge or the audience.
    Research,
    /// Write a text.
    Asset,
    /// Check texts.
    Review,
    /// Ask for a decision.
    Approve,
    /// Lay out the times.
    Schedule,
    /// Send to people, through the gate.
    Send,
    /// Publish, through the gate.
    Publish,
    /// Prepare ads.
    Ad,
    /// Wait for an instant.
    Wait,
    /// Choose a way.
    Branch,
    /// Read numbers.
    Measure,
    /// Write the report.
    Report,
}

/// What a step does to the world (`Idempotent`: doing it twice is doing it once; `Write`: happens once and
/// can be looked up; `Compensable`: can be undone).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepEffect {
    /// Nothing.
    Pure,
    /// Reads.
    Read,
    /// Changes our own records.
    Idempotent,
    /// Touches the world.
    Write,
    /// Touches the world and can be undone.
    Compensable,
}

/// One line of the schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScheduleEntry {
    /// When.
    pub at: Timestamp,
    /// When it stops, for what runs over a span.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Where.
    pub channel: CampaignChannel,
    /// The step it belongs to.
    pub step_key: String,
    /// What, for people.
    pub title: String,
}

/// The part of the budget that one channel gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BudgetShare {
    /// Where it is spent.
    pub channel: CampaignChannel,
    /// How much.
    pub amount: Money,
    /// Its weight among the weights of all channels of the plan.
    pub weight: u32,
    /// What it pays for.
    pub pays_for: String,
}

/// What the plan costs: the sum of what is known, and by name what is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CostRange {
    /// The least to expect.
    pub low: Money,
    /// What to expect.
    pub estimate: Money,
    /// The most to expect.
    pub high: Money,
    /// Costs without a known price; they are not in the sums, and not zero.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
}

/// A measure of success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Kpi {
    /// What is measured, such as `email.click_rate`.
    pub metric: String,
    /// What is aimed at; absent until a baseline was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Where the target comes from, or how the baseline is won.
    pub source: String,
}

/// What the planner knows beside the brief.
#[derive(Clone, Debug, Default)]
pub struct PlanFacts {
    /// The instant of planning.
    pub now: Timestamp,
    /// How many people the audience holds.
    pub people: u64,
    /// Price of one message in micros of the budget's currency, for the personal channels where it is known.
    pub price_micros: Vec<(CampaignChannel, u64)>,
}

impl Plan {
    /// Makes the plan of a brief.
    ///
    /// # Errors
    /// `InvalidInput` when the brief has faults or its `end` is not after now.
    pub fn build(brief: &Brief, facts: &PlanFacts) -> Result<Self> {
        planner::build(brief, facts)
    }

    /// Checks the graph of the steps.
    ///
    /// # Errors
    /// `InvalidInput` that lists doubled keys, unknown dependencies, the path of a cycle, more than 200 steps
    /// and chains longer than 16.
    pub fn check(&self) -> Result<()> {
        dag::order(&self.steps).map(|_| ())
    }

    /// The step with this key.
    #[must_use]
    pub fn step(&self, key: &str) -> Option<&PlanStep> {
        self.steps.iter().find(|s| s.key == key)
    }

    /// The steps of one kind, in order.
    pub fn steps_of(&self, kind: StepKind) -> impl Iterator<Item = &PlanStep> {
        self.steps.iter().filter(move |s| s.kind == kind)
    }
}
