//! New vectors for messages that another embedder has vectors of.

use neonhub_core::store::{Expected, Query, Stored};
use neonhub_core::{Result, Scope};

use super::embed::embedding;
use super::model::{Message, MessageEmbedding};
use crate::embed::Embedder;
use crate::renew::{PAGE, Renewed, embed_some, page_after};

/// True when any message has a vector.
pub(crate) async fn any_message_vector(cx: &Scope) -> Result<bool> {
    Ok(!cx.query::<MessageEmbedding>(&Query::by_id().limit(1)).await?.is_empty())
}

/// Number and characters of the messages whose vectors come from another embedder.
pub(crate) async fn lacking_messages(cx: &Scope, embedder: &str) -> Result<(u64, u64)> {
    let (mut count, mut chars) = (0, 0);
    let mut after: Option<String> = None;
    loop {
        let page = cx.query::<MessageEmbedding>(&page_after(after.as_deref())).await?;
        for (message, _) in lacking(cx, &page, embedder).await? {
            count += 1;
            chars += message.text().chars().count() as u64;
        }
        after = page.last().map(|stored| stored.body.message.to_string());
        if page.len() < PAGE {
            return Ok((count, chars));
        }
    }
}

/// Works the messages that follow an id.
pub(crate) async fn renew_messages(
    cx: &Scope,
    embedder: &dyn Embedder,
    after: Option<&str>,
) -> Result<Renewed> {
    let page = cx.query::<MessageEmbedding>(&page_after(after)).await?;
    let ids: Vec<String> = page.iter().map(|stored| stored.body.message.to_string()).collect();
    let lacking = lacking(cx, &page, embedder.id()).await?;
    let texts: Vec<String> = lacking.iter().map(|(message, _)| message.text()).collect();
    let (vectors, stopped) = embed_some(cx, embedder, &texts).await;
    for ((message, rev), vector) in lacking.iter().zip(&vectors) {
        cx.put(&embedding(message, embedder.id(), vector), Expected::Rev(*rev))?;
    }
    let lacking: Vec<String> = lacking.iter().map(|(message, _)| message.id.to_string()).collect();
    Ok(Renewed::of(after, &ids, &lacking, vectors.len(), stopped))
}

/// The messages of a page that lack a vector, with the revision of the one they have. Those that are gone need none.
async fn lacking(
    cx: &Scope,
    page: &[Stored<MessageEmbedding>],
    embedder: &str,
) -> Result<Vec<(Message, u64)>> {
    let other: Vec<_> = page.iter().filter(|stored| stored.body.embedder != embedder).collect();
    let ids: Vec<String> = other.iter().map(|stored| stored.body.message.to_string()).collect();
    let messages = cx.get_many::<Message>(&ids).await?;
    let found = messages.into_iter().zip(other);
    Ok(found.filter_map(|(message, old)| Some((message?.body, old.rev))).collect())
}
