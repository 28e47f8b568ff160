//! Sending.

use std::time::Duration;

use neonhub_core::llm::schema;
use neonhub_core::op::{Effect, Operation};
use neonhub_core::store::Record as _;
use neonhub_core::{Error, ErrorKind, Faults, Permission, Result, Scope, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::model::{AgentMessage, MAX_DEPTH, MessageFrom, MessageKind, MessageTo, answer_signal, is_topic};
use super::{deadline, post, rights};

/// The longest body, in bytes of JSON.
const MAX_BODY: usize = 64 << 10;
/// Time for an answer unless the request says otherwise.
// Ours: long enough for a run with models, short enough that nobody waits in vain for a day.
const PATIENCE: Duration = Duration::from_secs(600);
/// The longest time for an answer: as long as a question to a person stands.
const MOST_PATIENCE_MS: u64 = 72 * 3_600_000;

/// Sends a message to an agent, to a run or to a topic: a request, its reply, news, or an objection. It is written in this
/// commit with the event `agent.message.sent`, and stands in the logs of both runs.
///
/// People write to every run and agent. The run of an agent writes to the runs of its own work, to agents that its
/// description hands work to, to topics, and to whom it answers. Messages that follow from each other go eight deep. A
/// request that nobody answers by its deadline fails with `reply_timeout`: the run that waits for it is told so.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SendMessage {
    /// Whom it is for. May be left out for a reply or an objection: whoever sent the message before.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub to: Option<MessageTo>,
    /// What it is about: 1 to 80 of `a-z 0-9 _ - .` Default for a reply or an objection: the topic of the message before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// What it is. Default: `inform`.
    pub kind: MessageKind,
    /// JSON Schema that the body has to fit. Null: any.
    pub schema: Value,
    /// What it says, up to 64 KiB of JSON.
    pub body: Value,
    /// Joins it with other messages, 1 to 100 bytes. Default: that of the message before, else a new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation: Option<String>,
    /// The message that it answers or contradicts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_reply_to: Option<String>,
    /// Time for the answer to a request, in milliseconds, up to 72 hours. Default: ten minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
}

/// A message that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SentMessage {
    /// Its id; the answer to a request wakes the signal `message/<id>`.
    pub id: String,
    /// Joins it with what follows.
    pub correlation: String,
    /// Messages before it that it follows from.
    pub depth: u8,
    /// Until when the answer to a request is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
}

impl SendMessage {
    fn check(&self) -> Result<()> {
        let mut faults = Faults::new();
        let topic = |text: &str| is_topic(text);
        let why = "expected 1 to 80 of a-z, 0-9, _, - and .";
        faults.check(self.topic.as_deref().is_none_or(topic), "topic", why);
        if let Some(MessageTo::Topic { name }) = &self.to {
            faults.check(topic(name), "for.name", why);
        }
        let length = self.correlation.as_ref().map_or(1, String::len);
        faults.check((1..=100).contains(&length), "correlation", "expected 1 to 100 bytes");
        faults.check(self.body.to_string().len() <= MAX_BODY, "body", "expected at most 64 KiB");
        let within = self.deadline_ms.is_none_or(|ms| (1..=MOST_PATIENCE_MS).contains(&ms));
        faults.check(within, "deadline_ms", "expected 1 to 259 200 000 milliseconds");
        let is_request = self.kind == MessageKind::Request;
        faults.check(
            self.deadline_ms.is_none() || is_request,
            "deadline_ms",
            "only a request has a deadline",
        );
        let follows = matches!(self.kind, MessageKind::Reply | MessageKind::Objection);
        let why = "expected the message that this answers or contradicts";
        faults.check(!follows || self.in_reply_to.is_some(), "in_reply_to", why);
        let is_addressed = self.to.is_some() || follows;
        faults.check(is_addressed, "for", "expected an agent, a run or a topic");
        faults.check(self.topic.is_some() || follows, "topic", "expected what it is about");
        if !self.schema.is_null() {
            match schema::lint(&self.schema) {
                Ok(()) => {
                    for fault in schema::check(&self.schema, &self.body)? {
                        let joint = if fault.field.is_empty() { "" } else { "." };
                        faults.push(format!("body{joint}{}", fault.field), fault.message);
                    }
                }
                Err(error) => faults.push("schema", error.message()),
            }
        }
        faults.into_result(Self::NAME)
    }

