//! One model after the other until one answers, each guarded once.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::AttemptNote;
use super::plan::{Considered, RoutePlan, nobody};
use crate::economy::RESERVE;
use crate::llm::wire::SETTING;
use crate::resilience::{Call, Lane, NO_PLACE, Place, Plan};
use crate::{Error, ErrorKind, Result, Retry, Scope};

/// A longer wait is not waited for while another model is free. Our choice.
const PATIENCE: Duration = Duration::from_secs(2);
/// First and longest pause between tries. Defaults of the vendors' SDKs, 2026.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(8));

/// The models that are left to ask.
pub(super) struct Tries {
    pub(super) cx: Scope,
    left: VecDeque<(Considered, Lane)>,
    pub(super) attempts: Vec<AttemptNote>,
    route: String,
    /// The first refusal by a bound of ours: a quota, or the queue before a provider.
    refused: Option<Error>,
    /// The place of the one that answered, to be kept until its answer has ended.
    pub(super) place: Option<Place>,
}

impl Tries {
    /// Those of a plan that may answer. `lane` gives the room at a provider.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn of(cx: &Scope, plan: &RoutePlan, lane: impl Fn(&str) -> Option<Lane>) -> Result<Self> {
        let may = plan.considered.iter().filter(|one| one.skipped.is_none());
        let left: VecDeque<_> =
            may.map(|one| (one.clone(), lane(&one.provider).unwrap_or(Lane::MODEL))).collect();
        if left.is_empty() {
            return Err(nobody(plan));
        }
        let (attempts, route) = (Vec::new(), plan.route.clone());
        Ok(Tries { cx: cx.clone(), left, attempts, route, refused: None, place: None })
    }

    pub(super) fn has_more(&self) -> bool {
        !self.left.is_empty()
    }

    /// Asks until one answers. `ask` is called for each try of each model.
    pub(super) async fn until<T, F, Fut>(&mut self, ask: F) -> Result<T>
    where
        F: Fn(Considered) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T>> + Send,
        T: Send,
    {
        let mut last = None;
        while let Some((one, lane)) = self.left.pop_front() {
            let error = match self.once(&one, lane, &ask).await {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(refused)) => {
                    self.pass_over(refused);
                    continue;
                }
                Err(error) if error.code() == NO_PLACE => {
                    self.pass_over(error);
                    continue;
                }
                Err(error) => error,
            };
            if let Retry::After(wait) = error.retry()
                && error.kind() == ErrorKind::RateLimited
            {
                self.cx.quota_used_up(&one.target(), self.cx.now().plus(wait));
            }
            self.blame(&error);
            if !fails_over(error.kind()) {
                return Err(error);
            }
            last = Some(error);
        }
        Err(self.give_up(last))
    }

    /// Goes on after a refusal by a bound of ours. A model that costs less, or another provider, may fit; one that costs
    /// nothing would hide that the money is gone or that too much is asked at once.
    fn pass_over(&mut self, refused: Error) {
        self.blame(&refused);
        self.left.retain(|(one, _)| one.provider != "offline");
        self.refused.get_or_insert(refused);
    }

    /// One model. The inner error is a refusal by a quota of ours: the provider was not asked, and its breaker is not told.
    async fn once<T, F, Fut>(&mut self, one: &Considered, lane: Lane, ask: &F) -> Result<Result<T>>
    where
        F: Fn(Considered) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T>> + Send,
        T: Send,
    {
        let has_later = !self.left.is_empty();
        let tries = Arc::new(AtomicU32::new(0));
        // Generation has no effect but its price: it may be asked again, and every try is counted.
        let (first, longest) = PAUSES;
        let plan = Plan::new(one.target())
            .idempotent()
            .backoff(first, longest)
            .lane(lane)
            .places_of(format!("model:{}", one.provider))
            .setting(SETTING);
        let counted = Arc::clone(&tries);
        let call = Call::new(move |attempt| {
            counted.store(attempt.number(), Ordering::SeqCst);
            attempt.sent();
            let asked = ask(one.clone());
            async move {
                match asked.await {
                    Ok(done) => Ok(Ok(done)),
                    Err(error) if error.operation() == RESERVE => Ok(Err(error)),
                    Err(error) => Err(if has_later { hasty(error) } else { error }),
                }
            }
        });
        // A place of an earlier answer that broke off is free for this one.
        self.place = None;
        let done = call.guard(plan).run_held(&self.cx).await.map_err(patient);
        self.attempts.push(AttemptNote {
            provider: one.provider.clone(),
            model: one.model.clone(),
            tries: tries.load(Ordering::SeqCst),
            failure: None,
        });
        let (done, place) = done?;
        self.place = Some(place);
        Ok(done)
    }

    /// Notes why the last one failed.
    pub(super) fn blame(&mut self, error: &Error) {
        if let Some(note) = self.attempts.last_mut() {
            note.failure = Some((error.code().to_owned(), error.message().to_owned()));
        }
    }

    /// One error for all. A refusal by a quota speaks for them: it says what a person can do.
    fn give_up(&mut self, last: Option<Error>) -> Error {
        let Some(last) = self.refused.take().or(last) else {
            return Error::new(ErrorKind::Internal, "llm.route", "a route without models was asked");
        };
        if let [_] = self.attempts.as_slice() {
            return last;
        }
        let error = Error::new(last.kind(), "llm.route", "no model of this route answered")
            .with_code(last.code().to_owned())
            .with_retry(last.retry())
            .with_context("route", &self.route);
        let error = self.attempts.iter().fold(error, |error, note| {
            let model = note.model.as_deref().unwrap_or("default");
            let (code, message) = note.failure.clone().unwrap_or_default();
            let text = format!("{}/{model}: {code}: {message} (tries: {})", note.provider, note.tries);
            error.with_context("attempt", text)
        });
        error.with_source(last)
    }
}

/// Whether another model may do better. A request that is wrong, too long or not allowed is not asked elsewhere.
pub(super) fn fails_over(kind: ErrorKind) -> bool {
    use ErrorKind as K;
    !matches!(kind, K::InvalidInput | K::ContextTooLong | K::Blocked | K::Cancelled | K::ConsentRequired)
}

const LATER: &str = "retry_after_ms";

/// A long wait becomes a reason to go on to the next model.
fn hasty(error: Error) -> Error {
    match error.retry() {
        Retry::After(wait) if wait > PATIENCE => {
            error.with_retry(Retry::Never).with_context(LATER, wait.as_millis())
        }
        _ => error,
    }
}

/// The wait as the provider said it, once the retries are over.
fn patient(error: Error) -> Error {
    let wait = error.context().find(|(key, _)| *key == LATER).and_then(|(_, ms)| ms.parse().ok());
    match wait {
        Some(ms) => error.with_retry(Retry::After(Duration::from_millis(ms))),
        None => error,
    }
}
