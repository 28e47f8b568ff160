//! What a stream is about.

use std::fmt;
use std::str::FromStr;

use super::event::Event;
use crate::{Error, Result};

/// One topic of a stream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Topic {
    /// `run:<id>`: an agent run.
    Run(String),
    /// `agent:<name>`: what an agent does.
    Agent(String),
    /// `campaign:<id>`: a campaign.
    Campaign(String),
    /// `queue:<name>`: a queue and its jobs.
    Queue(String),
    /// `schedule:<id>`: a schedule and its sessions.
    Schedule(String),
    /// `metrics:<name>`: a metric, with every heartbeat.
    Metrics(String),
    /// `notifications`: notifications of users.
    Notifications,
    /// `conversation:<id>`: a conversation.
    Conversation(String),
    /// `progress`: live progress of running work.
    Progress,
}

impl Topic {
    fn parts(&self) -> (&'static str, &str) {
        match self {
            Topic::Run(id) => ("run", id),
            Topic::Agent(name) => ("agent", name),
            Topic::Campaign(id) => ("campaign", id),
            Topic::Queue(name) => ("queue", name),
            Topic::Schedule(id) => ("schedule", id),
            Topic::Metrics(name) => ("metrics", name),
            Topic::Conversation(id) => ("conversation", id),
            Topic::Notifications => ("notifications", ""),
            Topic::Progress => ("progress", ""),
        }
    }

    /// True when an event is about this topic: its record, or a field of its facts that names it.
    pub(super) fn covers(&self, event: &Event) -> bool {
        let fact = |name: &str| event.data.get(name).and_then(serde_json::Value::as_str);
        let about = |kinds: &[&str], id: &str, fields: &[&str]| {
            kinds.contains(&event.subject_kind.as_str()) && event.subject_id == id
                || fields.iter().any(|f| fact(f) == Some(id))
        };
        match self {
            Topic::Run(id) => about(&["agent_run"], id, &["run", "run_id"]),
            Topic::Agent(name) => {
                event.actor.strip_prefix("agent:") == Some(name)
                    || event.subject_kind == "agent_run" && fact("agent") == Some(name)
            }
            Topic::Campaign(id) => about(&["campaign"], id, &["campaign", "campaign_id"]),
            Topic::Queue(name) => about(&["queue"], name, &["queue"]),
            Topic::Schedule(id) => about(&["schedule"], id, &["schedule", "schedule_id"]),
            Topic::Conversation(id) => about(&["conversation"], id, &["conversation", "conversation_id"]),
            Topic::Notifications => event.subject_kind == "notification",
            Topic::Metrics(_) | Topic::Progress => false,
        }
    }
}

/// The kind of a durable item: how a run stands, or the last word of the event's type.
pub(super) fn kind_of(event: &Event) -> String {
    let word = event.kind.rsplit('.').next().unwrap_or(&event.kind);
    if event.kind == "agent_run.finished"
        && let Some(status) = event.data.get("status").and_then(serde_json::Value::as_str)
    {
        return status.to_owned();
    }
    word.to_owned()
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parts() {
            (word, "") => f.write_str(word),
            (word, name) => write!(f, "{word}:{name}"),
        }
    }
}

impl FromStr for Topic {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (word, name) = text.split_once(':').unwrap_or((text, ""));
        let owned = || name.to_owned();
        let topic = match word {
            "run" => Topic::Run(owned()),
            "agent" => Topic::Agent(owned()),
            "campaign" => Topic::Campaign(owned()),
            "queue" => Topic::Queue(owned()),
            "schedule" => Topic::Schedule(owned()),
            "metrics" => Topic::Metrics(owned()),
            "conversation" => Topic::Conversation(owned()),
            "notifications" => Topic::Notifications,
            "progress" => Topic::Progress,
            _ => return Err(bad_topic()),
        };
        let wants_name = !matches!(topic, Topic::Notifications | Topic::Progress);
        if wants_name == name.is_empty() || name.len() > 200 {
            return Err(bad_topic());
        }
        Ok(topic)
    }
}

fn bad_topic() -> Error {
    Error::invalid(
        "streams.open",
        "topics",
        "expected run:<id>, agent:<name>, campaign:<id>, queue:<name>, schedule:<id>, metrics:<name>, conversation:<id>, notifications or progress",
    )
}
