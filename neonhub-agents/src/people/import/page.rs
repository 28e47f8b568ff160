//! One page of an import: one commit.

use std::time::Duration;

use neonhub_core::bus::Event;
use neonhub_core::op::{Effect, Operation};
use neonhub_core::{Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::read::MadeRow;
use super::start::in_progress;
use super::{Desk, FaultPage, ImportJob};
use crate::consent::Channel;
use crate::people::csv::RowFault;
use crate::people::engine::{self, Intent, Outcome, PageRules};
use crate::people::ops::drop_message;
use crate::people::resolve::{Assertion, MergeMode};
use crate::people::{ImportId, PersonId};

/// Commits one page of an import that is running in this process.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportPage {
    /// The import.
    pub import: ImportId,
    /// The page, from 0: the one behind the checkpoint.
    pub page: u64,
}

/// What a page did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PageResult {
    /// The import after the page.
    pub job: ImportJob,
    /// The people its rows mean.
    pub people: Vec<PersonId>,
    /// People that another one speaks for since this page.
    pub absorbed: Vec<PersonId>,
}

impl Operation for ImportPage {
    type Output = PageResult;
    const NAME: &'static str = "people.import.page";
    const NEEDS: &'static [Permission] = &[Permission::WritePeople, Permission::WriteConsent];
    const EFFECT: Effect = Effect::Idempotent;
    const DEADLINE: Duration = Duration::from_secs(300);
    const RERUNS: u8 = 8;
    const INTERNAL: bool = true;

    async fn run(self, cx: &Scope) -> Result<PageResult> {
        let desk = cx.service::<Desk>()?;
        let started = cx.need::<ImportJob>(self.import.as_str()).await?;
        let page = desk.page(&self.import, self.page).ok_or_else(|| in_progress(Self::NAME))?;
        let rules = PageRules {
            source: started.source.clone(),
            assertion: Assertion::FirstParty,
            mode: MergeMode::Safe,
            // Traits of a file are as old as its first start, so that going on later changes nothing.
            at: started.started_at,
            seed: page.seed,
        };
        let intents: Vec<&Intent> = page.rows.iter().filter_map(|r| r.intent.as_ref()).collect();
        let written = engine::run(cx, rules, &intents).await?;
        let faults = faults(&page.rows, &written.outcomes);
        // The work is done; the pages before commit first.
        if !desk.wait_turn(&self.import, self.page).await {
            return Err(in_progress(Self::NAME));
        }
        let mut job = cx.need::<ImportJob>(self.import.as_str()).await?;
        if job.pages != self.page {
            return Err(in_progress(Self::NAME));
        }
        let people: Vec<PersonId> = written.outcomes.iter().filter_map(|o| o.person.clone()).collect();
        let absorbed: Vec<PersonId> = written.outcomes.iter().flat_map(|o| o.absorbed.clone()).collect();
        count(&mut job.body, page.rows.len(), &written.outcomes);
        job.body.consents += written.consents;
        job.body.faults += faults.len() as u64;
        job.body.people = desk.count_with(&self.import, people.iter(), absorbed.iter());
        job.body.pages += 1;
        if !faults.is_empty() {
            let id = FaultPage::id_of(&self.import, self.page);
            cx.create(&FaultPage { id, import: self.import.clone(), faults })?;
        }
        cx.save(&job)?;
        let data = json!({"page": self.page, "rows": page.rows.len(), "people": people.len()});
        let mut event = Event::new(cx, "people.imported", "import_job", self.import.as_str(), data);
        // A page may be made twice; its event has one id.
        let mut rng = page.seed.split(&[b"event", &self.page.to_le_bytes()]).rng();
        event.id = neonhub_core::id::new_id("evt", cx.now(), &mut rng);
        cx.emit(event)?;
        Ok(PageResult { job: job.body, people, absorbed })
    }
}

/// The faults of a page in the order of its rows.
fn faults(rows: &[MadeRow], outcomes: &[Outcome]) -> Vec<RowFault> {
    let mut found: Vec<RowFault> = Vec::new();
    let mut outcomes = outcomes.iter();
    for row in rows {
        found.extend(row.faults.iter().cloned());
        if let Some(intent) = &row.intent
            && let Some(outcome) = outcomes.next()
        {
            found.extend(late_faults(row, intent, outcome));
        }
    }
    found
}

/// Faults that show only beside the people known already.
fn late_faults(row: &MadeRow, intent: &Intent, outcome: &Outcome) -> Vec<RowFault> {
    let fault = |field: &str, reason: &str| RowFault {
        row: row.row,
        line: row.line,
        field: field.to_owned(),
        reason: reason.to_owned(),
        row_rejected: false,
    };
    let field = |at: usize| intent.given.get(at).map(|g| g.normal.key.kind.as_word());
    let dropped = outcome
        .dropped
        .iter()
        .filter_map(|(at, rule)| field(*at).map(|field| fault(field, drop_message(*rule))));
    let refused = outcome.refused.iter().map(|(channel, why)| {
        fault(if *channel == Channel::Sms { "consent_sms" } else { "consent_email" }, why)
    });
    dropped.chain(refused).collect()
}

fn count(job: &mut ImportJob, rows: usize, outcomes: &[Outcome]) {
    job.rows += rows as u64;
    job.imported += outcomes.len() as u64;
    job.rejected += (rows - outcomes.len()) as u64;
    for outcome in outcomes {
        let slot = match (outcome.created, outcome.changed) {
            (true, _) => &mut job.created,
            (false, true) => &mut job.updated,
            (false, false) => &mut job.unchanged,
        };
        *slot += 1;
        job.merged += u64::from(outcome.merge.is_some());
        job.candidates += u64::from(outcome.candidate.is_some());
        job.suppressed += u64::from(outcome.suppressed);
    }
}
