//! New vectors for memories that another embedder has vectors of.

use neonhub_core::store::{Expected, Query};
use neonhub_core::{Result, Scope};

use super::model::MemoryRecord;
use super::shelf::{close, open_item};
use crate::embed::Embedder;
use crate::renew::{PAGE, Renewed, embed_some, page_after};

/// True when anything is remembered.
pub(crate) async fn any_memory(cx: &Scope) -> Result<bool> {
    Ok(!cx.query::<MemoryRecord>(&Query::by_id().limit(1)).await?.is_empty())
}

/// Number and characters of the memories whose vectors come from another embedder.
pub(crate) async fn lacking_memories(cx: &Scope, embedder: &str) -> Result<(u64, u64)> {
    let (mut count, mut chars) = (0, 0);
    let mut after: Option<String> = None;
    loop {
        let page = cx.query::<MemoryRecord>(&page_after(after.as_deref())).await?;
        for stored in &page {
            let item = open_item(cx, stored)?;
            if item.embedder != embedder {
                count += 1;
                chars += item.memory.text.chars().count() as u64;
            }
        }
        after = page.last().map(|stored| stored.body.memory.id.to_string());
        if page.len() < PAGE {
            return Ok((count, chars));
        }
    }
}

/// Works the memories that follow an id.
pub(crate) async fn renew_memories(
    cx: &Scope,
    embedder: &dyn Embedder,
    after: Option<&str>,
) -> Result<Renewed> {
    let page = cx.query::<MemoryRecord>(&page_after(after)).await?;
    let ids: Vec<String> = page.iter().map(|stored| stored.body.memory.id.to_string()).collect();
    let mut lacking = Vec::new();
    for stored in &page {
        let item = open_item(cx, stored)?;
        if item.embedder != embedder.id() {
            lacking.push(item);
        }
    }
    let texts: Vec<String> = lacking.iter().map(|item| item.memory.text.clone()).collect();
    let (vectors, stopped) = embed_some(cx, embedder, &texts).await;
    for (item, vector) in lacking.iter().zip(&vectors) {
        cx.put(&close(cx, &item.memory, vector, embedder.id())?, Expected::Rev(item.rev))?;
    }
    let lacking: Vec<String> = lacking.iter().map(|item| item.memory.id.to_string()).collect();
    Ok(Renewed::of(after, &ids, &lacking, vectors.len(), stopped))
}
