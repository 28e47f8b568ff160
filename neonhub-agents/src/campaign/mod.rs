//! Campaigns: from one brief to a report.
//!
//! A [`Brief`] says what for, for whom, where, when and with which words. It becomes a typed [`Plan`]: a
//! directed graph of steps with times, costs, assumptions and risks. The plan's assets are written in the
//! brand's voice, each person on each personal channel becomes one send that the gate judges, and a
//! [`Report`] says what happened and why. All of it is a fold over stored facts: with the same inputs, clock
//! and seed it comes out the same.

mod assets;
mod audience;
mod brief;
mod brief_check;
mod brief_toml;
mod channel;
mod chart;
mod dag;
mod example;
mod known;
mod launch;
mod lifecycle;
mod meaning;
mod model;
mod money_split;
mod near;
mod ops;
mod page;
mod plan;
mod planner;
mod report;
mod report_html;
mod report_op;
mod report_timeline;
mod speaker;
mod status;
mod timetable;
mod wording;

use neonhub_core::HubBuilder;
use neonhub_core::op::{Entry, entry};
use neonhub_core::store::Kind;

pub use assets::GenerateAssets;
pub use brief::{Brief, BriefSender};
pub use channel::CampaignChannel;
pub use launch::{LaunchOutcome, StartCampaign};
pub use lifecycle::{CancelCampaign, PauseCampaign, ResumeCampaign};
pub use model::{Approval, Asset, AssetId, AssetStatus, AssetText, Campaign, CampaignId, StoredPlan};
pub use ops::{ApproveCampaign, CreateCampaign, GetCampaign, ListCampaigns, PlanCampaign};
pub use page::{Begun, LaunchBegin, LaunchPage, LaunchPosts, PageDone};
pub use plan::{
    BudgetShare, CostRange, Kpi, Plan, PlanFacts, PlanStep, ScheduleEntry, StepEffect, StepKind, StepParams,
};
pub use report::{
    AssetCard, AssetFinding, AssetPart, BudgetLine, CampaignLine, Citation, ContactCounts, FailedFile,
    KnowledgeCounts, LimitCheck, PlanLine, PreferredTerm, ReadFile, ReasonLine, Report, SendCounts,
    VoiceLine,
};
pub use report_op::{RenderReport, ReportCampaign, ReportPage};
pub use status::CampaignStatus;

/// The operations of campaigns.
pub static CATALOGUE: &[Entry] = &[
    entry::<CreateCampaign>(),
    entry::<GetCampaign>(),
    entry::<ListCampaigns>(),
    entry::<PlanCampaign>(),
    entry::<GenerateAssets>(),
    entry::<ApproveCampaign>(),
    entry::<StartCampaign>(),
    entry::<ReportCampaign>(),
    entry::<RenderReport>(),
    entry::<PauseCampaign>(),
    entry::<ResumeCampaign>(),
    entry::<CancelCampaign>(),
    entry::<LaunchBegin>(),
    entry::<LaunchPosts>(),
    entry::<LaunchPage>(),
];

/// The records of campaigns.
pub static KINDS: &[Kind] = &[Kind::of::<Campaign>(), Kind::of::<StoredPlan>(), Kind::of::<Asset>()];

/// Adds campaigns to a hub.
pub fn install(builder: HubBuilder) -> HubBuilder {
    builder.operations(CATALOGUE).kinds(KINDS)
}

#[cfg(test)]
mod tests;
