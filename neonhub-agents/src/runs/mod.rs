//! Runs looked at afterwards: gone on with, told again, forked, compared, explained, judged and taken along.

mod compare;
mod explain;
mod export;
mod feedback;
mod fork;
mod receipt;
mod replay;
mod resume;
mod spent;

#[cfg(test)]
mod tests;

use neonhub_core::op::{Entry, entry};
use neonhub_core::store::{Kind, Query, Record};
use neonhub_core::{HubBuilder, Result, Scope};

pub use compare::{DiffRuns, RunDiff, RunDifference, RunSide};
pub use explain::{ExplainRun, RunExplanation, RunReason};
pub use export::{ExportRun, ExportedRun, RunBundle};
pub(crate) use feedback::of_run as feedback_of;
pub use feedback::{Feedback, FeedbackId, FeedbackKind, FeedbackSpan, FeedbackTarget, JudgeRun};
pub use fork::{ForkChanges, ForkRun};
pub use replay::ReplayRun;
pub use resume::ResumeRun;
pub(crate) use spent::of as spent;

/// Operations on runs of agents and plans.
pub static CATALOGUE: &[Entry] = &[
    entry::<ResumeRun>(),
    entry::<ReplayRun>(),
    entry::<ForkRun>(),
    entry::<DiffRuns>(),
    entry::<ExplainRun>(),
    entry::<JudgeRun>(),
    entry::<ExportRun>(),
];

/// What people said about runs.
pub static KINDS: &[Kind] = &[Kind::of::<Feedback>()];

/// Adds the operations to a hub.
pub fn install(builder: HubBuilder) -> HubBuilder {
    builder.operations(CATALOGUE).kinds(KINDS)
}

/// Everything that a query finds, however much that is.
async fn all<R: Record>(cx: &Scope, query: Query) -> Result<Vec<R>> {
    let query = query.limit(500);
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let page = cx.page::<R>(query.clone(), cursor.as_deref()).await?;
        found.extend(page.items.into_iter().map(|row| row.body));
        cursor = page.next;
        if cursor.is_none() {
            return Ok(found);
        }
    }
}
