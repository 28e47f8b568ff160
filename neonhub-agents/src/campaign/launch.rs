//! Launching: every person on every personal channel through the gate, page by page, over a run log.

use std::time::Duration;

use neonhub_core::op::{Effect, Operation, Sink};
use neonhub_core::run::{AgentRun, Command, Driver, Limits, Machine, NewRun, Program, RunEvent};
use neonhub_core::store::{Key, Query};
use neonhub_core::{Error, ErrorKind, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::lifecycle::launched_status;
use super::page::{LaunchBegin, LaunchPage, LaunchPosts, PageDone};
use super::{Campaign, CampaignId, CampaignStatus, example};

/// A page is 500 people, so this holds more than two million of them.
const MAX_PAGES: u32 = 5_000;

/// What a launch made. Sends that were there already are not counted again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LaunchOutcome {
    /// People looked at.
    pub people: u64,
    /// New sends.
    pub created: u64,
    /// Of these, first steps that the gate let go.
    pub allowed: u64,
    /// Of these, first steps that the gate holds.
    pub deferred: u64,
    /// Of these, first steps that the gate refused.
    pub denied: u64,
    /// Of these, later steps that wait for their day.
    pub scheduled: u64,
    /// New public posts.
    pub posts: u64,
}

impl LaunchOutcome {
    pub(super) fn add(&mut self, other: &LaunchOutcome) {
        self.people += other.people;
        self.created += other.created;
        self.allowed += other.allowed;
        self.deferred += other.deferred;
        self.denied += other.denied;
        self.scheduled += other.scheduled;
        self.posts += other.posts;
    }
}

/// Launches a released campaign, or takes a launched one on: each person who has no send of it yet gets one on each
/// personal channel, judged by the gate; what it allows is queued, what it holds waits, what it refuses is kept with
/// its reasons. Posts are queued the same way. Calling it again sends nothing twice.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StartCampaign {
    /// The campaign.
    pub id: CampaignId,
}

impl Operation for StartCampaign {
    type Output = LaunchOutcome;
    const NAME: &'static str = "campaign.start";
    const NEEDS: &'static [Permission] = &[Permission::SendMessages];
    const EFFECT: Effect = Effect::Idempotent;
    const SINKS: &'static [Sink] = &[Sink::Send, Sink::Publish];
    const DEADLINE: Duration = Duration::from_secs(24 * 3600);
    const ERRORS: &'static [&'static str] = &["conflict"];

    async fn run(self, cx: &Scope) -> Result<LaunchOutcome> {
        let campaign = cx.need::<Campaign>(self.id.as_str()).await?;
        let is_live = campaign.status.is_live();
        if campaign.status == CampaignStatus::Paused {
            return Err(Error::new(
                ErrorKind::Conflict,
                Self::NAME,
                "the campaign is paused: call campaign.resume",
            ));
        }
        if !is_live {
            campaign.status.check_move(Self::NAME, launched_status(&campaign, cx))?;
        }
        let driver = Driver::new(Launch);
        let view = match unfinished(cx, &self.id).await? {
            // A launch that was stopped in the middle goes on where it was.
            Some(run) => driver.drive(cx, &run.id).await?,
            None => {
                let run = NewRun::new(json!({ "campaign": self.id })).campaign(self.id.to_string());
                driver.execute(cx, run).await?
            }
        };
        let output = view.into_output().map_err(|e| e.for_operation(Self::NAME))?;
        serde_json::from_value(output).map_err(|cause| Error::internal(Self::NAME, cause))
    }

    fn examples() -> Vec<Self> {
        vec![StartCampaign { id: example::campaign_id() }]
    }
}

async fn unfinished(cx: &Scope, campaign: &CampaignId) -> Result<Option<AgentRun>> {
    // Runs of agents may be about the campaign as well; a launch has no description that it was begun with.
    let query = Query::index("campaign").prefix(Key::text(campaign.as_str())).descending().limit(500);
    let mut runs = cx.query::<AgentRun>(&query).await?.into_iter().map(|run| run.body);
    let last = runs.find(|run| run.agent == Launch::AGENT && run.spec.is_none());
    Ok(last.filter(|run| !run.status.is_final()))
}

/// The program of a launch: begin, posts, then page after page.
#[derive(Debug)]
pub(super) struct Launch;

/// What the program remembers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct LaunchState {
    campaign: String,
    pages: u32,
    outcome: LaunchOutcome,
}

impl LaunchState {
    fn page(&self, after: Option<&str>) -> Command {
        let args = json!({ "id": self.campaign, "after": after, "done": self.outcome.people });
        Command::tool(format!("page/{}", self.pages), LaunchPage::NAME, args)
    }
}

impl Machine for Launch {
    type State = LaunchState;
    type Event = RunEvent;
    type Command = Command;

    fn step(&self, mut state: LaunchState, event: &RunEvent) -> (LaunchState, Vec<Command>) {
        let command = match event {
            RunEvent::Started { input, .. } => {
                state.campaign =
                    input.get("campaign").and_then(|c| c.as_str()).unwrap_or_default().to_owned();
                Command::tool("begin", LaunchBegin::NAME, json!({ "id": state.campaign }))
            }
            RunEvent::ToolDone { call, output } if call == "begin" => {
                if output.get("is_over").and_then(serde_json::Value::as_bool) == Some(true) {
                    done(&state)
                } else {
                    Command::tool("posts", LaunchPosts::NAME, json!({ "id": state.campaign }))
                }
            }
            RunEvent::ToolDone { output, .. } => match serde_json::from_value::<PageDone>(output.clone()) {
                Ok(page) => {
                    state.outcome.add(&page.made);
                    state.pages += 1;
                    match page.next.as_deref() {
                        Some(after) => state.page(Some(after)),
                        None if page.is_posts => state.page(None),
                        None => done(&state),
                    }
                }
                Err(_) => Command::Fail { failure: event.failure() },
            },
            other => Command::Fail { failure: other.failure() },
        };
        (state, vec![command])
    }
}

fn done(state: &LaunchState) -> Command {
    Command::done(serde_json::to_value(state.outcome).unwrap_or_default())
}

impl Program for Launch {
    const AGENT: &'static str = "campaign";
    const VERSION: u32 = 1;

    fn limits(&self) -> Limits {
        Limits { wall_ms: 24 * 3_600_000, ..Limits::default() }.tool_calls(MAX_PAGES)
    }
}

#[cfg(test)]
#[path = "launch_tests.rs"]
mod tests;
