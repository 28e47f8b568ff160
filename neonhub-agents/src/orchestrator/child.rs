//! Child runs: found or started by their key, and cancelled with what is below them.

use std::time::Duration;

use neonhub_core::op::Operation as _;
use neonhub_core::run::{AgentRun, CancelRun, EffectClass, GetRun, NewRun};
use neonhub_core::store::{Key, Query, Record as _};
use neonhub_core::{Error, ErrorKind, Result, Retry, Scope};
use serde_json::Value;

use super::drive::drive_any;
use crate::registry::{Addressed, BREAKER, Terms, start_run};

/// Rows read at once.
const PAGE: usize = 500;
/// The longest wait for admission. A rate of runs lets the next one in within a minute; a quota of a day does not.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long another process may take to notice that its run is to be cancelled.
// Ours: it looks with every commit it hears of, so this is for a machine under load.
const NOTICE: Duration = Duration::from_secs(5);

/// What one child is asked.
#[derive(Debug)]
pub(super) struct Errand<'a> {
    pub(super) asked: &'a Addressed,
    pub(super) input: &'a Value,
    /// The same key is the same run.
    pub(super) key: &'a str,
    pub(super) terms: Terms,
}

/// The longest wait for an agent whose breaker is open: that is 10 s, and a trial besides. A step of it.
const SHUT: Duration = Duration::from_secs(15);
const STEP: Duration = Duration::from_millis(500);

/// Starts the run, or finds it; waits while the agent has had its runs of this minute, and a while for one whose breaker
/// is open and which nobody stands in for.
pub(super) async fn begin(cx: &Scope, operation: &'static str, errand: &Errand<'_>) -> Result<AgentRun> {
    let Errand { asked, input, key, terms } = errand;
    let mut waited = Duration::ZERO;
    loop {
        let new = NewRun::new((*input).clone()).key(*key);
        let refused = match start_run(cx, operation, asked, new, terms).await {
            Err(error) if error.kind() == ErrorKind::RateLimited => error,
            Err(error) if error.code() == BREAKER && waited < SHUT => {
                let wait = if let Retry::After(wait) = error.retry() { wait.min(STEP) } else { STEP };
                cx.sleep(wait).await?;
                waited += wait.max(Duration::from_millis(1));
                continue;
            }
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
                Err(error) if error.kind() == ErrorKind::Conflict => settled(&cx, &id).await?,
                Err(error) => return Err(error),
            }
        }
        // Looked for after its end: until then it may start more of them.
        todo.extend(below(&cx, &id).await?);
    }
    Ok(())
}

/// Cancels what is below a run that was cancelled itself.
pub(super) async fn cancel_below(cx: &Scope, run: &str) -> Result<()> {
    for child in below(cx, run).await? {
        Box::pin(cancel(cx, &child)).await?;
    }
    Ok(())
}

/// Waits until a run that another process works on is at its end, or for as long as that may take to notice.
async fn settled(cx: &Scope, run: &str) -> Result<()> {
    let mut feed = cx.store().watch();
    let ends = async {
        loop {
            if cx.need::<AgentRun>(run).await?.status.is_final() || feed.changed().await.is_err() {
                return Ok::<(), Error>(());
            }
        }
    };
    // Another process is another clock: this is the machine's time.
    tokio::time::timeout(NOTICE, ends).await.unwrap_or(Ok(()))
}

/// The runs right below one that are not at their end.
async fn below(cx: &Scope, run: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut query = Query::index("parent").prefix(Key::text(run)).limit(PAGE);
    loop {
        let rows = cx.query::<AgentRun>(&query).await?;
        found.extend(rows.iter().filter(|row| !row.status.is_final()).map(|row| row.id.clone()));
        match rows.last().filter(|_| rows.len() == PAGE) {
            Some(last) => {
                let key = last.keys().pop().flatten().unwrap_or_default();
                query = query.after(key, last.id.clone());
            }
            None => return Ok(found),
        }
    }
}
