//! Two conversations become one, and part again.

use neonhub_core::op::{Effect, Operation};
use neonhub_core::{Error, ErrorKind, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::model::{Conversation, ConversationId};
use super::ops_summary::drop_summaries;
use super::ops_write::{Pages, example_id, need};
use super::summary::size;

/// Moves the messages of one conversation into another, by time, all in one commit however many they are. Ids stay, and each message remembers where it came
/// from, so that `conversations.unmerge` can part them again.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MergeConversations {
    /// The conversation that stays.
    pub into: ConversationId,
    /// The conversation whose messages move.
    pub from: ConversationId,
}

impl Operation for MergeConversations {
    type Output = Conversation;
    const NAME: &'static str = "conversations.merge";
    const NEEDS: &'static [Permission] = &[Permission::WriteContent];
    const EFFECT: Effect = Effect::Compensable("conversations.unmerge");
    const RERUNS: u8 = 3;

    async fn run(self, cx: &Scope) -> Result<Conversation> {
        let (mut into, mut from) = (need(cx, &self.into).await?, need(cx, &self.from).await?);
        if self.into == self.from {
            return Err(Error::invalid(Self::NAME, "from", "expected another conversation than into"));
        }
        if from.merged_into.as_ref() == Some(&self.into) {
            return Ok(into.body);
        }
        if into.merged_into.is_some() || from.merged_into.is_some() {
            let message = "one of the conversations was merged already: merge what it was merged into";
            return Err(Error::new(ErrorKind::Conflict, Self::NAME, message));
        }
        if from.absorbed {
            let message = "another conversation was merged into this one: undo that first, or merge the other way round";
            return Err(Error::new(ErrorKind::Conflict, Self::NAME, message));
        }
        if into.person != from.person {
            let expected = "expected conversations with the same person, or both with none";
            return Err(Error::invalid(Self::NAME, "from", expected));
        }
        let mut pages = Pages::of(&self.from);
        while let Some(page) = pages.next(cx).await? {
            for mut message in page {
                message.body.conversation = self.into.clone();
                message.body.merged_from = Some(self.from.clone());
                cx.save(&message)?;
                into.body.messages += 1;
            }
        }
        for name in &from.participants {
            if !into.participants.contains(name) {
                into.body.participants.push(name.clone());
            }
        }
        // The messages stand in another order now: what was summarised is summarised anew.
        drop_summaries(cx, &self.into).await?;
        drop_summaries(cx, &self.from).await?;
        into.body.tokens += std::mem::take(&mut from.body.tokens);
        into.body.last_at = into.last_at.max(from.last_at);
        into.body.absorbed = true;
        from.body.merged_into = Some(self.into);
        from.body.messages = 0;
        cx.save(&into)?;
        cx.save(&from)?;
        Ok(into.body)
    }

    fn examples() -> Vec<Self> {
        let other = "cnv_01kaf3w0000000000000000001".parse().ok();
        example_id().zip(other).map(|(into, from)| MergeConversations { into, from }).into_iter().collect()
    }
}

/// Gives a merged conversation its messages back.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnmergeConversations {
    /// The conversation that was merged away.
    pub from: ConversationId,
}

impl Operation for UnmergeConversations {
    type Output = Conversation;
    const NAME: &'static str = "conversations.unmerge";
    const NEEDS: &'static [Permission] = &[Permission::WriteContent];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;

    async fn run(self, cx: &Scope) -> Result<Conversation> {
        let mut from = need(cx, &self.from).await?;
        let Some(into) = from.body.merged_into.take() else { return Ok(from.body) };
        let mut into = cx.need::<Conversation>(into.as_str()).await?;
        let mut still_holds_others = false;
        let mut pages = Pages::of(&into.id);
        while let Some(page) = pages.next(cx).await? {
            for mut message in page {
                still_holds_others |= message.merged_from.as_ref().is_some_and(|origin| *origin != self.from);
                if message.merged_from.as_ref() != Some(&self.from) {
                    continue;
                }
                message.body.conversation = self.from.clone();
                message.body.merged_from = None;
                cx.save(&message)?;
                let tokens = u64::from(size(&message));
                from.body.messages += 1;
                from.body.tokens += tokens;
                into.body.tokens = into.tokens.saturating_sub(tokens);
                into.body.messages = into.messages.saturating_sub(1);
            }
        }
        drop_summaries(cx, &into.id.clone()).await?;
        into.body.absorbed = still_holds_others;
        cx.save(&into)?;
        cx.save(&from)?;
        Ok(from.body)
    }

    fn examples() -> Vec<Self> {
        example_id().map(|from| UnmergeConversations { from }).into_iter().collect()
    }
}
