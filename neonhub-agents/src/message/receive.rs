//! Reading.

use neonhub_core::op::{Effect, Operation, Page};
use neonhub_core::store::{Key, Query, Stored};
use neonhub_core::{Error, ErrorKind, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::model::{AgentMessage, MessageFrom, MessageKind, MessageTo};
use super::rights::{caller, concerns};

/// Reads messages, oldest first: the answer to a request, those of a topic, or what is there for the run that calls and
/// for its agent, which is taken by that: each message for an agent goes to one run.
///
/// A request that nobody answered by its deadline is an error of kind `timeout`, code `reply_timeout`. Who is not meant
/// by a message sees what it says only with `read:pii`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReceiveMessages {
    /// Only the answer to this request; none is there yet while the list is empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// Messages of this topic, or for this run or agent, without taking them. Default: those for the run that calls.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub to: Option<MessageTo>,
    /// Most messages, 1..=100. Default 20.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// `next` of the page before; for messages that are not taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// Messages that were read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReceivedMessages {
    /// The messages.
    pub items: Vec<AgentMessage>,
    /// Where the next page begins; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl Operation for ReceiveMessages {
    type Output = ReceivedMessages;
    const NAME: &'static str = "bus.receive";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 5;
    const ERRORS: &'static [&'static str] = &["reply_timeout", "not_addressable"];

    async fn run(self, cx: &Scope) -> Result<ReceivedMessages> {
        let who = caller(cx);
        let limit = self.limit.unwrap_or(20);
        if !(1..=100).contains(&limit) {
            return Err(Error::invalid(Self::NAME, "limit", "expected 1..=100"));
        }
        let limit = limit as usize;
        let mut found = match (&self.reply_to, &self.to) {
            (Some(request), _) => answer(cx, &who, request).await?,
            (None, Some(to)) => read(cx, &who, to, limit, self.cursor.as_deref()).await?,
            (None, None) => take(cx, &who, limit).await?,
        };
        let may_see = cx.permissions().has(Permission::ReadPii);
        for message in &mut found.items {
            if !may_see && !concerns(message, &who) {
                message.body = Value::Null;
            }
        }
        Ok(found)
    }

    fn examples() -> Vec<Self> {
        vec![ReceiveMessages {
            to: Some(MessageTo::Topic { name: "campaigns".into() }),
            limit: Some(50),
            ..Self::default()
        }]
    }
}

fn refused(why: &'static str) -> Error {
    Error::new(ErrorKind::PermissionDenied, ReceiveMessages::NAME, why).with_code("not_addressable")
}

/// The answer to a request.
async fn answer(cx: &Scope, who: &MessageFrom, id: &str) -> Result<ReceivedMessages> {
    let request = cx.need::<AgentMessage>(id).await?.body;
    if request.kind != MessageKind::Request {
        return Err(Error::invalid(ReceiveMessages::NAME, "reply_to", "expected the id of a request"));
    }
    if who.run.is_some() && request.from.run != who.run {
        return Err(refused("another run asks for this answer"));
    }
    if let Some(reply) = cx.find::<AgentMessage>("reply", Key::text(id)).await? {
        return Ok(ReceivedMessages { items: vec![reply.body], next: None });
    }
    if request.deadline.is_some_and(|until| until <= cx.now()) {
        return Err(super::deadline::timeout(&request));
    }
    Ok(ReceivedMessages::default())
}

/// Messages for somebody, which stay as they are.
async fn read(
    cx: &Scope,
    who: &MessageFrom,
    to: &MessageTo,
    limit: usize,
    cursor: Option<&str>,
) -> Result<ReceivedMessages> {
    if who.run.is_some() && !matches!(to, MessageTo::Topic { .. }) {
        return Err(refused("an agent reads topics, and what is for its own run: leave `for` out for that"));
    }
    let query = Query::index("to").prefix(to.key()).limit(limit);
    let Page { items, next } = cx.page::<AgentMessage>(query, cursor).await?;
    Ok(ReceivedMessages { items: items.into_iter().map(|row| row.body).collect(), next })
}

/// What is there for the run that calls and for its agent, each message once.
async fn take(cx: &Scope, who: &MessageFrom, limit: usize) -> Result<ReceivedMessages> {
    let (Some(agent), Some(run)) = (&who.agent, &who.run) else {
        return Err(refused("only the run of an agent takes messages: name whose messages are to be read"));
    };
    let (agent, own) = (MessageTo::Agent { name: agent.clone() }, MessageTo::Run { id: run.clone() });
    let mut rows: Vec<Stored<AgentMessage>> = Vec::new();
    for to in [own, agent] {
        let open = Query::index("open").prefix(to.key()).limit(limit);
        rows.extend(cx.query::<AgentMessage>(&open).await?);
    }
    rows.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
    rows.truncate(limit);
    let mut items = Vec::with_capacity(rows.len());
    for mut row in rows {
        row.body.taken_by = Some(run.clone());
        cx.save(&row)?;
        items.push(row.body);
    }
    Ok(ReceivedMessages { items, next: None })
}
