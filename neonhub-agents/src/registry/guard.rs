//! Agents that are away: nothing starts them, and another agent stands in where their description names one.

use neonhub_core::resilience::NO_PLACE;
use neonhub_core::run::{AgentRun, RunStatus};
use neonhub_core::{Error, ErrorKind, Result, Retry, Scope};
use serde_json::Value;

use super::address::Addressed;
use super::again::NODE_KEY;
use super::check::rank;
use super::directory::Directory;
use super::model::hash_of;

/// The codes of a start that was refused because the agent is away.
const UNAVAILABLE: &str = "agent_unavailable";
pub(crate) const BREAKER: &str = "breaker_open";

/// How the keys of runs begin that a schedule goes on with by itself.
pub(super) const OF_SCHEDULE: &str = "session:";

/// What breaker and checks of an agent go by.
fn target(agent: &str) -> String {
    format!("agent:{agent}")
}

/// True for a start that was refused before anything began.
pub(crate) fn is_away_error(error: &Error) -> bool {
    matches!(error.code(), UNAVAILABLE | BREAKER)
}

/// True while nothing starts an agent. Lets no trial through.
pub(crate) async fn is_away(cx: &Scope, agent: &str) -> Result<bool> {
    let subject = target(agent);
    Ok(cx.hub().is_unavailable(cx, &subject).await? || cx.breaker_at(&subject).await?.refuses(cx.now()))
}

/// Whether an agent may start; may let a run through as the trial that closes its breaker.
async fn pass(cx: &Scope, operation: &'static str, agent: &str) -> Result<()> {
    if cx.hub().is_unavailable(cx, &target(agent)).await? {
        let why = "this agent failed its health checks three times in a row";
        return Err(Error::new(ErrorKind::Unavailable, operation, why)
            .with_code(UNAVAILABLE)
            .with_retry(Retry::Backoff)
            .with_context("agent", agent));
    }
    let passed = cx.pass_breaker(&target(agent)).await;
    passed.map_err(|error| error.for_operation(operation).with_context("agent", agent))
}

/// Whether a new run may begin; the intent of the agent that stands in, when the one that is asked is away.
///
/// # Errors
/// `Unavailable`, code `agent_unavailable` or `breaker_open`, when nobody may start; with the reason in `fallback` when
/// one was named and cannot stand in.
pub(super) async fn in_place_of(
    cx: &Scope,
    operation: &'static str,
    asked: &Addressed,
    input: &Value,
) -> Result<Option<Addressed>> {
    let refused = match pass(cx, operation, &asked.spec.name).await {
        Ok(()) => return Ok(None),
        Err(error) if is_away_error(&error) => error,
        Err(error) => return Err(error),
    };
    let directory = Directory::load(cx).await?;
    let other = match stand_in(cx, operation, &directory, asked) {
        Some(Ok(other)) => other,
        Some(Err(why)) => return Err(refused.with_context("fallback", why)),
        None => return Err(refused),
    };
    if let Err(error) = other.check(cx.hub(), operation, input) {
        return Err(
            refused.with_context("fallback", format!("the input is none of its own: {}", error.message()))
        );
    }
    match pass(cx, operation, &other.spec.name).await {
        Ok(()) => {
            tracing::warn!(agent = asked.spec.name, stand_in = other.spec.name, "an agent stands in");
            Ok(Some(other))
        }
        Err(error) if is_away_error(&error) => Err(refused.with_context("fallback", "it is away too")),
        Err(error) => Err(error),
    }
}

/// The same intent of the agent that the description names, or why it cannot stand in. It may do no more to the world.
pub(crate) fn stand_in(
    cx: &Scope,
    operation: &'static str,
    directory: &Directory,
    asked: &Addressed,
) -> Option<Result<Addressed, String>> {
    let name = asked.spec.fallback.as_deref()?;
    let found = directory.address(cx.hub(), operation, Some(name), Some(&asked.intent.name), None);
    Some(match found {
        Err(error) => Err(error.message().to_owned()),
        Ok(other) if rank(other.intent.effect_max) > rank(asked.intent.effect_max) => {
            Err("its intent does more to the world".to_owned())
        }
        Ok(other) => Ok(other),
    })
}

/// The key of a run that stands in for one with this key. Whose run it is by its key it stays.
pub(super) fn key_of(agent: &str, key: &str) -> Result<String> {
    let owner = [NODE_KEY, OF_SCHEDULE].into_iter().find(|owner| key.starts_with(owner)).unwrap_or_default();
    Ok(format!("{owner}for:{agent}:{}", hash_of(&Value::from(key))?))
}

/// Tells the breaker of an agent how one of its runs ended.
///
/// What the caller did wrong, rates and budgets count for nothing. A provider that refuses for good shuts its own breaker
/// and not that of the agent, whose other intents may not need it.
pub(super) async fn ended(cx: &Scope, run: &AgentRun) {
    let failure = match (run.status, &run.failure) {
        (RunStatus::Completed, _) => None,
        (RunStatus::Failed, Some(failure)) if failure.code != NO_PLACE => {
            let kind = ErrorKind::ALL.iter().copied().find(|kind| kind.code() == failure.kind);
            match kind.unwrap_or(ErrorKind::Internal) {
                ErrorKind::BudgetExceeded | ErrorKind::Unauthenticated => Some(ErrorKind::PermissionDenied),
                kind => Some(kind),
            }
        }
        _ => return,
    };
    // The run has ended, whatever becomes of this.
    if let Err(error) = cx.note_breaker(&target(&run.agent), failure).await {
        tracing::warn!(
            agent = run.agent,
            code = error.code(),
            "the breaker of an agent was not told of a run"
        );
    }
}
