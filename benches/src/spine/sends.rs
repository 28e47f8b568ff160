//! Sends through everything: queued, judged again by the gate, rendered for each person, written to the outbox,
//! settled and marked as sent.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use neonhub::Scope;
use neonhub::connectors::outbox::Outbox;
use neonhub::people::PersonId;
use neonhub::send::{CreateSends, DraftId};

use super::gate;
use super::people::open;
use crate::measure::median;
use crate::{Goal, Result, Row, Runs};

/// Sends of one run. Each run has people of its own, or the frequency caps would put the later runs off.
const SENDS: usize = 10_000;

/// People of one commit.
const PAGE: usize = 500;

/// The row, over a store that is full of people.
pub(super) async fn row(runs: Runs, store: &Path) -> Result<Row> {
    let outbox = store.with_extension("outbox");
    let hub = open(store).await?;
    hub.add_connector(Arc::new(Outbox::open(&outbox)?));
    let scope = hub.workspace("default").await?;
    let draft = gate::approved_draft(&scope, "sends").await?;
    let sends = runs.size(SENDS);
    let people = gate::people(&scope, sends * runs.count()).await?;
    let mut rates = Vec::new();
    for (run, people) in people.chunks(sends).enumerate() {
        queue(&scope, &draft, people).await?;
        let start = Instant::now();
        scope.work_until_idle().await?;
        rates.push(sends as f64 / start.elapsed().as_secs_f64());
        let written = std::fs::read_dir(outbox.join("email"))?.count();
        if written != sends * (run + 1) {
            return Err(format!("{written} mails are there instead of {}", sends * (run + 1)).into());
        }
    }
    hub.close().await?;
    let rate = median(&rates).ok_or("no run was made")?;
    Ok(Row::new("queue, gate, rendering and outbox", rate, "sends/s", Goal::AtLeast(5_000.0)))
}

async fn queue(scope: &Scope, draft: &DraftId, people: &[String]) -> Result<()> {
    for page in people.chunks(PAGE) {
        let people = page.iter().map(|id| PersonId::try_from(id.clone())).collect::<neonhub::Result<_>>()?;
        scope.call(CreateSends { draft: draft.clone(), people, send_at: None }).await?;
    }
    Ok(())
}
