//! The policy engine: rules as versioned data that allow, refuse, ask for a person's yes, limit or hide.
//!
//! A [`Policy`] names the calls it speaks about, a condition over their facts, and what it does when that holds. The
//! door asks the versions in force at every call, and a message is asked about again when it is delivered. Deny
//! beats approval beats redact beats limit beats allow; all rules that fired are in the answer, whatever order they
//! are stored in. What cannot be judged refuses.

mod approval;
mod dry_run;
pub mod expr;
mod facts;
mod model;
pub mod ops;
mod redact;
mod ruling;
mod set;
mod told;

use crate::store::Kind;

pub use approval::{Approvals, Ask};
pub use expr::Truth;
pub use model::{
    DecisionId, Policy, PolicyDecision, PolicyEffect, PolicyId, PolicyRef, PolicyScope, PolicyState, Verdict,
};
pub use set::{Decision, PolicySet, Rule};

pub(crate) use redact::redact;
pub(crate) use ruling::{Ruling, call_hash, preview, rule, rule_effect, rule_tool};

/// Records of this room.
pub static KINDS: &[Kind] = &[Kind::of::<Policy>(), Kind::of::<PolicyDecision>()];

#[cfg(test)]
mod door_tests;
#[cfg(test)]
mod tests;
