//! Child runs: found or started by their key, and cancelled with what is below them.

use std::time::Duration;

use neonhub_core::op::Operation as _;
use neonhub_core::run::{AgentRun, CancelRun, EffectClass, GetRun, NewRun};
use neonhub_core::store::{Key, Query, Record as _};
use neonhub_core::{Error, ErrorKind, Result, Retry, Scope};
use serde_json::Value;

use super::drive::drive_any;
use crate::registry::{Addressed, Terms, start_run};

/// Rows read at once.
const PAGE: usize = 500;
/// The longest wait for admission. A rate of runs lets the next one in within a minute; a quota of a day does not.
const PATIENCE: Duration = Duration::from_secs(60);

/// What one child is asked.
#[derive(Debug)]
pub(super) struct Errand<'a> {
    pub(super) asked: &'a Addressed,
    pub(super) input: &'a Value,
    /// The same key is the same run.
    pub(super) key: &'a str,
    pub(super) terms: Terms,
}

/// Starts the run, or finds it; waits while the agent has had its runs of this minute.
pub(super) async fn begin(cx: &Scope, operation: &'static str, errand: &Errand<'_>) -> Result<AgentRun> {
    let Errand { asked, input, key, terms } = errand;
    loop {
        let new = NewRun::new((*input).clone()).key(*key);
        let refused = match start_run(cx, operation, asked, new, terms).await {
            Err(error) if error.kind() == ErrorKind::RateLimited => error,
            other => return other,
        };
        match refused.retry() {
            Retry::After(wait) if wait <= PATIENCE => cx.sleep(wait).await?,
            _ => return Err(refused),
        }
    }
}

/// True for the error of a run that another process works on.
pub(super) fn is_held(error: &Error) -> bool {
    matches!(error.code(), "leased" | "fenced")
}

/// True when a run has changed something.
pub(super) async fn has_acted(cx: &Scope, run: &AgentRun) -> Result<bool> {
    // The caller may start this run, so it may know what became of it; nothing of the log is shown.
    let log = GetRun { id: run.id.clone(), with_log: true }.run(cx).await?.log;
    let changes = |class: &Value| {
        [EffectClass::Idempotent, EffectClass::Compensable, EffectClass::Write]
            .iter()
            .any(|c| class.as_str() == Some(c.word()))
    };
    let planned: Vec<&Value> = log
        .iter()
        .filter(|line| line.kind == "tool_planned" && line.data.get("class").is_some_and(changes))
        .filter_map(|line| line.data.get("call"))
        .collect();
    Ok(log.iter().any(|line| {
        line.kind == "tool_done"
            && line.data.get("state").and_then(Value::as_str) == Some("landed")
            && line.data.get("call").is_some_and(|call| planned.contains(&call))
    }))
}

/// Cancels a run and those below it that are not at their end.
pub(super) async fn cancel(cx: &Scope, run: &str) -> Result<()> {
    let cx = cx.outside();
    let mut todo = vec![run.to_owned()];
    while let Some(id) = todo.pop() {
        if !cx.call(CancelRun { id: id.clone() }).await?.status.is_final() {
            // Who works on it notices, and what it leaves behind here ends here.
            match drive_any(&cx, &id).await {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => return Err(error),
            }
        }
        let mut query = Query::index("parent").prefix(Key::text(&id)).limit(PAGE);
        loop {
            let rows = cx.query::<AgentRun>(&query).await?;
            todo.extend(rows.iter().filter(|row| !row.status.is_final()).map(|row| row.id.clone()));
            match rows.last().filter(|_| rows.len() == PAGE) {
                Some(last) => {
                    let key = last.keys().pop().flatten().unwrap_or_default();
                    query = query.after(key, last.id.clone());
                }
                None => break,
            }
        }
    }
    Ok(())
}
