//! Trying to heal a part, with bounds, and writing down what was tried.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;

use super::record::{HealAction, HealResult};
use crate::audit::{AuditDraft, Outcome};
use crate::bus::Event;
use crate::store::{Key, Query};
use crate::{Error, ErrorKind, Result, Retry, Scope, Timestamp};

/// Tries per part and hour; then a person is needed.
// Our choice (rule of the runtime, section 9.8).
const MAX_TRIES: usize = 3;
const WINDOW: Duration = Duration::from_secs(3600);
/// Pause before the second try; it doubles.
const BACKOFF: Duration = Duration::from_secs(60);

/// A way to heal a part. It touches nothing outside its subject.
#[async_trait]
pub trait Recipe: Debug + Send + Sync + 'static {
    /// Its name: `requeue_stalled`.
    fn name(&self) -> &'static str;

    /// True when it is meant for this part.
    fn fits(&self, subject: &str) -> bool;

    /// Does it, and says in one line what was done.
    async fn apply(&self, cx: &Scope, subject: &str) -> Result<String>;
}

impl Scope {
    /// Tries one recipe on one part: checks, applies, checks again, keeps the action with an audit row. Commits by
    /// itself.
    ///
    /// # Errors
    /// `NotFound` for an unknown part, or no recipe for it; `RateLimited` when it was tried three times in an hour or
    /// the pause since the last try is not over.
    pub(crate) async fn heal(&self, subject: &str, recipe: Option<&str>) -> Result<HealAction> {
        let cx = self.outside();
        let before = cx.check_subject(subject).await?;
        let recipes = cx.hub().recipes();
        let wanted =
            |r: &&std::sync::Arc<dyn Recipe>| r.fits(subject) && recipe.is_none_or(|name| name == r.name());
        let recipe = recipes.iter().find(wanted).ok_or_else(|| {
            let names: Vec<&str> = recipes.iter().filter(|r| r.fits(subject)).map(|r| r.name()).collect();
            Error::new(ErrorKind::NotFound, "health.recover", "there is no such recipe for this part")
                .with_context("recipes", names.join(", "))
        })?;
        cx.may_try(subject).await?;
        let done = recipe.apply(&cx, subject).await;
        let after = cx.check_subject(subject).await?;
        let is_healthy = after.status.rank() == 0;
        let (result, detail) = match done {
            Err(error) => (HealResult::Failed, error.code().to_owned()),
            Ok(detail) if is_healthy => (HealResult::Healed, detail),
            Ok(detail) => (HealResult::Unchanged, detail),
        };
        let action = HealAction {
            id: cx.new_id("hea"),
            subject: subject.to_owned(),
            recipe: recipe.name().to_owned(),
            before: before.status.word().to_owned(),
            after: after.status.word().to_owned(),
            result,
            detail,
            at: cx.now(),
        };
        cx.keep(&action).await?;
        Ok(action)
    }

    /// Refuses a try too many or too soon, with the instant of the next one.
    async fn may_try(&self, subject: &str) -> Result<()> {
        let from = Key::text(subject).and_time(self.now().minus(WINDOW));
        let recent = Query::index("subject").from(from).up_to(Key::text(subject).and_time(self.now()));
        let tries = self.query::<HealAction>(&recent.limit(100)).await?;
        let (Some(first), Some(last)) = (tries.first(), tries.last()) else { return Ok(()) };
        let pause = BACKOFF.saturating_mul(1 << (tries.len() - 1).min(8));
        let next: Timestamp =
            if tries.len() >= MAX_TRIES { first.at.plus(WINDOW) } else { last.at.plus(pause) };
        if next <= self.now() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::RateLimited,
            "health.recover",
            "it was tried already: a person should look, or wait",
        )
        .with_context("tries", tries.len())
        .with_retry(Retry::After(next.since(self.now()))))
    }

    async fn keep(&self, action: &HealAction) -> Result<()> {
        let cx = self.staging("health.recover", &action.id);
        cx.create(action)?;
        let outcome = if action.result == HealResult::Failed { Outcome::Failed } else { Outcome::Ok };
        cx.note(AuditDraft::of(&cx, "health.recover", outcome).on("health", &action.subject))?;
        let data = json!({ "recipe": action.recipe, "result": action.result });
        cx.emit(Event::new(&cx, "health.recovered", "health", &action.subject, data))?;
        cx.flush().await.map(drop)
    }
}
