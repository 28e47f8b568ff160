//! Summaries of long talk: made when asked for, and by a job when a conversation has grown.

use std::time::Duration;

use async_trait::async_trait;
use neonhub_core::job::{Handler, Job, JobSpec, Outcome};
use neonhub_core::llm::StopKind;
use neonhub_core::op::{Cost, Effect, Operation};
use neonhub_core::store::{Expected, Key, Query, Record, Stored};
use neonhub_core::{Error, ErrorKind, Faults, Permission, Result, Rng, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::model::{Conversation, ConversationId, Message, MessageId};
use super::ops_write::{example_id, need};
use super::summary::{
    ConversationSummary, DEFAULT_BUDGET, SummaryId, clip, limit, request, room, rounds, size, to_fold,
};
use crate::space::Knowledge;

const QUEUE: &str = "knowledge.summarize";
/// Time for one summary, that of `ai.generate_text`.
const DEADLINE: Duration = Duration::from_secs(600);

/// Summarises the older messages of a conversation, or of one thread of it, when its talk fills three quarters of a
/// budget. The newest messages, up to a quarter of it, stay as they are; the summary takes an eighth at most and grows
/// from summary to summary. No message is changed or removed. Below three quarters nothing happens.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SummarizeConversation {
    /// The conversation.
    pub conversation: ConversationId,
    /// Only the thread that this message began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<MessageId>,
    /// Tokens of the context that the talk is to fit into, 400 to 2 000 000. Default: 8 000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_tokens: Option<u32>,
}

/// What there is of a summary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SummarizedConversation {
    /// The summary; absent while the talk is too short for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<ConversationSummary>,
    /// Messages that this call put into it.
    pub folded: u64,
    /// Tokens of the messages that it does not stand for.
    pub open_tokens: u64,
}

impl Operation for SummarizeConversation {
    type Output = SummarizedConversation;
    const NAME: &'static str = "conversations.summarize";
    const NEEDS: &'static [Permission] = &[Permission::WriteContent, Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Idempotent;
    const COST: Cost = Cost::Model;
    const DEADLINE: Duration = DEADLINE;
    const RERUNS: u8 = 1;
    const ERRORS: &'static [&'static str] = &["refused"];

    async fn run(self, cx: &Scope) -> Result<SummarizedConversation> {
        let budget = self.budget_tokens.unwrap_or(DEFAULT_BUDGET);
        let mut faults = Faults::new();
        faults.check((400..=2_000_000).contains(&budget), "budget_tokens", "expected 400 to 2000000");
        faults.into_result(Self::NAME)?;
        let conversation = need(cx, &self.conversation).await?.body;
        summarize(cx, &conversation, self.thread, budget).await
    }

    fn examples() -> Vec<Self> {
        let of = |conversation| Self { conversation, thread: None, budget_tokens: Some(16_000) };
        example_id().map(of).into_iter().collect()
    }
}

/// The summary of a conversation or thread, if there is one.
pub(crate) async fn summary_of(
    cx: &Scope,
    conversation: &ConversationId,
    thread: Option<&MessageId>,
) -> Result<Option<Stored<ConversationSummary>>> {
    cx.find::<ConversationSummary>("of", ConversationSummary::key(conversation, thread)).await
}

/// Drops what was summarised of a conversation: its messages are about to come or go.
pub(super) async fn drop_summaries(cx: &Scope, conversation: &ConversationId) -> Result<()> {
    let mut query = Query::index("of").prefix(Key::text(conversation.as_str())).limit(500);
    loop {
        let page = cx.query::<ConversationSummary>(&query).await?;
        let Some(last) = page.last() else { return Ok(()) };
        let key = ConversationSummary::key(conversation, last.thread.as_ref());
        query = query.after(key, last.body.id());
        for summary in &page {
            cx.delete::<ConversationSummary>(summary.body.id(), Expected::Rev(summary.rev))?;
        }
    }
}

async fn summarize(
    cx: &Scope,
    conversation: &Conversation,
    thread: Option<MessageId>,
    budget: u32,
) -> Result<SummarizedConversation> {
    let stored = summary_of(cx, &conversation.id, thread.as_ref()).await?;
    let open = open_messages(cx, conversation, thread.as_ref(), stored.as_ref().map(|s| &s.body)).await?;
    let sizes: Vec<u32> = open.iter().map(size).collect();
    let fold = to_fold(&sizes, stored.as_ref().map_or(0, |s| s.tokens), budget);
    let (folded, left) = (open.get(..fold).unwrap_or_default(), sizes.get(fold..).unwrap_or_default());
    let open_tokens = left.iter().map(|size| u64::from(*size)).sum();
    let Some(first) = folded.first() else {
        return Ok(SummarizedConversation { summary: stored.map(|s| s.body), folded: 0, open_tokens });
    };
    let rev = stored.as_ref().map(|s| s.rev);
    let mut summary = match stored {
        Some(stored) => stored.body,
        None => ConversationSummary::blank(conversation, thread, SummaryId::new(cx), first),
    };
    for round in rounds(sizes.get(..fold).unwrap_or_default(), budget) {
        cx.cancel_token().check(cx.operation())?;
        summary = with(cx, summary, folded.get(round).unwrap_or_default(), budget).await?;
    }
    summary.made_at = cx.now();
    cx.put(&summary, rev.map_or(Expected::Absent, Expected::Rev))?;
    Ok(SummarizedConversation { summary: Some(summary), folded: folded.len() as u64, open_tokens })
}

