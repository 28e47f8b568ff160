//! The job that embeds messages after their commit.

use async_trait::async_trait;
use neonhub_core::job::{Handler, Job, JobSpec, Outcome};
use neonhub_core::store::{Expected, Record};
use neonhub_core::{Result, Scope};
use serde_json::json;

use super::model::{Message, MessageEmbedding, MessageId};
use crate::embed::{EmbedKind, embed_in};
use crate::renew::keep_up;
use crate::space::Knowledge;
use crate::vector::encode;

const QUEUE: &str = "knowledge.embed_message";

/// Works the queue of messages without a vector.
#[derive(Debug)]
pub(crate) struct EmbedMessages;

/// Puts a message in the queue, in the commit that stores it.
pub(super) fn enqueue(cx: &Scope, message: &MessageId) -> Result<()> {
    let payload = json!({ "message": message });
    cx.enqueue(JobSpec::new(QUEUE, QUEUE, payload).dedupe(message.as_str())).map(|_| ())
}

/// The record of a vector.
pub(super) fn embedding(message: &Message, embedder: &str, vector: &[f32]) -> MessageEmbedding {
    MessageEmbedding {
        persons: message.personal(),
        message: message.id.clone(),
        embedder: embedder.to_owned(),
        dims: u32::try_from(vector.len()).unwrap_or(u32::MAX),
        vector: encode(vector),
    }
}

#[async_trait]
impl Handler for EmbedMessages {
    fn queue(&self) -> &'static str {
        QUEUE
    }

    async fn work(&self, cx: &Scope, jobs: &[Job]) -> Result<Vec<Outcome>> {
        let embedder = cx.service::<Knowledge>()?.default_embedder()?;
        let ids: Vec<String> = jobs
            .iter()
            .filter_map(|job| job.payload.get("message").and_then(|id| id.as_str()).map(str::to_owned))
            .collect();
        // A message that is gone by now needs no vector.
        let messages: Vec<Message> =
            cx.get_many::<Message>(&ids).await?.into_iter().flatten().map(|m| m.body).collect();
        let texts: Vec<String> = messages.iter().map(Message::text).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let vectors = embed_in(cx, embedder.as_ref(), &texts, EmbedKind::Passage).await?;
        // One that went while it was embedded leaves no vector.
        let ids: Vec<String> = messages.iter().map(|message| message.id.to_string()).collect();
        for (message, vector) in cx.get_many::<Message>(&ids).await?.iter().zip(&vectors) {
            if let Some(message) = message {
                cx.put(&embedding(&message.body, embedder.id(), vector), Expected::Any)?;
            }
        }
        keep_up(cx, embedder.as_ref()).await?;
        Ok(jobs.iter().map(|_| Outcome::Done).collect())
    }
}
