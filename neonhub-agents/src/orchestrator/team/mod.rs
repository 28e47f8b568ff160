//! Two ways to work together without a plan: a supervisor that picks who is asked next until the goal is reached, and a
//! debate of several drafts with a critic and a judge.
//!
//! Both are programs over the one step machine: every errand is a child run, every decision is in the log, and a killed
//! process goes on with what is not finished. With a real model, the model picks, criticises and judges; what the
//! offline model would say is taken by rules, and the run says that it was offline.

mod crew;
mod debate;
mod judge;
mod member;
mod ops;
mod pick;
mod supervise;

pub use member::{Member, ResolveTeam};
pub use ops::{Debate, Supervise};

pub(super) use crew::Teamwork;
pub(super) use debate::{AGENT as DEBATE, Debater};
pub(super) use supervise::{AGENT as SUPERVISE, Supervisor};
