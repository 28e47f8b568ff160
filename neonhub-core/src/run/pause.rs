//! Calls that a quota holds up: a person is asked whether more is allowed, and the run waits for the answer.

use std::sync::Arc;

use serde_json::Value;

use super::entry::What;
use super::machine::{Program, WaitOn};
use super::session::Session;
use super::state::MORE;
use crate::approval;
use crate::audit::{AuditDraft, Outcome};
use crate::economy::{AllowMore, Paused, Quota};
use crate::op::{Operation as _, Unit};
use crate::store::Record as _;
use crate::{Error, Result};

/// How often what was allowed is written again when others use the same quota.
const TRIES: u32 = 16;

impl<P: Program> Session<'_, P> {
    /// Asks for more where a quota that pauses holds a call up; false for every other outcome, and where a person has said no
    /// to the same already.
    pub(super) async fn pauses<T>(&mut self, call: &str, done: &Result<T>) -> Result<bool> {
        let Some(paused) = done.as_ref().err().and_then(Paused::of) else { return Ok(false) };
        let ask = paused.ask()?;
        let approvals = self.cx.hub().approvals();
        match approvals.granted(&self.agent, &ask).await {
            Err(error) if error.code() == "approval_denied" => return Ok(false),
            other => other?,
        };
        let approval = Some(approvals.ask(&self.agent, &ask).await?);
        // It is asked anew once it goes on, and the log says so.
        self.fresh.remove(call);
        let on = WaitOn::Approval { summary: ask.summary, approval };
        self.record_anyway(What::Wait { wait: format!("{MORE}{call}"), on }).await?;
        Ok(true)
    }

    /// Raises a quota by what a person has allowed, once.
    pub(super) async fn allow(&self, approval: &str) -> Result<()> {
        let mut tries = 1;
        loop {
            let scope = self.writer(&Arc::new(Unit::default()));
            let Some(args) = approval::take(&scope, approval, AllowMore::NAME).await? else { return Ok(()) };
            let more = read(args)?;
            scope.note(
                AuditDraft::of(&scope, AllowMore::NAME, Outcome::Ok)
                    .on(Quota::KIND, more.quota.as_str())
                    .in_run(&self.row.id),
            )?;
            more.run(&scope).await?;
            match scope.flush().await {
                Err(error)
                    if tries < TRIES
                        && matches!(error.code(), "stale_revision" | "already_exists" | "unique_taken") =>
                {
                    tries += 1;
                }
                other => return other.map(drop),
            }
        }
    }
}

fn read(args: Value) -> Result<AllowMore> {
    serde_json::from_value(args).map_err(|cause| Error::internal(AllowMore::NAME, cause))
}