/// The summary with one round of messages in it.
async fn with(
    cx: &Scope,
    before: ConversationSummary,
    folded: &[Message],
    budget: u32,
) -> Result<ConversationSummary> {
    let request = request(&before, folded, budget, cx.with_rng(Rng::next_u64));
    let answer = cx.model().complete(request).await.map_err(|error| error.for_operation(cx.operation()))?;
    let text = clip(&answer.text, room(budget));
    if matches!(answer.stop, StopKind::Refused { .. }) || text.is_empty() {
        let message = "the model did not summarise the conversation: its messages stay as they are";
        return Err(Error::new(ErrorKind::Blocked, cx.operation(), message).with_code("refused"));
    }
    let mut summary = before.grown(folded, text);
    (summary.origin, summary.model) = (answer.origin, format!("{}/{}", answer.provider, answer.model));
    Ok(summary)
}

/// The messages with words that come after what is summarised, oldest first.
async fn open_messages(
    cx: &Scope,
    conversation: &Conversation,
    thread: Option<&MessageId>,
    summary: Option<&ConversationSummary>,
) -> Result<Vec<Message>> {
    let (index, id) = match thread {
        None => ("conversation_time", conversation.id.as_str()),
        Some(first) => ("thread_time", first.as_str()),
    };
    let mut query = Query::index(index).prefix(Key::text(id)).limit(500);
    if let Some(summary) = summary {
        query = query.after(Key::text(id).and_time(summary.up_to_at), summary.up_to.as_str());
    }
    let mut out = Vec::new();
    loop {
        let page = cx.query::<Message>(&query).await?;
        let Some(last) = page.last() else { return Ok(out) };
        query = query.after(Key::text(id).and_time(last.created_at), last.body.id());
        // The id of a thread may belong to another conversation.
        let own = page.into_iter().map(|m| m.body).filter(|m| m.conversation == conversation.id);
        out.extend(own.filter(|message| !message.text().trim().is_empty()));
    }
}

/// Puts a conversation in the queue, once its open talk fills three quarters of the hub's budget for it.
pub(super) async fn enqueue_when_long(cx: &Scope, conversation: &Conversation) -> Result<()> {
    let Some(budget) = cx.service::<Knowledge>()?.summary_tokens() else { return Ok(()) };
    let limit = u64::from(limit(budget));
    if conversation.tokens < limit {
        return Ok(());
    }
    let summary = summary_of(cx, &conversation.id, None).await?;
    let covered = summary.map_or(0, |s| s.covered_tokens.saturating_sub(s.tokens.into()));
    if conversation.tokens.saturating_sub(covered) < limit {
        return Ok(());
    }
    let payload = json!({ "conversation": conversation.id });
    let job = JobSpec::new(QUEUE, QUEUE, payload).dedupe(conversation.id.as_str()).timeout(DEADLINE);
    cx.submit(job).await.map(|_| ())
}

/// Works the queue of conversations that have grown long.
#[derive(Debug)]
pub(crate) struct SummarizeConversations;

#[async_trait]
impl Handler for SummarizeConversations {
    fn queue(&self) -> &'static str {
        QUEUE
    }

    fn batch(&self) -> usize {
        1
    }

    async fn work(&self, cx: &Scope, jobs: &[Job]) -> Result<Vec<Outcome>> {
        let budget = cx.service::<Knowledge>()?.summary_tokens();
        let mut out = Vec::new();
        for job in jobs {
            let id = job.payload.get("conversation").and_then(|id| id.as_str()).unwrap_or_default();
            out.push(match (cx.get::<Conversation>(id).await?, budget) {
                (Some(conversation), Some(budget)) => {
                    outcome(summarize(cx, &conversation, None, budget).await)
                }
                _ => Outcome::Done,
            });
        }
        Ok(out)
    }
}

/// What cannot be had now is asked for again with the next message; the messages are all there.
fn outcome(done: Result<SummarizedConversation>) -> Outcome {
    use ErrorKind::{Blocked, BudgetExceeded, Config, PermissionDenied, Unsupported};
    match done {
        Ok(_) => Outcome::Done,
        Err(cause)
            if matches!(cause.kind(), Blocked | BudgetExceeded | Config | PermissionDenied | Unsupported) =>
        {
            tracing::warn!(error = %cause, "a long conversation was not summarised");
            Outcome::Done
        }
        Err(cause) => Outcome::Failed(cause),
    }
}
