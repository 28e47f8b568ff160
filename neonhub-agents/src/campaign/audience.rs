//! Whom a campaign reaches: everyone in the workspace.

use neonhub_core::store::{Key, Query, Stored};
use neonhub_core::{Result, Scope};

use crate::people::facts::GateFacts;
use crate::people::{MergeEntry, Person, PersonId};

/// People judged in one commit (the sending rules, section 2, page the audience the same).
pub(super) const PAGE: usize = 500;

/// How many people the workspace holds; merged ones count once.
pub(super) async fn people(cx: &Scope) -> Result<u64> {
    let records = cx.count::<Person>(&Query::by_id()).await?;
    // Each merge that holds joins two groups into one; a merge that was undone has no key here.
    let merges = cx.count::<MergeEntry>(&Query::index("pair")).await?;
    Ok(records.saturating_sub(merges))
}

/// One page of the audience, in the order of ids, and where the next one starts.
pub(super) async fn page(cx: &Scope, after: Option<&str>) -> Result<(Vec<PersonId>, Option<String>)> {
    let mut query = Query::by_id().limit(PAGE);
    if let Some(after) = after {
        query = query.after(Key::new(), after);
    }
    let found: Vec<Stored<GateFacts>> = cx.query(&query).await?;
    let next = (found.len() == PAGE).then(|| found.last().map(|f| f.person.to_string())).flatten();
    // The survivor of a merge speaks for the others.
    let heads = found.into_iter().filter(|f| f.survivor.is_none()).map(|f| f.body.person);
    Ok((heads.collect(), next))
}
