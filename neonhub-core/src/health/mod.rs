//! Health: what is checked, what is written down, and what the hub tries by itself before it asks a person.
//!
//! Each part of the hub that can fail has a [`Health`] check; the hub adds those of the store, the vault, the queues,
//! the subscribers and the connectors, and the crates above add theirs. Every five minutes a round checks all of them,
//! keeps a [`HealthRecord`] each, and tells of a part that failed three times in a row. A [`Recipe`] is tried at most
//! three times per part and hour, and each try leaves a [`HealAction`].

mod away;
mod builtin;
mod heal;
mod ops;
mod recipes;
mod record;
mod round;
mod watchdog;

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::op::{Entry, entry};
use crate::store::Kind;
use crate::{Result, Scope};

pub(crate) use away::AwayBy;
pub use away::AwayPart;
pub(crate) use builtin::{agent_subject, checks as builtin_checks};
pub use heal::Recipe;
pub use ops::{CheckHealth, HealthReport, ListHealth, Recover, SubjectHealth};
pub(crate) use recipes::recipes as builtin_recipes;
pub use record::{HealAction, HealResult, HealthRecord};
pub use watchdog::Stuck;

/// Operations of health.
pub static CATALOGUE: &[Entry] = &[entry::<CheckHealth>(), entry::<ListHealth>(), entry::<Recover>()];

/// Records of health.
pub static KINDS: &[Kind] = &[Kind::of::<HealthRecord>(), Kind::of::<HealAction>(), Kind::of::<AwayPart>()];

/// How a part is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Status {
    /// As it should be.
    Healthy,
    /// It works, and something is wrong.
    Degraded {
        /// What.
        why: String,
    },
    /// It does not work.
    Unhealthy {
        /// What.
        why: String,
    },
}

impl Status {
    /// The stable word.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Status::Healthy => "healthy",
            Status::Degraded { .. } => "degraded",
            Status::Unhealthy { .. } => "unhealthy",
        }
    }

    /// What is wrong.
    #[must_use]
    pub fn why(&self) -> Option<&str> {
        match self {
            Status::Healthy => None,
            Status::Degraded { why } | Status::Unhealthy { why } => Some(why),
        }
    }

    /// 0 healthy, 1 degraded, 2 unhealthy.
    const fn rank(&self) -> i64 {
        match self {
            Status::Healthy => 0,
            Status::Degraded { .. } => 1,
            Status::Unhealthy { .. } => 2,
        }
    }
}

/// A part that can tell how it is.
#[async_trait]
pub trait Health: Debug + Send + Sync + 'static {
    /// Its name: `store`, `queue:email.send`, `connector:smtp`. A closed set.
    fn subject(&self) -> String;

    /// Looks. An error counts as unhealthy; a look that takes longer than 10 s too. It changes nothing.
    async fn check(&self, cx: &Scope) -> Result<Status>;
}

/// Finds parts that one workspace has and another has not, such as agents of its own.
#[async_trait]
pub trait HealthSource: Debug + Send + Sync + 'static {
    /// The checks of a workspace's own parts. A subject that every workspace has is not among them.
    async fn checks(&self, cx: &Scope) -> Result<Vec<Arc<dyn Health>>>;
}

#[cfg(test)]
mod heal_tests;
#[cfg(test)]
mod tests;