    /// The message, from the one it is about and who sends it.
    async fn message(self, cx: &Scope, from: MessageFrom) -> Result<AgentMessage> {
        let about = match &self.in_reply_to {
            Some(id) => Some(rights::about(cx, Self::NAME, &from, self.kind, id).await?),
            None => None,
        };
        let depth = rights::depth(cx, &from, about.as_ref()).await?;
        if depth > MAX_DEPTH {
            let why = "messages may follow from each other eight deep";
            return Err(Error::new(ErrorKind::Blocked, Self::NAME, why).with_code("too_deep"));
        }
        let to = self.to.or_else(|| about.as_ref().map(back));
        let topic = self.topic.or_else(|| about.as_ref().map(|about| about.topic.clone()));
        let (Some(to), Some(topic)) = (to, topic) else {
            return Err(Error::invalid(Self::NAME, "for", "expected an agent, a run or a topic"));
        };
        let is_answer = about.as_ref().is_some_and(|about| back(about) == to);
        rights::may_write(cx, Self::NAME, &from, &to, is_answer).await?;
        let correlation = self.correlation.or_else(|| about.map(|about| about.correlation));
        let patience = self.deadline_ms.map_or(PATIENCE, Duration::from_millis);
        Ok(AgentMessage {
            id: cx.new_id("msg"),
            correlation: correlation.unwrap_or_else(|| cx.new_id("cor")),
            from,
            to,
            topic,
            kind: self.kind,
            schema: self.schema,
            body: self.body,
            in_reply_to: self.in_reply_to,
            deadline: (self.kind == MessageKind::Request).then(|| cx.now().plus(patience)),
            depth,
            at: cx.now(),
            taken_by: None,
            failure: None,
        })
    }
}

/// Whoever sent a message; people are answered in the topic.
fn back(message: &AgentMessage) -> MessageTo {
    match &message.from.run {
        Some(run) => MessageTo::Run { id: run.clone() },
        None => MessageTo::Topic { name: message.topic.clone() },
    }
}

impl Operation for SendMessage {
    type Output = SentMessage;
    const NAME: &'static str = "bus.send";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 5;
    const ERRORS: &'static [&'static str] = &[
        "unknown_agent",
        "agent_disabled",
        "not_addressable",
        "run_finished",
        "too_deep",
        "reply_late",
        "already_answered",
    ];

    async fn run(self, cx: &Scope) -> Result<SentMessage> {
        self.check()?;
        let message = self.message(cx, rights::caller(cx)).await?;
        cx.create(&message)?;
        cx.concern(AgentMessage::KIND, &message.id);
        post::tell(cx, "agent.message.sent", &message)?;
        if let MessageTo::Run { id } = &message.to {
            let wait = message.in_reply_to.as_ref().filter(|_| message.kind == MessageKind::Reply);
            let wait = wait.map(|request| (answer_signal(request), json!({ "reply": message })));
            post::deliver(cx, id, &message, wait).await?;
        }
        if let Some(until) = message.deadline {
            deadline::watch(cx, &message.id, until).await?;
        }
        let AgentMessage { id, correlation, depth, deadline, .. } = message;
        Ok(SentMessage { id, correlation, depth, deadline })
    }

    fn examples() -> Vec<Self> {
        let schema = json!({ "type": "object", "properties": { "question": { "type": "string" } } });
        vec![
            SendMessage {
                to: Some(MessageTo::Agent { name: "support".into() }),
                topic: Some("returns".into()),
                kind: MessageKind::Request,
                schema,
                body: json!({ "question": "How long may a parcel be returned?" }),
                deadline_ms: Some(60_000),
                ..Self::default()
            },
            SendMessage {
                to: Some(MessageTo::Topic { name: "campaigns".into() }),
                topic: Some("launch".into()),
                body: json!({ "note": "the sale begins on Monday" }),
                ..Self::default()
            },
        ]
    }
}
