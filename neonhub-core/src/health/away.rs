//! Parts that are left alone: because they failed their checks, or because their circuit breaker is open.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::bus::Event;
use crate::store::{Expected, Record};
use crate::{Result, Scope, Timestamp};

/// How often a record is read again when other processes move it at the same time.
const TRIES: u32 = 8;

/// Why a part is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AwayBy {
    /// It failed its checks three times in a row.
    Health,
    /// Its circuit breaker is not closed.
    Breaker,
}

/// A part that is left alone. A part without this record is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AwayPart {
    /// The part: `agent:support`, `model:openai`.
    pub id: String,
    /// It failed its checks three times in a row.
    #[serde(default)]
    pub by_health: bool,
    /// Its circuit breaker is not closed.
    #[serde(default)]
    pub by_breaker: bool,
    /// Since when.
    pub since: Timestamp,
}

impl Record for AwayPart {
    const KIND: &'static str = "away_part";
    fn id(&self) -> &str {
        &self.id
    }
}

impl Scope {
    /// Stages what is known of a part. An agent that goes away or comes back is told of in the same commit, once for
    /// each change, whatever the reasons that come and go meanwhile. False when that was known.
    pub(crate) async fn stage_away(&self, subject: &str, by: AwayBy, is_away: bool) -> Result<bool> {
        let old = self.get::<AwayPart>(subject).await?;
        let (rev, mut part) = match old {
            Some(old) => (Some(old.rev), old.body),
            None => {
                let id = subject.to_owned();
                (None, AwayPart { id, by_health: false, by_breaker: false, since: self.now() })
            }
        };
        let flag = match by {
            AwayBy::Health => &mut part.by_health,
            AwayBy::Breaker => &mut part.by_breaker,
        };
        if *flag == is_away {
            return Ok(false);
        }
        *flag = is_away;
        let is_left = part.by_health || part.by_breaker;
        match rev {
            Some(rev) if is_left => self.put(&part, Expected::Rev(rev))?,
            Some(rev) => self.delete::<AwayPart>(subject, Expected::Rev(rev))?,
            None => self.put(&part, Expected::Absent)?,
        }
        if is_left == rev.is_some() {
            return Ok(true);
        }
        let Some(agent) = subject.strip_prefix("agent:") else { return Ok(true) };
        let kind = if is_left { "agent.unavailable" } else { "agent.recovered" };
        let because = match by {
            AwayBy::Health => "health",
            AwayBy::Breaker => "breaker",
        };
        self.emit(Event::new(self, kind, "agent", agent, json!({ "because": because })))?;
        tracing::warn!(agent, because, is_away, "an agent went away or came back");
        Ok(true)
    }

    /// [`stage_away`](Self::stage_away) in a commit of its own.
    pub(crate) async fn turn_away(&self, subject: &str, by: AwayBy, is_away: bool) -> Result<()> {
        for n in 0..TRIES {
            // Chance of its own for each try: what is told twice at one instant must not have one id.
            let cx = self.outside().staging("health.away", &format!("{subject}|{by:?}|{is_away}|{n}"));
            if !cx.stage_away(subject, by, is_away).await? {
                return Ok(());
            }
            match cx.flush().await {
                // Another process moved it in this moment.
                Err(error) if error.is_lost_race() => {}
                other => return other.map(drop),
            }
        }
        // The next round of checks puts it right.
        Ok(())
    }
}
