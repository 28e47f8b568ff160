//! Evals by replay: cases are made of real runs, played again on another version or model, judged, compared, and hold the
//! door shut when something got worse.
//!
//! A case ([`EvalCase`]) holds what a run saw: its input, what it worked with, and what tools answered. Playing it folds
//! the same program in memory ([`RunEvals`]); tools answer from the record, so nothing is called or sent and only the
//! model is asked. What was never recorded is a miss and is named. [`PromoteRun`] makes a case of a run with stable fakes
//! in the place of personal data; [`CompareEvals`] says better or worse only beyond doubt; [`GateEvals`] gives a pipeline
//! its exit code; [`PutSecuritySet`] makes the set of attacks; [`ShadowModel`] plays the last runs on a successor.

mod bench;
mod compare;
mod fake;
mod grade;
mod judge;
mod model;
mod promote;
mod promote_run;
mod replay;
mod run;
mod security;
mod set;
mod shadow;
mod stats;

#[cfg(test)]
mod tests;

use neonhub_core::HubBuilder;
use neonhub_core::op::{Entry, entry};
use neonhub_core::store::Kind;

pub use bench::{Benchmark, BenchmarkAgent};
pub use compare::{CaseChange, CompareEvals, Comparison, GateAnswer, GateBound, GateEvals};
pub use grade::{Grade, Grader};
pub use model::{
    CaseResult, CaseRow, EvalCase, EvalRun, EvalSet, EvalSetHead, Miss, RecordedAnswer, RecordedTool,
    Snapshot,
};
pub use promote::PromoteRun;
pub use promote_run::PromoteToEval;
pub use run::{GetEvalRun, RunEvals};
pub use security::PutSecuritySet;
pub use set::{GetEvalSet, ListEvalSets, PutEvalSet};
pub use shadow::{Divergence, ShadowModel, ShadowReport, ShadowRun, SkippedRun};
pub use stats::{Interval, Verdict};

/// The operations of evals.
pub static CATALOGUE: &[Entry] = &[
    entry::<PutEvalSet>(),
    entry::<PutSecuritySet>(),
    entry::<GetEvalSet>(),
    entry::<ListEvalSets>(),
    entry::<PromoteRun>(),
    entry::<PromoteToEval>(),
    entry::<RunEvals>(),
    entry::<GetEvalRun>(),
    entry::<CompareEvals>(),
    entry::<GateEvals>(),
    entry::<ShadowModel>(),
    entry::<BenchmarkAgent>(),
];

/// The records of evals.
pub static KINDS: &[Kind] = &[Kind::of::<EvalSetHead>(), Kind::of::<CaseRow>(), Kind::of::<EvalRun>()];

/// Adds evals to a hub.
pub fn install(builder: HubBuilder) -> HubBuilder {
    builder.operations(CATALOGUE).kinds(KINDS)
}
