//! Asking the models of a plan, one after the other.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::{StreamExt, stream};

use super::plan::{Considered, nobody};
use super::{AttemptNote, Route, RouteReport, Router};
use crate::economy::Budgeted;
use crate::http::truncated;
use crate::llm::{Delta, DeltaStream, Llm, LlmRequest};
use crate::resilience::{Call, Plan};
use crate::{Error, ErrorKind, Result, Retry, Scope};

/// A longer wait is not waited for while another model is free. Our choice.
const PATIENCE: Duration = Duration::from_secs(2);
/// First and longest pause between tries. Defaults of the vendors' SDKs, 2026.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(8));

/// An answer that has begun: its first deltas, and the rest.
type Begun = (VecDeque<Delta>, DeltaStream);

struct Chain {
    router: Router,
    cx: Scope,
    request: LlmRequest,
    left: VecDeque<Considered>,
    attempts: Vec<AttemptNote>,
    route: String,
}

pub(super) async fn call(
    router: Router,
    cx: Scope,
    route: Route,
    request: LlmRequest,
) -> Result<(DeltaStream, RouteReport)> {
    let plan = router.plan_for(&route, &request)?;
    let left: VecDeque<Considered> =
        plan.considered.iter().filter(|one| one.skipped.is_none()).cloned().collect();
    if left.is_empty() {
        return Err(nobody(&plan));
    }
    let mut chain = Chain { router, cx, request, left, attempts: Vec::new(), route: plan.route.clone() };
    let begun = chain.begin().await?;
    let report = RouteReport { plan, attempts: chain.attempts.clone() };
    let may_restart = route.allow_restart;
    let state = (begun, chain, may_restart, false);
    let stream =
        stream::unfold(state, |((mut head, mut rest), mut chain, may_restart, is_over)| async move {
            if is_over {
                return None;
            }
            let item = match head.pop_front() {
                Some(delta) => Ok(delta),
                None => rest.next().await?,
            };
            match item {
                Err(error) if may_restart && fails_over(error.kind()) && !chain.left.is_empty() => {
                    chain.blame(&error);
                    match chain.begin().await {
                        Ok(begun) => Some((Ok(Delta::Restarted), (begun, chain, may_restart, false))),
                        Err(error) => Some((Err(error), ((head, rest), chain, may_restart, true))),
                    }
                }
                Err(error) => Some((Err(error), ((head, rest), chain, may_restart, true))),
                Ok(delta) => Some((Ok(delta), ((head, rest), chain, may_restart, false))),
            }
        });
    Ok((Box::pin(stream), report))
}

impl Chain {
    /// Asks until one begins to answer.
    async fn begin(&mut self) -> Result<Begun> {
        let mut last = None;
        while let Some(one) = self.left.pop_front() {
            let error = match self.ask(&one).await {
                Ok(begun) => return Ok(begun),
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

    async fn ask(&mut self, one: &Considered) -> Result<Begun> {
        let model = self.router.models.get(&one.provider).ok_or_else(|| {
            Error::new(ErrorKind::Config, "llm.route", "no such provider is set up")
                .with_context("provider", &one.provider)
        })?;
        let own = one.model.as_deref().and_then(|name| self.router.table.own_caps(&one.provider, name));
        let model = own.and_then(|caps| model.with_caps(caps)).unwrap_or_else(|| Arc::clone(model));
        let model = Budgeted::of(&self.cx, self.cx.hub().dress(model));
        let mut request = self.request.clone();
        (request.model, request.route) = (one.model.clone(), None);
        let has_later = !self.left.is_empty();
        let tries = Arc::new(AtomicU32::new(0));
        // Generation has no effect but its price: it may be asked again, and every try is counted.
        let (first, longest) = PAUSES;
        let plan = Plan::new(one.target()).idempotent().backoff(first, longest);
        let counted = Arc::clone(&tries);
        let call = Call::new(move |attempt| {
            counted.store(attempt.number(), Ordering::SeqCst);
            attempt.sent();
            let (model, request) = (Arc::clone(&model), request.clone());
            async move {
                begin(model, request).await.map_err(|error| if has_later { hasty(error) } else { error })
            }
        });
        let done = call.guard(plan).run(&self.cx).await.map_err(patient);
        self.attempts.push(AttemptNote {
            provider: one.provider.clone(),
            model: one.model.clone(),
            tries: tries.load(Ordering::SeqCst),
            failure: None,
        });
        done
    }

    /// Notes why the last one failed.
    fn blame(&mut self, error: &Error) {
        if let Some(note) = self.attempts.last_mut() {
            note.failure = Some((error.code().to_owned(), error.message().to_owned()));
        }
    }

    /// One error for all.
    fn give_up(&self, last: Option<Error>) -> Error {
        let Some(last) = last else {
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

/// Reads up to the first words.
async fn begin(model: Arc<dyn Llm>, request: LlmRequest) -> Result<Begun> {
    let mut stream = model.call(request).await?;
    let mut head = VecDeque::new();
    while let Some(item) = stream.next().await {
        let delta = item?;
        let is_visible = !matches!(delta, Delta::Started { .. } | Delta::Warning { .. } | Delta::Usage(_));
        head.push_back(delta);
        if is_visible {
            return Ok((head, stream));
        }
    }
    Err(truncated("the answer ended before its first words: call again").for_operation("llm.call"))
}

/// Whether another model may do better. A request that is wrong, too long or not allowed is not asked elsewhere.
fn fails_over(kind: ErrorKind) -> bool {
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
