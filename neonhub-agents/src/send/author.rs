//! Who hands in a text, and who may release it.

use neonhub_core::llm::Origin as Writer;
use neonhub_core::run::AgentRun;
use neonhub_core::{Error, ErrorKind, Principal, Result, Scope};

use crate::gate::facts::Origin;

/// True when an agent calls.
pub(super) fn is_agent(cx: &Scope) -> bool {
    matches!(cx.principal(), Principal::Agent { .. })
}

/// Where a text came from: as the caller says, but for agents. Words of an agent are no person's, whatever it says.
pub(super) async fn origin_of(cx: &Scope, said: Option<Origin>) -> Result<Origin> {
    let Principal::Agent { run, .. } = cx.principal() else { return Ok(said.unwrap_or_default()) };
    if said == Some(Origin::Offline) {
        return Ok(Origin::Offline);
    }
    let writer = cx.get::<AgentRun>(run).await?.and_then(|row| row.body.origin);
    Ok(if writer == Some(Writer::Offline) { Origin::Offline } else { Origin::Model })
}

/// Refuses agents what only a person may release.
///
/// # Errors
/// `PermissionDenied`, code `not_a_person`.
pub(crate) fn only_people(cx: &Scope) -> Result<()> {
    if !is_agent(cx) {
        return Ok(());
    }
    let message = "no agent releases what is sent: have a person approve it";
    Err(Error::new(ErrorKind::PermissionDenied, cx.operation(), message).with_code("not_a_person"))
}
