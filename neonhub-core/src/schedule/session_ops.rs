//! Operations on sessions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::model::{AgentSession, ScheduleId, SessionId, SessionState};
use super::ops::example_id;
use super::work;
use crate::op::{Effect, Operation, Page};
use crate::permission::Permission;
use crate::store::{Key, Query};
use crate::{Error, Result, Scope};

/// Lists the sessions that everything given holds for, in the order they were made, those of a schedule by their instant. A
/// state without a schedule reads every session of the workspace to fill a page.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ListSessions {
    /// Only of this schedule, by instant.
    pub schedule: Option<ScheduleId>,
    /// Only in this state.
    pub state: Option<SessionState>,
    /// Most of the page, 1..500. Default 50.
    pub limit: Option<u32>,
    /// `next` of the page before.
    pub cursor: Option<String>,
}

impl Operation for ListSessions {
    type Output = Page<AgentSession>;
    const NAME: &'static str = "sessions.list";
    const NEEDS: &'static [Permission] = &[Permission::ReadAnalytics];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, cx: &Scope) -> Result<Page<AgentSession>> {
        let query = match (&self.schedule, self.state) {
            (None, _) => Query::by_id(),
            (Some(schedule), None) => Query::index("planned").prefix(Key::text(schedule.as_str())),
            (Some(schedule), Some(state)) => {
                Query::index("schedule").prefix(Key::text(schedule.as_str()).and_text(state.word()))
            }
        };
        let query = query.limit(self.limit.unwrap_or(50) as usize);
        let filters = serde_json::json!([self.schedule, self.state]).to_string();
        let keep = |session: &AgentSession| self.state.is_none_or(|state| state == session.state);
        let page = cx.page_where(query, &filters, self.cursor.as_deref(), keep).await?;
        Ok(Page { items: page.items.into_iter().map(|s| s.body).collect(), next: page.next })
    }
    fn examples() -> Vec<Self> {
        vec![ListSessions { schedule: Some(example_id()), ..Self::default() }]
    }
}

/// Gives a session.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetSession {
    /// Its id.
    pub id: SessionId,
}

impl Operation for GetSession {
    type Output = AgentSession;
    const NAME: &'static str = "sessions.get";
    const NEEDS: &'static [Permission] = &[Permission::ReadAnalytics];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, cx: &Scope) -> Result<AgentSession> {
        Ok(cx.need::<AgentSession>(self.id.as_str()).await?.body)
    }
    fn examples() -> Vec<Self> {
        vec![GetSession { id: example_id() }]
    }
}

/// Cancels a session with its job.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelSession {
    /// Its id.
    pub id: SessionId,
    /// Why, 1..200 characters.
    pub reason: String,
}

impl Operation for CancelSession {
    type Output = AgentSession;
    const NAME: &'static str = "sessions.cancel";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 5;
    const ERRORS: &'static [&'static str] = &["too_late"];
    async fn run(self, cx: &Scope) -> Result<AgentSession> {
        if self.reason.is_empty() || self.reason.chars().count() > 200 {
            return Err(Error::invalid(Self::NAME, "reason", "expected 1..200 characters"));
        }
        let session = cx.need::<AgentSession>(self.id.as_str()).await?;
        work::cancel(cx, session, &self.reason).await
    }
    fn examples() -> Vec<Self> {
        vec![CancelSession { id: example_id(), reason: "not wanted any more".into() }]
    }
}
