//! Approvals: calls that stand still until a person has said yes.
//!
//! The engine of policies asks: for a policy that wants a person's yes, and for agents that act on the outside. The
//! question is for exactly one call, by the hash of its name and input; the yes is used by the first call that fits
//! it, and ends with its time. What an agent's run asked for waits in its log, in no process, until someone decides.
//! What of the input came from outside, by what the run had read, stands in the question. Sinks ask by it: see
//! [`Sink`](crate::op::Sink).
//! A yes opens no other door: rights, gate and policies are asked again when the call is made.

mod decide;
mod desk;
mod expire;
mod model;
mod ops;
mod reading;
mod sticky;
mod taint;

#[cfg(test)]
mod sink_tests;
#[cfg(test)]
mod tests;

pub use desk::Desk;
pub use model::{Approval, ApprovalDecision, ApprovalId, ApprovalState, Vote};
pub use ops::{
    Approve, ApproveEdited, DecideMany, Decided, DelegateApproval, Deny, GetApproval, ListApprovals,
};
pub use sticky::Always;
pub use taint::TaintedSpan;

pub(crate) use desk::take;
pub(crate) use expire::{EXPIRE, Expire, expire};
pub(crate) use model::{QUESTION, signal_of};
pub(crate) use reading::may_carry;

use crate::op::{Entry, entry};
use crate::store::Kind;

/// Operations of this room.
pub static CATALOGUE: &[Entry] = &[
    entry::<ListApprovals>(),
    entry::<GetApproval>(),
    entry::<Approve>(),
    entry::<Deny>(),
    entry::<ApproveEdited>(),
    entry::<DelegateApproval>(),
    entry::<DecideMany>(),
];

/// Records of this room.
pub static KINDS: &[Kind] = &[Kind::of::<Approval>()];
