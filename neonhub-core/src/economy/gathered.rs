//! What a call of a run used of models: counts that are written together with the answer, their cost, and the route.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::model::TokenUsage;
use crate::llm::RouteReport;
use crate::run::CallCost;
use crate::store::{Batch, Expected, Kind, Row, Write};
use crate::{Result, Scope};

/// What a call of a run used of models: a part of the commit that keeps its answer. What is in no such commit is written by
/// itself, once the call is gone.
pub(crate) struct Gathered {
    /// None where counts are only added up, and written by themselves.
    cx: Option<Scope>,
    used: Mutex<Vec<TokenUsage>>,
    cost: Mutex<CallCost>,
    route: Mutex<Option<RouteReport>>,
}

impl fmt::Debug for Gathered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gathered").finish_non_exhaustive()
    }
}

impl Gathered {
    pub(crate) fn new(cx: &Scope) -> Arc<Self> {
        Arc::new(Self::of(Some(cx.outside())))
    }

    /// Adds up what is used, and leaves the counts to be written by themselves.
    pub(crate) fn counting() -> Arc<Self> {
        Arc::new(Self::of(None))
    }

    fn of(cx: Option<Scope>) -> Self {
        Gathered { cx, used: Mutex::default(), cost: Mutex::default(), route: Mutex::default() }
    }

    /// True where counts are a part of another commit.
    pub(super) fn holds_counts(&self) -> bool {
        self.cx.is_some()
    }

    pub(super) fn add(&self, usage: TokenUsage) {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).push(usage);
    }

    pub(super) fn charge(&self, usage: &TokenUsage) {
        self.cost.lock().unwrap_or_else(PoisonError::into_inner).add(usage);
    }

    /// What was used so far has cost; none where it was free.
    pub(crate) fn cost(&self) -> Option<CallCost> {
        let cost = self.cost.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (!cost.is_free()).then_some(cost)
    }

    /// Takes note of what a route did so far.
    pub(crate) fn routed(&self, report: RouteReport) {
        *self.route.lock().unwrap_or_else(PoisonError::into_inner) = Some(report);
    }

    /// What the route did that was taken last.
    pub(crate) fn route(&self) -> Option<RouteReport> {
        self.route.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many counts there are so far. An attempt that was given up may add one at any time.
    pub(crate) fn len(&self) -> usize {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Stages the first counts.
    pub(crate) fn stage(&self, cx: &Scope, first: usize) -> Result<()> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.iter().take(first).try_for_each(|usage| cx.put(usage, Expected::Absent))
    }

    /// The first counts are committed.
    pub(crate) fn kept(&self, first: usize) {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).drain(..first);
    }
}

impl Drop for Gathered {
    fn drop(&mut self) {
        let used = std::mem::take(self.used.get_mut().unwrap_or_else(PoisonError::into_inner));
        let Some(cx) = self.cx.clone().filter(|_| !used.is_empty()) else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = write(&cx, &used).await {
                    tracing::warn!(%error, "what a model used could not be written");
                }
            });
        }
    }
}

async fn write(cx: &Scope, used: &[TokenUsage]) -> Result<()> {
    let mut batch = Batch::new(cx.workspace().clone(), cx.now());
    batch.writes = used.iter().map(|usage| put(cx, usage)).collect::<Result<_>>()?;
    cx.store().commit(batch).await.map(drop)
}

/// A count as it is written when it is a part of nothing else.
pub(super) fn put(cx: &Scope, usage: &TokenUsage) -> Result<Write> {
    let row = Row::of(usage, cx.now(), "system:economy")?;
    Ok(Write::Put { kind: Kind::of::<TokenUsage>(), row, expected: Expected::Absent })
}
