//! Asking the models of a plan, one after the other.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::{StreamExt, stream};

use super::plan::{Considered, RoutePlan};
use super::tries::{Tries, fails_over};
use super::value::{Learning, worth, worth_of};
use super::{Route, RouteReport, Router};
use crate::economy::Budgeted;
use crate::http::truncated;
use crate::llm::{Delta, DeltaStream, Llm, LlmRequest};
use crate::{Error, ErrorKind, Result, Scope};

/// An answer that has begun: its first deltas, and the rest.
type Begun = (VecDeque<Delta>, DeltaStream);

struct Chain {
    router: Router,
    request: LlmRequest,
    plan: RoutePlan,
    tries: Tries,
    /// What the route learns of the model that answers; `None` when it does not learn.
    learning: Option<Learning>,
    /// Attempts whose failures are learned.
    learned: usize,
}

pub(super) async fn call(
    router: Router,
    cx: Scope,
    route: Route,
    request: LlmRequest,
) -> Result<(DeltaStream, RouteReport)> {
    let plan = router.ordered(&cx, &route, &request).await?;
    if let Some(gathered) = cx.gathered() {
        gathered.routed(RouteReport { plan: plan.clone(), attempts: Vec::new() });
    }
    let tries = Tries::of(&cx, &plan, |provider| Some(router.models.get(provider)?.lane()))?;
    let learning = route.by_value.then(|| Learning::new(&cx, &request));
    let mut chain = Chain { router, request, plan, tries, learning, learned: 0 };
    let begun = chain.begin().await?;
    let report = chain.report();
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
                Err(error) if may_restart && fails_over(error.kind()) && chain.tries.has_more() => {
                    chain.blame(&error);
                    chain.learn(Some(0.0)).await;
                    match chain.begin().await {
                        Ok(begun) => Some((Ok(Delta::Restarted), (begun, chain, may_restart, false))),
                        Err(error) => Some((Err(error), ((head, rest), chain, may_restart, true))),
                    }
                }
                Err(error) => {
                    chain.blame(&error);
                    chain.learn(worth(&error)).await;
                    Some((Err(error), ((head, rest), chain, may_restart, true)))
                }
                Ok(Delta::Done(stop)) => {
                    chain.tries.place = None;
                    chain.learn(worth_of(&stop)).await;
                    Some((Ok(Delta::Done(stop)), ((head, rest), chain, may_restart, false)))
                }
                Ok(delta) => Some((Ok(delta), ((head, rest), chain, may_restart, false))),
            }
        });
    Ok((Box::pin(stream), report))
}

impl Chain {
    /// Asks until one begins to answer.
    async fn begin(&mut self) -> Result<Begun> {
        let (router, cx, request) = (self.router.clone(), self.tries.cx.clone(), self.request.clone());
        let began = self
            .tries
            .until(move |one| {
                let asked = router.asked(&cx, &one, &request);
                async move {
                    let (model, request) = asked?;
                    begin(model, request).await
                }
            })
            .await;
        self.tell();
        if let Some(learning) = &self.learning {
            learning.failures(self.tries.attempts.get(self.learned..).unwrap_or_default()).await;
            self.learned = self.tries.attempts.len();
        }
        began
    }

    /// What was done so far.
    fn report(&self) -> RouteReport {
        RouteReport { plan: self.plan.clone(), attempts: self.tries.attempts.clone() }
    }

    /// Tells the call that this one is a part of what was done so far.
    fn tell(&self) {
        if let Some(gathered) = self.tries.cx.gathered() {
            gathered.routed(self.report());
        }
    }

    /// Notes why the one that had begun to answer failed.
    fn blame(&mut self, error: &Error) {
        self.tries.blame(error);
        self.tell();
    }

    /// Notes what the answer was worth.
    async fn learn(&self, worth: Option<f64>) {
        if let (Some(learning), Some(note), Some(worth)) = (&self.learning, self.tries.attempts.last(), worth)
        {
            learning.note(&note.provider, note.model.as_deref(), worth).await;
        }
    }
}

impl Router {
    /// A model with what every call of one goes through, and the request as it gets it.
    fn asked(
        &self,
        cx: &Scope,
        one: &Considered,
        request: &LlmRequest,
    ) -> Result<(Arc<dyn Llm>, LlmRequest)> {
        let model = self.models.get(&one.provider).ok_or_else(|| {
            Error::new(ErrorKind::Config, "llm.route", "no such provider is set up")
                .with_context("provider", &one.provider)
        })?;
        let own = one.model.as_deref().and_then(|name| self.table.own_caps(&one.provider, name));
        let model = own.and_then(|caps| model.with_caps(caps)).unwrap_or_else(|| Arc::clone(model));
        let mut request = request.clone();
        (request.model, request.route) = (one.model.clone(), None);
        Ok((Budgeted::of(cx, cx.hub().dress(model)), request))
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
