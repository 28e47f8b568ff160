//! Trying to heal a part, with bounds, and writing down what was tried.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;

use super::record::{HealAction, HealResult};
use crate::audit::{AuditDraft, Outcome};
use crate::bus::Event;
use crate::store::{Key, Query, Stored};
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
    /// Tries one recipe on one part, without a name the next of those that fit: checks, applies, checks again, keeps the action with an audit row. Commits by
    /// itself.
    ///
    /// # Errors
    /// `NotFound` for an unknown part, or no recipe for it; `RateLimited` when it was tried three times in an hour or
    /// the pause since the last try is not over.
    pub(crate) async fn heal(&self, subject: &str, recipe: Option<&str>) -> Result<HealAction> {
        let cx = self.outside();
        let before = cx.check_subject(subject).await?;
        let mut fitting = cx.hub().recipes();
        fitting.retain(|r| r.fits(subject));
        let tries = cx.recent_tries(subject).await?;
        let chosen = match recipe {
            Some(name) => fitting.iter().find(|r| r.name() == name),
            // What did not help is not tried next.
            None => fitting.get(tries.len() % fitting.len().max(1)),
        };
        let recipe = chosen.ok_or_else(|| {
            let names: Vec<&str> = fitting.iter().map(|r| r.name()).collect();
            Error::new(ErrorKind::NotFound, "health.recover", "there is no such recipe for this part")
                .with_context("recipes", names.join(", "))
        })?;
        cx.may_try(&tries)?;
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

    /// Tries to heal a part by itself after a round found it ill, as far as the bounds allow; after the last of them a
    /// person is asked, once.
    pub(super) async fn heal_by_itself(&self, subject: &str) -> Result<()> {
        let recipes = self.hub().recipes();
        if !recipes.iter().any(|r| r.fits(subject)) {
            return Ok(());
        }
        let action = match self.heal(subject, None).await {
            Ok(action) => action,
            Err(error) if error.kind() == ErrorKind::RateLimited => return Ok(()),
            Err(error) => return Err(error),
        };
        if action.result == HealResult::Healed || self.recent_tries(subject).await?.len() < MAX_TRIES {
            return Ok(());
        }
        // A label of its own: the event of the action was made at this very instant under the other one.
        let label = format!("help|{}", action.id);
        let cx = self.outside().staging("health.recover", &label);
        let data = json!({ "tries": MAX_TRIES, "recipe": action.recipe, "detail": action.detail });
        cx.emit(Event::new(&cx, "health.help_needed", "health", subject, data))?;
        tracing::error!(subject, "it did not heal by itself: a person should look");
        cx.flush().await.map(drop)
    }

    /// The tries of the last hour, oldest first.
    async fn recent_tries(&self, subject: &str) -> Result<Vec<Stored<HealAction>>> {
        let from = Key::text(subject).and_time(self.now().minus(WINDOW));
        let recent = Query::index("subject").from(from).up_to(Key::text(subject).and_time(self.now()));
        let mut tries = self.query::<HealAction>(&recent.limit(100)).await?;
        // One that is an hour old is over.
        tries.retain(|t| self.now().since(t.at) < WINDOW);
        Ok(tries)
    }

    /// Refuses a try too many or too soon, with the instant of the next one.
    fn may_try(&self, tries: &[Stored<HealAction>]) -> Result<()> {
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
